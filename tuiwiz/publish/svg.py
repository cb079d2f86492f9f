"""Charts as SVG that is complete without its script: the script only adds the read-out under the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

from tuiwiz.publish.facts import Chart

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 80, 12, 14, 30


def chart_svg(chart: Chart) -> str:
    """One chart. Points travel along as JSON for the read-out."""
    points = [point for curve in chart.curves for point in curve.points]
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _range([y for _, y in points])
    x1 = x1 if x1 > x0 else x0 + 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        down = TOP + (high - min(max(y, low), high)) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    parts = [_grid(x0, x1, low, high, place)]
    for number, curve in enumerate(chart.curves):
        if not curve.points:
            continue
        dots = [place(x, y) for x, y in curve.points]
        if curve.kind == "dots":
            parts.append("".join(f'<circle class="c{number} dot" cx="{x}" cy="{y}" r="4"/>' for x, y in dots))
        else:
            path = " ".join(f"{x},{y}" for x, y in dots)
            parts.append(f'<polyline class="c{number} {curve.kind}" points="{path}"/>')
    data = {
        "x": [x0, x1],
        "y": [low, high],
        "box": [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM],
        "curves": [{"name": curve.name, "points": curve.points} for curve in chart.curves if curve.points],
    }
    legend = "".join(
        f'<span class="key k{number}">{escape(curve.name)}</span>'
        for number, curve in enumerate(chart.curves)
        if curve.points and len(chart.curves) > 1
    )
    # "<" must not end the script element early.
    held = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)} {legend}<output></output></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)} over steps" tabindex="0">'
        f'{"".join(parts)}<line class="cross" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/></svg>'
        f'<script type="application/json">{held}</script></figure>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values without their outermost hundredth: one spike must not flatten the rest."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    low, high = ordered[cut], ordered[-1 - cut]
    if high - low <= abs(high) * 1e-9:
        half = abs(high) * 0.5 or 1.0
        return low - half, high + half
    air = 0.05 * (high - low)
    return low - air, high + air


def _grid(x0: float, x1: float, low: float, high: float, place: object) -> str:
    assert callable(place)
    parts = []
    for value in ticks(low, high, 5):
        _, y = place(x0, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{number(value)}</text>')
    for value in ticks(x0, x1, 8):
        x, _ = place(value, low)
        parts.append(f'<text x="{x}" y="{HEIGHT - 10}" text-anchor="middle">{number(value)}</text>')
    return "".join(parts)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between `low` and `high`."""
    raw = (high - low) / most
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * base for factor in (1, 2, 5, 10) if factor * base >= raw * (1 - 1e-9))
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def number(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.4g}"
