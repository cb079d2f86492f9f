"""Passes metrics on to trackers from a thread of its own.

A tracker may be slow, hang or fail: the run only puts numbers into a queue of limited length and never waits for it.
A tracker that fails is left out from then on, with one line in the log.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

QUEUED = 4096
"""Steps that wait at most; beyond, the newest are left out."""
LAST_WORDS_S = 20.0
"""How long the end of a run waits for trackers that are not done."""

Numbers = Mapping[str, float]


class Tracker(Protocol):
    """Takes numbers at a step; `close` with the run's summary comes last."""

    name: str

    def log(self, numbers: Numbers, step: int) -> None: ...

    def close(self, summary: Mapping[str, Any]) -> None: ...


class Feed:
    """Opens trackers and feeds them. `tell(message, level)` must be callable from any thread."""

    def __init__(self, openers: Sequence[tuple[str, Callable[[], Tracker]]], tell: Callable[[str, str], None]) -> None:
        self._openers = list(openers)
        self._tell = tell
        self._queue: queue.Queue[tuple[str, Any, int]] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._work, name="trackers", daemon=True)
        self._trackers: list[Tracker] = []
        self._lost = 0
        self._closed = False
        if self._openers:
            self._thread.start()

    def log(self, numbers: Numbers, step: int, *, prefix: str) -> None:
        """Pass on what is a finite or infinite number of `numbers`, each as `prefix/name`."""
        if not self._openers or self._closed:
            return
        found = {f"{prefix}/{name}": float(v) for name, v in numbers.items() if isinstance(v, int | float)}
        try:
            self._queue.put_nowait(("log", found, step))
        except queue.Full:
            self._lost += 1

    def close(self, summary: Mapping[str, Any] | None = None) -> None:
        """Say goodbye, and wait a little for trackers that are still at work."""
        if not self._openers or self._closed:
            return
        self._closed = True
        try:
            self._queue.put(("close", dict(summary or {}), 0), timeout=1.0)
        except queue.Full:
            self._lost += 1
        self._thread.join(LAST_WORDS_S)
        if self._thread.is_alive():
            self._say(f"trackers were not done {LAST_WORDS_S:g} s after the end and were left behind")
        if self._lost:
            self._say(f"{self._lost} steps did not reach the trackers: they were too slow")
        self._tell = lambda message, level: None

    def _work(self) -> None:
        for name, opener in self._openers:
            self._guarded(name, partial(self._open, opener))
        while True:
            kind, content, step = self._queue.get()
            for tracker in list(self._trackers):
                act = partial(tracker.log, content, step) if kind == "log" else partial(tracker.close, content)
                if not self._guarded(tracker.name, act):
                    self._trackers.remove(tracker)
            if kind == "close":
                return

    def _open(self, opener: Callable[[], Tracker]) -> None:
        self._trackers.append(opener())

    def _guarded(self, name: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except BaseException as error:  # whatever a library raises, SystemExit included: the run is worth more
            first = str(error).strip().splitlines()
            self._say(f"{name} failed and is left out from now on: {first[0] if first else type(error).__name__}")
            return False
        return True

    def _say(self, message: str) -> None:
        try:
            self._tell(message, "warning")
        except OSError:
            # The disk is full, or the run has closed its events: the run says so itself.
            return
