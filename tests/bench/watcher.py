"""Does watching a run slow it down? `python -m tests.bench.watcher [PAIRS] [WINDOW_S]`.

One run of the tiny model; the live screen is attached to it, in a terminal of its own, for every other window of time.
Prints the medians of `step_seconds` with and without it, and the mean difference between neighbouring windows with its
standard error: on a busy machine the error tells how much the difference is worth.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.refresh import measure
from tests.support.tiny import make_model
from tests.support.training import make_run, start
from tuiwiz.events.control import request
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Metric


def windows(run: RunFolder, pairs: int, seconds: float) -> list[tuple[list[float], list[float]]]:
    """Step seconds of each pair of windows: alone, and watched."""
    reader = EventReader(run.events)

    def steps() -> list[float]:
        found: list[float] = []
        while events := reader.read(10_000):
            found += [event.metrics["step_seconds"] for event in events if isinstance(event, Metric)]
        return found

    while not steps():
        time.sleep(0.2)
    out = []
    for _ in range(pairs):
        steps()
        time.sleep(seconds)
        alone = steps()
        measure("ours", run.path, seconds)
        # What was written while the watcher started and read is not of its steady state.
        watched = steps()[-len(alone) :]
        out.append((alone, watched))
    return out


def main(pairs: float = 6, seconds: float = 15.0) -> None:
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        base = Path(scratch)
        run = make_run(base, make_model(base / "model"), rows=200, schedule__steps=1_000_000, checkpoint__every=1e6)
        process: subprocess.Popen[bytes] = start(run)
        stack.callback(process.wait)
        stack.callback(request, run, "stop")
        found = windows(run, int(pairs), seconds)
    alone = [statistics.median(a) for a, _ in found]
    watched = [statistics.median(b) for _, b in found]
    shares = [b / a - 1 for a, b in zip(alone, watched, strict=True)]
    error = statistics.stdev(shares) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
    print(
        json.dumps(
            {
                "pairs": len(found),
                "step_ms_alone": round(1000 * statistics.median(alone), 3),
                "step_ms_watched": round(1000 * statistics.median(watched), 3),
                "slower_by": round(statistics.mean(shares), 4),
                "standard_error": round(error, 4),
            }
        )
    )


if __name__ == "__main__":
    main(*(float(text) for text in sys.argv[1:]))
