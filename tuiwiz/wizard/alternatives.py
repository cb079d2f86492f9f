"""Where a widely read tuning guide and the evidence disagree, both are offered, with what is known about each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tuiwiz.base.units import human_number
from tuiwiz.presets.rate import full_rate
from tuiwiz.spec.task import LAST_ANSWER_TASKS
from tuiwiz.wizard.work import Work

GUIDE = "the guide"
LONG_WARMUPS = (1000, 2000)
WARMUP_SHARE = 10
"""A warm-up should take at most a tenth of the run (Deep Learning Tuning Playbook)."""
FEW_ROWS = 5000


class Alternative(msgspec.Struct, frozen=True):
    """Another value that somebody recommends for a key, and what the evidence says about it.

    `usable` is False where this run has no room for it; `comment` then holds the arithmetic.
    """

    value: Any
    who: str
    comment: str
    usable: bool = True


def alternatives(
    work: Work, *, band: str | None, rows: int | None, steps: int | None
) -> dict[str, tuple[Alternative, ...]]:
    """By dotted key; only keys that mean something for the chosen method, only values that differ from the chosen."""
    found: dict[str, tuple[Alternative, ...]] = {}
    candidates = {
        "schedule.warmup": _warmup(steps),
        "schedule.epochs": _epochs(rows, work),
        "adapter.dropout": _dropout(work),
        "optimizer.learning_rate": _rate(work, band),
        "optimizer.weight_decay": _decay(),
    }
    for key, offered in candidates.items():
        if work.values[key] is None:
            continue
        others = tuple(one for one in offered if one.value != work.values[key])
        if others:
            found[key] = others
    return found


def _warmup(steps: int | None) -> Iterator[Alternative]:
    for warmup in LONG_WARMUPS:
        enough = steps is not None and steps >= WARMUP_SHARE * warmup
        if enough:
            comment = f"{warmup / (steps or 1):.0%} of this run; published where a run has 60,000 steps (FineMath)"
        elif steps is None:
            comment = f"only for runs of {WARMUP_SHARE * warmup:,} steps or more"
        elif steps <= warmup:
            comment = (
                f"this run has {steps:,} steps and would never reach its rate; 566 of 571 XTuner configurations use 3 %"
            )
        else:
            comment = f"{warmup / steps:.0%} of this run's {steps:,} steps; a tenth at most is sound"
        yield Alternative(float(warmup), GUIDE, comment, enough)


def _epochs(rows: int | None, work: Work) -> Iterator[Alternative]:
    simple = "the upper end for simple tasks: of 584 XTuner configurations 359 run 3 epochs, 20 run 5, none more"
    yield Alternative(5.0, GUIDE, simple)
    if work.values["task.kind"] == "classify":
        yield Alternative(10.0, GUIDE, "for complex tasks; LoRA's GLUE scripts train encoders 10 to 80 epochs")
        return
    few = rows is not None and rows < FEW_ROWS
    full = work.values["adapter.method"] == "full"
    if few and full:
        comment = "for complex tasks; right for small curated sets and full weights (LIMA 15, OlympicCoder 10)"
    elif few:
        comment = "for complex tasks; published with full weights; adapters learn few rows by heart: watch validation"
    else:
        have = f"you have {rows:,}" if rows is not None else "yours are not counted yet"
        comment = f"for complex tasks; only sets below {FEW_ROWS:,} rows gained from it, {have}"
    yield Alternative(10.0, GUIDE, comment, few)


def _dropout(work: Work) -> Iterator[Alternative]:
    if work.values["adapter.method"] not in ("lora", "qlora"):
        return
    yield Alternative(0.1, GUIDE, "the lower end of 0.1 to 0.3; 402 of XTuner's 407 QLoRA configurations use it")
    yield Alternative(
        0.3, GUIDE, "belongs inside the model under full tuning (InstructGPT 0.2, LIMA up to 0.3); adapters lose by it"
    )


def _rate(work: Work, band: str | None) -> Iterator[Alternative]:
    adapters = work.values["adapter.method"] in ("lora", "qlora")
    task = str(work.values["task.kind"])
    if task in LAST_ANSWER_TASKS and task != "reward":
        comment = f"the top of 1e-5 to 1e-4, made for other tasks: tuned {task} runs stay far below, see the range"
        yield Alternative(1e-4, GUIDE, comment)
        return
    if adapters:
        yield Alternative(
            1e-4,
            GUIDE,
            "the top of 1e-5 to 1e-4; over 35 models at 128 rows a step it cost 1.5 % of loss, 4e-5 cost 2.9 %",
        )
        return
    fits = (
        "right for full weights up to 3B"
        if band in ("XS", "S")
        else "2 to 50 times too high for full weights of 13B and more"
    )
    yield Alternative(1e-4, GUIDE, f"the top of 1e-5 to 1e-4; {fits}")
    if band is not None:
        rate = float(f"{full_rate(band, int(work.values['batch.effective'])):.1e}")
        words = f"a tenth of the adapters' rate: {human_number(rate)}; published rates at 7-8B span 5e-6 to 8e-5"
        yield Alternative(rate, "LoRA Without Regret", words)


def _decay() -> Iterator[Alternative]:
    yield Alternative(0.01, GUIDE, "the top of 1e-4 to 1e-2; harmless and weak: adapters themselves regularise more")
