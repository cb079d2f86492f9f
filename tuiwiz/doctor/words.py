"""Findings in words: for lines, panes and pages."""

from __future__ import annotations

import msgspec

from tuiwiz.base.text import clean_line
from tuiwiz.doctor.finding import Finding


def evidence_words(finding: Finding) -> str:
    """`loss 0.41, best 0.38 at step 120`: the numbers that decided, cleaned, on one line."""
    parts = [
        f"{name.replace('_', ' ')} {_value(value)}" for name, value in finding.evidence.items() if value is not None
    ]
    return clean_line(", ".join(parts), 400)


def change_words(finding: Finding) -> str:
    """`optimizer.learning_rate = 3e-5`."""
    return clean_line(", ".join(f"{key} = {shown(value)}" for key, value in finding.change.items()))


def shown(value: object) -> str:
    if value is None:
        return "unset"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:.3g}"
