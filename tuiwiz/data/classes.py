"""What is odd about the classes of a set: spellings, too few rows, unequal ones, labels that training never sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line

MOST_LABELS = 20_000
"""Beyond so many different labels they are no longer counted one by one."""
IMBALANCE = 10
"""The largest class by so many times the smallest is worth a word."""

_RARE_SHARE = 0.1
_CLOSE = 0.85
_SHOWN = 5


class Labels:
    """Rows of each label, and the first row of each."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.first: dict[str, int] = {}
        self.uncounted = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def add(self, label: str, row: int) -> None:
        if label not in self.rows:
            if len(self.rows) >= MOST_LABELS:
                self.uncounted += 1
                return
            self.first[label] = row
        self.rows[label] += 1

    def problems(self, path: str) -> list[Problem]:
        """Every oddity that can be seen in this set alone."""
        found = [*self._misspelt(path), *self._single(path), *self._unequal(path)]
        total = self.rows.total()
        if total >= 100 and len(self.rows) > 0.5 * total:
            message = (
                f"{len(self.rows):,} different labels in {total:,} rows: are they identifiers, or numbers to predict?"
            )
            hint = 'task.labels = "regression" predicts numbers; data.mapping names another column'
            found.insert(0, Problem(severity="warning", message=message, hint=hint, path=path))
        return found

    def typos(self) -> Iterator[tuple[str, str]]:
        """(rare spelling, frequent spelling) of labels that are probably one."""
        frequent = [label for label, count in self.rows.most_common()]
        folded: dict[str, str] = {}
        for label in frequent:
            folded.setdefault(_folded(label), label)
        for label, count in self.rows.items():
            if _is_number(label):
                continue
            like = folded[_folded(label)]
            if like != label:
                yield label, like
                continue
            well_known = [
                other for other in frequent[:1000] if count <= _RARE_SHARE * self.rows[other] and not _is_number(other)
            ]
            close = get_close_matches(label, well_known, n=1, cutoff=_CLOSE) if len(label) > 3 else []
            if close:
                yield label, close[0]

    def _misspelt(self, path: str) -> Iterator[Problem]:
        for label, like in list(self.typos())[: 2 * _SHOWN]:
            rows = f"{self.rows[label]:,} row{'s' if self.rows[label] > 1 else ''}"
            message = (
                f"label '{_shown(label)}' ({rows}) looks like '{_shown(like)}' ({self.rows[like]:,} rows) misspelt"
            )
            hint = "make them one; `data check --fix` does"
            row = self.first[label]
            yield Problem(severity="warning", message=message, hint=hint, path=path, row=row)

    def _single(self, path: str) -> Iterator[Problem]:
        single = [label for label, count in self.rows.items() if count == 1]
        if not single or len(single) == len(self.rows):
            return
        names = ", ".join(f"'{_shown(label)}'" for label in single[:_SHOWN])
        more = f" and {len(single) - _SHOWN:,} more" if len(single) > _SHOWN else ""
        have = "has" if len(single) == 1 else "have"
        message = f"{len(single):,} of {len(self.rows):,} classes {have} a single row: {names}{more}"
        hint = "one row teaches little and cannot be held out: add rows, or merge or remove the class"
        yield Problem(severity="warning", message=message, hint=hint, path=path, row=self.first[single[0]])

    def _unequal(self, path: str) -> Iterator[Problem]:
        ordered = self.rows.most_common()
        if len(ordered) < 2:
            return
        (most, many), (least, few) = ordered[0], ordered[-1]
        if many < IMBALANCE * few:
            return
        message = f"classes are unequal: '{_shown(most)}' has {many:,} rows, '{_shown(least)}' {few:,}"
        hint = "accuracy hides the small ones: judge by macro F1, or set data.balance"
        yield Problem(severity="warning", message=message, hint=hint, path=path)


def unseen(training: Labels, validation: Labels, path: str) -> list[Problem]:
    """Labels that only the validation rows have: the model can never give them."""
    missing = [label for label in validation.rows if label not in training.rows]
    if not missing or training.uncounted:
        return []
    names = ", ".join(f"'{_shown(label)}'" for label in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
    rows = sum(validation.rows[label] for label in missing)
    message = f"validation has labels that training never sees: {names}{more} ({rows:,} rows)"
    hint = "is it a typo? rows of an unseen class always count as wrong"
    return [Problem(severity="warning", message=message, hint=hint, path=path, row=validation.first[missing[0]])]


def _folded(label: str) -> str:
    return "".join(char for char in label.casefold() if char.isalnum()) or label


def _is_number(label: str) -> bool:
    return label.lstrip("+-").replace(".", "", 1).isdigit()


def _shown(label: str) -> str:
    return clean_line(label, 40)
