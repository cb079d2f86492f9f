"""Finds runs and says what each is: everything is read from the folders themselves."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import UsageError
from tuiwiz.base.places import expanded
from tuiwiz.base.price import own_price
from tuiwiz.base.problems import nearest
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.state import State, state
from tuiwiz.events.view import RunView
from tuiwiz.runs.cost import cost
from tuiwiz.runs.names import registered, run_root
from tuiwiz.runs.notes import read_notes


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One run in short: what `runs show` prints. `metrics` has `first`, `last`, `best` held-out loss (training loss
    where nothing was evaluated); unknown figures are None."""

    name: str
    path: str
    state: State
    step: int
    steps: int
    bundle_digest: str
    metrics: dict[str, float | None]
    peak_bytes: int | None
    tokens_per_second: float | None
    elapsed_s: float | None
    energy_wh: float | None = None
    cost: float | None = None
    """In the currency of the user's own prices; None without prices."""
    started: float | None
    model: str = ""
    method: str = ""
    task: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()


def folders() -> list[RunFolder]:
    """All runs of this user, newest first."""
    try:
        own = [path for path in run_root().iterdir() if (path / "bundle.toml").is_file()]
    except OSError:
        own = []
    found = [*own, *(path for path in registered() if (path / "bundle.toml").is_file())]
    return [RunFolder(path) for path in sorted(found, key=_age, reverse=True)]


def _age(path: Path) -> float:
    try:
        return (path / "bundle.toml").stat().st_mtime
    except OSError:
        return 0.0


def find(name: str | None) -> RunFolder:
    """A run by path, name or unique prefix; the newest when `name` is None.

    Raises:
        UsageError: there is none, or more than one.
    """
    if name:
        path = _as_folder(name)
        if path is not None:
            return RunFolder(path)
    known = folders()
    if not known:
        raise UsageError(
            f"there is no run{f' {name!r}' if name else ''}", hint="`tuiwiz demo` makes one, `tuiwiz run` another"
        )
    if not name:
        return known[0]
    exact = [run for run in known if run.path.name == name]
    found = exact or [run for run in known if run.path.name.startswith(name)] or _by_bundle_name(known, name)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(run.path.name for run in found[:4])
        raise UsageError(f"{name!r} fits {len(found)} runs: {listed}", hint="type more of the name")
    close = nearest(name, [run.path.name for run in known])
    raise UsageError(
        f"there is no run {name!r}", hint=f"did you mean {close}?" if close else "`tuiwiz runs list` names the runs"
    )


def _as_folder(name: str) -> Path | None:
    """`name` as the path of a run folder, None when it is none."""
    try:
        path = expanded(name).absolute()
        return path if (path / "bundle.toml").is_file() or (path / "events.jsonl").is_file() else None
    except (OSError, RuntimeError, ValueError):
        # Too long for a path, an unknown user's home, a folder that may not be read.
        return None


def _by_bundle_name(known: list[RunFolder], name: str) -> list[RunFolder]:
    """Runs whose folder's name holds `-name-`: what the user called them in the bundle."""
    return [run for run in known if f"-{name}-" in f"-{run.path.name}"]


def info(folder: RunFolder, view: RunView | None = None) -> RunInfo:
    """A run in short."""
    view = view or view_of(folder)
    summary: dict[str, Any] = view.summary or {}
    held_out = [event.metrics["loss"] for event in view.evals if "loss" in event.metrics]
    trained = view.series.get("loss")
    losses = held_out or (list(trained.y) if trained is not None else [])
    peak = summary.get("peak_bytes") or view.metrics.get("peak_bytes")
    speed = summary.get("tokens_per_second") or view.metrics.get("tokens_per_second")
    elapsed = summary.get("elapsed_s") or (view.last_t - view.first_t if view.events else None)
    written = read_notes(folder.path)
    return RunInfo(
        name=folder.path.name,
        path=str(folder.path),
        state=state(view, folder, time.time()),
        step=view.step,
        steps=view.steps,
        bundle_digest=view.started.digest if view.started is not None else "",
        metrics={
            "first": losses[0] if losses else None,
            "last": losses[-1] if losses else None,
            "best": min((loss for loss in losses if math.isfinite(loss)), default=None),
        },
        peak_bytes=int(peak) if peak else None,
        tokens_per_second=float(speed) if speed else None,
        elapsed_s=float(elapsed) if elapsed is not None else None,
        energy_wh=view.energy_wh,
        cost=cost(own_price(), float(elapsed) if elapsed is not None else None, view.energy_wh),
        started=view.first_t or None,
        model=view.started.model if view.started is not None else "",
        method=view.started.method if view.started is not None else "",
        task=view.started.task if view.started is not None else "",
        note=written.note,
        tags=written.tags,
    )
