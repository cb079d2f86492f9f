"""Greedy generation in one left-padded batch, without leaving a trace in the training around it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from tuiwiz.executor.evaluate import dropout_off


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[int]]:
    """The tokens that greedily follow each prompt, up to and without the first of `stop_ids`.

    Left padding with a mask and positions that count from the first real token gives what one prompt at a time gives.
    Only the last position goes through the head.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder, head = causal.get_decoder(), causal.get_output_embeddings()
    softcap = getattr(causal.config.get_text_config(), "final_logit_softcapping", None)
    device = next(head.parameters()).device
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    positions = (mask.cumsum(-1) - 1).clamp_(min=0)
    stop = torch.tensor(sorted(stop_ids), device=device)
    answers: list[list[int]] = [[] for _ in prompts]
    going = torch.ones(len(prompts), dtype=torch.bool, device=device)
    recompute = getattr(causal, "is_gradient_checkpointing", False)
    if recompute:
        causal.gradient_checkpointing_disable()
    try:
        with torch.inference_mode(), dropout_off(model):
            cache = None
            for step in range(max_new_tokens):
                out = decoder(
                    input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
                )
                cache = out.past_key_values
                logits = head(out.last_hidden_state[:, -1].contiguous()).float()
                if softcap is not None:
                    logits = torch.tanh(logits / softcap) * softcap
                chosen = logits.argmax(-1)
                going &= ~torch.isin(chosen, stop)
                for row in going.nonzero()[:, 0].tolist():
                    answers[row].append(int(chosen[row]))
                progress(step + 1, max_new_tokens)
                if not bool(going.any()):
                    break
                ids = chosen[:, None]
                mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
                positions = positions[:, -1:] + 1
    finally:
        if recompute:
            causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return answers
