"""A judge that looks at a growing run now and then: what it costs does not depend on how often the screen redraws."""

from __future__ import annotations

import time
from collections.abc import Callable

from tuiwiz.doctor.case import Case
from tuiwiz.doctor.examine import bundle_of, diagnose, wrong
from tuiwiz.doctor.finding import Finding
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_exit
from tuiwiz.events.view import RunView
from tuiwiz.spec.bundle import Bundle

PERIOD_S = 4.0
"""Shortest time between two judgements of a run that goes on."""

SHARE = 0.02
"""Of the time that may go into judging."""


class Judge:
    """Remembers the newest findings of one run and which of them were told."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._next = 0.0
        self._state: tuple[int, bool] = (-1, False)
        self._bundle: Bundle | None = None
        self._told: set[str] = set()
        self.findings: list[Finding] = []

    @property
    def wrong(self) -> list[Finding]:
        return wrong(self.findings)

    def look(self, view: RunView) -> list[Finding]:
        """Judge if it is time to and something happened since; returns the faults that are new."""
        state = (view.events, view.closing is not None)
        ended = state[1] and not self._state[1]
        if state == self._state or (not ended and self._clock() < self._next):
            return []
        began = self._clock()
        if self._bundle is None:
            self._bundle = bundle_of(self._folder)
        self.findings = diagnose(Case(view, self._bundle, read_exit(self._folder.exit)))
        now = self._clock()
        # A slow machine, or a long run, is judged less often.
        self._next, self._state = now + max(PERIOD_S, (now - began) / SHARE), state
        new = [one for one in self.wrong if one.id not in self._told]
        self._told |= {one.id for one in new}
        return new
