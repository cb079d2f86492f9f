"""`python -m tuiwiz.executor JOB FOLDER`: one job in a process of its own.

`train` writes events into the run folder, `member` shares the steps of such a run; other jobs leave `result.json`. The
exit code is that of the error tree.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import ExitCode, TuiwizError
from tuiwiz.events.job import write_result
from tuiwiz.events.process import die_with_parent

JOBS = {
    "train": "train",
    "member": "member",
    "replay": "replay",
    "rehearse": "rehearse",
    "convert": "convert",
    "score": "score",
    "probe": "probe",
    "simulate": "simulate",
    "range-test": "range_test",
    "trials": "trials",
}
"""Job -> module of this room with `run(folder)`; `trials` has `serve()` and takes its folders one after another."""


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in JOBS:
        print(f"usage: python -m tuiwiz.executor {{{','.join(JOBS)}}} FOLDER", file=sys.stderr)
        return int(ExitCode.USAGE)
    job, folder = argv[0], Path(argv[1])
    if parent := os.environ.pop("TUIWIZ_PARENT", ""):
        # A member of a crew is deaf to all but this.
        die_with_parent(int(parent), signal.SIGKILL if job == "member" else signal.SIGTERM)
    module = importlib.import_module(f"tuiwiz.executor.{JOBS[job]}")
    if job == "train":
        return _train(module, folder)
    if job == "trials":
        return int(module.serve())
    if job == "member":
        return int(module.run(folder))
    return _answer(module, folder)


def _train(module: Any, folder: Path) -> int:
    from tuiwiz.executor.failure import ended

    return ended(lambda: int(module.run(folder)))


def _answer(module: Any, folder: Path) -> int:
    """Run a job that leaves a result."""
    from tuiwiz.executor.failure import translate

    try:
        write_result(folder, {"ok": True, **module.run(folder)})
        return int(ExitCode.DONE)
    except Exception as error:
        known = error if isinstance(error, TuiwizError) else translate(error)
        if known is not error:
            traceback.print_exc()
        write_result(folder, {"ok": False, "message": known.message, "hint": known.hint})
        return int(known.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
