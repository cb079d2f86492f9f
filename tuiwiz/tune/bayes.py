"""Bayesian search: the preset, a grid's best and a quasi-random start, then the sampler (TPE); and when to stop.

The number of trials decides how much may be searched (Google's tuning playbook): under 10 the rate alone, from 10 on
also the rank, from 25 on dropout, weight decay, warm-up and the batch, whose rate grows with its square root.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten
from tuiwiz.tune.rows import Proposal, Row, new_ones, ranked
from tuiwiz.tune.space import BATCH, RANK, RATE, Dimension, edits_of, rounded

START = 10
"""Trials before the sampler learns from results, Optuna's own default."""
GAIN = 0.003
"""A share of the score below which an improvement is no gain."""
PATIENCE = 8
PATIENCE_SHARE = 0.3
IMPORTANCE_TRIALS = 30
RANKS = (8, 16, 32, 64, 128)
MORE: tuple[Dimension, ...] = (
    Dimension(key="adapter.dropout", values=(0.0, 0.05, 0.1)),
    Dimension(key="optimizer.weight_decay", values=(0.0, 0.01, 0.1)),
    Dimension(key="schedule.warmup", values=(0.03, 0.1)),
)
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)


def default_space(base: Bundle, ranges: Mapping[str, tuple[float, float]], trials: int | None) -> tuple[Dimension, ...]:
    """What so many trials can search, within the preset's ranges; without one the rate goes from a tenth to ten times
    the base's."""
    rate = base.optimizer.learning_rate
    low, high = ranges.get(RATE, (rounded(rate / 10), rounded(rate * 10)))
    found = [Dimension(key=RATE, low=min(low, rate), high=max(high, rate), log=True)]
    adapters = base.adapter.method in ("lora", "qlora")
    if adapters and (trials is None or trials >= 10):
        least, most = ranges.get(RANK, (RANKS[0], RANKS[-1]))
        ranks = sorted({*(rank for rank in RANKS if least <= rank <= most), base.adapter.rank})
        found.append(Dimension(key=RANK, values=tuple(ranks)))
    if trials is not None and trials >= 25:
        rows = base.batch.effective
        found.append(Dimension(key=BATCH, values=tuple(sorted({max(1, rows // 2), rows, rows * 2}))))
        found += [one for one in MORE if adapters or not one.key.startswith("adapter.")]
    return tuple(one for one in found if len(one.values) != 1)


def wider(space: Sequence[Dimension], ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """In words, where a space goes beyond what the preset's evidence covers."""
    notes = []
    for one in space:
        numbers = [float(x) for x in (one.values or (one.low, one.high)) if isinstance(x, int | float)]
        covered = ranges.get(one.key)
        if covered and numbers and (min(numbers) < covered[0] or max(numbers) > covered[1]):
            notes.append(f"{one.words} goes beyond {covered[0]:g} to {covered[1]:g}, which the evidence covers")
    return notes


def outside(base: Bundle, space: Sequence[Dimension], edits: Mapping[str, Any]) -> dict[str, Any]:
    """What of an earlier trial lies outside of what is searched, by key."""
    flat = {**flatten(base), **edits}
    return {one.key: flat.get(one.key) for one in space if not one.holds(flat.get(one.key))}


class Bayes:
    """`first`: edits that are tried before anything else, such as a grid's best."""

    def __init__(
        self,
        base: Bundle,
        space: Sequence[Dimension],
        *,
        trials: int | None,
        first: Sequence[Mapping[str, Any]] = (),
        lower: bool = True,
    ) -> None:
        self.base, self.space, self.trials, self.first, self.lower = base, tuple(space), trials, tuple(first), lower

    @property
    def least(self) -> int:
        return self.trials or START

    @property
    def start(self) -> int:
        """Trials that are laid down beforehand: at most half of all."""
        return START if self.trials is None else max(2, min(START, self.trials // 2))

    def propose(self, rows: Sequence[Row]) -> list[Proposal] | None:
        """The start; later an empty list, which leaves the choice to the sampler; None when more is no use."""
        if new := new_ones(self._start(), rows):
            return new
        return None if self.no_gain(rows) else []

    def _start(self) -> list[Proposal]:
        flat = flatten(self.base)
        given = [({one.key: flat.get(one.key) for one in self.space}, "preset")]
        given += [({one.key: {**flat, **edits}.get(one.key) for one in self.space}, "grid") for edits in self.first]
        found = [self._proposal(params, label) for params, label in given if self._inside(params)]
        point = 1
        while len(found) < self.start:
            params = {one.key: one.at(halton(point, _PRIMES[i % 10])) for i, one in enumerate(self.space)}
            found.append(self._proposal(params, "start"))
            point += 1
        return found

    def _inside(self, params: Mapping[str, Any]) -> bool:
        return all(one.holds(params[one.key]) for one in self.space)

    def _proposal(self, params: dict[str, Any], label: str) -> Proposal:
        edits = edits_of(params, self.base, self.space)
        return Proposal(edits=edits, label=label, stage="start", params=params)

    def no_gain(self, rows: Sequence[Row]) -> str:
        """Why further trials would be of no use, in words; empty while they may be."""
        over = [row for row in sorted(rows, key=lambda row: row.number) if row.over]
        window = max(PATIENCE, math.ceil(PATIENCE_SHARE * len(over)))
        # The start is not the sampler's: it gets its chance first.
        before = over[: len(over) - window]
        if len(before) < self.start:
            return ""
        best, now = ranked(before, lower=self.lower), ranked(over, lower=self.lower)
        if not best or best[0].score is None or now[0].score is None:
            return ""
        gain = abs(now[0].score - best[0].score)
        if gain > GAIN * abs(best[0].score):
            return ""
        return f"the last {window} trials gained less than {GAIN:.1%}"


def halton(index: int, base: int) -> float:
    """The number `index` (from 1) of the van der Corput sequence: spreads evenly however many are taken."""
    share, result = 1.0, 0.0
    while index > 0:
        share /= base
        result += share * (index % base)
        index //= base
    return result
