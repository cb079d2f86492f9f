"""Embeddings for tokens that the model did not know: matrices grow, and each new row begins where it makes sense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuiwiz.data.tokens import TOKENIZER_FILE
from tuiwiz.data.vocabulary import with_new_tokens


def add_tokens(model: Any, folder: Path, tokens: Sequence[str]) -> None:
    """Give `model`, which was loaded from `folder`, rows for `tokens`, in its embedding and in its head.

    A new row begins as the mean of the rows of what the token was split into before, so that the model reads it much
    as it read the spelling. Matrices that have spare rows for them keep their size.
    """
    if not tokens:
        return
    from tokenizers import Tokenizer

    before = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    after = Tokenizer.from_file(str(with_new_tokens(folder, tokens) / TOKENIZER_FILE))
    ids: list[int] = [after.encode(token, add_special_tokens=False).ids[0] for token in tokens]
    if max(ids) >= model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    matrices = [model.get_input_embeddings(), *([head] if (head := untied_head(model)) is not None else [])]
    with torch.no_grad():
        for matrix in matrices:
            weight = matrix.weight
            for token, place in zip(tokens, ids, strict=True):
                pieces = before.encode(token, add_special_tokens=False).ids
                rows = weight[pieces] if pieces else weight[: min(ids)]
                weight[place] = rows.float().mean(0).to(weight.dtype)


def untied_head(model: Any) -> Any:
    """The head over the vocabulary where it has weights of its own, else None."""
    head = model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        return None
    return None if head.weight is model.get_input_embeddings().weight else head
