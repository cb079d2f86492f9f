"""`tuiwiz report RUN`: a page, a text or a model card of a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from tuiwiz.base.places import expanded


class Form(StrEnum):
    html = "html"
    markdown = "markdown"
    card = "card"


def register(app: typer.Typer) -> None:
    @app.command("report")
    def report(
        run: str | None = typer.Argument(None, help="A run folder, a name or the start of one; else the newest run."),
        form: Form = typer.Option(Form.html, "--format", help="html, markdown, or card (for the adapter's folder)."),
        out: Path | None = typer.Option(
            None, "-o", metavar="FILE", help="The file; else report.html in the run folder."
        ),
        as_json: bool = typer.Option(False, "--json", help="One JSON document with the file's path."),
    ) -> None:
        """Write one file that says all about a run, with nothing to be loaded from a network."""
        from tuiwiz.base.errors import MachineLacksError, UsageError
        from tuiwiz.base.files import write_atomic
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.events.fold import view_of
        from tuiwiz.publish.facts import gather
        from tuiwiz.publish.page import page
        from tuiwiz.publish.text import card, markdown
        from tuiwiz.runs.registry import find

        folder = find(run)
        view = view_of(folder)
        if not view.events:
            raise UsageError(
                f"{folder.path} has no events yet", hint="`tuiwiz watch` shows a run from its first word on"
            )
        facts = gather(folder, view)
        if form is Form.html:
            text, target = page(facts), folder.path / "report.html"
        elif form is Form.markdown:
            text, target = markdown(facts), folder.path / "report.md"
        else:
            kept = folder.model if folder.model.is_dir() else folder.adapter
            if out is None and not kept.is_dir():
                raise UsageError(
                    f"{folder.path.name} has no result yet", hint="a card lies beside an adapter; or use -o"
                )
            text, target = card(facts, folder), kept / "README.md"
        target = expanded(out or target).absolute()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, text)
        except OSError as error:
            raise MachineLacksError(
                f"{target} cannot be written: {error.strerror}", hint="name a file with -o"
            ) from error
        if as_json:
            emit_json({"ok": True, "report": str(target), "findings": facts.findings})
        else:
            say(str(target))
