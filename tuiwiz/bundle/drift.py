"""What has changed since a bundle was locked. Data and model decide what is learnt, libraries and hardware only how
exactly it is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from tuiwiz.base.errors import DriftError
from tuiwiz.base.problems import Problem
from tuiwiz.spec.bundle import Lock

RELOCK = "put the old files back, accept the new ones with `tuiwiz bundle lock`, or run once with --allow-drift"
SHORT = 12
"""Characters of a hash that are shown."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. `locked` and `now` are hashes, versions or names; empty where there is nothing."""

    kind: Literal["data", "model", "setting", "library", "hardware"]
    name: str
    locked: str
    now: str
    message: str

    @property
    def fatal(self) -> bool:
        """Whether something else would be learnt, and not only not bit for bit the same."""
        return self.kind in ("data", "model", "setting")


def drift(locked: Lock, now: Lock, *, model_is_here: bool = True) -> list[Drift]:
    """Every difference between two locks; what one of them does not know is none."""
    found = _data(locked, now)
    if model_is_here:
        found += _model(locked, now)
    for name, version in {"tuiwiz": locked.tuiwiz, **locked.libraries}.items():
        other = {"tuiwiz": now.tuiwiz, **now.libraries}.get(name, "")
        if version and version != other:
            found.append(_one("library", name, version, other, f"{name} {version} is now {other or 'not installed'}"))
    for name, value in locked.hardware.items():
        here = now.hardware.get(name)
        # The table's name of a card is a part of what its driver calls it.
        if here is not None and here != value and not (name == "device" and value and value in here):
            found.append(_one("hardware", name, value, here, f"{name} {value} is now {here}"))
    return found


def refuse(found: Iterable[Drift], *, path: str = "", hint: str = RELOCK) -> None:
    """Refuse where data or model have changed.

    Raises:
        DriftError: with a problem for every difference, those of libraries and hardware as warnings.
    """
    listed = list(found)
    fatal = [one for one in listed if one.fatal]
    if not fatal:
        return
    what = " and ".join(dict.fromkeys(one.kind for one in fatal))
    first = fatal[0].message if len(fatal) == 1 else f"{len(fatal)} files of {what} are not those of the lock"
    problems = [
        Problem(
            severity="error" if one.fatal else "warning",
            message=one.message,
            path=path,
            key=f"lock.{one.kind}",
        )
        for one in listed
    ]
    raise DriftError(first, hint=hint, problems=problems)


def _data(locked: Lock, now: Lock) -> list[Drift]:
    found = []
    # A file that only has another name or place is the same data.
    renamed = Counter(digest for name, digest in now.data.items() if name not in locked.data)
    renamed &= Counter(digest for name, digest in locked.data.items() if name not in now.data)
    left, come = renamed.copy(), renamed.copy()
    for name, digest in locked.data.items():
        other = now.data.get(name, "")
        if not other and left[digest]:
            left[digest] -= 1
        elif digest and digest != other:
            words = (
                "has changed since the bundle was locked" if other else "is not there, or the bundle names it no more"
            )
            found.append(_one("data", name, digest, other, f"{name} {words}"))
    for name, digest in now.data.items():
        if name not in locked.data and come[digest]:
            come[digest] -= 1
        elif locked.data and name not in locked.data:
            found.append(_one("data", name, "", digest, f"{name} is not in the lock"))
    return found


def _model(locked: Lock, now: Lock) -> list[Drift]:
    found = []
    for name, digest in locked.model.items():
        other = now.model.get(name, "")
        if digest and digest != other:
            words = "has changed since the bundle was locked" if other else "is not there any more"
            found.append(_one("model", name, digest, other, f"the model's {name} {words}"))
    if (
        locked.tokenizer
        and now.tokenizer
        and locked.tokenizer != now.tokenizer
        and "tokenizer.json" not in locked.model
    ):
        found.append(_one("model", "tokenizer", locked.tokenizer, now.tokenizer, "the tokenizer has changed"))
    if locked.template and locked.template != now.template:
        words = "the chat template has changed since the bundle was locked"
        found.append(_one("model", "template", locked.template, now.template, words))
    if locked.revision and now.revision and locked.revision != now.revision:
        words = f"the model's commit {locked.revision[:SHORT]} is now {now.revision[:SHORT]}"
        found.append(_one("model", "revision", locked.revision, now.revision, words))
    return found


def _one(
    kind: Literal["data", "model", "setting", "library", "hardware"], name: str, locked: str, now: str, message: str
) -> Drift:
    return Drift(kind=kind, name=name, locked=locked, now=now, message=message)
