"""What a run takes besides memory: energy, money, and how many steps a limit of time leaves."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from tuiwiz.base.price import Price
from tuiwiz.catalog.gpus import Device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.deadline import seconds_until

BOARD_SHARE = 0.9
"""Of the power that a card may draw, what training takes of it."""
HOST_WATTS = 80.0
"""The machine around a card."""
BESIDES = 0.05
"""Share of the time that evaluations, checkpoints and the start take."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What fits before an end: `steps` of the run's `of`, likely between `least` and `most`. `enough`: all of them."""

    by: str
    seconds: float
    steps: int
    least: int
    most: int
    of: int
    enough: bool


def watts_of(device: Device, cards: int = 1) -> float | None:
    """Power that a run draws from the wall; None where the device's is not known."""
    if not device.watts:
        return None
    return device.watts if device.kind == "cpu" else HOST_WATTS + BOARD_SHARE * device.watts * max(1, cards)


def energy_kwh(device: Device, seconds: float | None, cards: int = 1) -> float | None:
    watts = watts_of(device, cards)
    return None if watts is None or seconds is None else watts * seconds / 3.6e6


def money(price: Price | None, kwh: float | None, seconds: float | None) -> float | None:
    return None if price is None or seconds is None else price.of(kwh, seconds / 3600)


def budget_of(bundle: Bundle, step_s: float | None, steps: int | None, band: float, now: datetime) -> Budget | None:
    """The steps that `schedule.max_hours` and `schedule.stop_by` leave, by whichever ends first."""
    schedule = bundle.schedule
    ends: list[tuple[float, str]] = []
    if schedule.max_hours is not None:
        ends.append((3600 * schedule.max_hours, f"{schedule.max_hours:g} h"))
    if schedule.stop_by is not None:
        # A time that is none is a problem of the bundle, which its rules tell.
        with suppress(ValueError):
            ends.append((seconds_until(schedule.stop_by, now), schedule.stop_by))
    if not ends or not step_s or not steps:
        return None
    seconds, by = min(ends)
    fits = max(0.0, seconds) * (1 - BESIDES) / step_s
    return Budget(
        by=by,
        seconds=seconds,
        steps=min(steps, int(fits)),
        least=min(steps, int(fits / (1 + band))),
        most=min(steps, int(fits / (1 - band))),
        of=steps,
        enough=fits >= steps,
    )


def budget_words(budget: Budget) -> str:
    """`until 08:00 about 118 of 240 steps are done, between 87 and 181: schedule.steps = 118 ...`."""
    if budget.enough:
        sure = "" if budget.least >= budget.of else f", if speed is as planned (at worst {budget.least:,})"
        return f"until {budget.by} all {budget.of:,} steps are done{sure}"
    if not budget.steps:
        return f"until {budget.by} not one of {budget.of:,} steps is done"
    return (
        f"until {budget.by} about {budget.steps:,} of {budget.of:,} steps are done, between {budget.least:,} and "
        f"{budget.most:,}: schedule.steps = {budget.steps} lets the learning rate come to its end there"
    )


def amount_words(amount: float, currency: str) -> str:
    return f"{'under 0.01' if 0 < amount < 0.01 else f'{amount:,.2f}'} {currency}".strip()
