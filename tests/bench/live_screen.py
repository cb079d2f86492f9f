"""The live screen on a run with a long history: `python -m tests.bench.live_screen [EVENTS]`.

Prints the time to the first useful paint, the time until all is read, the memory of the process, what a redraw and a
judgement of the doctor cost then, and how many calls a redraw is made of, which no other program disturbs.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support import streams
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.examine import diagnose
from tuiwiz.events.folder import RunFolder
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.run import RunScreen

SIZE = (120, 40)
REDRAWS = 20


async def measure(run: RunFolder, events: int) -> dict[str, float]:
    began = time.perf_counter()
    app = TuiwizApp("run", run=run)
    async with app.run_test(size=SIZE) as pilot:
        screen = app.screen
        while not isinstance(screen, RunScreen) or not screen.view.step:
            await pilot.pause(0.005)
            screen = app.screen
        first = time.perf_counter() - began
        await asyncio.wait_for(screen.caught_up.wait(), 600)
        read = time.perf_counter() - began
        # The first redraw after all has been read lets the doctor look, which has its own line.
        screen.redraw()
        started = time.perf_counter()
        for _ in range(REDRAWS):
            screen.redraw()
        redraw = (time.perf_counter() - started) / REDRAWS
        counted = cProfile.Profile()
        counted.runcall(screen.redraw)
        calls = sum(entry.callcount for entry in counted.getstats())
        started = time.perf_counter()
        diagnose(Case(screen.view))
        judge = time.perf_counter() - started
    memory = psutil.Process().memory_info().rss
    return {
        "events": events,
        "first_paint_s": round(first, 3),
        "all_read_s": round(read, 2),
        "redraw_ms": round(1000 * redraw, 2),
        "calls_a_redraw": calls,
        "judgement_ms": round(1000 * judge, 1),
        "rss_mib": round(memory / 2**20),
    }


def main(events: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = RunFolder(Path(scratch))
        with run.events.open("wb") as file:
            file.writelines(streams.long_lines(events))
        run.bundle.write_text(streams.BUNDLE, encoding="utf-8")
        print(json.dumps(asyncio.run(measure(run, events))))


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
