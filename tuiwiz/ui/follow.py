"""Follows the events file of a run: a thread reads and decodes, the screen folds.

Pull-based: the screen asks, the thread reads one chunk and waits, so a slow screen never has a queue and a long history
never freezes it. Only the screen's thread touches the view. The thread ends with its screen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.state import state
from tuiwiz.events.types import Event
from tuiwiz.events.view import RunView

PERIOD_S = 0.25
"""How often a screen that has caught up asks again."""
CHUNK = 2000
"""Events in one piece: some ten milliseconds of decoding and folding."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One piece of the file. `more`: the file goes on, ask at once."""

    events: Sequence[Event]
    more: bool
    state: str
    missing: bool = False
    restarted: bool = False
    """The file was cut and begins anew: what was folded so far is void."""
    unreadable: int = 0
    """Lines so far that could not be read."""


class Follower:
    """Owns the reader. `deliver` is called in the thread and must only pass the batch on (`post_message`)."""

    def __init__(
        self, folder: RunFolder, deliver: Callable[[Batch], None], clock: Callable[[], float] = time.time
    ) -> None:
        self.view = RunView()
        """The newest view that the screen has folded; the state is told from it."""
        self._folder = folder
        self._deliver = deliver
        self._clock = clock
        self._reader = EventReader(folder.events)
        self._wanted = threading.Event()
        self._stopped = threading.Event()

    def ask(self) -> None:
        """Read the next piece; asking twice before it came is asking once."""
        self._wanted.set()

    def stop(self) -> None:
        """End the thread, also one that waits."""
        self._stopped.set()
        self._wanted.set()

    def loop(self) -> None:
        """The thread's body."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopped.is_set():
                return
            self._deliver(self.read())

    def read(self) -> Batch:
        """One piece, in whatever thread this is called."""
        events = self._reader.read(CHUNK)
        return Batch(
            events,
            more=len(events) >= CHUNK,
            state=state(self.view, self._folder, self._clock()),
            missing=not self._folder.events.exists(),
            restarted=self._reader.restarted,
            unreadable=self._reader.skipped,
        )
