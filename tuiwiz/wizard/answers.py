"""What the user answered and what came of it: the two ends of `compose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.problems import Problem
from tuiwiz.bundle.convert import value_problems
from tuiwiz.presets.choose import Ranked
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import WeightedPath
from tuiwiz.wizard.alternatives import Alternative

if TYPE_CHECKING:
    from tuiwiz.memory.plan import Plan
    from tuiwiz.memory.search import Choice


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A row of Fit that the user took instead of the planner's best; None leaves that part to the planner."""

    micro_batch: int | None = None
    gradient_checkpointing: bool | None = None
    max_length: int | None = None


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said. Empty or None is "not said".

    `data`, `validation`, the paths of `more` and a local `model` are written into the bundle as they are here: make
    them relative to the bundle's folder first. `more` are sets that are mixed with `data`, whose weight is `weight`.
    `sets` maps a dotted key to the user's own value, None for "unset"; it wins over everything.
    """

    task: str = ""
    data: str = ""
    weight: float | None = None
    more: tuple[WeightedPath, ...] = ()
    validation: str | None = None
    model: str = ""
    revision: str | None = None
    gpu: str | None = None
    method: str | None = None
    preset: str | None = None
    picked: Picked | None = None
    sets: dict[str, Any] = {}
    name: str = ""
    seed: int = 42

    @property
    def mix(self) -> tuple[WeightedPath, ...]:
        """All training sets, in order."""
        return (WeightedPath(path=self.data, weight=self.weight), *self.more) if self.data else ()

    @property
    def train(self) -> str | list[dict[str, Any]]:
        """`data.train` as a bundle has it: one path, or a list of sets."""
        if not self.more:
            return self.data
        return [
            {"path": one.path, "weight": one.weight} if one.weight is not None else {"path": one.path}
            for one in self.mix
        ]

    def with_mix(self, mix: Sequence[WeightedPath]) -> Answers:
        """The same answers with these training sets; a set that is alone needs no weight."""
        first = mix[0] if mix else WeightedPath(path="")
        weight = first.weight if len(mix) > 1 else None
        return msgspec.structs.replace(self, data=first.path, weight=weight, more=tuple(mix[1:]))


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle and its reasons.

    `origin` has an entry for every key of the bundle: `default`, `preset NAME`, `planner`, `data` or `user`; `why` a
    sentence for every key that anything can be said about; `grades` A, B or C for keys that evidence speaks of;
    `ranges` the valid range of numeric keys. `preset` is the chosen preset's name, `ranked` the candidates with their
    reasons. `preset_values` are the preset's own values, for the difference that Review shows.
    `plan` and `choices` are None and empty while model or device are unknown. `steps` and `warmup` are those of the
    whole run, None while the rows are unknown. Bundles are always complete in form; `ready` is False while something
    that a run needs was not answered (`problems` says what) or a value is refused.
    """

    bundle: Bundle
    origin: dict[str, str]
    why: dict[str, str]
    grades: dict[str, str] = {}
    ranges: dict[str, tuple[float, float]] = {}
    alternatives: dict[str, tuple[Alternative, ...]] = {}
    preset: str = ""
    ranked: tuple[Ranked, ...] = ()
    preset_values: dict[str, Any] = {}
    plan: Plan | None = None
    choices: tuple[Choice, ...] = ()
    steps: int | None = None
    warmup: int | None = None
    problems: tuple[Problem, ...] = ()
    ready: bool = False


_ANSWERS_OF_KEYS = {
    "task.kind": "task",
    "adapter.method": "method",
    "model.source": "model",
    "model.revision": "revision",
    "data.train": "data",
    "validation.path": "validation",
    "name": "name",
    "seed": "seed",
}


def absorb(answers: Answers) -> Answers:
    """The same answers with edits of keys that are questions of their own (`task.kind`, ...) taken as their answers."""
    moved = {
        field: answers.sets[key]
        for key, field in _ANSWERS_OF_KEYS.items()
        if isinstance(answers.sets.get(key), str) or (key == "seed" and type(answers.sets.get(key)) is int)
    }
    train = answers.sets.get("data.train")
    if isinstance(train, list) and not value_problems("data.train", train):
        answers, moved["data"] = answers.with_mix(msgspec.convert(train, tuple[WeightedPath, ...])), train[0]["path"]
    if not moved:
        return answers
    sets = {key: value for key, value in answers.sets.items() if _ANSWERS_OF_KEYS.get(key) not in moved}
    return msgspec.structs.replace(answers, sets=sets, **moved)
