"""Step Data: which file, what it is taken for, and real rows as the model will see them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.text import clean
from tuiwiz.ui.glyphs import to_ascii
from tuiwiz.ui.screens.wizard.paths import PathSuggester, candidates
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.saying import Saying
from tuiwiz.wizard.jobs import absolute
from tuiwiz.wizard.previews import Preview, PreviewRow, Segment, read_preview

LONGEST_SEGMENT = 1200
"""Characters of one stretch that are shown."""


class DataView(StepView):
    def __init__(self, *args: object, **kw: object) -> None:
        super().__init__(*args, **kw)  # type: ignore[arg-type]
        self.preview: Preview | None = None
        self._shown: tuple[object, ...] = ()

    @property
    def reading(self) -> bool:
        """Whether the rows that are asked for are not shown yet."""
        return bool(self._shown) and self.preview is None

    def compose(self) -> ComposeResult:
        suggester = PathSuggester(self.session.folder)
        yield Static("Training data", classes="dim")
        yield Input(placeholder="a file: JSON, JSON lines, CSV, text ...", suggester=suggester, id="train")
        yield Static("Validation data, never trained on; empty: a share is held out", classes="dim")
        yield Input(placeholder="optional", suggester=PathSuggester(self.session.folder), id="validation")
        with VerticalScroll(id="data-body"):
            yield Saying(id="data-info")
            yield Static(id="data-rows")

    def first_focus(self) -> Widget:
        return self.query_one("#train", Input)

    def entered(self) -> None:
        answers = self.session.draft.answers
        with self.prevent(Input.Changed):
            self.query_one("#train", Input).value = answers.data
            self.query_one("#validation", Input).value = answers.validation or ""
        self.look()
        self.refresh_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.refresh_view()
        self.look()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Next())

    def look(self) -> None:
        """Read the first rows of the file that is named, in a thread, when it is another one than before."""
        name = self.query_one("#train", Input).value.strip()
        path = absolute(name, self.session.folder)
        model = self.session.model
        key = (name, self.session.draft.answers.sets, self.session.draft.answers.task, model.folder if model else None)
        if not name or not path.exists() or (path.is_dir() and not any(path.iterdir())):
            self.preview, self._shown = None, ()
            return
        if key == self._shown:
            return
        self._shown, self.preview = key, None
        answers = self.session.draft.answers
        self.run_worker(
            lambda: self._read(key, path, answers, model),
            thread=True,
            group="preview",
            exclusive=True,
            exit_on_error=True,
        )

    def _read(self, key: tuple[object, ...], path: object, answers: object, model: object) -> None:
        """In a thread."""
        found = read_preview(path, answers, model)  # type: ignore[arg-type]
        if self.is_running:
            self.app.call_from_thread(self._take, key, found)

    def _take(self, key: tuple[object, ...], found: Preview) -> None:
        if key == self._shown:
            self.preview = found
            self.refresh_view()

    def commit(self, *, quietly: bool = False) -> bool:
        name = self.query_one("#train", Input).value.strip()
        other = self.query_one("#validation", Input).value.strip()
        for typed in (name, other):
            if typed and not absolute(typed, self.session.folder).exists():
                if not quietly:
                    self.wizard.say(f"there is no file {typed}")
                return False
        if self.preview is not None and any(one.severity == "error" for one in self.preview.problems):
            if not quietly:
                self.wizard.say("this file cannot be used: the reasons are above")
            return False
        self.session.answer(data=name, validation=other or None)
        return True

    def refresh_view(self) -> None:
        name = self.query_one("#train", Input).value.strip()
        info, rows = self.query_one("#data-info", Static), self.query_one("#data-rows", Static)
        path = absolute(name, self.session.folder)
        if not name or not path.exists() or (path.is_dir() and not self._is_set()):
            found = candidates(name or "./", self.session.folder, limit=8)
            lines = (
                [Content.assemble(("  tab or right arrow completes: ", "$dim"), clean(found[0]))]
                if found and name
                else []
            )
            lines += [Content(f"    {clean(one)}") for one in found]
            if name and not found and not path.exists():
                lines = [Content.assemble(("  there is nothing by that name: ", "$warn"), clean(str(path)))]
            info.update(Content("\n").join(lines))
            rows.update("")
            return
        info.update(self._info())
        rows.update(self._rows())

    def _is_set(self) -> bool:
        """Whether what is named was read as a data set: a folder of shards is one, a folder on the way to it is not."""
        return self.preview is not None and not any(one.severity == "error" for one in self.preview.problems)

    def _info(self) -> Content:
        preview = self.preview
        if preview is None:
            return Content("  reading ...")
        lines = []
        if preview.format and preview.format != "none":
            roles = ", ".join(f"{role} = {column}" for role, column in preview.mapping.items())
            facts = [preview.format, preview.container, roles]
            lines.append(Content.assemble(("  ", ""), (clean("   ".join(fact for fact in facts if fact)), "bold")))
        report = self.session.data
        if report is not None and report.facts is not None and self._is_measured():
            counted = report.facts
            trained = f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} trained"
            lines.append(Content(f"  {counted.rows:,} usable rows, {trained}"))
            lengths = f"median {counted.p50}, 95 % {counted.p95}, longest {counted.longest}"
            lines.append(Content(f"  tokens a row: {lengths}"))
        elif self._is_measured() and report is None:
            lines.append(Content.assemble(("  counting all rows ...", "$dim")))
        problems = [*preview.problems]
        if report is not None and self._is_measured():
            problems += [one for one in report.problems if one.severity != "info" and one not in problems]
        lines += [self.problem(one) for one in problems[:6]]
        if preview.template:
            lines.append(Content.assemble((f"  written with {preview.template}", "$dim")))
        return Content("\n").join(lines)

    def _is_measured(self) -> bool:
        return self.query_one("#train", Input).value.strip() == self.session.draft.answers.data

    def _rows(self) -> Content:
        if self.preview is None or not self.preview.rows:
            return Content("")
        ascii_only = self.glyphs.ascii
        opening, closing = ("[[", "]]") if ascii_only else ("⟦", "⟧")
        legend = Content.assemble((f"{opening}trained{closing}", "$good bold"), ("  the rest is context", "$dim"))
        return Content("\n").join([legend, *(row_content(row, ascii_only=ascii_only) for row in self.preview.rows)])


def row_content(row: PreviewRow, *, ascii_only: bool) -> Content:
    """One row: trained stretches in brackets and bold, so that they are told apart without colour."""
    opening, closing = ("[[", "]]") if ascii_only else ("⟦", "⟧")
    count = "" if row.tokens is None else f", {row.tokens} tokens, {row.supervised_tokens} trained"
    parts: list[tuple[str, str]] = [(f"row {row.row}{count}\n", "$accent")]
    if row.problem is not None and not row.segments:
        parts.append((f"  {clean(row.problem.message)}\n", "$warn"))
    if row.label:
        parts.append((f"label: {to_ascii(row.label) if ascii_only else row.label}\n", "bold"))
    other = [Segment("\nworse answer:\n", "context"), *row.other] if row.other else []
    for segment in (*row.segments, *other):
        text = clean(segment.text)
        if len(text) > LONGEST_SEGMENT:
            text = text[:LONGEST_SEGMENT] + " ..."
        text = to_ascii(text) if ascii_only else text
        if segment.mark == "trained":
            parts.append((f"{opening}{text}{closing}", "$good bold"))
        elif segment.mark == "truncated":
            parts.append((f"{{cut: {text}}}", "$bad strike"))
        else:
            parts.append((text, "$dim"))
    return Content.assemble(*parts, "\n")
