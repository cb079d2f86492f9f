"""Greedy generation in one left-padded batch, without leaving a trace in the training around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tuiwiz.data.tokens import Tokens
from tuiwiz.executor.evaluate import dropout_off

LEAST_SHARED = 8
"""Tokens that all prompts begin with, from which on computing them once pays."""


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[int]]:
    """The tokens that greedily follow each prompt, up to and without the first of `stop_ids`.

    What all prompts begin with is computed once. The rest is padded on the left, masked, and counted in positions from
    its first real token, which gives what one prompt at a time gives. Only the last position goes through the head, and
    rows that have stopped leave the batch.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder, head = causal.get_decoder(), causal.get_output_embeddings()
    softcap = getattr(causal.config.get_text_config(), "final_logit_softcapping", None)
    device = next(head.parameters()).device
    stop = torch.tensor(sorted(stop_ids), device=device)
    answers: list[list[int]] = [[] for _ in prompts]
    recompute = bool(getattr(causal, "is_gradient_checkpointing", False))
    if recompute:
        causal.gradient_checkpointing_disable()
    try:
        with torch.inference_mode(), dropout_off(model):
            start = _shared(prompts)
            cache = _prefix_cache(decoder, prompts[0][:start], len(prompts), device)
            rest = [list(prompt[start:]) for prompt in prompts]
            width = max(len(row) for row in rest)
            ids = torch.tensor([[0] * (width - len(row)) + row for row in rest], device=device)
            real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rest], device=device)
            mask = torch.cat([torch.ones(len(rest), start, dtype=real.dtype, device=device), real], dim=1)
            positions = start + (real.cumsum(-1) - 1).clamp_(min=0)
            going = list(range(len(rest)))
            live = torch.ones(len(rest), dtype=torch.bool, device=device)
            for step in range(max_new_tokens):
                out = decoder(
                    input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
                )
                cache = out.past_key_values
                # A slice of the last position is not contiguous, and a frozen head would copy it for every row.
                logits = head(out.last_hidden_state[:, -1].contiguous()).float()
                if softcap is not None:
                    logits = torch.tanh(logits / softcap) * softcap
                chosen = logits.argmax(-1)
                live &= ~torch.isin(chosen, stop)
                for row, token, open_ in zip(going, chosen.tolist(), live.tolist(), strict=True):
                    if open_:
                        answers[row].append(token)
                progress(step + 1, max_new_tokens)
                count = int(live.sum())
                if count == 0:
                    break
                ids, positions, mask = chosen[:, None], positions[:, -1:] + 1, torch.cat([mask, mask[:, -1:]], dim=1)
                if count <= len(going) // 2:
                    kept = live.nonzero()[:, 0]
                    cache.batch_select_indices(kept)
                    ids, positions, mask, live = ids[kept], positions[kept], mask[kept], live[kept]
                    going = [going[index] for index in kept.tolist()]
    finally:
        if recompute:
            causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return answers


class Speech:
    """The tokenizer of a model folder and what ends its answers, opened when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self._folder)

    @cached_property
    def stop(self) -> frozenset[int]:
        return stop_ids(self._folder, self.tokens)


def stop_ids(model_folder: Path, tokens: Tokens) -> frozenset[int]:
    """Tokens that end an answer: those of the generation config and of the model's config, and the end of sequence."""
    found: set[int] = set() if tokens.eos_id is None else {tokens.eos_id}
    for name in ("generation_config.json", "config.json"):
        try:
            config = json.loads((model_folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        given = config.get("eos_token_id")
        found |= set(given) if isinstance(given, list) else {given} if isinstance(given, int) else set()
    return frozenset(found)


def until_stop(ids: Sequence[int], stop: Collection[int]) -> list[int]:
    """The tokens before the first one that ends an answer."""
    for place, token in enumerate(ids):
        if token in stop:
            return list(ids[:place])
    return list(ids)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, leaving at least one of each; 0 where it does not pay."""
    if len(prompts) < 2:
        return 0
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    count = 0
    while count < limit and all(prompt[count] == first[count] for prompt in prompts):
        count += 1
    return count if count >= LEAST_SHARED else 0


def _prefix_cache(decoder: Any, prefix: Sequence[int], rows: int, device: torch.device) -> Any:
    """Keys and values of what all prompts begin with, for every row; None where there is nothing."""
    if not prefix:
        return None
    cache = decoder(input_ids=torch.tensor([list(prefix)], device=device), use_cache=True).past_key_values
    cache.batch_repeat_interleave(rows)
    return cache
