"""How `tuiwiz data check` and `data show` are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuiwiz.data.check import Report
    from tuiwiz.data.types import PreviewRow, Segment

_MARKS = {True: ("⟦", "⟧", "⟪cut: ", "⟫"), False: ("[[", "]]", "{{cut: ", "}}")}
_COLOURS = {"trained": "\x1b[32m", "truncated": "\x1b[9;2m", "context": "\x1b[2m"}


def print_report(file: Path, report: Report) -> None:
    from tuiwiz.base.text import clean_line
    from tuiwiz.cli.output import note, problem_lines, say

    for line in problem_lines(report.problems):
        say(line)
    if report.format != "none":
        mapping = ", ".join(f"{role} = {clean_line(column, 40)}" for role, column in report.mapping.items())
        say(f"format   {report.format}{f' ({mapping})' if mapping else ''}")
    unusable = report.rows - report.usable_rows
    left_out = f", {unusable:,} left out" if unusable else ""
    say(f"rows     {report.rows:,}, {report.usable_rows:,} usable{left_out}")
    if report.sets:
        say(f"a pass   {report.sequences:,} rows of {len(report.sets)} sets, which tokens and lengths are of")
    if report.classes is not None:
        say(f"classes  {report.classes:,}")
    if report.tokens:
        about = "about " if report.estimated else ""
        share = f", {100 * report.supervised_tokens / report.tokens:.0f} % trained" if report.supervised_tokens else ""
        say(f"tokens   {about}{report.tokens:,}{share}")
        lengths = report.lengths
        say(f"lengths  median {lengths.p50:,}, 95 % up to {lengths.p95:,}, longest {lengths.max:,}")
    if report.ok:
        counted = f"counted with {report.tokenizer}, rows up to {report.max_length} tokens"
        note(counted if report.tokenizer else "no tokenizer at hand: --model FOLDER names one")
    beside = f" and {len(report.sets) - 1} more" if report.sets else ""
    say(f"{file}{beside}: {'accepted' if report.ok else 'refused'}")
    if report.fix is not None:
        for what, count in report.fix.changes.items():
            say(f"fix      {count:,} row{'s' if count > 1 else ''}: {what}")
        say(f"fix      {report.fix.rows_out:,} of {report.fix.rows_in:,} rows written to {report.fix.output}")
        note(f"every change is listed in {report.fix.report}")


def print_row(row: PreviewRow) -> None:
    """One row in place. The marks are text, so they survive pipes and terminals without colour."""
    import os
    import sys

    from tuiwiz.cli.output import is_dumb, problem_lines, say

    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not is_dumb()
    counts = f", {row.tokens:,} tokens, {row.supervised_tokens:,} trained" if row.tokens is not None else ""
    say(f"── row {row.row}{f' (line {row.line})' if row.line else ''}{counts}" if utf8 else f"-- row {row.row}{counts}")
    if row.problem is not None:
        for line in problem_lines([row.problem]):
            say(line)
    if row.label:
        say(f"label: {row.label}")
    encoding = sys.stdout.encoding or "utf-8"
    for title, stretches in (("", row.segments), ("worse answer:", row.other)):
        if title and stretches:
            say(title)
        if stretches or not title:
            text = _marked(stretches, utf8=utf8, colour=colour)
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def _marked(stretches: Sequence[Segment], *, utf8: bool, colour: bool) -> str:
    """Text with the marks of what is trained and what is cut off."""
    from tuiwiz.base.text import clean

    start, end, cut, cut_end = _MARKS[utf8]
    parts = []
    for segment in stretches:
        text = clean(segment.text)
        if segment.mark == "trained":
            text = f"{start}{text}{end}"
        elif segment.mark == "truncated":
            text = f"{cut}{text}{cut_end}"
        parts.append(f"{_COLOURS[segment.mark]}{text}\x1b[0m" if colour else text)
    return "".join(parts)
