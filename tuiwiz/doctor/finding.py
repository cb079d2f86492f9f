"""A rule's word on a run: yes, no, or not enough data, with the numbers behind it and one proposed change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tuiwiz.doctor.case import Case

Verdict = Literal["yes", "no", "unknown"]
Severity = Literal["info", "warning", "error"]
Scalar = str | int | float | bool | None
Family = Literal[
    "numeric", "memory", "data", "plumbing", "unstable", "overfitting", "underfitting", "evaluation", "speed"
]
ORDER: tuple[Family, ...] = (
    "numeric",
    "memory",
    "data",
    "plumbing",
    "unstable",
    "overfitting",
    "underfitting",
    "evaluation",
    "speed",
)
"""Which fault is treated first: a diverged run also learns nothing, and only the first of the two is the cause."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule judged on one run.

    `change` maps bundle keys to the values that one rerun should try (None unsets a key); empty where nothing in a
    bundle cures it, and `advice` says what to do. `why` explains the rule. `evidence` holds the numbers that decided.
    """

    rule: str
    id: str
    family: Family
    severity: Severity
    verdict: Verdict
    title: str
    evidence: dict[str, Scalar]
    change: dict[str, Any]
    advice: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule returns."""

    verdict: Verdict
    evidence: Mapping[str, Scalar] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is the rule's number in the evidence, `name` its word. `least` is in words what the rule needs to judge."""

    id: str
    name: str
    family: Family
    severity: Severity
    title: str
    why: str
    judge: Callable[[Case], Outcome]

    def of(self, case: Case) -> Finding:
        found = self.judge(case)
        return Finding(
            rule=self.name,
            id=self.id,
            family=self.family,
            severity=found.severity or self.severity,
            verdict=found.verdict,
            title=self.title,
            evidence={name: _rounded(value) for name, value in found.evidence.items()},
            change=dict(found.change),
            advice=found.advice,
            why=self.why,
        )


def yes(
    change: Mapping[str, Any] | None = None, advice: str = "", severity: Severity | None = None, **evidence: Scalar
) -> Outcome:
    return Outcome("yes", evidence, change or {}, advice, severity)


def no(**evidence: Scalar) -> Outcome:
    return Outcome("no", evidence)


def unknown(needs: str, **evidence: Scalar) -> Outcome:
    """`needs`: what is missing before this can be judged."""
    return Outcome("unknown", {"needs": needs, **evidence})


def _rounded(value: Scalar) -> Scalar:
    return (
        float(f"{value:.5g}")
        if isinstance(value, float) and value == value and abs(value) != float("inf")
        else (str(value) if isinstance(value, float) else value)
    )
