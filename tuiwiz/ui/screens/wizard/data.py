"""Step Data: which file, what it is taken for, and real rows as the model will see them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean, clean_line
from tuiwiz.data.sets import Share
from tuiwiz.ui.glyphs import to_ascii
from tuiwiz.ui.screens.wizard.paths import PathSuggester, candidates
from tuiwiz.ui.screens.wizard.sets import MOST_SETS, SetLines, mix_of
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.saying import Saying
from tuiwiz.wizard.jobs import absolute
from tuiwiz.wizard.previews import Preview, PreviewRow, Segment, read_preview

LONGEST_SEGMENT = 1200
"""Characters of one stretch that are shown."""


ONE = "Training data"
SEVERAL = "Training data, mixed: all rows; with weights, others beside the whole first"
NAME = 24
"""Columns for a set's name."""


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
        yield Static(ONE, id="sets-title", classes="dim")
        yield SetLines(self.session.folder)
        yield Static("Validation data, never trained on; empty: a share is held out", classes="dim")
        yield Input(placeholder="optional", suggester=PathSuggester(self.session.folder), id="validation")
        with VerticalScroll(id="data-body"):
            yield Saying(id="data-info")
            yield Static(id="data-rows")

    def first_focus(self) -> Widget:
        return self.query_one("#train", Input)

    def entered(self) -> None:
        answers = self.session.draft.answers
        self.sets.fill(answers.mix)
        with self.prevent(Input.Changed):
            self.query_one("#validation", Input).value = answers.validation or ""
        self.look()
        self.refresh_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.wizard.say("")
        self.refresh_view()
        self.look()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Next())

    @property
    def sets(self) -> SetLines:
        return self.query_one(SetLines)

    @property
    def several(self) -> bool:
        return len(self.sets.lines) > 1

    @property
    def named(self) -> str:
        """The set whose rows are shown: that of the line with the focus, else the first."""
        line = self.sets.focused or self.sets.lines[0]
        return line.path.value.strip() or self.query_one("#train", Input).value.strip()

    def add_set(self) -> None:
        """One more line, once those that are there are named."""
        if any(not path for path, _ in self.sets.typed()):
            self.wizard.say("name the set whose line is empty first")
        elif not self.sets.add():
            self.wizard.say(f"more than {MOST_SETS} sets are for a bundle that you write yourself")
        else:
            self._taken()

    def leave_out(self) -> None:
        line = self.sets.focused
        if line is None:
            self.wizard.say("go to the line of the set that is to be left out")
            return
        self.sets.leave_out(line)
        self._taken()

    def on_descendant_focus(self) -> None:
        """Of several sets all are counted as they are written down: what they come to is shown here."""
        if self.several and self.is_attached and self.wizard.step == "data":
            self._taken()

    def _taken(self) -> None:
        self.commit(quietly=True)
        self.look()
        self.wizard.changed()

    def look(self) -> None:
        """Read the first rows of the file that is named, in a thread, when it is another one than before."""
        name = self.named
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
        mix = mix_of(self.sets.typed())
        other = self.query_one("#validation", Input).value.strip()
        if isinstance(mix, str):
            if not quietly:
                self.wizard.say(mix)
            return False
        for typed in (*(one.path for one in mix), other):
            if typed and not absolute(typed, self.session.folder).exists():
                if not quietly:
                    self.wizard.say(f"there is no file {typed}")
                return False
        if self.preview is not None and any(one.severity == "error" for one in self.preview.problems):
            if not quietly:
                self.wizard.say("this file cannot be used: the reasons are above")
            return False
        answers = self.session.draft.answers.with_mix(mix)
        self.session.answer(data=answers.data, weight=answers.weight, more=answers.more, validation=other or None)
        return True

    def refresh_view(self) -> None:
        self.query_one("#sets-title", Static).update(SEVERAL if self.several else ONE)
        name = self.named
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
            facts = [ending(self.named) if self.several else "", preview.format, preview.container, roles]
            lines.append(Content.assemble(("  ", ""), (clean("   ".join(fact for fact in facts if fact)), "bold")))
        report = self.session.data
        if report is not None and report.facts is not None and self._is_measured():
            counted = report.facts
            trained = f"{counted.tokens:,} tokens, {counted.supervised_tokens:,} trained"
            what = f"rows of {len(counted.sets)} sets in a pass" if counted.sets else "usable rows"
            lines.append(Content(f"  {counted.rows:,} {what}, {trained}"))
            mix = self.session.draft.answers.mix
            lines += [share_line(one, typed.path, counted.rows) for one, typed in zip(counted.sets, mix, strict=False)]
            lengths = f"median {counted.p50}, 95 % {counted.p95}, longest {counted.longest}"
            lines.append(Content(f"  tokens a row: {lengths}"))
        elif self._is_measured() and report is None:
            lines.append(Content.assemble(("  counting all rows ...", "$dim")))
        problems = [*preview.problems]
        if report is not None and self._is_measured():
            mine = [one for one in report.problems if one.severity != "info" and one not in problems]
            names = {str(absolute(one.path, self.session.folder)): one.path for one in self.session.draft.answers.mix}
            problems += [in_file(one, names) for one in mine] if self.several else mine
        lines += [self.problem(one) for one in problems[:6]]
        if preview.template:
            lines.append(Content.assemble((f"  written with {preview.template}", "$dim")))
        return Content("\n").join(lines)

    def _is_measured(self) -> bool:
        return mix_of(self.sets.typed()) == self.session.draft.answers.mix

    def _rows(self) -> Content:
        if self.preview is None or not self.preview.rows:
            return Content("")
        ascii_only = self.glyphs.ascii
        opening, closing = ("[[", "]]") if ascii_only else ("⟦", "⟧")
        legend = Content.assemble((f"{opening}trained{closing}", "$good bold"), ("  the rest is context", "$dim"))
        return Content("\n").join([legend, *(row_content(row, ascii_only=ascii_only) for row in self.preview.rows)])


def share_line(share: Share, name: str, total: int) -> Content:
    """What a set gives to a pass over the mix."""
    weight = "" if share.weight is None else f"weight {share.weight:g}"
    rows = f"{share.rows:,} rows" if share.weight is None else f"{share.rows:,} of {share.usable_rows:,} rows"
    part = 100 * share.rows / max(1, total)
    return Content(f"    {clean_line(ending(name), NAME):<{NAME}}  {weight:>12}  {rows:>20}  {part:>3.0f} %")


def ending(name: str) -> str:
    """The end of a path that is too long: sets of one folder, or of one name, are told apart by it."""
    return name if len(name) <= NAME else f"~{name[1 - NAME :]}"


def in_file(problem: Problem, names: Mapping[str, str]) -> Problem:
    """A problem that says which of several files it is in; `names` goes from whole paths to what was typed."""
    if not problem.path:
        whole = next((one for one in names if problem.message.startswith(f"{one}: ")), "")
        return msgspec.structs.replace(problem, message=names.get(whole, "") + problem.message.removeprefix(whole))
    row = f" row {problem.row}" if problem.row is not None else ""
    name = ending(names.get(problem.path, problem.path))
    return msgspec.structs.replace(problem, message=f"{name}{row}: {problem.message}", row=None)


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
