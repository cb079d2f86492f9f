"""D36, D37: preference runs that pay for their margin with what they were good at."""

from __future__ import annotations

from tuiwiz.doctor import edits, stats
from tuiwiz.doctor.case import PAIRED, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

REFERENCED = ("dpo", "kto")
"""Tasks whose rewards are beta times how far an answer's log-probability has moved."""
BETA = 0.1
DISPLACED = -0.2
"""Nats a token."""
DISPLACED_ANSWER = -5.0
"""Nats of a whole answer: those of two or three tokens move by much a token, and little in all."""
LONGER = 1.5
LEAST_LETTERS = 40


def displaced(case: Case) -> Outcome:
    """Better answers have become far less likely than they were: the margin grew downwards."""
    if case.task not in REFERENCED:
        return no(task=case.task) if case.task else unknown("the task of the run")
    rewards, trained = case.series("better_reward"), case.series("supervised_tokens")
    effective = case.view.started.effective if case.view.started is not None else 0
    if len(rewards) < 20 or not len(rewards) == len(trained) == len(case.steps) or not effective:
        return unknown("20 steps that tell the reward of better answers")
    beta = (case.bundle.objective.beta if case.bundle is not None else None) or BETA
    answers = effective * (1 if case.task == "kto" else 2)
    length = trained[-1] / max(1.0, case.steps[-1] * answers)
    # Nothing is the reward before training, so that what lies below it is lost, however early it was lost.
    late = stats.median(case.tail(rewards, 0.2))
    moved = late / (beta * max(1.0, length))
    if moved >= DISPLACED or late / beta >= DISPLACED_ANSWER:
        return no(nats_a_token=moved, better_reward=late)
    advice = "then objective.beta times two; a better answer that is hardly likely is not what was wanted"
    return yes(edits.rate(case, 0.5), advice, nats_a_token=moved, better_reward=late, tokens_of_an_answer=length)


def longer(case: Case) -> Outcome:
    """Answers have grown far beyond the wanted ones, or those of the model before training."""
    if case.task not in PAIRED:
        return no(task=case.task) if case.task else unknown("the task of the run")
    newest = case.view.samples[-1].step if case.view.samples else 0
    kept = [one for one in case.view.samples if one.step == newest and one.base.strip()]
    if len(kept) < 3 or not newest:
        return unknown("3 samples after training began")
    now = sum(len(one.now) for one in kept)
    wanted = sum(max(len(one.base), len(one.expected)) for one in kept)
    if now <= LONGER * wanted + LEAST_LETTERS * len(kept):
        return no(letters=now, letters_before=wanted)
    advice = "better answers of the data are longer than worse ones: cut them, or train simpo, which counts per token"
    return yes(edits.rate(case, 0.5), advice, letters=now, letters_before=wanted, samples=len(kept))


RULES = (
    Rule(
        "D36",
        "displaced",
        "unstable",
        "warning",
        "Better answers have become unlikely, too",
        "The loss looks at differences alone: both sides may fall. A little is normal, 0.2 nats a token is not.",
        displaced,
    ),
    Rule(
        "D37",
        "length_drift",
        "unstable",
        "warning",
        "Answers grow longer and longer",
        "Longer answers collect more reward token by token, whether they are better or not.",
        longer,
    ),
)
