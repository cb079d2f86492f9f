"""The session: what is missing, what is wanted, and the bundle that answers and results make."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.wizard.known import data
from tuiwiz.base.errors import UsageError
from tuiwiz.catalog.gpus import find_device
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.facts import model_facts
from tuiwiz.wizard.jobs import CheckData, DataReport, ReadDevice, ReadModel, read_report
from tuiwiz.wizard.session import Session
from tuiwiz.wizard.steps import STEPS, TITLES, after, before, missing, reachable

COMPLETE = Answers(task="instruct", data="rows.jsonl", model="qwen3-8b", gpu="RTX 4090")


def known(folder: Path, answers: Answers = COMPLETE) -> Session:
    """A session that has every result it wants."""
    session = Session(folder, Draft(answers=answers))
    for job in session.wanted():
        match job:
            case ReadDevice():
                session.take(job, find_device(job.gpu or "24"))
            case ReadModel():
                session.take(job, model_facts(job.source, job.revision, folder))
            case CheckData():
                session.take(job, DataReport(data(), ()))
    return session


def test_steps_in_order() -> None:
    assert set(TITLES) == set(STEPS)
    assert [after(step) for step in STEPS] == [*STEPS[1:], STEPS[-1]]
    assert [before(step) for step in STEPS] == [STEPS[0], *STEPS[:-1]]


def test_what_is_missing_is_said_in_words(tmp_path: Path) -> None:
    assert "learn" in missing("task", Answers(), None)
    assert "file" in missing("data", Answers(), None)
    assert "1B" in missing("model", Answers(), None)
    assert missing("fit", Answers(), None)
    composed = known(tmp_path).composed
    assert not any(missing(step, COMPLETE, composed) for step in STEPS)


def test_steps_are_reachable_when_all_before_them_are_answered() -> None:
    assert reachable("task", Answers(), None)
    assert not reachable("data", Answers(), None)
    assert reachable("data", Answers(task="chat"), None)
    assert not reachable("model", Answers(task="chat"), None)
    assert reachable("fit", COMPLETE, None)
    assert not reachable("settings", COMPLETE, None)


def test_going_too_far_stops_where_something_is_missing(tmp_path: Path) -> None:
    session = Session(tmp_path, Draft(answers=Answers(task="chat")))
    assert "file" in session.go("review")
    stopped: str = session.draft.step
    assert stopped == "data"
    assert session.go("task") == "" and session.draft.step == "task"


def test_wanted_work_follows_the_answers(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert session.wanted() == [ReadDevice(None)]
    session.answer(task="chat", data="a.jsonl", validation="b.jsonl", model="m", gpu="24")
    device, model, train, other = session.wanted()
    assert device == ReadDevice("24")
    assert model == ReadModel("m", None, str(tmp_path))
    assert isinstance(train, CheckData) and train.path == str(tmp_path / "a.jsonl") and train.task == "chat"
    assert isinstance(other, CheckData) and other.path == str(tmp_path / "b.jsonl")
    for job in session.wanted():
        session.take(job, UsageError("no"))
    assert session.wanted() == []
    session.answer(gpu="80")
    assert session.wanted() == [ReadDevice("80")]
    session.answer(gpu="24")
    assert session.wanted() == []


def test_only_edits_that_change_rows_measure_the_file_again(tmp_path: Path) -> None:
    session = known(tmp_path)
    session.edit("adapter.rank", 8)
    assert session.wanted() == []
    session.edit("data.train_on", "all")
    (job,) = session.wanted()
    assert isinstance(job, CheckData) and 'data.train_on="all"' in job.command()
    session.reset("data.train_on")
    assert session.wanted() == []


def test_a_model_that_is_here_measures_the_file_with_its_tokenizer(tmp_path: Path, tiny_tokenizer: Path) -> None:
    from tests.support.wizard import bare_model

    folder = bare_model(tmp_path / "m", tiny_tokenizer)
    session = known(tmp_path, Answers(task="chat", data="rows.jsonl", model=str(folder)))
    (again,) = session.wanted()
    assert isinstance(again, CheckData) and again.model == str(folder)


def test_errors_are_kept_apart_from_facts(tmp_path: Path) -> None:
    session = Session(tmp_path, Draft(answers=COMPLETE))
    job = session.device_job()
    session.take(job, UsageError("no such card"))
    assert session.device is None
    error = session.error(job)
    assert error is not None and error.message == "no such card"
    assert session.facts.device is None
    assert session.composed is not None and session.composed.plan is None


def test_facts_make_a_planned_bundle(tmp_path: Path) -> None:
    session = known(tmp_path)
    composed = session.composed
    assert composed is not None and composed.ready
    assert composed.plan is not None and composed.plan.verdict == "fits"
    assert {choice.method for choice in composed.choices} == {"qlora", "lora", "full"}
    session.edit("schedule.epochs", 7.0)
    assert session.composed is not None and session.composed.bundle.schedule.epochs == 7.0
    assert session.history.undo()
    assert session.composed == composed


def test_another_method_brings_its_own_preset(tmp_path: Path) -> None:
    session = known(tmp_path)
    before = session.composed
    session.answer(method="full")
    full = session.composed
    assert before is not None and full is not None
    assert full.bundle.optimizer.learning_rate < before.bundle.optimizer.learning_rate
    assert full.bundle.adapter.method == "full"


def test_validation_rows_come_from_their_own_file(tmp_path: Path) -> None:
    session = known(tmp_path, COMPLETE)
    session.answer(validation="held-out.jsonl")
    (job,) = session.wanted()
    session.take(job, DataReport(data(77), ()))
    assert session.facts.data is not None
    assert session.facts.data.rows == 1425 and session.facts.data.validation_rows == 77


def test_an_unknown_preset_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    session = known(tmp_path, COMPLETE)
    session.answer(preset="no-such-preset")
    assert session.composed is None
    assert any("no-such-preset" in problem.message for problem in session.problems)
    assert "no run" in session.go("review")


def test_a_report_of_an_accepted_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": f"{n}?", "answer": f"{n}."}) + "\n" for n in range(40)))
    done = subprocess.run(CheckData(str(path), "instruct", "").command(), capture_output=True, check=False)
    report = read_report(done.stdout)
    assert report.facts is not None and report.facts.rows == 40
    assert report.facts.mapping == {"prompt": "question", "completion": "answer"}


def test_a_report_of_a_refused_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("[1, 2]\n3\n")
    done = subprocess.run(CheckData(str(path), "instruct", "").command(), capture_output=True, check=False)
    report = read_report(done.stdout)
    assert report.facts is None
    assert any(problem.severity == "error" for problem in report.problems)


@pytest.mark.parametrize("output", [b"", b"Traceback (most recent call last):", b"{}", b"[]", b"\xff", b'{"ok": 7}'])
def test_a_report_that_is_none_says_so(output: bytes) -> None:
    report = read_report(output)
    assert report.facts is None
    (problem,) = report.problems
    assert problem.message == "the data could not be checked" and problem.hint


def test_a_file_that_is_not_there_is_a_report_too(tmp_path: Path) -> None:
    done = subprocess.run(CheckData(str(tmp_path / "no"), "chat", "").command(), capture_output=True, check=False)
    report = read_report(done.stdout)
    assert report.facts is None and "no" in report.problems[0].message
