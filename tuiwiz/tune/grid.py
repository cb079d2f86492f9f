"""Grid: the learning rate times {1/3, 1, 3}, then the rank at the best rate; or every combination of given values.

Where the best rate stands on the edge of those tried, the next one beyond it is tried, until the best is inside.
Recommended in "LoRA Without Regret" (Thinking Machines 2025) and Google's tuning playbook.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.rows import Proposal, Row, new_ones, ranked, row_of
from tuiwiz.tune.space import RANK, RATE, Dimension, rounded, same_rows, shown

FACTORS = (1 / 3, 1.0, 3.0)
RANKS = (16, 64)
STEP = 3.0
MOST_EXTENSIONS = 3


class Grid:
    """The trials of a grid, stage by stage."""

    def __init__(self, base: Bundle, over: Sequence[Dimension] = (), *, lower: bool = True) -> None:
        self.base, self.over, self.lower = base, tuple(over), lower

    @property
    def adapters(self) -> bool:
        return self.base.adapter.method in ("lora", "qlora")

    @property
    def least(self) -> int:
        """Trials that are surely wanted."""
        if self.over:
            return len(self._product())
        return len(FACTORS) + (len(self._ranks()) if self.adapters else 0)

    def propose(self, rows: Sequence[Row]) -> list[Proposal] | None:
        """Trials that can be run now and are none yet; an empty list while others must end first; None at the end."""
        wanted = self._product() if self.over else self._rates(rows)
        if new := new_ones(wanted, rows):
            return new
        if any(not row.over for row in rows):
            return []
        if self.over or not self.adapters:
            return None
        best = self.best_rate(rows)
        if best is None:
            return None
        ranks = [Proposal(edits={RATE: best, RANK: rank}, label=f"rank {rank}", stage="rank") for rank in self._ranks()]
        return new_ones(ranks, rows) or None

    def best_rate(self, rows: Sequence[Row]) -> float | None:
        found = ranked([row for row in rows if row.stage == "rate"], lower=self.lower)
        return float(found[0].edits[RATE]) if found else None

    def edge(self, rows: Sequence[Row]) -> str:
        """In words, on which edge the best trial still stands; empty when it is inside."""
        best = next(iter(ranked(rows, lower=self.lower)), None)
        if best is None:
            return ""
        for key in best.edits:
            tried = sorted({row.edits[key] for row in rows if isinstance(row.edits.get(key), int | float)})
            if len(tried) > 2 and best.edits[key] in (tried[0], tried[-1]) and not isinstance(best.edits[key], bool):
                side = "smallest" if best.edits[key] == tried[0] else "largest"
                return f"the best {key} is the {side} that was tried ({shown(best.edits[key])})"
        return ""

    def _rates(self, rows: Sequence[Row]) -> list[Proposal]:
        rates = [rounded(self.base.optimizer.learning_rate * factor) for factor in FACTORS]
        for _ in range(MOST_EXTENSIONS):
            tried = [row_of({RATE: rate}, rows) for rate in rates]
            if not all(row is not None and row.over for row in tried):
                break
            best = self.best_rate([row for row in tried if row is not None])
            if best is None or best == min(rates):
                # Where nothing could be trained, only a lower rate can.
                rates.append(rounded(min(rates) / STEP))
            elif best == max(rates):
                rates.append(rounded(max(rates) * STEP))
            else:
                break
        return [Proposal(edits={RATE: rate}, label=f"rate {shown(rate)}", stage="rate") for rate in rates]

    def _ranks(self) -> list[int]:
        return [rank for rank in RANKS if rank != self.base.adapter.rank]

    def _product(self) -> list[Proposal]:
        found = []
        for values in itertools.product(*(one.values for one in self.over)):
            edits = {one.key: value for one, value in zip(self.over, values, strict=True)}
            label = ", ".join(f"{key.rpartition('.')[2]} {shown(value)}" for key, value in edits.items())
            found.append(Proposal(edits=same_rows(edits, self.base), label=label, stage="grid"))
        return found
