"""D16-D18, D23, D29, D30: faults of the data, of its masks and of its order."""

from __future__ import annotations

import math

from tuiwiz.doctor import stats
from tuiwiz.doctor.case import MOST_POINTS, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes
from tuiwiz.doctor.rules.plumbing import scaled_loss

ABSURD = 12.6
"""1.05 times the logarithm of 160,000 tokens, the largest common vocabulary."""
ABSURD_ANSWERS, ABSURD_TEXT = 6.0, 9.0
"""For a model that was taught to answer: over its own template's answers, even in an odd language or of codes; over
all of a text, which it may never have seen the like of. Guessing among the 49,152 tokens of a small one gives 10.8."""
KNOWN = 0.05
TRAINED_LEAST = 0.01
PADDING = 0.4
LONGER = 3.0
LEVEL = 0.15


def first_loss(case: Case) -> Outcome:
    """The loss before any update: too high for the model, or too low to be honest."""
    if not case.learns_text:
        return no(task=case.task)
    if case.count < 3 and not case.evals:
        return unknown("3 steps")
    held = case.evals[0][1] if case.evals and case.evals[0][0] == 0 else None
    train = stats.median(case.finite_loss[:3]) if case.count else math.nan
    if held is None and case.steps[:1] != [1]:
        return unknown("the first steps of the run")
    value = held if held is not None else train
    high = ABSURD if not case.instructed else ABSURD_TEXT if case.whole_texts else ABSURD_ANSWERS
    if value > high and not train < high / 2:
        task = case.bundle.data.template if case.bundle is not None else ""
        change = {"data.template": "model"} if task not in ("", "model") else {}
        advice = "`tuiwiz data show` prints a row as the model sees it: wrong template, tokenizer or columns"
        return yes(change, advice, first_loss=value, limit=high)
    if min(value, train if math.isfinite(train) else value) < KNOWN:
        advice = "the answer stands in the prompt, or these rows were trained on before: `tuiwiz data show`"
        return yes({}, advice, "warning", first_loss=value, limit=KNOWN)
    return no(first_loss=value, limit=high)


def few_targets(case: Case) -> Outcome:
    """Almost no token is trained on."""
    if not case.learns_text:
        return no(task=case.task)
    tokens, trained = case.view.metrics.get("tokens", 0.0), case.view.metrics.get("supervised_tokens")
    if not tokens or trained is None or case.view.step < 3:
        return unknown("3 steps")
    per_row = (
        trained / (case.view.step * case.view.started.effective)
        if case.view.started and case.view.started.effective
        else math.inf
    )
    if trained / tokens >= TRAINED_LEAST and per_row >= 1:
        return no(trained_share=trained / tokens, trained_per_row=per_row if math.isfinite(per_row) else None)
    change = {"data.train_on": "all"} if case.bundle is None or case.bundle.data.train_on != "all" else {}
    return yes(
        change,
        "`tuiwiz data show` marks what is trained; a longer data.max_length keeps cut answers",
        trained_share=trained / tokens,
        trained_tokens=trained,
        trained_per_row=per_row,
    )


def never_stops(case: Case) -> Outcome:
    """Answers begin right and go on and on."""
    last = [
        sample for sample in case.view.samples if sample.step == case.view.samples[-1].step and sample.expected.strip()
    ]
    if len(last) < 3 or not last[0].step:
        return unknown("3 samples after training began")
    long = [one for one in last if len(one.now) > LONGER * len(one.expected) + 40]
    if len(long) / len(last) <= 0.3:
        return no(too_long=len(long), samples=len(last))
    return yes(
        {"data.template": "model"},
        "every answer must end in the template's end-of-turn token, and train on it",
        too_long=len(long),
        samples=len(last),
        example=long[0].now[-60:],
    )


def padding(case: Case) -> Outcome:
    """Much of each batch is padding."""
    shares = case.series("padding_share")
    if len(shares) < 10:
        return unknown("10 steps that tell their padding")
    share = stats.median(shares)
    if share <= PADDING:
        return no(padding_share=share)
    packed = case.bundle is not None and case.bundle.data.packing
    change = {} if packed else {"data.packing": True}
    return yes(change, "or a smaller batch.micro: rows of like length then share a batch", padding_share=share)


def order(case: Case) -> Outcome:
    """In every epoch the loss jumps up at the same place: sources lie one behind the other."""
    size = case.per_epoch
    if size < 10 or case.count < 2 * size or case.count >= MOST_POINTS:
        return unknown("2 epochs of 10 steps")
    epochs = [case.loss[start : start + size] for start in range(0, case.count - size + 1, size)]
    jumps: list[tuple[float, int]] = []
    each = max(3, size // 5)
    for place in range(each, size - each + 1):
        rises = []
        for losses in epochs:
            before, after = losses[place - each : place], losses[place : place + each]
            quiet = max(stats.spread(before), stats.spread(after), 1e-9)
            rise = stats.median(after) / max(stats.median(before), 1e-9) - 1
            rises.append(rise if stats.median(after) - stats.median(before) > 1.5 * quiet else 0.0)
        jumps.append((min(rises), place))
    worst, place = max(jumps)
    if worst <= LEVEL:
        return no(rise=worst)
    return yes(
        {"seed": (case.bundle.seed if case.bundle is not None else 0) + 1},
        "shuffle the rows: `shuf train.jsonl > shuffled.jsonl`",
        rise=worst,
        at_step_of_epoch=place,
        epochs=len(epochs),
    )


def leakage(case: Case) -> Outcome:
    """The held-out loss lies far below the training loss from the beginning."""
    evals = case.evals
    if len(evals) < 3 or evals[0][0] != 0 or case.count < 10:
        return unknown("3 evaluations, one before the first step")
    if scaled_loss(case).verdict == "yes":
        return no(scaled_loss=True)
    begin = evals[0][1] / max(stats.median(case.finite_loss[:5]), 1e-9)
    later = [loss / max(case.smooth_at(step), 1e-9) for step, loss in evals[1:]]
    steady = case.smooth[-1] < 1.1 * case.start
    if steady and begin < 0.6 and max(later) < 0.8:
        return yes(
            {"validation.path": None, "validation.fraction": 0.05},
            "hold out rows of the training set itself, by group",
            ratio_before=begin,
            ratio_after=later[-1],
        )
    return no(ratio_before=begin, ratio_after=later[-1])


RULES = (
    Rule(
        "D16",
        "first_loss",
        "data",
        "error",
        "The loss before training is absurd",
        "A model's loss on text that it can read lies between 0.1 and 6; guessing among its whole vocabulary gives 11.",
        first_loss,
    ),
    Rule(
        "D17",
        "few_targets",
        "data",
        "error",
        "Almost no token is trained on",
        "The mask hides the answers, or max_length cuts them off: rows are read, and nothing is learnt from them.",
        few_targets,
    ),
    Rule(
        "D18",
        "never_stops",
        "data",
        "warning",
        "Answers do not end",
        "Where the end-of-turn token is padding, or is masked, the model never learns to stop.",
        never_stops,
    ),
    Rule(
        "D29",
        "data_order",
        "data",
        "warning",
        "The loss jumps at the same place of every epoch",
        "Rows of one kind lie together and are not shuffled.",
        order,
    ),
    Rule(
        "D30",
        "leakage",
        "data",
        "warning",
        "Held-out rows are easier than training rows from the start",
        "Rows that were trained on before, or copies of training rows, say nothing about new ones.",
        leakage,
    ),
    Rule(
        "D23",
        "padding",
        "speed",
        "warning",
        "Much of each batch is padding",
        "Padding is computed like text. Packing rows took a public run from 26 to 13 hours.",
        padding,
    ),
)
