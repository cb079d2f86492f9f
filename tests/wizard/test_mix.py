"""Several training sets in the wizard without a screen: answers, what is measured, what is written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.processes import tuiwiz
from tests.support.wizard import bare_model, count_here, sums
from tests.wizard.known import data
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.prepare import prepare
from tuiwiz.data.sets import Share
from tuiwiz.spec.data import WeightedPath
from tuiwiz.wizard import saved
from tuiwiz.wizard.answers import Answers, absorb
from tuiwiz.wizard.compose import compose
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.facts import Facts, model_facts
from tuiwiz.wizard.session import Session
from tuiwiz.wizard.written import bundle_text

MIX = (WeightedPath(path="a.jsonl", weight=4), WeightedPath(path="b/c.jsonl", weight=1))


@pytest.fixture
def place(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    folder = tmp_path / "place"
    (folder / "b").mkdir(parents=True)
    sums(folder / "a.jsonl", 60)
    whole = sums(folder / "b" / "c.jsonl", 260).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "b" / "c.jsonl").write_text("".join(whole[60:]), encoding="utf-8")
    bare_model(folder / "tiny", tiny_tokenizer)
    return folder


def test_a_mix_is_measured_written_and_kept(place: Path, tiny_tokenizer: Path) -> None:
    answers = Answers(task="instruct", model="tiny", method="lora").with_mix(MIX)
    session = Session(place, Draft(answers=answers))
    session.take(session.model_job(), model_facts("tiny", None, place))  # type: ignore[arg-type]
    job = session.data_job()
    assert job is not None and job.path == str(place / "a.jsonl")
    assert any("data.train" in word and "c.jsonl" in word for word in job.command())
    session.take(job, count_here(job))
    found = session.data
    assert found is not None and found.facts is not None
    assert [(one.rows, one.usable_rows) for one in found.facts.sets] == [(60, 60), (15, 200)]
    assert found.facts.rows == 75
    session.take(session.device_job(), None)
    composed = session.composed
    assert composed is not None and composed.bundle.data.train == MIX
    output = place / "deep" / "x.toml"
    output.parent.mkdir()
    output.write_text(bundle_text(session, output), encoding="utf-8")
    written = read_bundle(output)
    assert written.data.train == tuple(msgspec.structs.replace(one, path=f"../{one.path}") for one in MIX)
    # The steps that are shown are those of the run.
    rows = len(prepare(written, output.parent, tiny_tokenizer).train)
    assert composed.steps == -(-rows // written.batch.effective) * int(written.schedule.epochs or 0)
    saved.save(session.draft)
    assert saved.load() == session.draft


def test_validation_is_looked_at_alone(place: Path) -> None:
    answers = msgspec.structs.replace(Answers(task="instruct").with_mix(MIX), validation="a.jsonl")
    job = Session(place, Draft(answers=answers)).data_job("a.jsonl")
    assert job is not None and not any("data.train" in word for word in job.command())


def test_a_set_that_is_left_alone_has_no_weight() -> None:
    both = Answers().with_mix(MIX)
    assert (both.data, both.weight, both.more) == ("a.jsonl", 4, MIX[1:])
    alone = both.with_mix(MIX[:1])
    assert alone == Answers(data="a.jsonl") and alone.train == "a.jsonl"
    assert both.with_mix(()) == Answers()


def test_a_mix_given_as_an_edit_is_the_answer() -> None:
    given = [{"path": "a.jsonl", "weight": 4.0}, {"path": "b/c.jsonl", "weight": 1.0}]
    assert absorb(Answers(data="a.jsonl", sets={"data.train": given})) == Answers().with_mix(MIX)
    wrong = Answers(task="chat", data="a.jsonl", sets={"data.train": [{"path": "a", "share": 3}]})
    assert any(one.key.startswith("data.train") for one in compose(wrong, Facts(data=data())).problems)


def test_validation_comes_out_of_the_first_of_weighted_sets() -> None:
    share = Share(path="a", weight=9.0, usable_rows=900, rows=900, tokens=1, supervised_tokens=1)
    other = msgspec.structs.replace(share, path="b", weight=1.0, rows=100)
    facts = msgspec.structs.replace(data(rows=1000), sets=(share, other))
    assert facts.split_rows == 900
    even = msgspec.structs.replace(share, weight=None)
    assert msgspec.structs.replace(facts, sets=(even, even)).split_rows == 1000


def test_new_takes_several_files(place: Path) -> None:
    words = ["new", "--task", "instruct", "--model", "tiny", "--data", "a.jsonl", "--data", "b/c.jsonl"]
    done = tuiwiz(*words, "--method", "lora", "-o", "x.toml", cwd=place)
    assert done.returncode == 0, done.stderr
    bundle = read_bundle(place / "x.toml")
    assert bundle.data.train == (WeightedPath(path="a.jsonl"), WeightedPath(path="b/c.jsonl"))
    assert bundle.lock is not None and bundle.lock.rows == {"a.jsonl": 60, "b/c.jsonl": 200}
