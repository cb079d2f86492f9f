"""Real rows as the model will see them, for a screen: format, columns, and segments with the trained part marked."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem
from tuiwiz.data.types import PreviewRow, Segment
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.facts import ModelFacts

__all__ = ["Preview", "PreviewRow", "Segment", "read_preview"]

ROWS = 3


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """`template` says whose chat template the rows are written with."""

    format: str = ""
    container: str = ""
    columns: tuple[str, ...] = ()
    mapping: dict[str, str] = {}
    rows: tuple[PreviewRow, ...] = ()
    template: str = ""
    problems: tuple[Problem, ...] = ()


def read_preview(path: Path, answers: Answers, model: ModelFacts | None) -> Preview:
    """Look at the first rows of a file; never raises, quick for a file of any size.

    Formats that need numpy are left to the full check, which runs in a process of its own.
    """
    from tuiwiz.catalog import embedded
    from tuiwiz.data.preview import preview
    from tuiwiz.data.sniff import sniff
    from tuiwiz.data.source import loads_numpy

    sets = answers.sets
    try:
        if loads_numpy(path):
            note = Problem(severity="info", message="this format is shown after the full check only")
            return Preview(container=path.suffix.lstrip("."), problems=(note,))
        sniffed = sniff(path, task=answers.task, mapping=sets.get("data.mapping") or {})
        folder, template = None, "the default template for base models"
        if model is not None and model.folder is not None and (model.folder / "tokenizer.json").is_file():
            folder, template = model.folder, "the model's own template"
        elif embedded.is_ready():
            folder, template = embedded.folder(), f"the template of {embedded.NAME}, until a model is chosen"
        if sniffed.format == "none":
            return _of(sniffed, (), template, sniffed.problems)
        rows = preview(
            path,
            folder,
            mapping=sets.get("data.mapping") or {},
            train_on=str(sets.get("data.train_on") or ("all" if answers.task == "pretrain" else "assistant")),
            system=sets.get("data.system"),
            max_length=int(sets.get("data.max_length") or 1 << 20),
            task=answers.task,
            limit=ROWS,
        )
    except TuiwizError as error:
        return Preview(problems=error.problems)
    except OSError as error:
        return Preview(problems=(Problem(message=f"{path} cannot be read: {error.strerror or error}"),))
    return _of(sniffed, tuple(rows), template, sniffed.problems)


def _of(sniffed: object, rows: tuple[PreviewRow, ...], template: str, problems: tuple[Problem, ...]) -> Preview:
    from tuiwiz.data.types import Sniffed

    assert isinstance(sniffed, Sniffed)
    return Preview(
        format=sniffed.format,
        container=sniffed.container,
        columns=sniffed.columns,
        mapping=sniffed.mapping,
        rows=rows,
        template=template,
        problems=problems,
    )
