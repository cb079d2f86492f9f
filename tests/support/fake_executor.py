"""An executor without torch that speaks the real contract of a run folder, and dies in every way a test asks for.

`python fake_executor.py [--option value]... train FOLDER`; `launch.EXECUTOR` puts it in the place of the real one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tuiwiz.events import control, types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import die_with_parent, write_process
from tuiwiz.events.reader import EventReader
from tuiwiz.events.writer import EventWriter

STEP_S = 0.01


class Fake:
    """Steps are only counted; step N's loss is 1/N. A checkpoint is a folder with nothing in it."""

    def __init__(self, folder: RunFolder, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.signals = 0
        self.reason = ""
        self.events = EventWriter(folder.events)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1
        if self.signals > 1:
            os._exit(130)
        self.reason = f"asked by {signal.Signals(number).name}"

    def run(self) -> int:
        step = self.last_checkpoint()
        self.events.write(types.Stage, name="loading")
        write_process(self.folder.pid)
        self.events.write(
            types.RunStarted, attempt=self.attempts() + 1, from_step=step, steps=self.options.steps, name="fake"
        )
        self.events.write(types.Stage, name="training")
        while step < self.options.steps:
            step += 1
            self.events.write(types.Metric, step=step, metrics={"loss": 1 / step, "grad_norm": 0.5})
            if step == self.options.at:
                self.die()
            self.answer(step)
            if self.reason:
                self.save(step)
                self.events.write(types.Stopped, summary=self.summary(step))
                return 7
            time.sleep(STEP_S)
        self.events.write(types.Finished, summary=self.summary(step))
        return 0

    def summary(self, step: int) -> dict[str, object]:
        return {"step": step, "steps": self.options.steps, "reason": self.reason or "finished"}

    def die(self) -> None:
        """End at step `--at` as `--by` says."""
        match self.options.by:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "torn":
                with self.folder.events.open("ab") as file:
                    file.write(b'{"kind":"metric","seq":99,"t":1.0,"step":9')
                os.kill(os.getpid(), signal.SIGKILL)
            case "silent":
                print("something gave way \x1b[31mhere", file=sys.stderr, flush=True)
                os._exit(1)
            case "failed":
                self.events.write(types.Failed, summary={"message": "the loss is NaN", "exit_code": 6})
                os._exit(6)

    def answer(self, step: int) -> None:
        paused = False
        while True:
            for request in control.pending(self.folder):
                if request.kind in ("pause", "resume"):
                    paused = request.kind == "pause"
                    self.events.write(types.Stage, name="paused" if paused else "training")
                elif request.kind == "stop":
                    self.reason = "asked by request"
                elif request.kind == "checkpoint":
                    self.save(step)
                self.events.write(types.Control, request=request.kind, answer="done")
            if not paused or self.reason:
                return
            time.sleep(STEP_S)

    def save(self, step: int) -> None:
        path = self.folder.checkpoint(step)
        path.mkdir(parents=True, exist_ok=True)
        self.events.write(types.Checkpoint, step=step, path=f"checkpoints/{path.name}", bytes=0)

    def last_checkpoint(self) -> int:
        found = [int(path.name.removeprefix("step-")) for path in self.folder.checkpoints.glob("step-*")]
        return max(found, default=0)

    def attempts(self) -> int:
        return sum(isinstance(event, types.RunStarted) for event in EventReader(self.folder.events).read(1_000_000))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--by", default="kill")
    parser.add_argument("job")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if parent := os.environ.pop("TUIWIZ_PARENT", ""):
        die_with_parent(int(parent))
    fake = Fake(RunFolder(options.folder), options)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, fake.on_signal)
    signal.signal(signal.SIGUSR1, fake.on_signal)
    return fake.run()


if __name__ == "__main__":
    sys.exit(main())
