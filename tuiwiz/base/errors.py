"""The error tree. Every error that a user can meet is one of these; anything else that escapes is a bug.

TuiwizError                exit code
├── InternalError          1
├── UsageError             2
├── InvalidError           3    invalid bundle, preset or data; carries Problems
├── DoesNotFitError        4
├── DriftError             5
├── RunFailedError         6
├── StoppedError           7    stopped on request, resumable
└── MachineLacksError      8
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

from tuiwiz.base.problems import Problem


class ExitCode(IntEnum):
    """Process exit codes, as documented in the README."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    INVALID = 3
    DOES_NOT_FIT = 4
    DRIFT = 5
    RUN_FAILED = 6
    STOPPED = 7
    MACHINE_LACKS = 8
    INTERRUPTED_TWICE = 130


class TuiwizError(Exception):
    """A failure that is explained to the user in one sentence.

    Args:
        message: what is wrong, in the user's words.
        hint: what to do about it.
        problems: the single problems behind the message, each with its place.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(message=message, hint=hint),)


class InternalError(TuiwizError):
    """A bug in tuiwiz."""


class UsageError(TuiwizError):
    """The command was called in a way that cannot work."""

    exit_code = ExitCode.USAGE


class InvalidError(TuiwizError):
    """A bundle, preset or data set is invalid."""

    exit_code = ExitCode.INVALID


class DoesNotFitError(TuiwizError):
    """The run needs more memory or disk than there is."""

    exit_code = ExitCode.DOES_NOT_FIT


class DriftError(TuiwizError):
    """Data or model differ from what the bundle was locked to."""

    exit_code = ExitCode.DRIFT


class RunFailedError(TuiwizError):
    """Training failed (non-finite loss, crash)."""

    exit_code = ExitCode.RUN_FAILED


class StoppedError(TuiwizError):
    """The run stopped on request and can be resumed."""

    exit_code = ExitCode.STOPPED


class MachineLacksError(TuiwizError):
    """This machine lacks something: a device, disk space, a library, the network."""

    exit_code = ExitCode.MACHINE_LACKS


def missing_library(error: BaseException) -> MachineLacksError | None:
    """The failure behind an import that found no such library, or none of the system's that it needs; else None."""
    if not isinstance(error, ImportError):
        return None
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name and name != "tuiwiz":
        hint = "install tuiwiz again, in an environment of its own, or this library alone"
        return MachineLacksError(f"the library {name} is not installed", hint=hint)
    if "cannot open shared object file" in str(error):
        words = str(error).strip().splitlines()[0]
        return MachineLacksError(f"a library cannot be loaded: {words}", hint="install the build for this machine")
    return None
