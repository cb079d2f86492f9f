"""What a validation file shares with the training set: the same prompts, nearly the same rows, labels of its own."""

from __future__ import annotations

from tuiwiz.base.problems import Problem
from tuiwiz.data.classes import unseen
from tuiwiz.data.duplicates import VALIDATION_ROWS
from tuiwiz.data.examine import Examination


def leaks(training: Examination, validation: Examination, path: str) -> list[Problem]:
    """Findings on a validation set that was read with `first_row = VALIDATION_ROWS` and the training set's finder of
    near-duplicates. `path` is the validation file's."""
    found = []
    shared = sorted(training.prompts.shared(validation.prompts))
    if shared:
        have = f"{len(shared):,} validation row{'s share their' if len(shared) > 1 else ' shares its'}"
        first = validation.source.row_words(shared[0])
        message = f"{have} prompt with training (first: {first}): left out of validation"
        hint = "remove them: what is learnt by heart measures nothing"
        found.append(Problem(severity="warning", message=message, hint=hint, path=path, row=shared[0]))
    near = near_rows(training, set(shared))
    if near:
        say = "rows say" if len(near) > 1 else "row says"
        first = validation.source.row_words(near[0])
        message = f"{len(near):,} validation {say} nearly the same as a training row (first: {first})"
        hint = "results on them flatter: remove them, or judge by the other rows"
        found.append(Problem(severity="warning", message=message, hint=hint, path=path, row=near[0]))
    if training.format in {"classification", "multi-label"}:
        found += unseen(training.labels, validation.labels, path)
    return [validation.source.placed(problem) for problem in found]


def near_rows(training: Examination, left_out: set[int]) -> list[int]:
    """Numbers of the validation rows that are nearly the same as a training row."""
    if training.near is None:
        return []
    rows = []
    for group in training.near.groups():
        if group[0] < VALIDATION_ROWS:
            rows += [row - VALIDATION_ROWS for row in group if row >= VALIDATION_ROWS]
    return sorted(row for row in rows if row not in left_out)
