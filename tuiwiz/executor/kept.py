"""Base models that serve several runs of one process: read once, then handed out as copies.

A copy has modules of its own, so that whatever a run does to them (adapters, hooks, faster forwards) ends with it; the
frozen weights are one and the same in all. The random streams are left as reading the model would have left them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from tuiwiz.executor.checkpoint import random_streams, restore_streams
from tuiwiz.executor.device import Device
from tuiwiz.executor.model import load_base
from tuiwiz.spec.bundle import Bundle

Load = Callable[[Path, Bundle, Device, Sequence[str]], Any]
"""(folder, bundle, device, labels) -> the base model, as `load_base` gives it."""


class KeptBase:
    """Keeps the last base model that was asked for."""

    def __init__(self, load: Load = load_base) -> None:
        self._load = load
        self._key = b""
        self._model: Any = None
        self._seed: int | None = None
        self._streams: dict[str, Any] | None = None
        self._answers: dict[str, bool] | None = None

    def __call__(self, folder: Path, bundle: Bundle, device: Device, labels: Sequence[str] = ()) -> Any:
        """The base model, ready to be changed. Random streams must have been started with the bundle's seed."""
        if not can_be_kept(bundle):
            self._answers = None
            return self._load(folder, bundle, device, labels)
        key = _key(folder, bundle, device, labels)
        if key != self._key or self._seed not in (None, bundle.seed):
            # The old one goes first: two need not fit.
            self._key, self._model, self._answers = b"", None, None
            before = random_streams()
            self._model = self._load(folder, bundle, device, labels)
            after = random_streams()
            drew = after != before
            self._key, self._seed, self._streams = key, bundle.seed if drew else None, after if drew else None
        elif self._streams is not None:
            restore_streams(self._streams)
        self._answers = self._answers if self._answers is not None else {}
        return shallow_copy(self._model)

    def remembered(self, question: str, find_out: Callable[[], bool]) -> bool:
        """What was found out about the base model that was handed out last, once for all its runs."""
        if self._answers is None:
            return find_out()
        if question not in self._answers:
            self._answers[question] = find_out()
        return self._answers[question]


def can_be_kept(bundle: Bundle) -> bool:
    """Whether a run leaves its base model as it was: not where base weights are trained or taken apart (PiSSA), nor
    with 8 bits, whose layers move their scales when first used."""
    adapter = bundle.adapter
    eight = adapter.method == "qlora" and bundle.quantization.bits == 8
    return adapter.method in ("lora", "qlora") and adapter.variant != "pissa" and not eight


def shallow_copy(model: nn.Module) -> nn.Module:
    """Modules, buffers and hooks anew around the same parameters and quantisation states."""
    shared = [*model.parameters()]
    states = [getattr(part, "quant_state", None) for part in [*shared, *model.modules()]]
    return copy.deepcopy(model, {id(one): one for one in [*shared, *states] if one is not None})


def _key(folder: Path, bundle: Bundle, device: Device, labels: Sequence[str]) -> bytes:
    """Everything that reading the model for adapters depends on, the seed left out."""
    return msgspec.json.encode(
        [
            str(folder),
            bundle.model,
            bundle.task,
            bundle.quantization,
            bundle.adapter.method,
            str(device.where),
            device.compute_name,
            list(labels),
        ]
    )
