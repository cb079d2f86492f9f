"""Next-token cross-entropy on supervised positions.

For token ids x[0..n) and marks m[0..n) (1 where a token is a label) the loss of a row is

    sum over i with m[i] = 1 of  -log softmax(W h[i-1])[x[i]]

where h = decoder(x), of shape [n, hidden], and W, of shape [vocab, hidden], is the language-model head. Only the hidden
states in front of supervised tokens go through the head, `CHUNK` at a time, and the gradient of a chunk is computed
while its logits exist: logits of shape [tokens, vocab] are never built. The same idea is in Cut Cross-Entropy,
https://arxiv.org/abs/2411.09009, and Liger, https://arxiv.org/abs/2410.10989.

With label smoothing e the target of a position is 1 - e for its token and e / V more for each of the V tokens
(https://arxiv.org/abs/1512.00567): (1 - e) of the loss above plus e of the mean of -log softmax over all tokens. Only
training is smoothed, so that held-out losses can be compared.

Sums, not means: the loop divides by the supervised tokens of the whole optimizer step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, collate
from tuiwiz.executor.objectives.objective import Outcome, Plain

CHUNK = 256
"""Positions whose logits exist at one time."""

_UNKNOWN_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")
"""Config entries by which some architectures scale logits; for them the model's own head is run."""


class CausalObjective(Plain):
    """Loss of micro-batches under one model.

    `fused`: the head in chunks; else the model's own logits of all positions, for comparison and unusual heads.
    `smoothing`: share of the target spread over all tokens while training.
    """

    tells = False

    def __init__(self, model: Any, *, fused: bool, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        config = self.causal.config.get_text_config()
        self.fused = fused and not any(getattr(config, name, None) not in (None, 1, 1.0) for name in _UNKNOWN_SCALES)
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.decoder = self.causal.get_decoder()
        # A head with adapters of its own, or a quantised one, is more than a matrix.
        self.fused = self.fused and type(self.head) is nn.Linear

    @property
    def head(self) -> Any:
        """The output layer in force: the trained copy where peft keeps one beside the original."""
        found = self.causal.get_output_embeddings()
        copies = getattr(found, "modules_to_save", None)
        if copies is None:
            return found
        return found.original_module if found.disable_adapters else copies[found.active_adapters[0]]

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        return collate(rows, sequences, device)

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        return {"tokens": batch.supervised}

    def __call__(self, batch: MicroBatch) -> Outcome:
        smoothing = self.smoothing if torch.is_grad_enabled() else 0.0
        if self.fused:
            head = self.head
            total, right, losses = ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
                self.states(batch), head.weight, head.bias, batch.targets, self.softcap, smoothing
            )
        else:
            chosen = self.logits(batch)
            total = functional.cross_entropy(chosen, batch.targets, reduction="sum", label_smoothing=smoothing)
            losses = functional.cross_entropy(chosen.detach(), batch.targets, reduction="none")
            right = chosen.detach().argmax(-1) == batch.targets
        if torch.is_grad_enabled():
            return Outcome({"tokens": total}, {})
        wrong = torch.bincount(batch.row_of[~right], minlength=batch.rows)
        by_row = torch.zeros(batch.rows, device=losses.device).index_add(0, batch.row_of, losses)
        return Outcome({"tokens": total}, {"exact": wrong == 0, "row_loss": by_row})

    def states(self, batch: MicroBatch) -> Tensor:
        """[s, hidden] in front of each target."""
        hidden = self.decoder(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
        ).last_hidden_state
        found: Tensor = hidden.reshape(-1, hidden.shape[-1])[batch.predicting]
        return found

    def logits(self, batch: MicroBatch) -> Tensor:
        """[s, vocab] in fp32 for each target, from the model's own head over all positions."""
        logits = self.causal(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        found: Tensor = logits.reshape(-1, logits.shape[-1])[batch.predicting].float()
        return found

    def summary(self, seen: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of rows whose every supervised token is the argmax given the tokens before it: for short answers
        the exact match of greedy generation, for the price of a loss."""
        return {"exact_match": float(seen["exact"].double().mean())}


class ChunkedCrossEntropy(torch.autograd.Function):
    """(hidden [n, h], weight [v, h], bias [v] or None, targets [n], softcap or None, smoothing) ->
    (sum, right [n] bool, losses [n] without smoothing); only the sum is differentiable, and only evaluation, where no
    gradient is asked for, learns which were right.

    Logits are computed in the type of `hidden` (or the autocast type) and reduced in fp32; gradients with respect to
    `hidden` come back in its type, those of `weight` and `bias`, where they are trained, are summed in fp32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        smoothing: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        compute = hidden.dtype
        if torch.is_autocast_enabled(hidden.device.type):
            compute = torch.get_autocast_dtype(hidden.device.type)
        matrix = weight.to(compute)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        right = torch.zeros(targets.shape, dtype=torch.bool, device=hidden.device)
        losses = torch.empty(targets.shape, dtype=torch.float32, device=hidden.device)
        want_hidden, want_weight, want_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if want_hidden else None
        grad_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if want_weight else None
        grad_bias = (
            torch.zeros(bias.shape, dtype=torch.float32, device=bias.device) if want_bias and bias is not None else None
        )
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, targets.shape[0], CHUNK):
                part = slice(start, min(start + CHUNK, targets.shape[0]))
                states, labels = hidden[part].to(compute), targets[part]
                logits = functional.linear(states, matrix, bias.to(compute) if bias is not None else None).float()
                if softcap is not None:
                    capped = torch.tanh(logits / softcap)
                    logits = capped * softcap
                if grad_hidden is None and grad_weight is None:
                    right[part] = logits.argmax(dim=-1) == labels
                # The same name, so that the logits are gone before the next copy is made.
                logits = torch.log_softmax(logits, dim=-1)
                chosen = logits.gather(1, labels[:, None])[:, 0]
                losses[part] = -chosen
                total -= chosen.sum()
                if smoothing:
                    total += smoothing * (chosen - logits.mean(dim=-1)).sum()
                if grad_hidden is None and grad_weight is None:
                    continue
                grad = logits.exp_()
                grad.scatter_add_(1, labels[:, None], torch.full_like(chosen, smoothing - 1.0)[:, None])
                if smoothing:
                    grad.sub_(smoothing / weight.shape[0])
                if softcap is not None:
                    grad.mul_(1 - capped**2)
                small = grad.to(compute)
                if grad_hidden is not None:
                    grad_hidden[part] = small @ matrix
                if grad_weight is not None:
                    grad_weight += (small.T @ states).float()
                if grad_bias is not None:
                    grad_bias += grad.sum(0)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.weight_dtype = weight.dtype
        ctx.mark_non_differentiable(right, losses)
        return total, right, losses

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        scale = grads[0]
        return (
            grad_hidden * scale.to(grad_hidden.dtype) if grad_hidden is not None else None,
            (grad_weight * scale).to(ctx.weight_dtype) if grad_weight is not None else None,
            (grad_bias * scale).to(ctx.weight_dtype) if grad_bias is not None else None,
            None,
            None,
            None,
        )
