"""Where the seconds of a step go."""

from __future__ import annotations

import time

from tuiwiz.executor.device import Device


class Clock:
    """Seconds of each part of a step; waits for the device, so that work is counted where it was asked for."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._start = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        self._device.synchronize()
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return max(1e-9, self._last - self._start)
