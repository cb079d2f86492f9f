"""Checkpoints that hold everything a run needs to go on as if nothing had happened.

`checkpoints/step-N/` holds the trained weights in fp32, the optimizer's state, every random stream and the loop's own
counters, with the SHA-256 of each file in `manifest.json`. It is written aside, flushed to disk and renamed once: it is
whole or not there. The newest whose hashes are right is used. Safetensors and JSON only: nothing is unpickled.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tuiwiz.base.files import fsync_folder, sha256_file
from tuiwiz.events.folder import ADAPTER, ENVIRONMENT, MODEL, PID, RESOLVED, RunFolder
from tuiwiz.executor.chance import Streams, streams_now
from tuiwiz.executor.disk import refuse_without_room

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
PREFIX = "step-"
DAMAGED = "damaged-step-"
OWN_FILES = (PID, ENVIRONMENT, RESOLVED, ADAPTER, MODEL)
"""What the executor alone writes aside and renames in a run folder."""


class Progress(msgspec.Struct, kw_only=True):
    """The loop's own counters. Scores are values of `evaluation.metric`; `best_loss` is the loss at the best step and
    `best_rows` are the held-out rows' summed losses there.

    `phase_start` is the step at which the present phase began, `own_data_steps` those spent on phases' own data;
    `rate_scale` is what the plateau schedule made of the rate. `total` is the run's length where that was changed.
    """

    step: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    best_score: float | None = None
    best_rows: list[float] = []
    first_loss: float | None = None
    first_score: float | None = None
    last_loss: float | None = None
    without_improvement: int = 0
    elapsed_s: float = 0.0
    wall_s: float = 0.0
    phase: int = 0
    phase_start: int = 0
    own_data_steps: int = 0
    phase_best: float | None = None
    phase_stale: int = 0
    rate_scale: float = 1.0
    plateau_best: float | None = None
    plateau_stale: int = 0
    digest: str = ""
    total: int = 0
    """Steps of the run where a request changed them, else 0."""
    evaluate_every: int = 0
    """Steps between evaluations where a request changed them, else 0."""
    events_bytes: int = 0
    """Length of the event file when this was saved: what a resume must find of it."""
    made_with: dict[str, str] = {}
    """Versions, device and threads of the attempt that saved."""


def save(
    folder: Path, weights: Mapping[str, nn.Parameter], optimizer: Any, scaler: Any, progress: Progress
) -> tuple[Path, int]:
    """Write the checkpoint of `progress.step` below `folder`; returns its path and bytes.

    Raises:
        MachineLacksError: there is no room for it; nothing was written.
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_without_room(folder, [*weights.values(), *flatten_state(optimizer.state_dict(), copy=False)[0].values()])
    final = folder / f"step-{progress.step}"
    temporary = folder / f".step-{progress.step}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        save_file({name: value.detach().contiguous().cpu() for name, value in weights.items()}, temporary / WEIGHTS)
        tensors, plain = flatten_state(optimizer.state_dict())
        save_file(tensors, temporary / OPTIMIZER)
        state = {
            "progress": msgspec.to_builtins(progress),
            "optimizer": plain,
            "scaler": scaler.state_dict() if scaler is not None else {},
            "random": random_streams(),
        }
        (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
        hashes = {path.name: sha256_file(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps({"step": progress.step, "sha256": hashes}), encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        size = sum(path.stat().st_size for path in temporary.iterdir())
        _prove(temporary, weights)
        if final.exists():
            shutil.rmtree(final)
        os.rename(temporary, final)
        fsync_folder(folder)
        return final, size
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def newest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose files are those of its manifest, and what is wrong with newer ones."""
    complaints: list[str] = []
    for path in _numbered(folder):
        problem = _damage(path)
        if problem is None:
            return path, complaints
        complaints.append(f"{path.name}: {problem}")
    return None, complaints


def load(path: Path, weights: Mapping[str, nn.Parameter], optimizer: Any, scaler: Any) -> Progress:
    """Put a checkpoint's weights, optimizer state and random streams back; returns the loop's counters."""
    load_weights(path, weights)
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    optimizer.load_state_dict(_unflatten(load_file(path / OPTIMIZER), state["optimizer"]))
    _page_again(optimizer)
    if scaler is not None and state["scaler"]:
        scaler.load_state_dict(state["scaler"])
    restore_streams(state["random"])
    return msgspec.convert(state["progress"], Progress)


def _page_again(optimizer: Any) -> None:
    """Put states that may go to host memory back where they may: bitsandbytes loads them as plain tensors, and a run
    that only fitted because of it would not fit when it is resumed."""
    for parameter, entries in optimizer.state.items() if getattr(optimizer, "is_paged", False) else ():
        for name in ("state1", "state2"):
            value = entries.get(name)
            if isinstance(value, Tensor) and not getattr(value, "is_paged", False):
                entries[name] = optimizer.get_state_buffer(parameter, dtype=value.dtype).copy_(value)


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(path.name.removeprefix(PREFIX))


def load_weights(path: Path, weights: Mapping[str, nn.Parameter]) -> None:
    """Put only the trained weights back."""
    saved = load_file(path / WEIGHTS)
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(saved[name])


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """The trained weights of a checkpoint by name; empty where they cannot be read."""
    try:
        with safe_open(path / WEIGHTS, framework="pt") as saved:
            return {name: tuple(saved.get_slice(name).get_shape()) for name in saved.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return {}


def retire(folder: Path, *, keep: int, best: int | None, milestones: int = 0) -> None:
    """Remove old checkpoints: the newest `keep`, the best one and every step that `milestones` divides stay.

    Damaged ones that were set aside go as soon as there is a newer one to go on from.
    """
    for path in _numbered(folder)[keep:]:
        step = int(path.name.removeprefix(PREFIX))
        if step != best and not (milestones and step % milestones == 0):
            shutil.rmtree(path, ignore_errors=True)
    newest = _numbered(folder)[:1]
    for path in folder.glob(f"{DAMAGED}*"):
        if newest and int(newest[0].name.removeprefix(PREFIX)) >= int(path.name.removeprefix(DAMAGED)):
            shutil.rmtree(path, ignore_errors=True)


def set_aside(folder: Path, *, newer_than: int) -> None:
    """Rename checkpoints beyond the step that a run goes on from: they could not be used, and the run saves anew."""
    for path in _numbered(folder):
        step = int(path.name.removeprefix(PREFIX))
        if step > newer_than:
            aside = folder / f"{DAMAGED}{step}"
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(path, aside)


def sweep(run: RunFolder) -> None:
    """Remove what a killed executor left half-written; only for the one to whom the run belongs now."""
    for folder, names in ((run.checkpoints, (PREFIX,)), (run.path, OWN_FILES), (run.samples, (PREFIX,))):
        for path in (path for name in names for path in folder.glob(f".{name}*.tmp")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _prove(path: Path, weights: Mapping[str, nn.Parameter]) -> None:
    """Open what was written as a resume would, before the checkpoint before it may go."""
    with safe_open(path / WEIGHTS, framework="pt") as saved:
        if set(saved.keys()) != set(weights):
            raise OSError(errno.EIO, "the checkpoint that was written cannot be read back", str(path / WEIGHTS))
    with safe_open(path / OPTIMIZER, framework="pt"):
        pass


def _numbered(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda path: -int(path.name.removeprefix(PREFIX)))


def _damage(path: Path) -> str | None:
    try:
        hashes: dict[str, str] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        for name in (WEIGHTS, OPTIMIZER, STATE):
            if sha256_file(path / name) != hashes[name]:
                return f"{name} is damaged"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"incomplete ({error})"
    return None


def flatten_state(state: dict[str, Any], *, copy: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors by `index/name` and everything else as JSON."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {"groups": state["param_groups"], "state": {}}
    for index, entries in state["state"].items():
        for name, value in _unwrapped(entries).items():
            if isinstance(value, Tensor):
                # A copy: quantised optimizers share one code table between all states, which safetensors refuses.
                tensors[f"{index}/{name}"] = value.detach().cpu().clone().contiguous() if copy else value
            else:
                plain["state"].setdefault(str(index), {})[name] = value
    return tensors, plain


def _unwrapped(entries: Mapping[str, Any]) -> dict[str, Any]:
    """State of one parameter without inner dicts: bitsandbytes hides its quantised tensors in one, and takes both."""
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _unflatten(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, name = key.split("/", 1)
        state.setdefault(int(index), {})[name] = value
    for index, entries in plain["state"].items():
        state.setdefault(int(index), {}).update(entries)
    groups = [{**group, "betas": tuple(group["betas"])} if "betas" in group else group for group in plain["groups"]]
    return {"state": state, "param_groups": groups}


def random_streams() -> dict[str, Any]:
    """Where the random streams are, in lists and numbers, for JSON."""
    now = streams_now()
    version, keys, gauss = now.python
    kind, words, position, has_gauss, cached = now.numpy
    streams: dict[str, Any] = {
        "python": [version, list(keys), gauss],
        "numpy": [kind, words.tolist(), int(position), int(has_gauss), float(cached)],
        "torch": now.torch.tolist(),
    }
    if now.cuda is not None:
        streams["cuda"] = [state.tolist() for state in now.cuda]
    return streams


def restore_streams(streams: dict[str, Any]) -> None:
    """Put back what `random_streams` gave."""
    version, keys, gauss = streams["python"]
    kind, words, position, has_gauss, cached = streams["numpy"]
    cuda = streams.get("cuda")
    Streams(
        (version, tuple(keys), gauss),
        (kind, numpy.array(words, dtype=numpy.uint32), position, has_gauss, cached),
        torch.tensor(streams["torch"], dtype=torch.uint8),
        [torch.tensor(state, dtype=torch.uint8) for state in cuda] if cuda is not None else None,
    ).put_back()
