"""Every way in which a run can fail is a sentence, an exit code and one last event."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tuiwiz.base.errors import (
    DoesNotFitError,
    InternalError,
    InvalidError,
    MachineLacksError,
    RunFailedError,
    StoppedError,
    TuiwizError,
)
from tuiwiz.base.problems import Problem
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.executor.failure import reporting, translate
from tuiwiz.executor.record import Recorder


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class SafetensorError(Exception):
    """Named as safetensors'."""


def os_error(number: int, path: str | None = None) -> OSError:
    return OSError(number, "why", path) if path else OSError(number, "why")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (MemoryError(), DoesNotFitError, "out of memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore"), DoesNotFitError, "Tried to allocate"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes"), DoesNotFitError, "can't allocate"),
        (RuntimeError("shape mismatch\nlong story"), RunFailedError, "shape mismatch"),
        (os_error(errno.ENOSPC), MachineLacksError, "the disk is full"),
        (os_error(errno.EDQUOT), MachineLacksError, "the disk is full"),
        (os_error(errno.EFBIG), MachineLacksError, "the disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), MachineLacksError, "the disk is full"),
        (SafetensorError("Error while deserializing header"), InvalidError, "damaged"),
        (os_error(errno.EACCES, "/runs/a"), MachineLacksError, "cannot write /runs/a"),
        (os_error(errno.EROFS, "/runs/a"), MachineLacksError, "cannot write /runs/a"),
        (os_error(errno.ENOENT, "/runs/a"), MachineLacksError, "/runs/a is not there any more"),
        (ModuleNotFoundError("No module named 'peft.x'", name="peft.x"), MachineLacksError, "peft is not installed"),
        (ImportError("libcudart.so.12: cannot open shared object file"), MachineLacksError, "libcudart.so.12"),
        (ModuleNotFoundError("No module named 'tuiwiz.x'", name="tuiwiz.x"), InternalError, "tuiwiz.x"),
        (ValueError("\x1b[31mred"), InternalError, "ValueError: red"),
        (KeyError(), InternalError, "KeyError"),
    ],
)
def test_errors_of_libraries_and_of_the_system(error: Exception, kind: type[TuiwizError], message: str) -> None:
    told = translate(error)
    assert type(told) is kind
    assert message in told.message and "\n" not in told.message and "\x1b" not in told.message
    assert told.hint


def last_event(folder: RunFolder) -> types.Event:
    return EventReader(folder.events).read()[-1]


def test_a_failure_is_the_last_event_with_its_problems(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    problems = [Problem(message=f"row {row} is bad", path="d.jsonl", row=row) for row in range(1, 40)]
    with pytest.raises(InvalidError), Recorder(folder) as recorder, reporting(recorder):
        recorder.step = 7
        raise InvalidError("bad rows", hint="mend them", problems=problems)
    event = last_event(folder)
    assert isinstance(event, types.Failed)
    assert event.summary["message"] == "bad rows" and event.summary["hint"] == "mend them"
    assert event.summary["exit_code"] == 3 and event.summary["step"] == 7
    assert len(event.summary["problems"]) == 20
    assert "d.jsonl" in event.summary["problems"][0]["place"]


def test_an_unforeseen_error_is_told_and_its_traceback_is_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(InternalError), Recorder(folder) as recorder, reporting(recorder):
        raise ZeroDivisionError("division by zero")
    event = last_event(folder)
    assert isinstance(event, types.Failed) and event.summary["exit_code"] == 1
    assert "Traceback" not in str(event.summary) and "Traceback" in capsys.readouterr().err


def test_an_interrupt_before_training_is_a_stop(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(StoppedError, match="before training"), Recorder(folder) as recorder, reporting(recorder):
        raise KeyboardInterrupt("asked by SIGTERM")
    event = last_event(folder)
    assert isinstance(event, types.Stopped)
    assert event.summary["reason"] == "asked by SIGTERM before training began"


def test_where_not_even_the_failure_can_be_written_it_is_still_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise os_error(errno.ENOSPC)

    with pytest.raises(MachineLacksError, match="disk is full"), Recorder(folder) as recorder, reporting(recorder):
        monkeypatch.setattr(recorder, "write", full)
        recorder.stage("saving")
    assert not folder.events.read_bytes()


def test_the_heartbeat_meets_a_full_disk_and_the_next_step_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuiwiz.executor.record.HEARTBEAT_S", 0.01)
    folder = RunFolder(tmp_path)
    with Recorder(folder) as recorder:

        def full(*_: object, **__: object) -> None:
            raise os_error(errno.ENOSPC)

        monkeypatch.setattr(recorder._writer, "write", full)
        recorder._thread.join(timeout=30)
        assert not recorder._thread.is_alive()
        with pytest.raises(OSError, match="why"):
            recorder.log("next step")
