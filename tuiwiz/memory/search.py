"""The settings that a run could have, the fastest that fits first. The effective batch never changes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.corrected import Correction, corrected
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.speed import speed
from tuiwiz.memory.verdict import fits_in

MOST_MICRO = 64
LEAST_LENGTH = 128
LENGTHS = 4
"""How often the length is halved in search of one that fits."""
AS_FAST = 0.08
"""Share of the speed below which two settings count as equally fast."""


NONE = Correction()


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A setting with what it needs. `tokens_per_second` is None where it does not fit."""

    method: str
    rank: int
    max_length: int
    micro_batch: int
    accumulation: int
    gradient_checkpointing: bool
    total_bytes: int
    tokens_per_second: float | None
    fits: bool


def choices(
    shape: ModelShape,
    setting: Setting,
    device: Device,
    *,
    effective: int,
    max_length: int,
    longest: int | None = None,
    correction: Correction = NONE,
) -> list[Choice]:
    """Every micro-batch and checkpointing for `max_length` and, where nothing of it fits, for shorter lengths.

    `longest` is the longest row, if known: a limit above it costs nothing. Fitting ones first, by speed; then the
    others, the smallest first.
    """
    found: list[Choice] = []
    length, share = max_length, -(-effective // setting.cards)
    for _ in range(LENGTHS):
        for micro in micro_batches(share):
            for checkpointing in (False, True):
                tried = msgspec.structs.replace(
                    setting,
                    length=min(length, longest) if longest else length,
                    micro=micro,
                    accumulation=share // micro,
                    checkpointing=checkpointing,
                )
                found.append(_choice(shape, tried, device, length, correction))
        if any(choice.fits for choice in found) or length // 2 < LEAST_LENGTH:
            break
        length //= 2
    return ordered(found)


def micro_batches(effective: int) -> list[int]:
    """The divisors of the effective batch that are worth trying: accumulation has to come out even."""
    return [size for size in range(1, min(effective, MOST_MICRO) + 1) if effective % size == 0]


def ordered(found: Iterable[Choice]) -> list[Choice]:
    """Fitting ones first, by speed; of those that are about as fast, the one that needs least. Then the others by size.

    A predicted speed is not so exact that a few per cent of it are worth gibibytes.
    """
    found = list(found)
    fitting = sorted((one for one in found if one.fits), key=lambda one: -(one.tokens_per_second or 0.0))
    result: list[Choice] = []
    while fitting:
        top = (fitting[0].tokens_per_second or 0.0) * (1 - AS_FAST)
        alike = [one for one in fitting if (one.tokens_per_second or 0.0) >= top]
        result += sorted(alike, key=lambda one: one.total_bytes)
        fitting = fitting[len(alike) :]
    return result + sorted((one for one in found if not one.fits), key=lambda one: one.total_bytes)


def _choice(shape: ModelShape, setting: Setting, device: Device, max_length: int, correction: Correction) -> Choice:
    total = corrected(estimate(shape, setting, device), correction).total_bytes
    fits = fits_in(total, device.usable_bytes)
    return Choice(
        method=setting.method,
        rank=setting.rank if setting.adapts else 0,
        max_length=max_length,
        micro_batch=setting.micro,
        accumulation=setting.accumulation,
        gradient_checkpointing=setting.checkpointing,
        total_bytes=total,
        tokens_per_second=round(speed(shape, setting, device).tokens_per_second / correction.seconds, 1)
        if fits
        else None,
        fits=fits,
    )
