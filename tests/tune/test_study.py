"""Studies on synthetic objectives: found optima, budgets, workers that die, storages that fail."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import write_bundle
from tuiwiz.base.errors import DriftError, MachineLacksError, StoppedError, UsageError
from tuiwiz.bundle.change import change
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.lock import lock_now
from tuiwiz.bundle.read import read_bundle
from tuiwiz.runs.folder import prepare
from tuiwiz.spec.keys import flatten
from tuiwiz.tune.bayes import Bayes, default_space
from tuiwiz.tune.grid import Grid
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.space import RANK, RATE
from tuiwiz.tune.start import new_study
from tuiwiz.tune.storage import Storage
from tuiwiz.tune.study import Budget, Measured, Question, StudyFolder, create, refuse_other
from tuiwiz.tune.winner import write_winner
from tuiwiz.tune.work import Report, Rules, Worker
from tuiwiz.wizard.facts import drift_of

Objective = Callable[[dict[str, Any]], float]


def make(tmp_path: Path, method: Any = "grid", **more: Any) -> tuple[StudyFolder, Question]:
    bundle = read_bundle(write_bundle(tmp_path, tmp_path / "model", rows=20))
    folder = StudyFolder(tmp_path / "study")
    known = {"digest": digest(bundle), "folder": str(tmp_path), "metric": "loss", "seed": 1, "steps": 100}
    question = Question(method=method, **{**known, **more})
    create(folder, question, bundle)
    return folder, question


def synthetic(objective: Objective) -> Any:
    """A runner that trains nothing: the score is a function of the bundle."""

    def run(bundle: Path, out: Path, base: Path, report: Report) -> Row:
        value = objective(flatten(read_bundle(bundle)))
        if math.isnan(value):
            return Row(number=0, state="infeasible", seconds=1, reason="diverged")
        for step in (25, 50, 75, 100):
            if report(value + 1 / step, step) and step < 100:
                return Row(number=0, state="pruned", step=step, steps=100, seconds=step / 100)
        return Row(number=0, state="finished", score=value, step=100, steps=100, seconds=1, tokens=1000)

    return run


def bowl(rate: float, rank: int = 16) -> Objective:
    """Lowest at the given rate and rank; rates ten times higher diverge."""

    def objective(flat: dict[str, Any]) -> float:
        off = math.log10(flat[RATE] / rate)
        return math.nan if off > 1 else 1 + off**2 + 0.05 * math.log2(flat[RANK] / rank) ** 2

    return objective


def rules_of(folder: StudyFolder, question: Question) -> Rules:
    if question.method == "grid":
        return Grid(folder.base)
    return Bayes(folder.base, question.over, trials=question.budget.trials)


def carry_out(folder: StudyFolder, question: Question, objective: Objective, *, new: bool = True) -> str:
    return Worker(folder, question, rules_of(folder, question), synthetic(objective), new=new).work()


@pytest.mark.parametrize("factor", [1 / 9, 1 / 3, 1.0, 3.0, 9.0])
def test_a_grid_finds_the_best_rate_also_beyond_its_edge_and_then_the_rank(tmp_path: Path, factor: float) -> None:
    folder, question = make(tmp_path)
    rate = folder.base.optimizer.learning_rate
    carry_out(folder, question, bowl(rate * factor, rank=64))
    best = ranked(folder.rows, lower=True)[0]
    assert best.edits[RATE] == pytest.approx(rate * factor, rel=1e-3)
    assert best.edits[RANK] == 64
    assert len({str(row.edits) for row in folder.rows}) == len(folder.rows) <= 8


def test_a_search_finds_the_optimum_within_its_budget_and_marks_what_cannot_be_trained(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path, tmp_path / "model", rows=20))
    space = default_space(bundle, {}, 24)
    folder, question = make(tmp_path, "bayes", over=space, budget=Budget(trials=24))
    rate = folder.base.optimizer.learning_rate
    reason = carry_out(folder, question, bowl(rate * 0.5))
    rows = folder.rows
    best = ranked(rows, lower=True)[0]
    assert best.score is not None and best.score < 1.06
    assert rows[0].edits[RATE] == rate and rows[0].label == "preset"
    assert len(rows) <= 24 and reason
    for row in rows:
        if row.edits[RATE] > rate * 5:
            assert row.state == "infeasible" and row.score is None
    assert any(row.state == "pruned" for row in rows)


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_rungs_end_what_lags_behind_and_never_the_best(tmp_path: Path, pruner: str) -> None:
    bundle = read_bundle(write_bundle(tmp_path, tmp_path / "model", rows=20))
    options = {"pruner": pruner}
    space = default_space(bundle, {}, 20)
    folder, question = make(tmp_path, "bayes", over=space, budget=Budget(trials=20), options=options)
    assert question.pruner == pruner
    rate = folder.base.optimizer.learning_rate
    carry_out(folder, question, bowl(rate * 0.5))
    rows, true = folder.rows, bowl(rate * 0.5)
    cut = [row for row in rows if row.state == "pruned"]
    assert cut and {row.step for row in cut} <= {25, 50, 75}

    def value(row: Row) -> float:
        return true({RATE: row.edits[RATE], RANK: row.edits.get(RANK, bundle.adapter.rank)})

    best = ranked(rows, lower=True)[0]
    assert best.state == "finished" and value(best) == min(value(row) for row in rows if row.state != "infeasible")
    # It pays: fewer steps than all trials to their end.
    assert sum(row.seconds for row in rows) < 0.9 * len(rows)


def test_a_grid_by_halves_takes_fewer_steps_and_finds_the_same(tmp_path: Path) -> None:
    spent, found = {}, {}
    for pruner in ("none", "halving"):
        (tmp_path / pruner).mkdir()
        folder, question = make(tmp_path / pruner, options={"pruner": pruner})
        carry_out(folder, question, bowl(folder.base.optimizer.learning_rate))
        spent[pruner] = sum(row.seconds for row in folder.rows)
        found[pruner] = ranked(folder.rows, lower=True)[0].edits
    assert found["halving"] == found["none"] and spent["halving"] < spent["none"]


def test_a_worker_that_died_loses_no_trial_and_the_next_one_takes_it_up(tmp_path: Path) -> None:
    folder, question = make(tmp_path)
    objective = bowl(folder.base.optimizer.learning_rate)
    seen: list[str] = []

    def dying(bundle: Path, out: Path, base: Path, report: Report) -> Row:
        seen.append(out.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return synthetic(objective)(bundle, out, base, report)  # type: ignore[no-any-return]

    with pytest.raises(KeyboardInterrupt):
        Worker(folder, question, Grid(folder.base), dying, new=True).work()
    assert [row.state for row in folder.rows if row.state != "waiting"] == ["finished", "running"]

    def next_one(bundle: Path, out: Path, base: Path, report: Report) -> Row:
        seen.append(out.name)
        return synthetic(objective)(bundle, out, base, report)  # type: ignore[no-any-return]

    Worker(folder, question, Grid(folder.base), next_one).work()
    assert seen[:4] == ["0000", "0001", "0001", "0002"]
    assert all(row.state == "finished" for row in folder.rows)
    assert sorted(set(seen)) == [f"{row.number:04d}" for row in folder.rows]


def test_what_another_worker_runs_is_left_to_it(tmp_path: Path) -> None:
    folder, question = make(tmp_path)
    objective = bowl(folder.base.optimizer.learning_rate)
    inside: list[Row] = []

    def slow(bundle: Path, out: Path, base: Path, report: Report) -> Row:
        if not inside:
            # While this trial runs, a second worker takes what is left of the stage.
            inside.append(Row(number=0, state="waiting"))
            second = Worker(folder, question, Grid(folder.base), synthetic(objective))
            with folder.locked():
                taken = second._take()
            assert isinstance(taken, tuple) and taken[0].number == 1
            second._carry_out(taken[0])
        return synthetic(objective)(bundle, out, base, report)  # type: ignore[no-any-return]

    Worker(folder, question, Grid(folder.base), slow, new=True).work()
    assert [row.number for row in folder.rows] == list(range(len(folder.rows)))
    assert all(row.state == "finished" for row in folder.rows)


def test_more_budget_extends_a_study(tmp_path: Path) -> None:
    folder, question = make(tmp_path, budget=Budget(trials=2))
    objective = bowl(folder.base.optimizer.learning_rate)
    assert carry_out(folder, question, objective) == "the budget of 2 trials is spent"
    assert sum(row.over for row in folder.rows) == 2
    more = msgspec.structs.replace(question, budget=Budget(trials=4))
    carry_out(folder, more, objective, new=False)
    assert sum(row.over for row in folder.rows) == 4


def test_a_stopped_trial_stops_the_study_and_stays_to_be_taken_up(tmp_path: Path) -> None:
    folder, question = make(tmp_path)

    def stopped(bundle: Path, out: Path, base: Path, report: Report) -> Row:
        return Row(number=0, state="running", step=7)

    with pytest.raises(StoppedError, match="step 7"):
        Worker(folder, question, Grid(folder.base), stopped, new=True).work()
    assert folder.rows[0].state == "running"


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_lost_database_is_told_and_the_table_still_speaks(tmp_path: Path, kind: str) -> None:
    folder, question = make(tmp_path, storage=kind, budget=Budget(trials=1))
    carry_out(folder, question, bowl(1e-4))
    (folder.path / ("study.db" if kind == "sqlite" else "study.journal")).unlink()
    with pytest.raises(MachineLacksError, match="gone"):
        Storage(folder, question)
    assert len(folder.rows) == 3


def test_a_locked_or_damaged_database_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, question = make(tmp_path, budget=Budget(trials=1))
    carry_out(folder, question, bowl(1e-4))
    monkeypatch.setattr("tuiwiz.tune.storage.WAIT_S", 0.1)
    holder = sqlite3.connect(folder.path / "study.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(MachineLacksError, match="locked by another program"):
        Storage(folder, question).rows()
    holder.close()
    (folder.path / "study.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(MachineLacksError, match="damaged"):
        Storage(folder, question)


def test_another_bundles_study_is_refused(tmp_path: Path) -> None:
    folder, _ = make(tmp_path)
    refuse_other(folder, folder.base, "grid")
    with pytest.raises(DriftError, match="another bundle"):
        refuse_other(folder, change(folder.base, {RANK: 5}), "grid")
    with pytest.raises(UsageError, match="tune grid"):
        refuse_other(folder, folder.base, "bayes")


def test_a_studys_bundles_can_be_run_by_hand(tmp_path: Path) -> None:
    """They lie elsewhere than the bundle that was given: paths and the names in the lock go along."""
    project = tmp_path / "project"
    path = write_bundle(project, "model", rows=20, data__train='[{path = "rows.jsonl"}, {path = "../more"}]')
    for place in (project / "model", tmp_path / "more"):
        place.mkdir()
        (place / "config.json").write_text("{}", encoding="utf-8")
    given = read_bundle(path)
    given = msgspec.structs.replace(given, lock=lock_now(given, project, project / "model"), origin={RATE: "preset x"})
    measured = Measured(load_s=1, step_s=1, tokens_per_step=1, rows=20, validation_rows=4, full_steps=6)
    budget = Budget(trials=3)
    folder = new_study(
        given, project, method="grid", measured=measured, share=1.0, budget=budget, out=tmp_path / "far" / "study"
    )
    carry_out(folder, folder.question, bowl(given.optimizer.learning_rate))
    bundles = [folder.path / "bundle.toml", folder.path / "given.toml", folder.bundle(0)]
    copied = prepare(folder.bundle(0), base=Path(folder.question.folder)).folder.bundle
    for one in (*bundles, copied):
        assert not drift_of(read_bundle(one), one.parent), one
    assert digest(folder.given) == digest(given) and folder.given.origin == given.origin
    refuse_other(folder, given, "grid")
    for place, names in ((project, ["rows.jsonl", "../more"]), (tmp_path, ["project/rows.jsonl", "more"])):
        winner = read_bundle(write_winner(folder, place / "winner.toml")[0])
        assert [one.path for one in winner.data.train if not isinstance(one, str)] == names
        assert not drift_of(winner, place) and winner.lock is not None and winner.lock.data
    (project / "rows.jsonl").write_text("{}", encoding="utf-8")
    assert [one.kind for one in drift_of(folder.base, folder.path)] == ["data"]
