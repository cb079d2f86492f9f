"""Rows that a phase of a run brings itself, in place of the run's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Encoded, Rows
from tuiwiz.spec.bundle import Bundle


def phase_rows(
    bundle: Bundle, folder: Path, tokenizer_folder: Path, held_out: Rows, *, tokenizer_name: str = ""
) -> tuple[list[Rows | None], list[Problem]]:
    """Each phase's own rows, read as the run's are, or None for a phase over the run's; and what is to be said of them.

    A row whose prompt is held out is left out: evaluations would flatter.

    Raises:
        InvalidError: a phase's data cannot be used, or nothing of it is left.
    """
    known = {_prompt(row) for row in held_out} if any(phase.data is not None for phase in bundle.phases) else set()
    found: list[Rows | None] = []
    problems: list[Problem] = []
    for phase in bundle.phases:
        if phase.data is None:
            found.append(None)
            continue
        rows = _read(bundle, phase.data, folder, tokenizer_folder, tokenizer_name)
        kept = [place for place, row in enumerate(rows) if _prompt(row) not in known]
        if not kept:
            raise InvalidError(
                f'phase "{phase.name}": every row of {phase.data} is held out for evaluations',
                hint="name other data, or a validation set of its own",
            )
        if len(kept) < len(rows):
            count = len(rows) - len(kept)
            what = "rows of it are" if count > 1 else "row of it is"
            message = f'phase "{phase.name}": {count:,} {what} held out for evaluations and left out of its data'
            problems.append(Problem(severity="warning", message=message, path=str(folder / phase.data), key="phases"))
            rows = rows.take(kept)
        found.append(rows)
    return found, problems


def _read(bundle: Bundle, data: str, folder: Path, tokenizer_folder: Path, tokenizer_name: str) -> Rows:
    """The rows of `data`; where the run's format and columns do not fit them, they are recognised by themselves."""
    own = msgspec.structs.replace(bundle.data, train=data)
    plain = msgspec.structs.replace(own, format="auto", mapping={})
    for settings in (own, plain):
        asked = msgspec.structs.replace(bundle, data=settings)
        try:
            return prepare(asked, folder, tokenizer_folder, tokenizer_name=tokenizer_name, hold_out=False).train
        except InvalidError:
            if settings == plain:
                raise
    raise AssertionError("the second try returns or raises")


def _prompt(row: Encoded) -> bytes:
    """What a row is known by: its tokens up to the last answer, all of them where everything is trained."""
    return (row.input_ids[: row.answer_start] or row.input_ids).tobytes()
