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


class Judge:
    """Remembers the newest findings of one run and which of them were told."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._looked = -PERIOD_S
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
        if state == self._state or (not ended and self._clock() - self._looked < PERIOD_S):
            return []
        if self._bundle is None:
            self._bundle = bundle_of(self._folder)
        self.findings = diagnose(Case(view, self._bundle, read_exit(self._folder.exit)))
        # What it took counts too: a slow machine is asked less often.
        self._looked, self._state = self._clock(), state
        new = [one for one in self.wrong if one.id not in self._told]
        self._told |= {one.id for one in new}
        return new
