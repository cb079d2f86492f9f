"""The rules, one family a file; `ALL` in the order in which faults are treated."""

from __future__ import annotations

from tuiwiz.doctor.finding import ORDER, Rule
from tuiwiz.doctor.rules import data, fit, memory, numeric, plumbing, speed, tasks, unstable

ALL: tuple[Rule, ...] = tuple(
    sorted(
        (rule for room in (numeric, memory, data, plumbing, unstable, fit, tasks, speed) for rule in room.RULES),
        key=lambda rule: (ORDER.index(rule.family), int(rule.id[1:])),
    )
)
