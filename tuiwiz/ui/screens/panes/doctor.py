"""Pane 9: what the doctor found, the numbers behind it, and the one change to try."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.words import change_words, evidence_words
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, paragraph, quiet
from tuiwiz.ui.screens.panes.samples import wrap

TONES = {"info": "$dim", "warning": "$warn", "error": "$bad"}


def doctor(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Faults first, the one to treat first on top; then what is still being waited for."""
    findings, faults = snapshot.findings, snapshot.faults
    if not findings:
        return quiet("the first judgement comes after some steps")
    judged = sum(one.verdict == "no" for one in findings)
    waiting = [one for one in findings if one.verdict == "unknown"]
    out: list[Content] = []
    for number, one in enumerate(faults):
        out += [*finding_lines(one, width, glyphs, first=not number), Content("")]
    if not faults and not judged:
        out.append(quiet("nothing to judge yet"))
    elif not faults:
        out.append(Content.assemble((f" {glyphs.good} ", "$good"), f"nothing wrong by {judged} rules"))
    else:
        out.append(quiet(f"{judged} rules found nothing"))
    if waiting:
        out.append(quiet(f"{len(waiting)} rules need more data:"))
        for one in waiting:
            needs = line_of(str(one.evidence.get("needs", "")), glyphs, width - 24)
            out.append(Content.styled(f"   {one.rule.replace('_', ' '):<20} {needs}", "$dim"))
    return lines(*out)


def finding_lines(one: Finding, width: int, glyphs: Glyphs, *, first: bool = False) -> list[Content]:
    """One fault: title, numbers, change, what else."""
    mark = glyphs.bullet if one.severity == "info" else glyphs.warn
    title = wrap(f"{line_of(one.title, glyphs)} ({one.id})", width - 14)
    head = [(f" {mark} {one.severity:<8} ", TONES[one.severity]), (title[0], "bold")]
    out = [
        Content.assemble(*head),
        *(Content.styled(f"{'':<12}{rest}", "bold") for rest in title[1:]),
        paragraph("  because", line_of(evidence_words(one), glyphs), width, "$dim"),
    ]
    if one.change:
        key = " (F writes it)" if first else ""
        out.append(paragraph("  try", line_of(change_words(one) + key, glyphs), width, "$accent"))
    if one.advice:
        out.append(paragraph("  then" if one.change else "  do", line_of(one.advice, glyphs), width))
    return out
