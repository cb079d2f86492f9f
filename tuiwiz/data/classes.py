"""What is odd about the classes of a set: spellings, too few rows, unequal ones, labels that training never sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line

MOST_LABELS = 20_000
"""Beyond so many different labels they are no longer counted one by one."""
IMBALANCE = 10
"""The largest class by so many times the smallest is worth a word."""

_RARE_SHARE = 0.1
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

    def variants(self) -> dict[str, str]:
        """Spelling -> the most frequent spelling that differs from it in case, blanks or punctuation alone."""
        folded: dict[str, str] = {}
        for label, _ in self.rows.most_common():
            folded.setdefault(_folded(label), label)
        return {label: folded[_folded(label)] for label in self.rows if folded[_folded(label)] != label}

    def typos(self) -> Iterator[tuple[str, str]]:
        """(rare label, frequent label) that are one slip of a key apart: probably, but not surely, one."""
        frequent = [label for label, _ in self.rows.most_common(1000)]
        for label, count in self.rows.items():
            well_known = [other for other in frequent if count <= _RARE_SHARE * self.rows[other]]
            close = next((other for other in well_known if _one_slip(label, other)), None)
            if close is not None:
                yield label, close

    def _misspelt(self, path: str) -> Iterator[Problem]:
        variants = self.variants()
        slips = [(label, like) for label, like in self.typos() if label not in variants]
        sure = "make them one: `data check --fix` does"
        for label, like, hint in [
            *((label, like, sure) for label, like in variants.items()),
            *((label, like, "if so, make them one") for label, like in slips),
        ][: 2 * _SHOWN]:
            rows = f"{self.rows[label]:,} row{'s' if self.rows[label] > 1 else ''}"
            message = (
                f"label '{_shown(label)}' ({rows}) looks like '{_shown(like)}' ({self.rows[like]:,} rows) misspelt"
            )
            yield Problem(severity="warning", message=message, hint=hint, path=path, row=self.first[label])

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


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter too many, too few or wrong, or two exchanged, tells these words of four letters or more apart.
    Digits are no slips: `class_1` and `class_2` are two classes."""
    if min(len(a), len(b)) < 4 or abs(len(a) - len(b)) > 1 or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest, other = a[start:], b[start:]
    if any(char.isdigit() for char in rest[:1] + other[:1]):
        return False
    exchanged = rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return rest[1:] == other or rest == other[1:] or rest[1:] == other[1:] or exchanged


def _shown(label: str) -> str:
    return clean_line(label, 40)
