"""When training is no training: steps without a finite number, weights without a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuiwiz.base.errors import RunFailedError

if TYPE_CHECKING:
    from tuiwiz.executor.loop import Trainer

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


def refuse_dead_weights(run: Trainer) -> None:
    """A trained matrix without a gradient means a run that would learn less than it says.

    LoRA's A matrices have zero gradient while B is zero, so only B matrices are asked at the first step.
    """
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
