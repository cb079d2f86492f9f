"""What `tuiwiz run` and the queue do before they start a run: rehearse it where it is due, and refuse what failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuiwiz.base.errors import DoesNotFitError, RunFailedError
from tuiwiz.base.units import human_duration
from tuiwiz.rehearsal import ahead, take


def rehearse_if_long(path: Path, sets: list[str], tell: Callable[[str], None]) -> None:
    """Rehearse the bundle where its run is planned to be long and was not rehearsed; `tell` is given what came of it.

    Raises:
        DoesNotFitError: it did not fit on the lowest rung.
        RunFailedError: something else of it failed.
    """
    seconds = ahead.due(path, sets)
    if seconds is None:
        return
    tell(f"a run of about {human_duration(seconds)}: its hardest moments first; --no-rehearsal leaves that out")
    tell(f"rehearsing: {take.MOMENTS}")
    _, problems = take.rehearsal(path, sets)
    for problem in problems:
        if problem.severity == "error":
            kind = DoesNotFitError if problem.key == take.OUT_OF_MEMORY else RunFailedError
            raise kind(problem.message, hint=problem.hint or "--no-rehearsal starts the run all the same")
        tell(problem.message + (f" ({problem.hint})" if problem.hint else ""))
