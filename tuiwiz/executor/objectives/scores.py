"""Numbers that a model with a head gives a row, in place of words."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tuiwiz.executor.batching import MicroBatch


class Scorer:
    """`(batch) -> [rows, k]` in fp32, k being the outputs of the head.

    A model that reads from left to right is scored at its last token, found by position and never by a padding id,
    which may also be the id of a token that ends a text. A model that looks in both directions brings its own way from
    token states to the head (https://arxiv.org/abs/1810.04805) and is given a mask.
    """

    def __init__(self, model: Any) -> None:
        self.inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.left_to_right = hasattr(self.inner, "score")

    def __call__(self, batch: MicroBatch) -> Tensor:
        if self.left_to_right:
            backbone = getattr(self.inner, self.inner.base_model_prefix)
            hidden = backbone(input_ids=batch.input_ids, use_cache=False).last_hidden_state
            found: Tensor = self.inner.score(hidden.reshape(-1, hidden.shape[-1])[batch.ends])
        else:
            found = self.inner(input_ids=batch.input_ids, attention_mask=batch.mask).logits
        return found.float()
