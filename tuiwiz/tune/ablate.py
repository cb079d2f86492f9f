"""Ablation: one factor at a time is removed or changed against a baseline, over the same seeds in the same row order.

The seed decides the start of the adapters, dropout and the order of rows, so that a pair of runs with one seed differs
in the factor alone. With `retune` each arm gets the best of three rates first: at one fixed rate an arm may lose
because of the rate (Google's tuning playbook).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.bundle.change import change
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten
from tuiwiz.tune.grid import FACTORS
from tuiwiz.tune.rows import Proposal, Row, new_ones, ranked, row_of
from tuiwiz.tune.space import RATE, parse_over, rounded, same_rows, shown
from tuiwiz.tune.stats import Decided, decide

SEEDS = 5
BASELINE = "baseline"
MARGIN = 0.003
"""Share of the baseline's score within which a difference does not matter, unless told."""
NAMES: dict[str, tuple[str, Any]] = {
    "dropout": ("adapter.dropout", 0.0),
    "residual_dropout": ("regularization.residual_dropout", 0.0),
    "label_smoothing": ("regularization.label_smoothing", 0.0),
    "neftune": ("regularization.neftune", 0.0),
    "weight_decay": ("optimizer.weight_decay", 0.0),
    "warmup": ("schedule.warmup", 0.0),
    "packing": ("data.packing", False),
}
"""Factors by name: the key and what it is without the factor."""


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline, without edits, or what is changed."""

    name: str
    edits: dict[str, Any] = {}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An arm against the baseline. The difference is arm minus baseline in the study's metric; `seconds` is what the
    arm's runs took more or less, as a share of the baseline's. `decided` is None below two pairs."""

    name: str
    pairs: int
    lost: int
    decided: Decided | None
    better: bool | None
    seconds: float | None


def parse_factors(bundle: Bundle, texts: Sequence[str]) -> tuple[Arm, ...]:
    """Arms as typed: a factor's name, `data:PATH`, `key=value`.

    Raises:
        UsageError: no such factor, one that the bundle does not use, or one twice.
        InvalidError: the bundle cannot be without it.
    """
    arms: dict[str, Arm] = {}
    for text in texts:
        arm = Arm(name=text, edits=_edits(bundle, text))
        if text in arms:
            raise UsageError(f"the factor {text!r} is named twice", hint="name each once")
        flat = flatten(bundle)
        if all(flat.get(key) == value for key, value in arm.edits.items()):
            raise UsageError(
                f"the factor {text!r} changes nothing: the bundle has {shown(next(iter(arm.edits.values())))} already",
                hint="name a factor that the bundle uses, or key=value",
            )
        try:
            change(bundle, arm.edits)
        except InvalidError as error:
            raise InvalidError(
                f"without {text!r} the bundle is invalid: {error.message}", hint=error.hint, problems=error.problems
            ) from error
        arms[text] = arm
    if not arms:
        raise UsageError("no factor is named", hint=f"--factor {', '.join(NAMES)}, data:PATH or key=value")
    return tuple(arms.values())


def _edits(bundle: Bundle, text: str) -> dict[str, Any]:
    if "=" in text:
        (dimension,) = parse_over(bundle, [text])
        if len(dimension.values) != 1:
            raise UsageError(f"{text!r} is more than one value", hint="an arm is one value: repeat --factor")
        return {dimension.key: dimension.values[0]}
    kind, _, name = text.partition(":")
    if kind == "data" and name:
        return {"data.train": _without(bundle, name)}
    if text in NAMES:
        key, value = NAMES[text]
        return {key: value}
    close = nearest(text, NAMES)
    hint = f"did you mean {close}?" if close else f"known are {', '.join(NAMES)}, data:PATH and key=value"
    raise UsageError(f"there is no factor {text!r}", hint=hint)


def _without(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    sets = bundle.data.train
    paths = [sets] if isinstance(sets, str) else [one.path for one in sets]
    if name not in paths:
        raise UsageError(f"{name!r} is no training set of the bundle", hint=f"it has {', '.join(paths)}")
    if isinstance(sets, str) or len(sets) == 1:
        raise UsageError("without its only training set there is nothing to train", hint="name another factor")
    return [msgspec.to_builtins(one) for one in sets if one.path != name]


class Ablate:
    """The trials of an ablation: every arm with every seed."""

    def __init__(
        self, base: Bundle, arms: Sequence[Arm], *, seeds: int = SEEDS, retune: bool = False, lower: bool = True
    ) -> None:
        self.base, self.retune, self.lower = base, retune, lower
        self.arms = (Arm(name=BASELINE), *arms)
        self.seeds = tuple(base.seed + number for number in range(seeds))

    @property
    def least(self) -> int:
        # The middle of the three rates is the first seed's own run.
        return len(self.arms) * (len(self.seeds) + (len(FACTORS) - 1 if self.retune else 0))

    def propose(self, rows: Sequence[Row]) -> list[Proposal] | None:
        """Seed by seed through all arms, so that a study that is cut short still holds whole pairs."""
        if self.retune:
            if new := new_ones([one for arm in self.arms for one in self._rates(arm)], rows):
                return new
            if any(not row.over for row in rows if row.stage == "rate"):
                return []
        wanted = [self._trial(arm, seed, rows) for seed in self.seeds for arm in self.arms]
        if new := new_ones(wanted, rows):
            return new
        return [] if any(not row.over for row in rows) else None

    def judge(self, rows: Sequence[Row], margin: float | None = None) -> list[Judged]:
        """Every arm against the baseline; `margin` in the metric's own unit."""
        baseline = self._scores(self.arms[0], rows)
        scores = [row.score for row in baseline.values() if row.score is not None]
        if margin is None:
            margin = MARGIN * abs(statistics.fmean(scores)) if scores else 0.0
        return [self._judged(arm, baseline, rows, margin) for arm in self.arms[1:]]

    def _judged(self, arm: Arm, baseline: dict[int, Row], rows: Sequence[Row], margin: float) -> Judged:
        own = self._scores(arm, rows)
        pairs = [
            (own[seed], baseline[seed])
            for seed in self.seeds
            if seed in own and seed in baseline and own[seed].score is not None and baseline[seed].score is not None
        ]
        differences = [(one.score or 0.0) - (other.score or 0.0) for one, other in pairs]
        decided = decide(differences, margin) if len(pairs) > 1 else None
        better = None
        if decided is not None and decided.verdict == "differs":
            better = (decided.mean < 0) == self.lower
        before = sum(other.seconds for _, other in pairs)
        return Judged(
            name=arm.name,
            pairs=len(pairs),
            lost=sum(row.state in ("infeasible", "failed") for row in own.values()),
            decided=decided,
            better=better,
            seconds=sum(one.seconds for one, _ in pairs) / before - 1 if before else None,
        )

    def _scores(self, arm: Arm, rows: Sequence[Row]) -> dict[int, Row]:
        found = {}
        for seed in self.seeds:
            row = row_of(self._trial(arm, seed, rows).edits, rows)
            if row is not None and row.over:
                found[seed] = row
        return found

    def _trial(self, arm: Arm, seed: int, rows: Sequence[Row]) -> Proposal:
        edits = same_rows({**arm.edits, "seed": seed}, self.base)
        if self.retune:
            edits[RATE] = self._best_rate(arm, rows)
        return Proposal(edits=edits, label=arm.name, stage="pair")

    def _rates(self, arm: Arm) -> list[Proposal]:
        start = float(arm.edits.get(RATE, self.base.optimizer.learning_rate))
        found = []
        for factor in FACTORS:
            edits = same_rows({**arm.edits, RATE: rounded(start * factor), "seed": self.seeds[0]}, self.base)
            found.append(Proposal(edits=edits, label=arm.name, stage="rate"))
        return found

    def _best_rate(self, arm: Arm, rows: Sequence[Row]) -> float:
        tried = [row for one in self._rates(arm) if (row := row_of(one.edits, rows)) is not None]
        best = ranked(tried, lower=self.lower)
        start = float(arm.edits.get(RATE, self.base.optimizer.learning_rate))
        return float(best[0].edits[RATE]) if best else rounded(start)
