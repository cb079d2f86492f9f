"""What really ran: `resolved.toml` with every effective value, `environment.json` with what it ran on."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch

import tuiwiz
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.change import change
from tuiwiz.bundle.lock import LIBRARIES as LOCKED
from tuiwiz.bundle.write import write_bundle
from tuiwiz.catalog.machine import hardware
from tuiwiz.data.types import Prepared
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor.device import Device
from tuiwiz.spec.bundle import Adjustment, Bundle, Lock
from tuiwiz.spec.data import WeightedPath
from tuiwiz.spec.derive import accumulation
from tuiwiz.spec.keys import plain

LIBRARIES = (*LOCKED, "numpy")


def resolve(
    bundle: Bundle,
    base: Path,
    model: Path,
    device: Device,
    *,
    micro: int,
    total: int,
    evaluations: bool,
    lock: Lock,
    adjustments: tuple[Adjustment, ...] = (),
) -> str:
    """The bundle as TOML with nothing left to decide and absolute paths.

    On a processor `model.attention = "auto"` stays: it means kernels that have no other name.
    """
    edits: dict[str, object] = {
        "model.source": str(model),
        "model.dtype": device.compute_name,
        "model.attention": "sdpa" if bundle.model.attention == "auto" and device.is_cuda else bundle.model.attention,
        "data.train": _absolute(bundle.data.train, base),
    }
    if bundle.model.revision is not None:
        # Found: the folder is of that revision, and the lock names it.
        edits["model.revision"] = None
    if bundle.batch.micro_tokens is None:
        edits["batch.micro"] = micro
    if bundle.batch.micro_tokens is None and bundle.batch.effective % (micro * bundle.batch.processes) == 0:
        edits["batch.accumulation"] = accumulation(bundle.batch.effective, micro, bundle.batch.processes)
    if bundle.validation.path is not None:
        edits["validation.path"] = str((base / bundle.validation.path).resolve())
    if bundle.adapter.from_ is not None:
        edits["adapter.from"] = str((base / bundle.adapter.from_).resolve())
    if any(phase.data is not None for phase in bundle.phases):
        edits["phases"] = [
            {**phase, "data": str((base / phase["data"]).resolve())} if phase["data"] is not None else phase
            for phase in plain(bundle.phases)
        ]
    if bundle.adapter.method == "qlora":
        edits["quantization.compute_dtype"] = device.compute_name
    heading = f"What really ran: {total} optimizer steps on {device.name}" + (
        "" if evaluations else ", never evaluated"
    )
    changed = msgspec.structs.replace(change(bundle, edits, by="executor"), lock=lock, adjustments=adjustments)
    return write_bundle(changed, heading=heading)


def made_with(device: Device, threads: int, processes: int = 1) -> dict[str, str]:
    """Everything on which the last bit of a step depends, besides the bundle."""
    versions = {name: _version(name) for name in LIBRARIES}
    facts = {
        "tuiwiz": tuiwiz.__version__,
        "python": platform.python_version(),
        **versions,
        "cuda": torch.version.cuda or "",
        "device": device.name,
        "compute": device.compute_name,
        "threads": str(threads),
        "processes": str(processes),
    }
    return facts | {name: value for name, value in hardware().items() if name != "device"}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`torch 2.9.0, now 2.10.0` for everything that is not what it was; what was not recorded is not compared."""
    return [
        f"{name} {value or 'none'}, now {now[name] or 'none'}"
        for name, value in before.items()
        if name in now and now[name] != value
    ]


def resumed_words(step: int, restored: Sequence[str], differs: Sequence[str]) -> str:
    """What a resumed run brought back, and whether the rest can be the same to the last bit."""
    if not restored:
        return "no usable checkpoint: starting at step 0"
    words = f"resumed from step {step}: {', '.join(restored)} restored"
    if not differs:
        return f"{words}; machine and versions are the same, so the rest is too, bit for bit"
    return f"{words}; the rest will not be the same bit for bit, because of {'; '.join(differs)}"


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
