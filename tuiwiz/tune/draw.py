"""Studies in plain text: a curve over a logarithmic axis, the table of trials, what an ablation decided."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuiwiz.base.units import human_duration, human_number
from tuiwiz.tune.ablate import Judged
from tuiwiz.tune.lr import Tested
from tuiwiz.tune.rows import Row
from tuiwiz.tune.space import shown

WIDTH, HEIGHT = 64, 12


def curve(tested: Tested) -> list[str]:
    """The smoothed loss over the rate, with marks below for the given rate (g), the ceiling (c) and divergence (d)."""
    points = [(math.log10(x), y) for x, y in zip(tested.rates, tested.smoothed, strict=True) if y is not None]
    if not points:
        return ["no step had a finite loss"]
    left, right = points[0][0], math.log10(tested.rates[-1])
    low, high = min(y for _, y in points), max(y for _, y in points)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]

    def column(x: float) -> int:
        return round((x - left) / max(1e-9, right - left) * (WIDTH - 1))

    for x, y in points:
        grid[HEIGHT - 1 - round((y - low) / max(1e-9, high - low) * (HEIGHT - 1))][column(x)] = "*"
    lines = []
    for number, row in enumerate(grid):
        value = high - (high - low) * number / (HEIGHT - 1)
        lines.append(f"{value:>8.3f} |{''.join(row)}".rstrip())
    marks = [" "] * WIDTH
    for letter, rate in (("d", tested.divergence), ("c", tested.ceiling), ("g", tested.given)):
        if rate is not None and left <= math.log10(rate) <= right:
            marks[column(math.log10(rate))] = letter
    ends = f"{tested.rates[0]:.0e}".ljust(WIDTH - 6) + f"{10**right:.0e}"
    return [*lines, " " * 9 + "+" + "-" * WIDTH, (" " * 10 + "".join(marks)).rstrip(), " " * 10 + ends]


def row_line(row: Row) -> str:
    """One trial: `  3  finished    2.1034  rate 2e-4   40 s`."""
    what = row.label if row.label and row.stage != "start" else ""
    given = {key.rpartition(".")[2]: value for key, value in row.edits.items() if key != "seed"}
    settings = ", ".join(f"{name} {shown(value)}" for name, value in given.items())
    seed = f"seed {row.edits['seed']}" if "seed" in row.edits else ""
    words = "; ".join(part for part in (what if what not in settings else "", settings[:60], seed) if part)
    score = f"{row.score:>9.4f}" if row.score is not None else " " * 9
    time = human_duration(row.seconds) if row.seconds else ""
    reason = f"  {row.reason[:80]}" if row.reason else ""
    return f"{row.number:>4}  {row.state:<10} {score}  {words:<44} {time}{reason}"


def judged_lines(found: Sequence[Judged], metric: str) -> list[str]:
    """What an ablation decided, one arm after another."""
    lines = []
    for one in found:
        if one.decided is None:
            lines.append(f"{one.name}: cannot tell: {one.pairs} of at least 2 pairs are done")
            continue
        decided = one.decided
        low, high = decided.interval
        numbers = f"{metric} {decided.mean:+.4f} (95 % {low:+.4f} to {high:+.4f}, {decided.pairs} pairs)"
        if decided.verdict == "differs":
            end = "better than the baseline" if one.better else "worse than the baseline"
        elif decided.verdict == "no difference":
            end = f"within {human_number(float(f'{decided.margin:.2g}'))}"
        elif decided.more is None:
            end = "hundreds more runs would be needed: too small to matter"
        else:
            end = f"needs {decided.more} more seed{'s' if decided.more != 1 else ''}"
        cost = f", time {one.seconds:+.0%}" if one.seconds is not None else ""
        lost = f", {one.lost} runs could not be trained" if one.lost else ""
        lines.append(f"{one.name}: {decided.verdict}: {end}; {numbers}{cost}{lost}")
    return lines
