"""What follows from the data and from other values: length, rank, validation split, steps, learning rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tuiwiz.base.units import human_count, human_number
from tuiwiz.bundle.change import fixes_length
from tuiwiz.data.split import automatic_size, resolution
from tuiwiz.presets.rank import MOST_RANK, least_rank, rank_for
from tuiwiz.presets.rate import SHORT_STEPS, Rate, Setting, derive
from tuiwiz.presets.resolve import LEARNING_RATE, Resolved
from tuiwiz.spec.derive import cadence, total_steps, warmup_steps
from tuiwiz.spec.task import metrics_of
from tuiwiz.wizard.work import DATA, PLANNER, Work

if TYPE_CHECKING:
    from tuiwiz.wizard.facts import DataFacts

LENGTH_STEP = 64
FEW_STEPS = 30
"""Below it a run hardly leaves its start: the rate has no time to rise and fall."""
LEAST_BATCH = 4
"""Rows of a step below which nothing of this kind is published (axolotl's adapter example for a 1B model)."""
SUPERVISED = ("chat", "instruct", "classify")
"""Tasks whose loss needs no larger batch: an estimate of the drift (kto) or pairs (dpo) do."""
LONGEST = 32_768
"""Tokens: no row is made longer than this unasked."""
SAMPLE_SLACK = 1.25
"""On the longest row of a sample: the whole set will hold a longer one."""


def metric(work: Work) -> None:
    """`evaluation.metric`: the loss where the preset's metric is none of this task's, such as F1 of a regression."""
    task, labels = str(work.values["task.kind"]), work.values["task.labels"]
    if work.values["evaluation.metric"] not in metrics_of(task, labels):
        why = f"{task} of {labels or 'single'} labels has no {work.values['evaluation.metric']}"
        work.put("evaluation.metric", "loss", PLANNER, why)


def split(work: Work, data: DataFacts | None) -> None:
    """A validation share where the user named neither file nor share, of the size that the split itself would take."""
    if data is None or not data.rows:
        return
    if work.values["validation.path"] is not None or work.values["validation.fraction"] is not None:
        return
    rows = data.split_rows
    size = automatic_size(rows)
    if size:
        share = round(size / rows, 4)
        why = f"{size} of {rows:,} rows, known to +-{100 * resolution(size):.0f} points for a share measured on them"
        work.put("validation.fraction", share, DATA, why)


def held_out(work: Work, data: DataFacts) -> int:
    """Rows of the automatic split."""
    rows = data.split_rows
    if work.values["validation.path"] is not None:
        return 0
    share, most = work.values["validation.fraction"], work.values["validation.max_rows"]
    size = automatic_size(rows) if share is None else max(1, round(share * rows)) if rows > 1 else 0
    return min(size, most or size, max(0, rows - 1))


def training_rows(work: Work, data: DataFacts | None) -> int | None:
    """Rows that an epoch trains on, after the split; None while unknown. Sets with weights follow what is left of the
    first."""
    if data is None or not data.rows:
        return None if data is None else 0
    return round(data.rows * (1 - held_out(work, data) / data.split_rows))


def length(work: Work, data: DataFacts | None, *, measured: bool = False) -> None:
    """`data.max_length`: what the rows need, not the preset's limit where they are shorter; a measured run's length
    stays where it holds them."""
    if data is None or not data.longest:
        return
    limit = int(work.values["data.max_length"])
    longest = data.longest if data.exact else math.ceil(data.longest * SAMPLE_SLACK)
    by = work.origin["data.max_length"]
    if longest <= limit and measured:
        return
    if longest <= limit:
        fitted = min(limit, _round_up(longest))
        seen = "the longest row" if data.exact else "the longest row seen"
        why = f"{seen} has {data.longest:,} tokens (half have at most {data.p50:,}); more would only cost memory"
        work.put("data.max_length", fitted, DATA, f"{why}. {by} allows {limit:,}" if fitted < limit else why)
    elif data.p95 <= limit:
        why = f"95 % of the rows have at most {data.p95:,} tokens; rows beyond {limit:,} are left out"
        work.put("data.max_length", limit, by, f"{why} (longest {data.longest:,})")
    else:
        fitted = max(limit, min(LONGEST, _round_up(data.p95)))
        why = f"95 % of the rows have at most {data.p95:,} tokens; {by} would cut too many at {limit:,}"
        work.put("data.max_length", fitted, DATA, why)


def rank(work: Work, data: DataFacts | None, parameters_per_rank: int | None, *, measured: bool = False) -> None:
    """`adapter.rank`: the preset's, raised where the adapters could not hold the data. alpha and rate stay.

    A rank that was measured is not raised, only spoken of.
    """
    adapters = work.values["adapter.method"] in ("lora", "qlora")
    if not adapters or data is None or not data.supervised_tokens or not parameters_per_rank:
        return
    tokens = data.supervised_tokens
    least = least_rank(tokens, parameters_per_rank)
    published = int(work.values["adapter.rank"])
    needed = (
        f"{human_count(tokens)} trained tokens / {human_count(parameters_per_rank)} parameters a rank: at least {least}"
    )
    if work.is_users("adapter.rank") or measured:
        if published < least:
            work.warn(
                "adapter.rank", f"rank {published} is small for this data: {needed}", f"set it to {rank_for(16, least)}"
            )
        return
    wanted = rank_for(published, least)
    if wanted == published:
        reason = work.why.get("adapter.rank", "")
        work.put("adapter.rank", published, work.origin["adapter.rank"], f"{needed}. {reason}".rstrip())
        if least > published:
            work.warn("adapter.rank", f"the data could use more than rank {published}: {needed}")
        return
    capped = f", capped at {MOST_RANK}" if wanted < least else ""
    work.put("adapter.rank", wanted, DATA, f"{needed}{capped}; {published} could not hold the data")


def batch(work: Work, rows: int | None, *, measured: bool = False) -> None:
    """`batch.effective`: the preset's, halved where a run would be short of steps; the user's and a measured one stay.

    Adapters lose nothing at small batches ("LoRA Without Regret"; arXiv 2507.07101 goes down to one row), while a run
    of a dozen steps has hardly begun when it ends: the Tinker cookbook asks for a hundred.
    """
    key = "batch.effective"
    fixed = work.values["schedule.steps"] is not None or fixes_length(work.values["phases"])
    adapters = work.values["adapter.method"] in ("lora", "qlora") and work.values["task.kind"] in SUPERVISED
    if not rows or fixed or not adapters or measured or work.is_users(key) or not work.origin[key].startswith("preset"):
        return
    published, before = int(work.values[key]), steps(work, rows) or 0
    wanted, after, by = published, before, work.origin[key]
    while after < SHORT_STEPS and wanted // 2 >= LEAST_BATCH:
        wanted //= 2
        after = total_steps(rows, wanted, work.values["schedule.epochs"], None)
    if wanted == published:
        return
    why = (
        f"{published} rows, as {by} has it, would make {before} steps of this data, {wanted} make {after}. Adapters "
        f"lose nothing at small batches and want {SHORT_STEPS} steps (LoRA Without Regret (2025), Tinker cookbook "
        f"9dfcc3a). {work.why.get(key, '')}"
    )
    work.put(key, wanted, DATA, why.rstrip())


def steps(work: Work, rows: int | None) -> int | None:
    """Optimizer steps of the run; None while the rows are unknown and no steps are set."""
    if fixes_length(work.values["phases"]):
        return sum(int(phase.get("steps") or 0) for phase in work.values["phases"])
    fixed = work.values["schedule.steps"]
    if fixed is not None:
        return int(fixed)
    if rows is None or rows < 1:
        return None
    return total_steps(rows, int(work.values["batch.effective"]), work.values["schedule.epochs"], None)


def learning_rate(work: Work, preset: Resolved, total: int | None) -> Rate | None:
    """The preset's rate by the contract; None where the user or no preset set it."""
    published = preset.values.get(LEARNING_RATE)
    if published is None:
        return None
    before = preset.measured.steps if preset.measured is not None else None
    rate = derive(float(published), *_settings(work, preset), total, before)
    if work.is_users(LEARNING_RATE):
        if rate.factors:
            work.why[LEARNING_RATE] = f"your own choice; by the contract it would be {rate.words}"
        return None
    if rate.factors:
        reason = work.why.get(LEARNING_RATE, "")
        work.put(LEARNING_RATE, rate.value, work.origin[LEARNING_RATE], f"{rate.words}. {reason}".rstrip())
    return rate


def rate_range(work: Work, preset: Resolved) -> tuple[float, float] | None:
    """The range of the preset's rate, converted to this alpha and batch."""
    why = preset.why.get(LEARNING_RATE)
    if why is None or why.range is None:
        return None
    low, high = (derive(bound, *_settings(work, preset)).value for bound in why.range)
    return low, high


def explain_run(work: Work, rows: int | None, total: int | None) -> int | None:
    """Says in numbers what shares of the run come to; returns the warm-up steps."""
    if total is None:
        return None
    warmup = warmup_steps(float(work.values["schedule.warmup"]), total)
    _prefix(work, "schedule.warmup", f"{warmup} of {total:,} steps")
    for key in ("evaluation.every", "checkpoint.every"):
        every = cadence(float(work.values[key]), total)
        _prefix(work, key, f"every {every} of {total:,} steps")
    if rows is not None and work.values["schedule.epochs"] is not None:
        batch = int(work.values["batch.effective"])
        epochs = human_number(float(work.values["schedule.epochs"]))
        _prefix(work, "schedule.epochs", f"{epochs} x ceil({rows:,} rows / {batch}) = {total:,} steps")
    if total < FEW_STEPS and int(work.values["batch.effective"]) > 1:
        hint = "a smaller batch.effective or more schedule.epochs gives more updates from the same rows"
        work.warn("batch.effective", f"the run has only {total} step{'s' if total > 1 else ''}", hint)
    if warmup > 0.5 * total:
        work.warn(
            "schedule.warmup", f"the warm-up takes {warmup} of {total} steps", "a share such as 0.03 adapts itself"
        )
    return warmup


def _settings(work: Work, preset: Resolved) -> tuple[Setting, Setting]:
    """What the preset's rate was published for, and what it is wanted for."""
    adapters = work.values["adapter.method"] in ("lora", "qlora")
    found = []
    for values in ({**work.values, **preset.values}, work.values):
        found.append(
            Setting(
                batch=int(values["batch.effective"]),
                alpha=float(values["adapter.alpha"]) if adapters else None,
                rank=int(values["adapter.rank"]),
                variant=str(values["adapter.variant"]),
                labels=work.values["task.kind"] == "classify",
            )
        )
    return found[0], found[1]


def _prefix(work: Work, key: str, text: str) -> None:
    reason = work.why.get(key, "")
    work.why[key] = f"{text}. {reason}" if reason else text


def _round_up(tokens: int) -> int:
    return -(-tokens // LENGTH_STEP) * LENGTH_STEP
