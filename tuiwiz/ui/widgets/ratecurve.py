"""The course of the learning rate over a run that is still being set up, as a few lines of text."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.phases import rate_curve, spans
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.widgets.plot import Curve, Picture, draw
from tuiwiz.ui.widgets.scale import Scale

LOW, HIGH = 3, 8
"""Lines of the small and of the large picture; the large one has an axis of steps."""

_TONES = {"line": "$accent", "rule": "$dim", "label": "$dim", "axis": "$dim"}


def shows_rate(key: str) -> bool:
    """Whether a key's value changes the curve."""
    return key in ("optimizer.learning_rate", "optimizer.name", "phases") or (
        key.startswith("schedule.") and key not in ("schedule.max_hours", "schedule.stop_by")
    )


def rate_lines(bundle: Bundle, total: int, width: int, glyphs: Glyphs, *, large: bool = False) -> list[Content]:
    """The rate of every step of `total`, and in words where it begins, peaks and ends; borders of phases are marked."""
    if total < 2 or width < 20:
        return []
    points = rate_curve(bundle, total, 2 * width)
    rates = [rate for _, rate in points]
    picture = Picture(
        x0=0,
        x1=total - 1,
        scale=Scale(0.0, max(rates)),
        curves=(Curve("line", points=points),),
        rules=[float(span.start) for span in spans(bundle, total)[1:]],
        glyphs=glyphs,
    )
    rows = draw(picture, width, HIGH if large else LOW)
    lines = [Content.assemble(*((text, _TONES.get(style, "")) for text, style in row)) for row in rows]
    peak = max(range(len(points)), key=lambda index: rates[index])
    said = f"{rates[0]:.2g} at step 1, "
    if peak:
        said += f"{rates[peak]:.2g} at step {int(points[peak][0]) + 1:,}, "
    said += f"{rates[-1]:.2g} at the last of {total:,}"
    if bundle.schedule.kind == "plateau":
        said += "; lower from each plateau on"
    return [*lines, Content.assemble((said, "$dim"))]
