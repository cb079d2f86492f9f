"""The result table of a study: one row a trial. Everything that a study concludes is concluded from these rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

RowState = Literal["waiting", "running", "finished", "pruned", "infeasible", "failed"]
OVER: frozenset[str] = frozenset(("finished", "pruned", "infeasible", "failed"))


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that a method wants. `edits`: dotted key -> value on top of the study's base; `params`: the same as the
    sampler's own numbers, where it draws them."""

    edits: dict[str, Any] = {}
    label: str = ""
    stage: str = ""
    params: dict[str, Any] | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One trial.

    Attributes:
        state: infeasible means that the setting itself cannot be trained (diverged, out of memory); failed, that
            something else went wrong.
        score: the best held-out value of the study's metric, None where there is none.
        step: steps done of `steps`; best_step: where the score was reached.
        seconds: from start to end, all attempts together; tokens: those trained on.
        run: the run folder, relative to the study.
    """

    number: int
    state: RowState
    edits: dict[str, Any] = {}
    label: str = ""
    stage: str = ""
    score: float | None = None
    best_step: int | None = None
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    tokens: int = 0
    peak_bytes: int | None = None
    reason: str = ""
    run: str = ""

    @property
    def over(self) -> bool:
        return self.state in OVER


def identity(edits: Mapping[str, Any]) -> str:
    """What tells two trials apart: the same edits are the same trial."""
    return msgspec.json.encode(dict(sorted(edits.items()))).decode()


def new_ones(wanted: Sequence[Proposal], rows: Sequence[Row]) -> list[Proposal]:
    """Those of `wanted` that are no trial yet, each once."""
    known = {identity(row.edits) for row in rows}
    found: dict[str, Proposal] = {}
    for one in wanted:
        if identity(one.edits) not in known:
            found.setdefault(identity(one.edits), one)
    return list(found.values())


def row_of(edits: Mapping[str, Any], rows: Sequence[Row]) -> Row | None:
    """The trial with these edits."""
    wanted = identity(edits)
    return next((row for row in rows if identity(row.edits) == wanted), None)


def ranked(rows: Sequence[Row], *, lower: bool) -> list[Row]:
    """Finished trials, the best first; of equals the earlier."""
    scored = [row for row in rows if row.state == "finished" and row.score is not None and math.isfinite(row.score)]
    return sorted(scored, key=lambda row: ((row.score or 0.0) * (1 if lower else -1), row.number))
