"""Grid: the learning rate times {1/3, 1, 3}, then the rank at the best rate; or every combination of given values.

Where the best rate stands on the edge of those tried, the next one beyond it is tried, until the best is inside.
Recommended in "LoRA Without Regret" (Thinking Machines 2025) and Google's tuning playbook.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.change import change
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.rows import Proposal, Row, new_ones, ranked, row_of
from tuiwiz.tune.space import FIXED, RANK, RATE, Dimension, rounded, same_rows, shown

FACTORS = (1 / 3, 1.0, 3.0)
RANKS = (16, 64)
STEP = 3.0
MOST_EXTENSIONS = 3
FURTHER = 2
"""Values beyond an edge that a next grid should try."""


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
        """In words, on which edges the best trial still stands; empty when it is inside."""
        found = []
        for key, (best, tried) in self._edges(rows).items():
            side = "smallest" if best == tried[0] else "largest"
            found.append(f"the best {key} is the {side} that was tried ({shown(best)})")
        return "; ".join(found)

    def onward(self, rows: Sequence[Row]) -> list[str]:
        """What `--over` would have to say for a grid beyond the edges on which the best trial stands, from it on; empty
        where it is inside, or where nothing beyond is allowed."""
        edges, best = self._edges(rows), next(iter(ranked(rows, lower=self.lower)), None)
        if best is None or not edges:
            return []
        beyond = {key: self._beyond(key, *known) for key, known in edges.items()}
        if not any(beyond.values()):
            return []
        searched = {key: value for key, value in best.edits.items() if key not in FIXED}
        return [
            f"{key}={','.join(shown(one) for one in (value, *beyond.get(key, ())))}" for key, value in searched.items()
        ]

    def _edges(self, rows: Sequence[Row]) -> dict[str, tuple[float, list[float]]]:
        """Keys whose best value is the least or the most of three or more, with it and all that were tried."""
        best = next(iter(ranked(rows, lower=self.lower)), None)
        found = {}
        for key, value in best.edits.items() if best is not None else ():
            tried = sorted({row.edits[key] for row in rows if isinstance(row.edits.get(key), int | float)})
            if key not in FIXED and not isinstance(value, bool) and len(tried) > 2 and value in (tried[0], tried[-1]):
                found[key] = (value, tried)
        return found

    def _beyond(self, key: str, best: float, tried: Sequence[float]) -> list[float]:
        """Up to `FURTHER` values that go on as those that were tried come to the edge, as far as a bundle may have
        them: times the last ratio, or plus the last difference where a value is zero or they lie evenly."""
        before = tried[1] if best == tried[0] else tried[-2]
        even = len({rounded(high - low) for low, high in itertools.pairwise(tried)}) == 1
        found: list[float] = []
        for number in range(1, FURTHER + 1):
            by_sum = even or tried[0] <= 0
            value = best + number * (best - before) if by_sum else best * (best / before) ** number
            value = round(value) if isinstance(best, int) else rounded(value)
            try:
                change(self.base, {key: value})
            except InvalidError:
                break
            if value not in (best, *found):
                found.append(value)
        return found

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
