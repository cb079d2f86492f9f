"""What the run screen says, computed from the folded view: plain values, no Textual, no drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuiwiz.events.view import RunView
from tuiwiz.ui.curves import last_values

WINDOW = 50
"""Steps over which speed, spread and the change of the loss are measured."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Header facts; None or NaN where there is nothing to say yet. Sizes in bytes, times in seconds."""

    name: str
    state: str
    detail: str
    step: int
    steps: int
    share: float
    epoch: float | None
    eta_s: float | None
    eta_band_s: float
    elapsed_s: float
    loss: float | None
    loss_change: float | None
    held_out: float | None
    best_loss: float | None
    best_step: int | None
    first_loss: float | None
    tokens_per_second: float | None
    peak_bytes: float | None
    predicted_bytes: float | None


def derive(view: RunView, name: str, state: str, smooth_last: Sequence[float], now: float) -> Facts:
    """Facts of the run `name` in `state`; `smooth_last` are the latest smoothed losses, oldest first."""
    steps = view.steps
    seconds = last_values(view, "step_seconds", WINDOW)
    eta, band = eta_of(steps - view.step, seconds) if state in ("training", "evaluating", "saving") else (None, 0.0)
    best = view.best_eval
    held_out = [event.metrics["loss"] for event in view.evals if "loss" in event.metrics]
    summary = view.summary or {}
    end = view.last_t if view.summary is not None or state in ("crashed", "unknown") else now
    peaks = [value for value in (_last(last_values(view, "peak_bytes", 1)), summary.get("peak_bytes")) if value]
    smooth = [value for value in smooth_last if math.isfinite(value)]
    memory = view.memory
    stage = view.stage
    detail = ""
    if stage is not None and state not in ("training", "finished", "stopped", "failed", "crashed"):
        so_far = f" {stage.done:,} rows" if stage.done else ""
        of = f" {100 * stage.done // stage.total} %" if stage.total else so_far
        detail = f"{stage.name}{of} {stage.note}".strip()
    return Facts(
        name=name,
        state=state,
        detail=detail,
        step=view.step,
        steps=steps,
        share=view.step / steps if steps else 0.0,
        epoch=_last(last_values(view, "epoch", 1)),
        eta_s=eta,
        eta_band_s=band,
        elapsed_s=float(summary.get("elapsed_s") or max(0.0, end - view.first_t)) if view.first_t else 0.0,
        loss=smooth[-1] if smooth else None,
        loss_change=smooth[-1] - smooth[0] if len(smooth) > 1 else None,
        held_out=held_out[-1] if held_out else None,
        best_loss=best.metrics["loss"] if best is not None else None,
        best_step=best.step if best is not None else None,
        first_loss=held_out[0] if held_out else None,
        tokens_per_second=_middle(last_values(view, "tokens_per_second", WINDOW)),
        peak_bytes=max(peaks, default=None),
        predicted_bytes=float(sum(memory.predicted.values())) or None if memory is not None else None,
    )


def eta_of(remaining: int, seconds: Sequence[float]) -> tuple[float | None, float]:
    """Seconds left and the half width of a 90 % band.

    The band has two parts: the noise of the steps to come, which averages out, and what is not known about their mean,
    which does not.
    """
    kept = [value for value in seconds if math.isfinite(value) and value > 0]
    if remaining <= 0 or not kept:
        return (0.0 if remaining <= 0 and kept else None), 0.0
    mean = sum(kept) / len(kept)
    if len(kept) < 3:
        return remaining * mean, remaining * mean * 0.5
    variance = sum((value - mean) ** 2 for value in kept) / (len(kept) - 1)
    spread = math.sqrt(variance * (remaining + remaining**2 / len(kept)))
    # Steps also drift (other load, heat): a hundredth at least.
    return remaining * mean, 1.645 * spread + 0.01 * remaining * mean


def _last(values: Sequence[float]) -> float | None:
    return values[-1] if values and math.isfinite(values[-1]) else None


def _middle(values: Sequence[float]) -> float | None:
    kept = sorted(value for value in values if math.isfinite(value))
    return kept[len(kept) // 2] if kept else None
