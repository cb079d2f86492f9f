"""From a bundle and the model's files to what the loop trains: model, trained weights, optimizer, objective."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuiwiz.data.types import Prepared
from tuiwiz.executor.adapters import PissaStart, add_adapters, vocabulary
from tuiwiz.executor.device import Device
from tuiwiz.executor.kept import Load
from tuiwiz.executor.model import enable_checkpointing, load_base, trainable
from tuiwiz.executor.neftune import add_noise
from tuiwiz.executor.objectives.choose import objective_of
from tuiwiz.executor.objectives.objective import Objective
from tuiwiz.executor.optim import make_optimizer
from tuiwiz.executor.record import Recorder
from tuiwiz.spec.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Built:
    """`trained`: the parameters that move, by name; `autocast`: the context of every forward pass."""

    model: Any
    trained: dict[str, nn.Parameter]
    optimizer: Any
    objective: Objective
    autocast: Callable[[], Any]
    scaler: Any
    pissa: PissaStart | None


def build(
    bundle: Bundle,
    base: Path,
    weights: Path,
    prepared: Prepared,
    device: Device,
    recorder: Recorder,
    load: Load = load_base,
) -> Built:
    """Load the model in `weights` and make it ready; `base` is where relative paths of the bundle start."""
    whole = bundle.adapter.method in ("full", "freeze")
    recorder.stage("loading", note=f"{bundle.model.source} for {bundle.adapter.method}")
    model = load(weights, bundle, device, prepared.labels)
    if not whole:
        model = add_adapters(model, bundle, base, vocabulary(bundle, weights))
    # Before a checkpoint is loaded: what PiSSA began with is what it took out of the base.
    pissa = PissaStart(model) if bundle.adapter.variant == "pissa" else None
    if bundle.regularization.neftune:
        add_noise(model, bundle.regularization.neftune)
    if bundle.memory.gradient_checkpointing:
        enable_checkpointing(model)
    trained = trainable(model)
    # Whole models are trained in fp32, and their products are computed in fewer bits.
    mixed = whole and device.compute != torch.float32
    return Built(
        model=model,
        trained=trained,
        optimizer=make_optimizer(trained.items(), bundle, device),
        objective=objective_of(bundle, model, prepared.labels),
        autocast=(lambda: torch.autocast(device.where.type, dtype=device.compute)) if mixed else nullcontext,
        scaler=torch.amp.GradScaler(device.where.type) if device.compute == torch.float16 else None,
        pissa=pissa,
    )
