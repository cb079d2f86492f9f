"""A run's parts around a tiny model in this process, for tests that look inside a step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from tests.support.processes import write_bundle
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.prepare import prepare
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor.adapters import add_adapters
from tuiwiz.executor.chance import seed_everything
from tuiwiz.executor.device import Device
from tuiwiz.executor.evaluate import evaluate
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.model import enable_checkpointing, load_base, trainable
from tuiwiz.executor.objectives.choose import objective_of
from tuiwiz.executor.optim import make_optimizer
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.trainer import Trainer

CPU = Device(torch.device("cpu"), "CPU", torch.float32)


def make_run(folder: Path, model: Path, *, steps: int = 6, **values: str) -> Trainer:
    """A run at step 0 in fp32 on the CPU; `values` are TOML by bundle key, with `__` for the dot.

    Its recorder writes into `folder/run` and has no heartbeat.
    """
    bundle = read_bundle(write_bundle(folder, model, rows=60, **{"model__dtype": '"fp32"', **values}))
    prepared = prepare(bundle, folder, model)
    seed_everything(bundle.seed)
    network = load_base(model, bundle, CPU, prepared.labels)
    if bundle.adapter.method != "full":
        network = add_adapters(network, bundle, folder)
    if bundle.memory.gradient_checkpointing:
        enable_checkpointing(network)
    weights = trainable(network)
    where = RunFolder(folder / "run")
    where.control.mkdir(parents=True, exist_ok=True)
    return Trainer(
        bundle=bundle,
        device=CPU,
        model=network,
        objective=objective_of(bundle, network, prepared.labels),
        weights=weights,
        optimizer=make_optimizer(weights.items(), bundle, CPU),
        scaler=None,
        autocast=nullcontext,
        train_rows=prepared.train,
        held_out=prepared.validation,
        total=steps,
        micro=bundle.batch.micro or bundle.batch.effective,
        evaluation_steps=frozenset(),
        checkpoint_every=steps,
        recorder=Recorder(where),
        interrupts=Interrupts(),
        sample=lambda step: None,
        generated=dict,
        after_step=lambda step: None,
    )


def evaluated(run: Trainer) -> dict[str, float]:
    """Held-out metrics of the run as it is."""
    return evaluate(run.model, run.objective, run.held_out, run.device, run.autocast, lambda done, total: None)


def copies(run: Trainer) -> dict[str, torch.Tensor]:
    """The trained weights as they are now."""
    return {name: value.detach().clone() for name, value in run.weights.items()}


def watch_gradients(run: Trainer) -> Callable[[], dict[str, torch.Tensor]]:
    """Afterwards the returned function gives the gradients that the last optimizer step was made with."""
    seen: dict[str, torch.Tensor] = {}
    step: Any = run.optimizer.step

    def watched(*arguments: Any, **named: Any) -> Any:
        seen.update({name: value.grad.clone() for name, value in run.weights.items() if value.grad is not None})
        return step(*arguments, **named)

    run.optimizer.step = watched
    return lambda: seen
