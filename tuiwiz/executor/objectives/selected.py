"""Log-probabilities of chosen tokens under a causal model, without logits of shape [tokens, vocab].

    log p[i] = (W h[i])[y[i]] - logsumexp(W h[i])

for the hidden states h [s, hidden] in front of the chosen tokens y [s]. `CHUNK` positions go through the head at a
time, and again in the backward pass, where the gradient of each log-probability is known: one pass more through the
head in place of keeping its output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.objectives.causal import CHUNK, CausalObjective


def log_probs(language: CausalObjective, batch: MicroBatch) -> Tensor:
    """[s] in fp32: of each of the batch's targets, given everything before it."""
    if not language.fused:
        logits = language.logits(batch)
        return logits.gather(1, batch.targets[:, None])[:, 0] - torch.logsumexp(logits, dim=-1)
    head = language.head
    found: Tensor = ChunkedLogProbs.apply(  # type: ignore[no-untyped-call]
        language.states(batch), head.weight, head.bias, batch.targets, language.softcap
    )
    return found


def row_sums(values: Tensor, batch: MicroBatch) -> Tensor:
    """[rows] sums of per-token values [s]."""
    return torch.zeros(batch.rows, dtype=values.dtype, device=values.device).index_add(0, batch.row_of, values)


def answer_lengths(batch: MicroBatch) -> Tensor:
    """[rows] targets that belong to answers, at least 1."""
    chosen = batch.row_of if batch.answered is None else batch.row_of[batch.answered]
    return torch.bincount(chosen, minlength=batch.rows).clamp(min=1).float()


class ChunkedLogProbs(torch.autograd.Function):
    """(hidden [s, h], weight [v, h], bias [v] or None, targets [s], softcap or None) -> [s] in fp32."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, softcap: float | None
    ) -> Tensor:
        compute = hidden.dtype
        if torch.is_autocast_enabled(hidden.device.type):
            compute = torch.get_autocast_dtype(hidden.device.type)
        found = torch.empty(targets.shape, dtype=torch.float32, device=hidden.device)
        sums = torch.empty_like(found)
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = weight.to(compute)
            for part in _parts(targets):
                logits = _logits(hidden[part], matrix, bias, softcap)[0]
                sums[part] = torch.logsumexp(logits, dim=-1)
                found[part] = logits.gather(1, targets[part][:, None])[:, 0] - sums[part]
        ctx.save_for_backward(hidden, weight, bias, targets, sums)
        ctx.compute, ctx.softcap = compute, softcap
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        hidden, weight, bias, targets, sums = ctx.saved_tensors
        want_hidden, want_weight, want_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if want_hidden else None
        grad_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if want_weight else None
        grad_bias = torch.zeros(bias.shape, dtype=torch.float32, device=bias.device) if want_bias else None
        matrix = weight.to(ctx.compute)
        for part in _parts(targets):
            logits, capped = _logits(hidden[part], matrix, bias, ctx.softcap)
            # d log p / d logits = one at the target, minus the softmax.
            grad = torch.exp_(logits.sub_(sums[part][:, None])).neg_()
            grad.scatter_add_(1, targets[part][:, None], torch.ones_like(sums[part])[:, None])
            grad.mul_(grads[0][part][:, None])
            if capped is not None:
                grad.mul_(1 - capped**2)
            small = grad.to(ctx.compute)
            if grad_hidden is not None:
                grad_hidden[part] = small @ matrix
            if grad_weight is not None:
                grad_weight += (small.T @ hidden[part].to(ctx.compute)).float()
            if grad_bias is not None:
                grad_bias += grad.sum(0)
        return (
            grad_hidden,
            grad_weight.to(weight.dtype) if grad_weight is not None else None,
            grad_bias.to(bias.dtype) if grad_bias is not None else None,
            None,
            None,
        )


def _parts(targets: Tensor) -> list[slice]:
    count = targets.shape[0]
    return [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _logits(hidden: Tensor, matrix: Tensor, bias: Tensor | None, softcap: float | None) -> tuple[Tensor, Tensor | None]:
    """Logits in fp32 and, where they are capped, the tanh that caps them."""
    small = None if bias is None else bias.to(matrix.dtype)
    logits = functional.linear(hidden.to(matrix.dtype), matrix, small).float()
    if softcap is None:
        return logits, None
    capped = torch.tanh(logits / softcap)
    return capped * softcap, capped
