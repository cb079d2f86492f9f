"""Labels as numbers: the classes of a set, and each row's label in terms of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tuiwiz.base.text import clean_line
from tuiwiz.data.turns import RowError

MOST_CLASSES = 4096


def class_names(labels: Iterable[Any], kind: str) -> tuple[str, ...]:
    """Names of all classes: whole numbers in their order, else words in theirs; empty for regression."""
    if kind == "regression":
        return ()
    found = {str(one) for label in labels for one in (label if isinstance(label, list) else [label])}
    if all(name.lstrip("-").isdecimal() for name in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def coded(label: Any, kind: str, places: dict[str, int]) -> tuple[float, ...]:
    """One row's label: the place of its class; for `multi` a 0 or 1 a class; for `regression` the number itself.

    `places` goes from the name of a class to its place.

    Raises:
        RowError: the label is no number, or none of the classes.
    """
    if kind == "regression":
        try:
            value = float(label)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value) or isinstance(label, bool):
            raise RowError(f"the label {clean_line(repr(label), 30)} is no number", hint="regression learns numbers")
        return (value,)
    names = [str(one) for one in (label if isinstance(label, list) else [label])]
    unknown = next((name for name in names if name not in places), None)
    if unknown is not None:
        raise RowError(f"the label '{clean_line(unknown, 40)}' does not occur in the training data", hint="a typo?")
    if kind == "multi":
        return tuple(float(place in {places[name] for name in names}) for place in range(len(places)))
    return (float(places[names[0]]),)


def places_of(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
