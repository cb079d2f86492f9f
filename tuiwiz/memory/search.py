"""The settings that a run could have, the fastest that fits first. The effective batch never changes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.speed import speed
from tuiwiz.memory.verdict import fits_in

MOST_MICRO = 64
LEAST_LENGTH = 128
LENGTHS = 4
"""How often the length is halved in search of one that fits."""


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
    shape: ModelShape, setting: Setting, device: Device, *, effective: int, max_length: int, longest: int | None = None
) -> list[Choice]:
    """Every micro-batch and checkpointing for `max_length` and, where nothing of it fits, for shorter lengths.

    `longest` is the longest row, if known: a limit above it costs nothing. Fitting ones first, by speed; then the
    others, the smallest first.
    """
    found: list[Choice] = []
    length = max_length
    for _ in range(LENGTHS):
        for micro in micro_batches(effective):
            for checkpointing in (False, True):
                tried = msgspec.structs.replace(
                    setting,
                    length=min(length, longest) if longest else length,
                    micro=micro,
                    accumulation=effective // micro,
                    checkpointing=checkpointing,
                )
                found.append(_choice(shape, tried, device, length))
        if any(choice.fits for choice in found) or length // 2 < LEAST_LENGTH:
            break
        length //= 2
    return ordered(found)


def micro_batches(effective: int) -> list[int]:
    """The divisors of the effective batch that are worth trying: accumulation has to come out even."""
    return [size for size in range(1, min(effective, MOST_MICRO) + 1) if effective % size == 0]


def ordered(found: Iterable[Choice]) -> list[Choice]:
    return sorted(
        found,
        key=lambda choice: (
            not choice.fits,
            -(choice.tokens_per_second or 0.0),
            choice.total_bytes,
        ),
    )


def _choice(shape: ModelShape, setting: Setting, device: Device, max_length: int) -> Choice:
    total = estimate(shape, setting, device).total_bytes
    fits = fits_in(total, device.usable_bytes)
    return Choice(
        method=setting.method,
        rank=0 if setting.method == "full" else setting.rank,
        max_length=max_length,
        micro_batch=setting.micro,
        accumulation=setting.accumulation,
        gradient_checkpointing=setting.checkpointing,
        total_bytes=total,
        tokens_per_second=round(speed(shape, setting, device).tokens_per_second, 1) if fits else None,
        fits=fits,
    )
