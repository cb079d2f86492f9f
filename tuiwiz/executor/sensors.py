"""GPU sensors through NVML; a missing card, library or sensor is simply not reported."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

Reading = dict[str, str | int | float | bool | None]


@cache
def _nvml() -> Any:
    """The initialised library, or None where there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # pynvml raises its own errors, and OSError where the driver's library cannot be loaded
        return None
    return pynvml


def gpu_readings() -> tuple[Reading, ...]:
    """One reading a card: index, name, utilization_percent, used_bytes, total_bytes, temperature_c, power_w,
    power_limit_w, clock_mhz, throttle: why the card runs slower than it could, empty where it does not."""
    nvml = _nvml()
    if nvml is None:
        return ()
    return tuple(_reading(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))


def _reading(nvml: Any, index: int) -> Reading:
    card = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(card)
    sensors: dict[str, Callable[[], Any]] = {
        "name": lambda: nvml.nvmlDeviceGetName(card),
        "utilization_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(card).gpu,
        "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU),
        "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000,
        "power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000,
        "clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM),
        "throttle": lambda: throttle_words(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)),
    }
    reading: Reading = {"index": index, "used_bytes": memory.used, "total_bytes": memory.total}
    for name, read in sensors.items():
        try:
            reading[name] = read()
        except nvml.NVMLError:
            continue
    return reading


THROTTLES = ((0x04, "power limit"), (0x08, "hardware slowdown"), (0x20, "heat"), (0x40, "heat"), (0x80, "power brake"))
"""Bits of NVML's reasons that slow a card down; the rest says that it is idle or clocked as asked."""


def throttle_words(reasons: int) -> str:
    """NVML's bits in words, each once."""
    return ", ".join(dict.fromkeys(word for bit, word in THROTTLES if reasons & bit))
