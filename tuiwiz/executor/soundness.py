"""When training is no training: steps without a finite number, weights without a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tuiwiz.base.errors import RunFailedError

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

UPDATES = 3
"""Updates after which weights must differ from what they were."""
WATCHED_TENSORS, WATCHED_NUMBERS = 12, 4096
SKIPS_IN_A_ROW = 5
SKIPS_IN_ALL = 20
"""Steps with a non-finite loss or gradient after which a run fails."""


def skip(run: Trainer, loss: float, norm: float) -> None:
    """Count a step that changed nothing.

    Raises:
        RunFailedError: there were too many of them.
    """
    progress = run.progress
    progress.skipped_steps += 1
    progress.skipped_in_a_row += 1
    run.recorder.alert(
        "non_finite",
        f"step {progress.step + 1} was skipped: its loss or gradient is not a finite number",
        loss=str(loss),
        grad_norm=str(norm),
        skipped_steps=progress.skipped_steps,
    )
    if run.scaler is not None and progress.skipped_steps < SKIPS_IN_ALL:
        # A loss scale that is still too large overflows on purpose and is halved.
        progress.skipped_in_a_row = min(progress.skipped_in_a_row, SKIPS_IN_A_ROW - 1)
    if progress.skipped_in_a_row >= SKIPS_IN_A_ROW or progress.skipped_steps >= SKIPS_IN_ALL:
        raise RunFailedError(
            f"the loss or its gradient was not a finite number in {progress.skipped_steps} steps, "
            f"{progress.skipped_in_a_row} of them in a row",
            hint="lower optimizer.learning_rate, or use bf16 or fp32 in place of fp16",
        )


class Movement:
    """Whether updates change the weights: samples of some tensors, kept over the first updates of an attempt."""

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}
        self._updates = 0

    def look(self, run: Trainer, rate: float) -> None:
        """Called before each update, with its learning rate; tells once where nothing has moved."""
        if self._updates > UPDATES or not rate > 0:
            return
        if not self._updates:
            trained = [name for name, weight in run.weights.items() if weight.requires_grad]
            kept = trained[:: max(1, len(trained) // WATCHED_TENSORS)]
            self._before = {name: _sample(run.weights[name]).clone() for name in kept}
        elif self._updates == UPDATES:
            if all(torch.equal(was, _sample(run.weights[name])) for name, was in self._before.items()):
                run.recorder.alert("weights_unmoved", f"{UPDATES} updates have changed no weight", rate=rate)
            self._before = {}
        self._updates += 1


def _sample(weight: Tensor) -> Tensor:
    """Numbers from all over a tensor: a few rows of an embedding may be those of tokens that never come."""
    return weight.detach().reshape(-1)[:: max(1, weight.numel() // WATCHED_NUMBERS)]


def refuse_dead_weights(run: Trainer) -> None:
    """A trained matrix without a gradient at the first step means a run that would learn less than it says.

    LoRA's A matrices have zero gradient while B is zero, so only B matrices are asked at the first step.
    """
    if run.progress.step:
        return
    adapters = any(".lora_B." in name and parameter.requires_grad for name, parameter in run.weights.items())
    dead = [
        name
        for name, parameter in run.weights.items()
        if parameter.requires_grad
        and (".lora_B." in name or not adapters)
        and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    if not dead:
        return
    if len(dead) > len(run.weights) // 10:
        raise RunFailedError(
            f"{len(dead)} trained tensors get no gradient, such as {dead[0]}: the run would not learn",
            hint='this is a fault of the installed libraries or of this model; try adapter.method = "lora"',
        )
    run.recorder.alert("no_gradient", f"{len(dead)} trained tensors get no gradient at the first step", names=dead[0])
