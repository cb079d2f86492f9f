"""The planner's part of a bundle: micro-batch, accumulation, checkpointing, and the choices of Fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tuiwiz.base.units import gib
from tuiwiz.spec.bundle import Bundle
from tuiwiz.wizard.work import PLANNER, Work

if TYPE_CHECKING:
    from tuiwiz.memory.plan import Plan
    from tuiwiz.memory.search import Choice
    from tuiwiz.memory.setting import Setting
    from tuiwiz.wizard.answers import Picked
    from tuiwiz.wizard.facts import DataFacts, Facts

MICRO, ACCUMULATION, TOKENS = "batch.micro", "batch.accumulation", "batch.micro_tokens"
CHECKPOINTING, LENGTH = "memory.gradient_checkpointing", "data.max_length"


def plan_of(bundle: Bundle, facts: Facts, rows: int | None) -> Plan | None:
    """The plan for a bundle; None while model or device are unknown."""
    if facts.shape is None or facts.device is None:
        return None
    from tuiwiz.memory.plan import plan

    return plan(bundle, facts.shape, facts.device, lengths_of(facts.data), rows)


def setting_of_choice(bundle: Bundle, facts: Facts, choice: Choice) -> Setting | None:
    """A row of Fit as the planner computed it; None while the device is unknown."""
    if facts.device is None or facts.shape is None:
        return None
    from tuiwiz.memory.setting import setting_of

    lengths = lengths_of(facts.data)
    longest = lengths["max"] if lengths else choice.max_length
    return msgspec.structs.replace(
        setting_of(bundle, facts.device, grouped=facts.shape.grouped),
        method=choice.method,
        rank=choice.rank or bundle.adapter.rank,
        length=min(choice.max_length, longest),
        micro=choice.micro_batch,
        accumulation=choice.accumulation,
        checkpointing=choice.gradient_checkpointing,
    )


def lengths_of(data: DataFacts | None) -> dict[str, int] | None:
    """Token lengths as the planner takes them; None where they were not counted."""
    if data is None or not data.longest:
        return None
    return {"p50": data.p50, "p95": data.p95, "max": data.longest}


def take(work: Work, picked: Picked | None) -> None:
    """The row of Fit that the user took."""
    if picked is None:
        return
    why = "the row of Fit that you took"
    if picked.max_length is not None:
        work.put(LENGTH, picked.max_length, PLANNER, why)
    if picked.micro_batch is not None:
        work.put(MICRO, picked.micro_batch, PLANNER, why)
    if picked.gradient_checkpointing is not None:
        work.put(CHECKPOINTING, picked.gradient_checkpointing, PLANNER, why)


def apply(work: Work, plan: Plan, picked: Picked | None, others: Iterable[Choice]) -> None:
    """Fill in the fastest setting that fits, for what neither the user nor a picked row decided."""
    method, length = work.values["adapter.method"], int(work.values[LENGTH])
    own = [choice for choice in plan.choices if choice.method == method and _allowed(work, choice, picked)]
    fitting = [choice for choice in own if choice.fits]
    chosen = next((choice for choice in fitting if choice.max_length == length), None)
    if chosen is None and fitting and not work.is_users(LENGTH) and (picked is None or picked.max_length is None):
        longest = max(choice.max_length for choice in fitting)
        chosen = next(choice for choice in fitting if choice.max_length == longest)
        why = f"{length:,} tokens do not fit on this device"
        work.put(LENGTH, chosen.max_length, PLANNER, why)
        work.warn(LENGTH, f"{why}: rows beyond {chosen.max_length:,} are left out", "a smaller model or another method")
    if chosen is None:
        chosen = min(own, key=lambda choice: choice.total_bytes, default=None)
        hint = _way_out(method, others)
        needs = gib(chosen.total_bytes if chosen is not None else plan.total_bytes)
        work.warn(MICRO, f"does not fit: it needs {needs} of {gib(plan.usable_bytes)}", hint)
    if chosen is not None:
        _fill(work, chosen)


def _allowed(work: Work, choice: Choice, picked: Picked | None) -> bool:
    """Whether a choice agrees with what is decided already."""
    for key, value in ((MICRO, choice.micro_batch), (CHECKPOINTING, choice.gradient_checkpointing)):
        decided = work.is_users(key) or (picked is not None and work.origin[key] == PLANNER)
        if decided and work.values[key] is not None and work.values[key] != value:
            return False
    return choice.max_length <= int(work.values[LENGTH])


def _fill(work: Work, choice: Choice) -> None:
    effective = int(work.values["batch.effective"])
    speed = f", about {choice.tokens_per_second:,.0f} tokens/s" if choice.tokens_per_second else ""
    size = f"{gib(choice.total_bytes)}{speed}"
    budgeted = work.values[TOKENS] is not None
    if work.origin[MICRO] != PLANNER and not budgeted:
        work.put(MICRO, min(choice.micro_batch, effective), PLANNER, f"the fastest that fits: {size}")
    if work.origin[CHECKPOINTING] != PLANNER:
        words = (
            "saves the memory that the batch needs" if choice.gradient_checkpointing else "not needed: it fits without"
        )
        work.put(CHECKPOINTING, choice.gradient_checkpointing, PLANNER, f"{words} ({size})")
    micro = int(work.values[MICRO] or 1)
    if effective % micro == 0 and not budgeted:
        why = f"{micro} x {effective // micro} = the effective batch of {effective}"
        work.put(ACCUMULATION, effective // micro, PLANNER, why)


def _way_out(method: str, others: Iterable[Choice]) -> str:
    fitting = [choice for choice in others if choice.fits and choice.method != method]
    if fitting:
        return f'adapter.method = "{fitting[0].method}" fits with {gib(fitting[0].total_bytes)}'
    return "choose a smaller model or a larger device"


def verdict_words(plan: Plan | None) -> str:
    """`fits: 11.9 of 23.6 GiB, limited by the loss of the longest batch`."""
    if plan is None:
        return "not planned: model or device unknown"
    words = {"fits": "fits", "tight": "tight", "no": "does not fit"}.get(plan.verdict, plan.verdict)
    limiting = f", limited by {plan.limiting}" if plan.limiting else ""
    return f"{words}: {gib(plan.total_bytes)} of {gib(plan.usable_bytes)}{limiting}"


def cost_lines(plan: Plan | None) -> list[str]:
    """Time, energy and money of the run, and what its limits of time leave; nothing of what is not known."""
    if plan is None:
        return []
    from tuiwiz.memory.cost import budget_words
    from tuiwiz.memory.plan import cost_words, time_words

    known = [words for words in (time_words(plan), cost_words(plan).removeprefix("about ")) if words]
    lines = ["; ".join(known)] if known else []
    return [*lines, budget_words(plan.budget)] if plan.budget is not None else lines


class Planned(msgspec.Struct, frozen=True):
    """The plan of the chosen setting, and the settings of every method, each with its own preset."""

    plan: Plan | None = None
    choices: tuple[Choice, ...] = ()
