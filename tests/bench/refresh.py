"""What a refresh of the live screen costs: `python -m tests.bench.refresh [SECONDS] [HISTORY]`.

A growing run (20 steps a second, HISTORY steps before) is watched in a terminal of 120 x 40 of its own, two refreshes a
second: by the live screen, and by two small applications that draw the same curves (loss and its mean) with
textual-plot and textual-plotext. Prints one JSON line each: share of one core, bytes to the terminal a refresh, memory.
The two libraries are needed by this file alone: `pip install textual-plot textual-plotext`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tests.support import streams
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import write_process
from tuiwiz.events.reader import EventReader
from tuiwiz.events.view import RunView
from tuiwiz.ui.curves import Smoothed

COLUMNS, ROWS = 120, 40
REFRESHES_A_SECOND = 2
STEPS_A_SECOND = 20
SETTLING_S = 8.0
KINDS = ("ours", "textual-plot", "textual-plotext")


@contextmanager
def growing(run: RunFolder, history: int) -> Iterator[None]:
    """A run folder to which a thread appends steps."""
    recorder = streams.Recorder(time.time() - history / STEPS_A_SECOND)
    streams.training(recorder, steps=10 * history, until=0)
    noise = random.Random(3)
    for step in range(1, history + 1):
        recorder.now += 1 / STEPS_A_SECOND
        recorder.add(types.Metric, step=step, metrics=_metrics(step, noise))
    run.events.write_bytes(recorder.text())
    run.bundle.write_text(streams.BUNDLE, encoding="utf-8")
    write_process(run.pid)
    over = threading.Event()

    def write() -> None:
        step, seq = history, len(recorder.lines)
        with run.events.open("ab", buffering=0) as file:
            while not over.wait(1 / STEPS_A_SECOND):
                step, seq = step + 1, seq + 1
                event = types.Metric(seq=seq, t=time.time(), step=step, metrics=_metrics(step, noise))
                file.write(msgspec.json.encode(event) + b"\n")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _metrics(step: int, noise: random.Random) -> dict[str, float]:
    return {
        "loss": streams.loss_at(step, noise),
        "grad_norm": 0.4 + 0.1 * noise.random(),
        "learning_rate": 2e-4,
        "tokens_per_second": 5000 + noise.gauss(0, 90),
        "step_seconds": 1 / STEPS_A_SECOND,
        "tokens": 1000.0 * step,
    }


def in_terminal(kind: str, run: Path) -> tuple[subprocess.Popen[bytes], int]:
    """One application on `run` in a terminal of its own, and the other end of that terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.refresh", "--child", kind, str(run)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        start_new_session=True,
    )
    os.close(slave)
    return child, master


def measure(kind: str, run: Path, seconds: float) -> dict[str, Any]:
    """Run one application in a terminal of its own and count what it costs once it has caught up."""
    child, master = in_terminal(kind, run)
    process = psutil.Process(child.pid)
    try:
        _count(master, SETTLING_S)
        before = process.cpu_times()
        began = time.monotonic()
        sent = _count(master, seconds)
        took, after = time.monotonic() - began, process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        memory = process.memory_info().rss
    finally:
        child.terminate()
        child.wait()
        os.close(master)
    return {
        "drawn_by": kind,
        "core_share": round(spent / took, 4),
        "bytes_per_refresh": round(sent / took / REFRESHES_A_SECOND),
        "rss_mib": round(memory / 2**20),
    }


def _count(master: int, seconds: float) -> int:
    """Bytes that come out of the terminal in so many seconds."""
    until, found = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            found += len(os.read(master, 1 << 16))
    return found


def child(kind: str, run: RunFolder) -> None:
    if kind == "ours":
        from tuiwiz.ui.app import TuiwizApp

        TuiwizApp("run", run=run).run()
        return
    from textual.app import App, ComposeResult
    from textual.widget import Widget

    view, reader, mean = RunView(), EventReader(run.events), Smoothed()

    def curves() -> tuple[list[float], list[float], list[float]]:
        while events := reader.read(10_000):
            fold(view, events)
        series = view.series["loss"]
        mean.take(series)
        return list(series.x), list(series.y), list(mean.last(len(series)))

    class Drawing(App[None]):
        def compose(self) -> ComposeResult:
            yield _plot_of(kind)

        def on_mount(self) -> None:
            self.set_interval(1 / REFRESHES_A_SECOND, self.draw)

        def draw(self) -> None:
            _draw(kind, self.query_one("#plot"), *curves())

    def _plot_of(kind: str) -> Widget:
        if kind == "textual-plot":
            from textual_plot import PlotWidget

            plot: Widget = PlotWidget(id="plot")
            return plot
        from textual_plotext import PlotextPlot

        other: Widget = PlotextPlot(id="plot")
        return other

    Drawing().run()


def _draw(kind: str, plot: Any, x: list[float], raw: list[float], smooth: list[float]) -> None:
    if kind == "textual-plot":
        import numpy
        from textual_plot import HiResMode

        plot.clear()
        plot.plot(numpy.array(x), numpy.array(raw), line_style="grey50", hires_mode=HiResMode.BRAILLE)
        plot.plot(numpy.array(x), numpy.array(smooth), line_style="cyan", hires_mode=HiResMode.BRAILLE)
        return
    plot.plt.clear_data()
    plot.plt.plot(x, raw, marker="braille", color="gray")
    plot.plt.plot(x, smooth, marker="braille", color="cyan")
    plot.refresh()


def main(seconds: float = 30.0, history: float = 2000) -> None:
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            run = RunFolder(Path(scratch))
            with growing(run, int(history)):
                print(json.dumps(measure(kind, run.path, seconds)), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], RunFolder(Path(sys.argv[3])))
    else:
        main(*(float(text) for text in sys.argv[1:]))
