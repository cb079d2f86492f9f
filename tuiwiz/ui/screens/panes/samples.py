"""Pane 5: held-out prompts, the base model's answer beside the answer of now."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.events.types import Sample
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, lines, quiet, text_of


def samples(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """The newest round of samples, newest step first; side by side from 60 cells on."""
    found = snapshot.view.samples
    if not found:
        return quiet("none yet: samples are written with the evaluations")
    step = found[-1].step
    out: list[Content] = []
    for sample in [item for item in found if item.step == step]:
        out += [*sample_lines(sample, width, glyphs), Content("")]
    return lines(*out[:-1])


def sample_lines(sample: Sample, width: int, glyphs: Glyphs, *, most: int = 12) -> list[Content]:
    """One sample: the prompt over two columns (or two blocks), at most `most` lines an answer."""
    out: list[Content] = []
    for number, text in enumerate(wrap(text_of(sample.prompt, glyphs), width - 12)[:3]):
        out.append(Content.assemble((f" {'prompt' if not number else '':<10}", "$dim"), (text, "bold")))
    right = "" if not matches(sample) else f" {glyphs.good}"
    if width >= 60:
        room = (width - 5) // 2
        left_lines = wrap(text_of(sample.base, glyphs), room)[:most]
        right_lines = wrap(text_of(sample.now, glyphs), room)[:most]
        out.append(
            Content.assemble(
                (" " + "base model".ljust(room) + "   ", "$dim"), (f"now, step {sample.step}", "$dim"), (right, "$good")
            )
        )
        for number in range(max(len(left_lines), len(right_lines))):
            left = left_lines[number] if number < len(left_lines) else ""
            now = right_lines[number] if number < len(right_lines) else ""
            out.append(Content.assemble((" " + _pad(left, room) + "   ", "$dim"), now))
    else:
        for label, text, tone in (("base", sample.base, "$dim"), ("now", sample.now, "")):
            for number, line in enumerate(wrap(text_of(text, glyphs), width - 12)[:most]):
                out.append(Content.assemble((f" {label if not number else '':<10}", "$dim"), (line, tone)))
    if sample.expected and not matches(sample):
        for number, line in enumerate(wrap(text_of(sample.expected, glyphs), width - 12)[:3]):
            out.append(Content.styled(f" {'expected' if not number else '':<10}{line}", "$dim"))
    return out


def matches(sample: Sample) -> bool:
    """Whether the answer is the expected one, but for white space at the ends."""
    return bool(sample.expected) and sample.now.strip() == sample.expected.strip()


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces where there are any."""
    out: list[str] = []
    for line in (text.strip() or "(nothing)").split("\n"):
        content = Content(line)
        out += [piece.plain for piece in content.wrap(max(8, width))] if content.cell_length > width else [line]
    return out


def _pad(text: str, width: int) -> str:
    return text + " " * max(0, width - Content(text).cell_length)
