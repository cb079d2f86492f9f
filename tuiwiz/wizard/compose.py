"""From answers and facts to a bundle, with who decided each value and why. Pure: the same input, the same bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.problems import Problem
from tuiwiz.spec.bundle import Bundle

if TYPE_CHECKING:
    from tuiwiz.memory.plan import Plan
    from tuiwiz.memory.search import Choice
    from tuiwiz.presets.choose import Ranked
    from tuiwiz.wizard.facts import Facts


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A row of Fit that the user took instead of the planner's best; None leaves that part to the planner."""

    micro_batch: int | None = None
    gradient_checkpointing: bool | None = None
    max_length: int | None = None


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said. Empty or None is "not said".

    `data`, `validation` and a local `model` are written into the bundle as they are here: make them relative to the
    bundle's folder first. `sets` maps a dotted key to the user's own value, None for "unset"; it wins over everything.
    """

    task: str = ""
    data: str = ""
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


class Alternative(msgspec.Struct, frozen=True):
    """Another value that somebody recommends for a key, and what the evidence says about it.

    `usable` is False where this run has no room for it; `comment` then holds the arithmetic.
    """

    value: Any
    who: str
    comment: str
    usable: bool = True


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle and its reasons.

    `origin` has an entry for every key of the bundle: `default`, `preset NAME`, `planner`, `data` or `user`; `why` a
    sentence for every key that anything can be said about; `grades` A, B or C for keys that evidence speaks of;
    `ranges` the valid range of numeric keys. `preset` is the chosen preset's name, `ranked` the candidates with their
    reasons. `preset_values` are the bundle's values before the user's own, for the difference that Review shows.
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


def compose(answers: Answers, facts: Facts) -> Composed:
    """Task, model, data and device -> preset -> values -> the user's own -> derived values -> planner -> bundle.

    Raises:
        UsageError: an unknown preset, or one that does not cover this task, band or method.
    """
    raise NotImplementedError
