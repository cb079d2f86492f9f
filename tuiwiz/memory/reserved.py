"""What PyTorch's allocator takes from a card beyond its tensors, in closed form.

With expandable segments, which the executor asks for, it is pages and one hole. Without them blocks of a forward pass
cannot serve the logits, which are larger, nor blocks of scores the other way round, so that the needs of one layer and
those of the loss add up instead of replacing each other. Logits that are cast leave a hole that the wider ones do not
fit in. Where all weights are trained, states take the room that the first step's logits left.

What is added was fitted: for adapters and checkpointing on the 55 rows of `memory-measured.csv` that state what was
reserved (median error 1.2 %, 90 % within 6 %), else on replays of shallow models of six families. Of these, adapters
come out within 3 % (9 in 10); a full fine-tuning has a median error of 5 % and 90 % within 14 %: how its states and
logits share segments depends on the order of sizes, which the simulation replays and no term of this form tells. Plans
of this package's own runs, whose segments are expandable, do not use any of it.
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
NOT_SERVED_KEPT, NOT_SERVED_CAST = 0.25, 0.45
"""The same where no activation is computed again: plain, and with logits that are cast."""
HEADS = 2.0
"""Embeddings, by size, for which a full fine-tuning has no block to use again: their gradients, and states."""
PAGES = 24 * MIB
MARGIN = 0.05
"""Of adapters' figure, for a judgement: one case in some hundred came out 18 % low, most within 3 %."""


def reserved_bytes(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Bytes in segments at the peak."""
    static, kept = held(shape, setting, stack), saved(shape, setting, stack)
    sums = {name: static.total + sum(items.values()) for name, items in moments(shape, setting, stack).items()}
    peak = max(sums.values())
    if stack.expandable:
        return peak + PAGES
    heads = 0.0 if setting.method != "full" else HEADS * shape.vocab * shape.hidden * stack.masters_bytes
    cast = 2.0 * setting.tokens * shape.vocab if stack.wide_logits and setting.adapts else 0.0
    layer = kept.layer + kept.working
    if not setting.checkpointing:
        share = 0.0 if not setting.adapts else NOT_SERVED_CAST if cast else NOT_SERVED_KEPT
        return peak + heads + cast + share * layer + PAGES
    scores = (
        4 * setting.micro * setting.lines * shape.heads * setting.length**2
        if setting.attention in ("eager", "math")
        else 0
    )
    logits = 4 * setting.tokens * shape.vocab
    share = NOT_SERVED if not scores else NOT_SERVED_LARGE if scores > logits else NOT_SERVED_SCORES
    before = max(size for name, size in sums.items() if name in (LOSS, STEP))
    return max(peak + heads, before + cast + share * layer) + PAGES


def reserved_high(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Bytes in segments that a judgement has to reckon with: more than is likely.

    A full fine-tuning may find no use for anything that the loss left behind.
    """
    likely = reserved_bytes(shape, setting, stack)
    if stack.expandable:
        return likely
    if setting.adapts:
        return (1 + MARGIN) * likely
    found = moments(shape, setting, stack)
    apart = sum(found[STEP].values()) + sum(found[LOSS].values()) + held(shape, setting, stack).total
    return max(likely, apart)
