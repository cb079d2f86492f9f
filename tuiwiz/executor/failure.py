"""Every way in which a run can fail, as one `failed` event and one exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tuiwiz.base.errors import (
    DoesNotFitError,
    InternalError,
    InvalidError,
    MachineLacksError,
    RunFailedError,
    StoppedError,
    TuiwizError,
    missing_library,
)
from tuiwiz.base.text import clean_line
from tuiwiz.events import types
from tuiwiz.executor.record import Recorder


@contextmanager
def reporting(recorder: Recorder) -> Iterator[None]:
    """Tell an escaping error as the run's last event and pass it on as a TuiwizError; the traceback goes to the log."""
    try:
        yield
    except TuiwizError as error:
        tell(recorder, error)
        raise
    except KeyboardInterrupt as error:
        # Before the first step there is nothing to save.
        reason = f"{error} before training began"
        recorder.write(types.Stopped, summary={"step": recorder.step, "reason": reason})
        raise StoppedError(reason) from None
    except Exception as error:
        with suppress(OSError):
            # On a full disk the log cannot take it.
            traceback.print_exc()
        translated = translate(error)
        tell(recorder, translated)
        raise translated from error


def ended(run: Callable[[], int]) -> int:
    """The exit code of a training job, which tells everything by events; what escapes before it can is told in the
    log."""
    try:
        return run()
    except Exception as error:
        known = error if isinstance(error, TuiwizError) else translate(error)
        with suppress(OSError):
            print(f"tuiwiz: {known.message}", file=sys.stderr, flush=True)
    if isinstance(known, StoppedError):
        # Interrupted in the middle of loading, libraries may not survive their own clean-up.
        os._exit(int(known.exit_code))
    return int(known.exit_code)


NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "std::bad_alloc",
    # Of CUDA's own calls, for which the allocator is not asked: handles, pinned and managed memory.
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What runtime errors say where a device or the system had no memory to give."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the system had no memory to give."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def translate(error: BaseException) -> TuiwizError:
    """An error of libraries or of the system in a user's words."""
    if is_out_of_memory(error):
        return DoesNotFitError(
            f"out of memory: {_first_line(error)}",
            hint="lower batch.micro, or set memory.gradient_checkpointing = true; `tuiwiz plan` shows what fits",
        )
    lacking = missing_library(error)
    if lacking is not None:
        return lacking
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MachineLacksError("the disk is full", hint="free some space, then `tuiwiz resume` goes on")
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        where = f" {error.filename}" if error.filename else ""
        return MachineLacksError(f"cannot write{where}: {error.strerror}", hint="check the folder's permissions")
    if isinstance(error, FileNotFoundError) and error.filename:
        return MachineLacksError(
            f"{error.filename} is not there any more",
            hint="a run needs its folder, its data and its model to stay where they are until it ends",
        )
    if type(error).__name__ == "SafetensorError":
        if "os error 28" in str(error):
            return MachineLacksError("the disk is full", hint="free some space, then `tuiwiz resume` goes on")
        return InvalidError(
            f"a safetensors file is damaged: {_first_line(error)}", hint="bring the model's files again"
        )
    if isinstance(error, RuntimeError):
        return RunFailedError(
            f"training failed: {_first_line(error)}", hint="run.log in the run folder has the details"
        )
    return InternalError(
        f"internal error: {type(error).__name__}: {_first_line(error)}",
        hint="please report it with run.log from the run folder",
    )


def tell(recorder: Recorder, error: TuiwizError) -> None:
    """Write the run's last event."""
    summary = {
        "message": clean_line(error.message, 500),
        "hint": clean_line(error.hint or error.problems[0].hint, 500),
        "exit_code": int(error.exit_code),
        "step": recorder.step,
        "problems": [
            {
                "message": clean_line(p.message, 300),
                "place": clean_line(p.place(), 200),
                "hint": clean_line(p.hint, 300),
            }
            for p in error.problems[:20]
        ],
    }
    try:
        recorder.write(types.Failed, summary=summary)
    except OSError:
        # The disk that made the run fail is too full to say so; the supervisor's exit.json will.
        return


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return clean_line(lines[0], 300) if lines else type(error).__name__
