"""What the preset screens show, as text: the rows of the gallery, a preset's page, two presets beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from textual.content import Content

from tuiwiz.base.text import clean_line
from tuiwiz.presets.bands import BAND_NAMES, band_words
from tuiwiz.presets.choose import coverage
from tuiwiz.presets.explain import why_words
from tuiwiz.presets.find import all_presets
from tuiwiz.presets.nearest import figures
from tuiwiz.presets.preset import Result
from tuiwiz.presets.resolve import LEARNING_RATE, Resolved, resolve
from tuiwiz.presets.share import sources
from tuiwiz.presets.tiers import tier_words
from tuiwiz.presets.when import Context
from tuiwiz.presets.write import digest_of
from tuiwiz.spec.fields import choices
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.widgets.spark import progress
from tuiwiz.wizard.work import shown

FIRST = (LEARNING_RATE, "batch.effective", "schedule.epochs", "schedule.warmup", "schedule.kind", "adapter.rank",
         "adapter.alpha", "adapter.dropout")  # fmt: skip
"""Keys that a page shows first: what decides most comes before the rest, which is in order of the alphabet."""
GRADES = {"A": "$good", "B": "$accent", "C": "$warn"}


@dataclass(frozen=True)
class Row:
    """One preset for one task and method; `grades` by band, of the learning rate."""

    name: str
    task: str
    method: str
    grades: dict[str, str] = field(default_factory=dict)
    shipped: bool = True
    results: int = 0

    @property
    def key(self) -> str:
        return f"{self.name} {self.task} {self.method}"

    def fits(self, words: Sequence[str]) -> bool:
        """Whether every word is part of what the row says: name, task, method, `own`, `measured`, or a grade alone.

        A method is meant as it stands: `lora` is no `qlora`.
        """
        about = f"{self.key} {'' if self.shipped else 'own'} {'measured' if self.results else ''}".lower()
        marks = set(self.grades.values())
        methods = choices("adapter.method")
        return all(
            word.upper() in marks if len(word) == 1
            else word.lower() == self.method if word.lower() in methods
            else word.lower() in about
            for word in words
        )  # fmt: skip


def rows() -> list[Row]:
    """The whole gallery, the user's own presets first."""
    known = all_presets().presets
    grades: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in coverage(known):
        grades.setdefault((one.name, one.task, one.method), {})[one.band] = one.grade or "-"
    found = [
        Row(name, task, method, bands, known[name].shipped, len(known[name].results))
        for (name, task, method), bands in grades.items()
    ]
    return sorted(found, key=lambda row: (row.shipped, row.task, row.name))


def heading() -> Content:
    bands = "".join(f"{band:>4}" for band in BAND_NAMES)
    return Content.styled(f"{'preset':<18}{'task':<10}{'method':<8}{bands}", "$dim")


def row_text(row: Row, *, marked: bool = False) -> Content:
    parts: list[tuple[str, str]] = [(f"{clean_line(row.name, 17):<18}", "bold" if marked else "")]
    parts.append((f"{row.task:<10}{row.method:<8}", ""))
    for band in BAND_NAMES:
        grade = row.grades.get(band, "")
        parts.append((f"{grade:>4}", GRADES.get(grade, "$dim")))
    note = " marked" if marked else " own" if not row.shipped else ""
    measured = f" {row.results} result{'s' if row.results > 1 else ''}" if row.results else ""
    parts.append((note + measured, "$accent"))
    return Content.assemble(*parts)


def resolved(row: Row, band: str) -> Resolved:
    """The preset's values for its row and one band."""
    known = all_presets().presets
    return resolve(known[row.name], Context(task=row.task, band=band, method=row.method), known)


def ordered(values: Sequence[str]) -> list[str]:
    return [key for key in FIRST if key in values] + sorted(key for key in values if key not in FIRST)


def page(row: Row, band: str, width: int, glyphs: Glyphs) -> Content:
    """Values with their reasons, what was measured, and where the preset is from."""
    preset, found = all_presets().presets[row.name], resolved(row, band)
    grade = found.grade or "-"
    fits = tier_words(row.task, row.method, band)
    lines = [Content.assemble((f"{band_words(band)}, grade {grade}", GRADES.get(grade, "")), (f", {fits}", "$dim"))]
    lines += _results(preset.results, width, glyphs)
    for key in ordered(list(found.values)):
        why = found.why[key]
        lines.append(Content.assemble((key, "bold"), "  ", clean_line(shown(found.values[key]), 60)))
        text = clean_line(why_words(why)) or "no reason given"
        lines += [Content.styled(f"    {part}", "$dim") for part in textwrap.wrap(text, max(30, width - 6))]
    source = sources().get(row.name)
    where = f"from {source.source}" if source is not None else "comes with tuiwiz" if row.shipped else "your own"
    if source is not None:
        where += f", {source.signed(digest_of(preset))}"
    extends = f", extends {preset.extends}" if preset.extends else ""
    lines.append(Content.styled(clean_line(f"{where}{extends}: {preset.path}"), "$faint"))
    return Content("\n").join(lines)


def _results(results: Sequence[Result], width: int, glyphs: Glyphs) -> list[Content]:
    """Measured runs as bars of how far the metric fell, the best one first."""
    if not results:
        return []
    found = sorted(results, key=lambda one: one.value if one.value is not None else float("inf"))
    most = max((one.first or one.value or 0.0 for one in found), default=0.0) or 1.0
    lines = [Content.styled("measured", "bold")]
    room = max(8, min(24, width // 4))
    for one in found[:8]:
        words = ", ".join(f"{name} {clean_line(text, 40)}" for name, text in figures(one))
        if one.value is None:
            lines.append(Content(f"    {words}"))
            continue
        full, rest = progress(max(0.0, min(1.0, one.value / most)), room, glyphs)
        lines.append(Content.assemble("    ", (full, "$accent"), (rest, "$faint"), f" {words}"))
    return lines


def beside(one: Row, other: Row, band: str, width: int) -> Content:
    """Two presets: every key in which they differ, with the reasons below, then what they share."""
    a, b = resolved(one, band), resolved(other, band)
    keys = ordered(sorted(a.values.keys() | b.values.keys()))
    differing = [key for key in keys if a.values.get(key) != b.values.get(key)]
    column = max(12, min(26, (width - 34) // 2))
    head = f"{'':<30}{'first':<{column}}second"
    named = [
        Content.styled(f"{place:<7} {row.name}  {row.task}, {row.method}, grade {row.grades.get(band, '-')}", "bold")
        for place, row in (("first", one), ("second", other))
    ]
    same = [key for key in keys if key not in differing]
    lines = [*named, Content.styled(f"the same in both: {', '.join(same) or 'nothing'}", "$dim")]
    lines.append(Content.styled(head, "bold"))
    for key in differing:
        cells = [clean_line(shown(side.values[key]), column - 1) if key in side.values else "-" for side in (a, b)]
        lines.append(Content(f"{key:<30}{cells[0]:<{column}}{cells[1]}"))
        for name, side in (("first", a), ("second", b)):
            if key in side.why:
                text = f"{name}: {clean_line(why_words(side.why[key])) or 'no reason given'}"
                lines += [Content.styled(f"    {part}", "$dim") for part in textwrap.wrap(text, max(30, width - 6))]
    return Content("\n").join(lines)
