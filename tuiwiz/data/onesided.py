"""Sets whose rows all say the same: what a task learns is the difference between labels, numbers or verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line
from tuiwiz.data.classes import IMBALANCE
from tuiwiz.data.duplicates import VALIDATION_ROWS

if TYPE_CHECKING:
    from tuiwiz.data.load import Loader


class Answers:
    """What rows are labelled with: whether two of them differ, and how many are judged good and bad."""

    def __init__(self) -> None:
        self.verdicts: Counter[bool] = Counter()
        self.kinds: set[str] = set()

    def add(self, label: Any) -> None:
        if isinstance(label, bool):
            self.verdicts[label] += 1
        # Two suffice to know that they differ.
        if len(self.kinds) < 2:
            self.kinds.add(_kind(label))


def one_sided(loaders: Sequence[Loader]) -> Problem | None:
    """Why nothing can be learnt from the rows of all these sets together, where they all say the same.

    Held-out rows must have two classes or verdicts, since metrics hold the one against the other; of numbers and of
    lists of labels a few rows may well be the same.
    """
    first = loaders[0]
    held_out = first.examination.first_row >= VALIDATION_ROWS
    kinds = {kind for loader in loaders for kind in loader.examination.answers.kinds}
    path = str(first.source.path)
    if first.format not in ("classification", "multi-label", "kto") or len(kinds) > 1:
        return None
    if held_out and (first.format == "multi-label" or first.settings.labels == "regression"):
        return None
    only = clean_line(next(iter(kinds), ""), 60)
    if first.format == "kto":
        good = only == "True"
        has, lacks = ("good", "bad") if good else ("bad", "good")
        message = f"all rows are judged {has}: KTO learns from good answers held against bad ones"
        hint = f"add rows that are judged {lacks}"
        hint += '; without the verdicts, task.kind = "instruct" learns the answers themselves' if good else ""
        return Problem(message=message, hint=hint, path=path)
    if first.settings.labels == "regression":
        hint = "is data.mapping's label the right column?"
        return Problem(message=f"every row has the number {only}: there is nothing to predict", hint=hint, path=path)
    if first.format == "classification":
        return Problem(message=f"at least two classes are needed, all rows are '{only}'", path=path)
    if not any(loader.examination.labels for loader in loaders):
        hint = "data.mapping names the column that holds the lists of labels"
        return Problem(message="no row has a label", hint=hint, path=path)
    hint = "rows are told apart by labels that some have and others lack"
    return Problem(message=f"every row has the same labels ({only}): nothing to tell apart", hint=hint, path=path)


def uneven(loaders: Sequence[Loader]) -> list[Problem]:
    """A word where good and bad answers are of very unequal number: the loss weighs every row alike."""
    verdicts: Counter[bool] = Counter()
    for loader in loaders:
        verdicts.update(loader.examination.answers.verdicts)
    good, bad = verdicts[True], verdicts[False]
    if not good or not bad or max(good, bad) < IMBALANCE * min(good, bad):
        return []
    message = f"verdicts are unequal: {good:,} rows are judged good, {bad:,} bad"
    hint = f"a higher objective.{'un' if good > bad else ''}desirable_weight evens them out, or data.balance"
    return [Problem(severity="warning", message=message, hint=hint, path=str(loaders[0].source.path))]


def _kind(label: Any) -> str:
    """Equal for labels that are the same; of a list the order says nothing."""
    return ", ".join(sorted({str(one) for one in label})) if isinstance(label, list) else str(label)
