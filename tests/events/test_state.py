"""The state of a run from events, the executor's identity, its silence and its exit."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tuiwiz.base.errors import InternalError
from tuiwiz.base.files import write_atomic
from tuiwiz.events import control, types
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job, read_result, write_job, write_result
from tuiwiz.events.process import Exit, Process, this_process, write_exit
from tuiwiz.events.state import SILENCE_S, state
from tuiwiz.events.view import RunView

NOW = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def executed_by(folder: RunFolder, **changes: object) -> None:
    process: Process = replace(this_process(), **changes)
    write_atomic(folder.pid, msgspec.json.encode(process))


def told(*stages: str, ago: float = 1.0) -> RunView:
    return fold(RunView(), [types.Stage(seq=i, t=NOW - ago, name=name) for i, name in enumerate(stages)])


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("loading", "starting"),
        ("tokenizing", "starting"),
        ("converting", "starting"),
        ("rehearsing", "rehearsing"),
        ("training", "training"),
        ("paused", "paused"),
        ("evaluating", "evaluating"),
        ("sampling", "evaluating"),
        ("saving", "saving"),
    ],
)
def test_a_living_executor_does_what_it_said_last(folder: RunFolder, stage: str, expected: str) -> None:
    executed_by(folder)
    assert state(told("loading", stage), folder, NOW) == expected
    # However long it is silent: the process is there.
    assert state(told("loading", stage, ago=9 * SILENCE_S), folder, NOW) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (types.Finished(seq=9, t=NOW, summary={}), "finished"),
        (types.Stopped(seq=9, t=NOW, summary={}), "stopped"),
        (types.Failed(seq=9, t=NOW, summary={}), "failed"),
    ],
)
def test_the_last_word_counts_whatever_else_is_known(folder: RunFolder, event: types.Event, expected: str) -> None:
    view = fold(told("training"), [event])
    assert state(view, folder, NOW + 1e6) == expected
    executed_by(folder, pid=2**22 + 1)
    assert state(view, folder, NOW) == expected
    # A new attempt takes it back.
    fold(view, [types.Stage(seq=10, t=NOW, name="loading")])
    executed_by(folder)
    assert state(view, folder, NOW) == "starting"


def test_an_executor_that_went_without_a_word_crashed(folder: RunFolder) -> None:
    executed_by(folder, started=1.0)
    assert state(told("training"), folder, NOW) == "crashed"
    folder.pid.unlink()
    write_exit(folder.exit, Exit(code=1))
    assert state(told("training"), folder, NOW) == "crashed"
    assert state(RunView(), folder, NOW) == "crashed"


def test_one_that_was_asked_to_end_in_its_first_instant_was_stopped(folder: RunFolder) -> None:
    write_exit(folder.exit, Exit(signal="SIGTERM"))
    assert state(RunView(), folder, NOW) == "stopped"


def test_on_another_machine_silence_decides(folder: RunFolder) -> None:
    executed_by(folder, host="elsewhere")
    assert state(told("training"), folder, NOW) == "training"
    assert state(told("training", ago=SILENCE_S + 1), folder, NOW) == "unknown"


def test_a_run_that_was_asked_for_starts_and_is_not_waited_for_for_ever(folder: RunFolder) -> None:
    write_job(folder.path, "train", {"resume": False})
    now = time.time()
    assert state(RunView(), folder, now) == "starting"
    assert state(RunView(), folder, now + SILENCE_S + 5) == "unknown"
    # Taken up long after its last event: heard of at its new start.
    assert state(told("training", ago=1e6), folder, now) == "training"


def test_a_folder_in_which_nothing_was_started_is_unknown(folder: RunFolder) -> None:
    folder.bundle.write_text("")
    assert state(RunView(), folder, NOW) == "unknown"


def test_requests_are_taken_in_order_and_once(folder: RunFolder) -> None:
    for kind in ("pause", "resume", "checkpoint", "stop"):
        control.request(folder, kind)
    control.request(folder, "extend", steps=7)
    taken = control.pending(folder)
    assert [one.kind for one in taken] == ["pause", "resume", "checkpoint", "stop", "extend"]
    assert taken[-1].steps == 7
    assert control.pending(folder) == []


def test_what_is_no_request_is_not_obeyed_and_does_no_harm(folder: RunFolder) -> None:
    control.request(folder, "pause")
    (folder.control / "0-junk.json").write_bytes(b"\xff{")
    (folder.control / "1-format.json").write_text('{"kind":"format-disk"}')
    (folder.control / "2-folder.json").mkdir()
    (folder.control / ".half-written.json.tmp").write_text('{"kind":"stop"}')
    (folder.control / "notes.txt").write_text("stop")
    assert [one.kind for one in control.pending(folder)] == ["pause"]
    assert control.pending(folder) == []
    assert (folder.control / "notes.txt").exists()


def test_clearing_leaves_nothing_for_the_next_attempt(folder: RunFolder) -> None:
    control.request(folder, "stop")
    control.clear(folder)
    assert control.pending(folder) == []


def test_without_a_control_folder_there_are_no_requests(folder: RunFolder) -> None:
    assert control.pending(folder) == []


def test_a_job_comes_back_without_what_was_left_out(folder: RunFolder) -> None:
    write_job(folder.path, "convert", {"source": "a/b", "steps": 3, "none": None})
    assert read_job(folder.path) == {"job": "convert", "source": "a/b", "steps": 3}


@pytest.mark.parametrize("content", [None, b"job = ", b"\xff\xfe"])
def test_a_folder_without_a_readable_job_is_a_bug_that_is_told(folder: RunFolder, content: bytes | None) -> None:
    if content is not None:
        folder.job.write_bytes(content)
    with pytest.raises(InternalError, match="no readable job"):
        read_job(folder.path)


def test_a_result_is_whole_or_not_there(folder: RunFolder) -> None:
    assert read_result(folder.path) is None
    write_result(folder.path, {"ok": True, "text": "é"})
    assert read_result(folder.path) == {"ok": True, "text": "é"}
    folder.result.write_bytes(b'{"ok": tr')
    assert read_result(folder.path) is None
    assert os.listdir(folder.path) == ["result.json"]
