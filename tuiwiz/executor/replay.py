"""Job `replay`: the first steps of a run once more, in a scratch folder, without evaluations or checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuiwiz.base.errors import ExitCode, StoppedError
from tuiwiz.executor import train


def run(folder: Path) -> dict[str, Any]:
    """Train as `job.toml` says: `replay` steps of the bundle in `folder`. The losses are in its events.

    Raises:
        StoppedError: something asked it to stop before.
    """
    code = train.run(folder)
    if code not in (ExitCode.DONE, ExitCode.STOPPED):
        raise StoppedError("the replay was stopped")
    return {"exit_code": code}
