"""All rules on one run, the cause before its consequences."""

from __future__ import annotations

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.rules import ALL
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_exit
from tuiwiz.events.view import RunView
from tuiwiz.spec.bundle import Bundle

CAUSES = ("numeric", "plumbing", "data", "unstable", "memory")
"""Families of faults that make what comes after them meaningless."""
CONSEQUENCES = frozenset({"overfitting", "underfitting", "evaluation"})


def diagnose(case: Case) -> list[Finding]:
    """Every rule's finding, causes first. A consequence of a fault that was found is not judged."""
    found = [rule.of(case) for rule in ALL]
    cause = next((one for one in found if one.verdict == "yes" and one.severity == "error" and _makes_void(one)), None)
    if cause is None:
        return found
    return [
        msgspec.structs.replace(
            one, verdict="unknown", evidence={"needs": f"a run without {cause.id}"}, change={}, advice=""
        )
        if one.verdict == "yes" and one.family in CONSEQUENCES
        else one
        for one in found
    ]


def _makes_void(one: Finding) -> bool:
    """Whether what comes after a fault means nothing. A first loss that is absurd says nothing of the curve."""
    return one.family in CAUSES and one.id != "D16"


def bundle_of(folder: RunFolder) -> Bundle | None:
    """The bundle of a run; None where it cannot be read any more, such as one of another version."""
    try:
        return read_bundle(folder.bundle)
    except TuiwizError:
        return None


def examine(folder: RunFolder, view: RunView) -> list[Finding]:
    """Judge a run folder whose events have been folded."""
    return diagnose(Case(view, bundle_of(folder), read_exit(folder.exit)))


def wrong(findings: list[Finding]) -> list[Finding]:
    """What is wrong: faults that were found, the one to treat first in front."""
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted((one for one in findings if one.verdict == "yes"), key=lambda one: rank[one.severity])
