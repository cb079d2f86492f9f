"""The rules, one family a file; `ALL` in the order in which faults are treated."""

from __future__ import annotations

from tuiwiz.doctor.finding import ORDER, Rule
from tuiwiz.doctor.rules import data, fit, memory, numeric, pairs, plumbing, schedule, speed, tasks, unstable

NOT_JUDGED: tuple[tuple[str, str, str], ...] = (
    ("D28", "Forgetting of what was known before", "a run evaluates its own held-out rows and no general text"),
    ("D31", "Degenerate text in a batch", "events hold no rows; `tuiwiz data check` finds repetitions and duplicates"),
    ("D33", "An adapter that suffers from a huge batch", "it takes a second run with a quarter of the batch to tell"),
    ("D40", "Groups of answers with equal rewards", "no task of tuiwiz samples groups of answers"),
    ("D41", "Entropy that collapses", "no task of tuiwiz learns from its own samples"),
    ("D42", "Updates too far from the sampling model", "no task of tuiwiz learns from its own samples"),
    ("D43", "Sampled answers cut at their limit", "no task of tuiwiz learns from its own samples"),
    ("D44", "A reward that is gamed", "no task of tuiwiz learns from its own samples"),
    ("D46", "One process that holds up the others", "step times are those of the first process"),
)
"""Number, fault and why no rule here judges it."""

ROOMS = (numeric, memory, data, plumbing, unstable, schedule, fit, tasks, pairs, speed)
ALL: tuple[Rule, ...] = tuple(
    sorted(
        (rule for room in ROOMS for rule in room.RULES),
        key=lambda rule: (ORDER.index(rule.family), int(rule.id[1:])),
    )
)
