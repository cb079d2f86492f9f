"""What really ran: `resolved.toml` with every effective value, `environment.json` with what it ran on."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import torch

import tuiwiz
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.change import change
from tuiwiz.bundle.write import write_bundle
from tuiwiz.data.types import Prepared
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor.device import Device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import WeightedPath
from tuiwiz.spec.derive import accumulation

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "numpy")


def resolve(
    bundle: Bundle, base: Path, model: Path, device: Device, *, micro: int, total: int, evaluations: bool
) -> str:
    """The bundle as TOML with nothing left to decide and absolute paths."""
    edits: dict[str, object] = {
        "model.source": str(model),
        "model.dtype": device.compute_name,
        "model.attention": "sdpa" if bundle.model.attention == "auto" else bundle.model.attention,
        "data.train": _absolute(bundle.data.train, base),
        "batch.micro": micro,
    }
    if bundle.batch.effective % micro == 0:
        edits["batch.accumulation"] = accumulation(bundle.batch.effective, micro)
    if bundle.validation.path is not None:
        edits["validation.path"] = str((base / bundle.validation.path).resolve())
    if bundle.adapter.method == "qlora":
        edits["quantization.compute_dtype"] = device.compute_name
    heading = f"What really ran: {total} optimizer steps on {device.name}" + (
        "" if evaluations else ", never evaluated"
    )
    return write_bundle(change(bundle, edits, by="executor"), heading=heading)


def _absolute(train: str | tuple[WeightedPath, ...], base: Path) -> object:
    if isinstance(train, str):
        return str((base / train).resolve())
    return [
        {"path": str((base / one.path).resolve())} | ({} if one.weight is None else {"weight": one.weight})
        for one in train
    ]


def write_environment(folder: RunFolder, device: Device, threads: int, prepared: Prepared, bundle: Bundle) -> None:
    facts = {
        "tuiwiz": tuiwiz.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": device.name,
        "compute": device.compute_name,
        "cuda": torch.version.cuda,
        "threads": threads,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "argv": sys.argv,
        "seed": bundle.seed,
        "data_fingerprint": prepared.fingerprint,
        "data_hashes": prepared.hashes,
        "rows": {"train": len(prepared.train), "validation": len(prepared.validation)},
    }
    write_atomic(folder.environment, json.dumps(facts, indent=2) + "\n")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
