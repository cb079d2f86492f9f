"""What differs between two bundles, and who decided each side."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten


class Difference(msgspec.Struct, frozen=True):
    """One key with two values; `a_by` and `b_by` say who decided, empty where unknown."""

    key: str
    a: Any
    b: Any
    a_by: str = ""
    b_by: str = ""


def diff(a: Bundle, b: Bundle) -> list[Difference]:
    """The keys whose values differ, in the order of the file."""
    left, right = flatten(a), flatten(b)
    return [
        Difference(key, left[key], right[key], a.origin.get(key, ""), b.origin.get(key, ""))
        for key in left
        if left[key] != right[key]
    ]
