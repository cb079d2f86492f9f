"""What held-out rows are judged by, and which way is better."""

from __future__ import annotations

LOWER_IS_BETTER = frozenset({"loss", "mean_squared_error", "mean_absolute_error"})


def improves(metric: str, value: float, best: float | None, min_delta: float) -> bool:
    """Whether `value` is better than `best` by more than the relative change `min_delta`; anything beats nothing."""
    if value != value:
        return False
    if best is None:
        return True
    if metric in LOWER_IS_BETTER:
        return value < best - abs(best) * min_delta
    return value > best + abs(best) * min_delta
