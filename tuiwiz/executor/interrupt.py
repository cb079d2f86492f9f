"""Signals and control requests, both answered at step borders."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from tuiwiz.base.errors import ExitCode
from tuiwiz.events import control, types
from tuiwiz.executor.record import Recorder

POLL_S = 0.2
"""How often a paused run looks for requests."""


class Interrupts:
    """What the loop asks after every step: stop, save, wait?"""

    def __init__(self) -> None:
        self.at_borders = False
        """Whether there are step borders to wait for; before, a signal interrupts whatever is going on."""
        self.stop_reason = ""
        self.checkpoint = False
        self.evaluate = False
        self.extend = 0
        """Steps to be added."""
        self.cadence = 0
        """Steps between two evaluations from now on; 0 leaves them as they are."""
        self._signals = 0

    def install(self) -> None:
        """SIGHUP is ignored; the first SIGTERM or SIGINT ends the run after its step (before training: by
        KeyboardInterrupt), a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        # What SLURM is usually told to send before a job's time is over (`--signal=USR1@120`).
        signal.signal(signal.SIGUSR1, self._on_warning)

    def _on_warning(self, number: int, frame: FrameType | None) -> None:
        """A batch system warns every process of a job, some of which pass it on: any number of times is once."""
        if not self.stop_reason:
            self._signals -= 1
            self._on_signal(number, frame)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(int(ExitCode.INTERRUPTED_TWICE))
        self.stop_reason = f"asked by {signal.Signals(number).name}"
        if not self.at_borders:
            raise KeyboardInterrupt(self.stop_reason)

    def check(self) -> None:
        """Before training: end now if that was asked for and a library swallowed the interrupt."""
        if self.stop_reason and not self.at_borders:
            raise KeyboardInterrupt(self.stop_reason)

    def poll(self, recorder: Recorder, save: Callable[[], None]) -> None:
        """Take the pending requests and answer each by an event; returns when the run may go on or must stop.

        `save` is called for a checkpoint that is asked for while the run is paused: it must not wait for another step.
        """
        paused = False
        while True:
            for request in control.pending(recorder.folder):
                answer = self._take(request)
                if request.kind == "pause" and not paused:
                    paused = True
                    recorder.stage("paused")
                elif request.kind == "resume":
                    answer = "goes on" if paused else "was not paused"
                    if paused:
                        recorder.stage("training", recorder.step)
                    paused = False
                recorder.write(types.Control, request=request.kind, answer=answer)
            if not paused or self.stop_reason:
                return
            if self.checkpoint:
                self.checkpoint = False
                save()
                recorder.stage("paused")
            time.sleep(POLL_S)

    def _take(self, request: control.Request) -> str:
        match request.kind:
            case "stop" | "stop-now":
                self.stop_reason = self.stop_reason or "asked by request"
                return "stops after this step"
            case "checkpoint":
                self.checkpoint = True
                return "saves now"
            case "evaluate":
                self.evaluate = True
                return "evaluates now"
            case "pause":
                return "paused"
            case "resume":
                return "goes on"
            case "extend" | "cadence" if request.steps < 1:
                return "refused: it names no number of steps"
            case "extend":
                self.extend += request.steps
                return f"trains {request.steps} steps longer"
            case "cadence":
                self.cadence = request.steps
                return f"evaluates every {request.steps} steps from now on"
        return "not known"
