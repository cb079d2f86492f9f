"""Bytes of the loss: logits, their gradient, and what is made of them, as the executor and others compute it."""

from __future__ import annotations

from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import CHUNK, Stack
from tuiwiz.memory.trained import masters_of, trained_of

FUSED_ROWS, FUSED_VOCABULARY = 4096, 32_768
"""Positions and entries of the vocabulary that TRL's fused head takes at once."""


def loss_bytes(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Logits, their gradient and, where the head is trained, the fp32 gradient that the loss makes of it."""
    compute, vocab, tokens = setting.compute_bytes, shape.vocab, setting.tokens
    capped = 4 if shape.family.softcap else 0
    if setting.numbers:
        # A head of a few numbers reads every position in fp32; then the gradient of that.
        return 8.0 * tokens * shape.hidden
    full = trained_of(shape, setting).head
    if stack.loss == "chunked" and setting.fused_loss:
        positions = tokens * setting.supervised
        chunk = min(CHUNK, positions) * vocab
        later = min(CHUNK, max(0, positions - CHUNK)) * vocab
        wide = 0 if compute == 4 else compute
        masters = masters_of(shape, setting)
        stream = stack.masters_bytes if masters.embedding else compute
        # fp32 logits and the intermediate of their log-sum-exp; of the chunk before, its gradient in both types.
        first = max(chunk * (8 + capped), later * (8 + capped) + (chunk * (4 + wide + capped) if later else 0))
        second = chunk * max(4 + wide + capped, 4 + 3 * capped)
        rows = positions * shape.hidden * 2 * stream
        if not full:
            # A head that another phase trains is cast all the same.
            return max(first, second) + rows + (vocab * shape.hidden * wide if masters.head else 0)
        # The head in the compute type and its gradient's sum; then one chunk's share of it in both types.
        head = vocab * shape.hidden
        return max(first + head * (wide + 4), second + head * (2 * wide + 8)) + rows
    if stack.loss == "chunked":
        # All logits and their gradient in the compute type; fp32 copies of the supervised ones, twice in the backward.
        return tokens * vocab * (2 * compute + capped) + tokens * setting.supervised * vocab * 12
    if stack.loss == "fused":
        part = min(tokens, FUSED_ROWS) * min(vocab, FUSED_VOCABULARY) * compute
        return part + tokens * shape.hidden * (4 + compute) + (vocab * shape.hidden * 4 if full else 0)
    size = logit_bytes(setting, stack)
    cast = 0 if size == 4 else 4
    held = size if stack.keeps_logits else 0
    # The cap is taken in the type of the logits; autocast copies the head once more.
    cap = size if capped else 0
    copied = compute * vocab * shape.hidden if full and stack.autocast(setting) else 0
    if stack.loss == "shifted" and setting.micro > 1:
        return tokens * vocab * (max(size + cast + 8, held + 12, held + 8 + compute) + cap) + copied
    return tokens * vocab * (max(size + cast + 4, held + 12) + cap) + copied


def logit_bytes(setting: Setting, stack: Stack) -> int:
    """Size of a logit as the model's head gives it."""
    return 4 if stack.wide_norms and setting.method == "qlora" else setting.compute_bytes
