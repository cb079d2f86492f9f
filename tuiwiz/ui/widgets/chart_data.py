"""What a chart shows, as data, and which of its values set the axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuiwiz.ui.curves import CurveSource
from tuiwiz.ui.widgets.plot import Curve


@dataclass(frozen=True, slots=True)
class ChartData:
    """What is to be seen. `raw` and `smooth` are drawn as lines, `evals` as diamonds, the rest on the axis.

    Attributes:
        end: last x that the axis shows while following (0: the last point).
        epochs: x of epoch borders.
        overlay: letter and curve of runs that are compared, in place of everything else.
        x_name: what the axis counts; `step` has whole numbers only.
    """

    raw: CurveSource | None = None
    smooth: CurveSource | None = None
    evals: Sequence[tuple[float, float]] = ()
    best: float | None = None
    checkpoints: Sequence[float] = ()
    epochs: Sequence[float] = ()
    end: float = 0.0
    raw_name: str = "train"
    smooth_name: str = ""
    eval_name: str = "val"
    overlay: Sequence[tuple[str, CurveSource]] = ()
    x_name: str = "step"
    note: str = "nothing to draw yet"
    """Said in place of a chart without points."""


def values_of(curve: Curve) -> list[float]:
    """All values that a curve shows."""
    return [y for _, y in curve.points] or [*curve.low, *curve.high]


def typical(values: Sequence[float]) -> list[float]:
    """`values` without the outermost hundredth at either end: a single spike must not flatten everything else."""
    kept = sorted(value for value in values if math.isfinite(value))
    cut = len(kept) // 100
    return kept[cut : len(kept) - cut] if cut else kept
