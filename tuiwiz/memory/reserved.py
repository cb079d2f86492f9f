"""What PyTorch's allocator takes from a card beyond its tensors, in closed form.

With expandable segments, which the executor asks for, it is pages and one hole. Without them blocks of a forward pass
cannot serve the logits, which are larger, nor blocks of scores the other way round, so that the needs of one layer and
those of the loss add up instead of replacing each other.

The three shares were fitted: on the 55 rows of `memory-measured.csv` that state what was reserved, the same rows on
which their error is told (median 1.2 %, 90 % within 6 %). Elsewhere they are a rule of thumb, and the simulation, which
replays the allocator's own rules and has nothing fitted, is the better witness. Plans of this package's own runs, whose
segments are expandable, do not use them.
"""

from __future__ import annotations

from tuiwiz.base.units import MIB
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.activations import saved
from tuiwiz.memory.estimate import LOSS, STEP, moments
from tuiwiz.memory.held import held
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack

NOT_SERVED_LARGE, NOT_SERVED_SCORES, NOT_SERVED = 0.9, 0.65, 0.75
"""Shares of a layer's working set that the loss's blocks cannot serve: with scores larger than the fp32 logits, with
smaller ones, and with no scores at all."""
PAGES = 24 * MIB


def reserved_bytes(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Bytes in segments at the peak."""
    static, kept = held(shape, setting, stack), saved(shape, setting, stack)
    sums = {name: static.total + sum(items.values()) for name, items in moments(shape, setting, stack).items()}
    peak = max(sums.values())
    if stack.expandable or not setting.checkpointing:
        return peak + PAGES
    scores = (
        4 * setting.micro * setting.lines * shape.heads * setting.length**2
        if setting.attention in ("eager", "math")
        else 0
    )
    logits = 4 * setting.tokens * shape.vocab
    share = NOT_SERVED if not scores else NOT_SERVED_LARGE if scores > logits else NOT_SERVED_SCORES
    layer = share * (kept.layer + kept.working)
    before = max(size for name, size in sums.items() if name in (LOSS, STEP))
    return max(peak, before + layer) + PAGES


def reserved_high(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Bytes in segments that a judgement has to reckon with: more than is likely.

    Against replays of other models than those the shares were fitted on, `reserved_bytes` came out up to 9 % low where
    logits are cast, and up to 18 % where all weights are stepped at once: what the loss left behind serves neither.
    """
    likely = reserved_bytes(shape, setting, stack)
    if stack.expandable:
        return likely
    found = moments(shape, setting, stack)
    left = 2.0 * setting.tokens * shape.vocab if stack.wide_logits else 0.0
    if stack.foreach and not setting.adapts:
        static = held(shape, setting, stack).total
        left = max(left, static + sum(found[STEP].values()) + sum(found[LOSS].values()) - likely)
    return likely + left
