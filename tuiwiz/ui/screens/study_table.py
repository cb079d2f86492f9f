"""The table of trials: a column for each setting that differs, as many as the width has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from tuiwiz.base.text import clean_line
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.board import keys_of, value_of
from tuiwiz.tune.rows import Row
from tuiwiz.tune.space import shown
from tuiwiz.tune.study import Question
from tuiwiz.ui.words import clock

TONES = {
    "running": "$accent",
    "finished": "",
    "pruned": "$dim",
    "infeasible": "$warn",
    "failed": "$bad",
    "waiting": "$dim",
}
EACH = 15
"""Width of a column: `learning_rate` and two blanks."""


@dataclass(frozen=True, slots=True)
class Columns:
    keys: tuple[str, ...]
    label: int
    """Width of the label, 0 where trials have none."""
    reason: int
    text: str


def heading(rows: Sequence[Row], question: Question, width: int) -> Columns:
    """Columns that fit, and their heading."""
    fixed = 6 + 11 + 9 + 8 + 10
    labelled = question.method == "ablate"
    label = min(24, max(10, width - fixed - 2 * EACH)) if labelled else 0
    room = max(0, width - fixed - label)
    keys = tuple(keys_of(rows)[: room // EACH])
    text = f"{'trial':<6}{'state':<11}{question.metric[:8]:>9}{'step':>8}{'time':>10}"
    text += f"  {'arm':<{label - 2}}" if label else ""
    text += "".join(f"{key.rpartition('.')[2][: EACH - 2]:>{EACH}}" for key in keys)
    return Columns(keys, label, max(0, room - EACH * len(keys) - 2), text)


def line_of(row: Row, columns: Columns, base: Bundle, *, best: bool, letter: str) -> Content:
    """One trial."""
    score = f"{row.score:.4f}" if row.score is not None else "-"
    step = f"{row.step}/{row.steps}" if row.steps and row.step < row.steps else str(row.step or "-")
    time = clock(row.seconds) if row.seconds else "-"
    label = f"  {clean_line(row.label, columns.label - 2):<{columns.label - 2}}" if columns.label else ""
    values = "".join(f"{shown(value_of(row, key, base))[: EACH - 2]:>{EACH}}" for key in columns.keys)
    room = columns.reason
    reason = f"  {clean_line(row.reason, room)}" if row.reason and room > 10 else ""
    return Content.assemble(
        (f"{letter or row.number!s:<2}", "bold" if letter else ""),
        (f"{'#' + str(row.number) if letter else '':<4}", "$dim"),
        (f"{row.state:<11}", TONES[row.state]),
        (f"{score:>9}", "$good bold" if best else ""),
        f"{step:>8}{time:>10}{label}{values}",
        (reason, "$dim"),
    )
