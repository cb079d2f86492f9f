"""Does watching a run slow it down? `python -m tests.bench.watcher [PAIRS] [BLOCK_S]`.

One run of the tiny model on a core of its own, and one live screen on another core, in a terminal of 120 x 40. The
screen is suspended for every other short block of time (SIGSTOP, SIGCONT: a suspended watcher is one that is not
there), in the order ABBA, so that what drifts on the machine cancels out. Of each pair of neighbouring blocks the
medians of `step_seconds` are compared, and the processor time of the trainer a step, which other programs disturb less.
Printed are the medians of these differences with bootstrapped 95 % intervals, and the processor seconds that the screen
took for each second it was attached. A figure is `conclusive` where its interval is narrower than 0.5 % to either side,
and the claim `holds` where all of it lies below 0.5 %.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.bench.refresh import SETTLING_S, in_terminal
from tests.support.tiny import make_model
from tests.support.training import make_run, start
from tuiwiz.events.control import request
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Metric

CLAIM = 0.005
SETTLING_SHARE = 0.25
"""Of a block: steps that are not counted, since the watcher reads what it missed, or its last bytes are drawn."""
RESAMPLES = 4000
ROWS_A_STEP = 8


@contextmanager
def watching(run: RunFolder, core: int) -> Iterator[psutil.Process]:
    """A live screen on `run`, bound to a core; its terminal is read and thrown away."""
    child, master = in_terminal("ours", run.path)
    os.sched_setaffinity(child.pid, {core})

    def drain() -> None:
        with suppress(OSError):
            while os.read(master, 1 << 16):
                pass

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGCONT)
        child.terminate()
        child.wait()
        thread.join(5)
        os.close(master)


class Blocks:
    """Step seconds of short blocks of time, with the watcher attached or suspended."""

    def __init__(self, run: RunFolder, trainer: int, watcher: psutil.Process, seconds: float) -> None:
        self.trainer = trainer
        self.reader, self.watcher, self.seconds = EventReader(run.events), watcher, seconds
        self.spent = self.attached = 0.0

    def steps(self) -> list[float]:
        """Of what was written since the last look."""
        found: list[float] = []
        while events := self.reader.read(10_000):
            found += [event.metrics["step_seconds"] for event in events if isinstance(event, Metric)]
        return found

    def trained(self) -> float:
        """Seconds that the trainer has been on a processor."""
        tasks = Path(f"/proc/{self.trainer}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def block(self, watched: bool) -> tuple[float, float]:
        """The median step of one block, and the processor seconds of the trainer a step."""
        self.watcher.send_signal(signal.SIGCONT if watched else signal.SIGSTOP)
        before, began = self.watcher.cpu_times(), time.monotonic()
        time.sleep(SETTLING_SHARE * self.seconds)
        self.steps()
        busy = self.trained()
        time.sleep((1 - SETTLING_SHARE) * self.seconds)
        found, busy = self.steps(), self.trained() - busy
        if watched:
            after = self.watcher.cpu_times()
            self.spent += after.user + after.system - before.user - before.system
            self.attached += time.monotonic() - began
        return statistics.median(found), busy / len(found)


def interval(values: list[float]) -> tuple[float, float]:
    """95 % of the medians of samples drawn from `values` with replacement."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def main(pairs: float = 100, seconds: float = 0.5) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        base = Path(scratch)
        # Each step takes all rows there are: steps of unlike rows differ by more than what is looked for.
        settings: dict[str, Any] = {
            "batch__effective": ROWS_A_STEP,
            "batch__micro": ROWS_A_STEP,
            "validation__fraction": 0.0,
        }
        settings |= {"schedule__steps": 1_000_000, "checkpoint__every": 1e6}
        run = make_run(base, make_model(base / "model"), rows=ROWS_A_STEP, **settings)
        process = start(run)
        stack.callback(process.wait)
        stack.callback(request, run, "stop")
        os.sched_setaffinity(process.pid, {cores[0]})
        for thread in psutil.Process(process.pid).threads():
            os.sched_setaffinity(thread.id, {cores[0]})
        watcher = stack.enter_context(watching(run, cores[-1]))
        blocks = Blocks(run, process.pid, watcher, seconds)
        while not blocks.steps():
            time.sleep(0.2)
        time.sleep(SETTLING_S)
        alone: list[tuple[float, float]] = []
        watched: list[tuple[float, float]] = []
        for number in range(int(pairs)):
            for attached in (False, True) if number % 2 else (True, False):
                (watched if attached else alone).append(blocks.block(attached))
    step, busy = (_compared([a[at] for a in alone], [b[at] for b in watched]) for at in (0, 1))
    share = round(blocks.spent / blocks.attached, 4)
    whole = {"pairs": len(alone), "cores": [cores[0], cores[-1]], "watcher_core_share": share}
    print(json.dumps({**whole, "step": step, "trainer_processor": busy}))


def _compared(alone: list[float], watched: list[float]) -> dict[str, Any]:
    shares = [b / a - 1 for a, b in zip(alone, watched, strict=True)]
    low, high = interval(shares)
    return {
        "ms_alone": round(1000 * statistics.median(alone), 3),
        "ms_watched": round(1000 * statistics.median(watched), 3),
        "slower_by": round(statistics.median(shares), 5),
        "interval_95": [round(low, 5), round(high, 5)],
        "conclusive": high - low < 2 * CLAIM,
        "holds": high < CLAIM,
    }


if __name__ == "__main__":
    main(*(float(text) for text in sys.argv[1:]))
