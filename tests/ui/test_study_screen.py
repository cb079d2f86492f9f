"""The study screen: what it says, what its keys do, and what it survives."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from tests.support.screens import screen_text
from tests.support.screenshot import settle
from tests.support.streams import T0
from tests.support.studies import recorded
from tuiwiz.bundle.read import read_bundle
from tuiwiz.tune.board import axes, keys_of, left
from tuiwiz.tune.space import RANK, RATE
from tuiwiz.tune.study import Budget, StudyFolder
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.screens.study import StudyScreen
from tuiwiz.ui.screens.study_actions import preset_name


def app_for(folder: StudyFolder, *, ascii: bool = False) -> TuiwizApp:
    return TuiwizApp("study", ascii=ascii, study=folder.path, clock=lambda: T0 + 400)


async def shown(pilot: Pilot[int], *keys: str) -> str:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)
    await settle(pilot)
    return screen_text(pilot.app)


async def test_it_says_what_is_best_what_runs_and_what_is_left(tmp_path: Path) -> None:
    app = app_for(recorded(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await shown(pilot)
        assert "best loss 1.2131 #1" in text and "3 of 12 trials left" in text and "#8 runs step 17/60" in text
        assert "infeasible" in text and "pruned" in text
        order = [line.split()[0 if line.strip()[0].isdigit() else 1] for line in text.splitlines()[13:17]]
        assert order == ["8", "1", "3", "6"], "the running one, then the best first"
        curves = await shown(pilot, "2")
        assert "B #1" in curves and " 50 " in curves
        assert "importances need 30" in await shown(pilot, "3")
        assert "learning_rate" in await shown(pilot, "1")


async def test_enter_opens_the_trial_as_a_run_and_escape_comes_back(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    app = app_for(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, "down", "enter")
        assert isinstance(app.screen, RunScreen) and app.screen.folder.path == folder.run(1)
        await shown(pilot, "escape")
        assert isinstance(app.screen, StudyScreen) and app.screen.chosen == 1


async def test_one_key_writes_the_winner_as_a_bundle_with_its_evidence(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    app = app_for(folder)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await shown(pilot, "b")
        (written,) = [path for path in (tmp_path / "given").glob("*.toml") if path.name != "bundle.toml"]
        text = written.read_text(encoding="utf-8")
        assert "Best of 8 trials of `tune bayes`, 60 steps each: loss 1.2131, the next 1.2578" in " ".join(
            line.lstrip("# ") for line in text.splitlines() if line.startswith("#")
        )
        bundle = read_bundle(written)
        assert bundle.optimizer.learning_rate == folder.rows[1].edits[RATE]
        assert bundle.schedule.steps == 6, "at its full length"
        assert bundle.origin[RATE] == f"tune {folder.path.name}"
        assert "exists" in (await shown(pilot, "b")).replace("\n", " ")


async def test_one_key_writes_the_winner_as_a_preset(tmp_path: Path, own_home: Path) -> None:
    app = app_for(recorded(tmp_path))
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await shown(pilot, "p")
        await app.workers.wait_for_complete()
        text = await shown(pilot)
        path = own_home / "presets" / "sums-search.toml"
        assert path.exists(), text
        assert "sums-search.toml" in text.replace("\n", "")
        assert "Best of 8 trials" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["grid", "ablate"])
async def test_other_methods_are_shown_too(tmp_path: Path, method: str) -> None:
    app = app_for(recorded(tmp_path, method))
    async with app.run_test(size=(120, 40)) as pilot:
        text = await shown(pilot, "3")
        assert ("verdicts" in text) == (method == "ablate")


async def test_an_empty_or_broken_study_and_hostile_names_break_nothing(tmp_path: Path) -> None:
    folder = recorded(tmp_path, trials=1)
    folder.write_rows([])
    app = app_for(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await shown(pilot, "enter", "b", "p", "2", "x", "3", "1")
        assert "no trial is finished yet" in text and "no trial yet" in text
        rows = recorded(tmp_path / "other").rows
        evil = "[bold]\x1b]0;owned\x07[/bold]"
        folder.write_rows([msgspec.structs.replace(row, label=evil, reason=evil) for row in rows])
        assert isinstance(app.screen, StudyScreen)
        app.screen.reload()
        await app.workers.wait_for_complete()
        text = await shown(pilot)
        assert "\x1b" not in text and "best loss" in text
        (folder.path / "study.toml").write_text("method = 3", encoding="utf-8")
        app.screen.reload()
        await app.workers.wait_for_complete()
        assert "cannot be read" in await shown(pilot)


def test_what_is_left_is_said_for_every_budget(tmp_path: Path) -> None:
    from datetime import datetime

    folder = recorded(tmp_path)
    now = datetime(2030, 1, 1, 7, 30)

    def words(**budget: object) -> str:
        question = msgspec.structs.replace(folder.question, budget=Budget(**budget))  # type: ignore[arg-type]
        return left(question, folder.rows, now)

    assert words(trials=4) == "0 of 4 trials left"
    assert words(until="08:00") == "30 min 00 s until 08:00"
    assert words(tokens=100_000).endswith("tokens left") and "left" in words(hours=1.0)
    assert words() == "no limit but the method's own"


def test_lines_go_through_what_a_trial_was_given(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    found = axes(folder.question, folder.rows, folder.base)
    assert [axis.name for axis in found] == ["learning_rate", "rank", "loss"] and keys_of(folder.rows) == [RATE, RANK]
    assert found[2].places[1] == 1.0, "the best score is at the head"
    assert found[1].places[2] == pytest.approx(2 / 3), "ranks are placed by their ratio"
    assert 4 not in found[2].places and 4 in found[0].places


@pytest.mark.parametrize(("study", "name"), [("A_b c", "a-b-c"), ("---", "winner"), ("x" * 90, "x" * 60)])
def test_a_study_s_name_becomes_a_preset_s(study: str, name: str) -> None:
    assert preset_name(study) == name
