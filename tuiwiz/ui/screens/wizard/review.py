"""Step Review: the bundle as it will be written, what differs from the preset, and where it goes."""

from __future__ import annotations

import textwrap
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.places import expanded
from tuiwiz.base.text import clean
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.keys import flatten
from tuiwiz.ui.screens.wizard.data import share_line
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.saying import Saying
from tuiwiz.wizard.answers import Composed
from tuiwiz.wizard.planning import cost_lines, verdict_words
from tuiwiz.wizard.work import shown
from tuiwiz.wizard.written import heading_of


class ReviewView(StepView):
    def compose(self) -> ComposeResult:
        yield Static("Write the bundle to", classes="dim")
        yield Input(id="output")
        with VerticalScroll(id="review-body"):
            yield Saying(id="review-facts")
            yield Saying(id="review-toml")

    def first_focus(self) -> Widget:
        return self.query_one("#review-body")

    def entered(self) -> None:
        composed = self.session.composed
        name = composed.bundle.name if composed is not None else "run"
        with self.prevent(Input.Changed):
            self.query_one(Input).value = self.session.draft.output or f"{name}.toml"
        self.refresh_view()

    @property
    def output(self) -> Path:
        typed = self.query_one(Input).value.strip() or "bundle.toml"
        return (self.session.folder / expanded(typed)).absolute()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one("#review-body").focus()

    def refresh_view(self) -> None:
        composed = self.session.composed
        facts, toml = self.query_one("#review-facts", Static), self.query_one("#review-toml", Static)
        if composed is None:
            facts.update(Content("\n").join(self.problem(one) for one in self.session.problems))
            toml.update("")
            return
        facts.update(self._facts(composed))
        toml.update(toml_content(self.text(composed), max(30, self.size.width - 5)))

    def text(self, composed: Composed) -> str:
        return write_bundle(composed.bundle, why=composed.why, heading=heading_of(composed))

    def commit(self, *, quietly: bool = False) -> bool:
        """Keep where the bundle goes."""
        self.session.put_output(self.query_one(Input).value.strip())
        return True

    def on_resize(self) -> None:
        self.refresh_view()

    def _facts(self, composed: Composed) -> Content:
        lines = [Content.assemble(("  ", ""), (verdict_words(composed.plan), "bold"))]
        lines += [Content.styled(f"  {clean(words)}", "$dim") for words in cost_lines(composed.plan)]
        lines += self._mix()
        lines += [self.problem(one) for one in composed.problems if one.severity != "info"][:8]
        flat = flatten(composed.bundle)
        differing = [
            (key, value, flat[key])
            for key, value in composed.preset_values.items()
            if key in flat and flat[key] != value
        ]
        if composed.preset:
            lines.append(
                Content.assemble(
                    (
                        f"  differs from preset {composed.preset}:" if differing else f"  as preset {composed.preset}",
                        "$dim",
                    )
                )
            )
        for key, before, now in differing:
            by = composed.origin.get(key, "")
            lines.append(
                Content.assemble(
                    f"    {key:<32} {shown(before)} {self.glyphs.arrow} ", (shown(now), "bold"), (f"  {by}", "$dim")
                )
            )
        lines.append(Content(""))
        return Content("\n").join(lines)

    def _mix(self) -> list[Content]:
        """What a pass takes of each of several sets."""
        data, mix = self.session.facts.data, self.session.draft.answers.mix
        if data is None or not data.sets:
            return []
        lines = [Content.styled(f"  {len(mix)} sets mixed, {data.rows:,} rows in a pass:", "$dim")]
        return lines + [share_line(one, typed.path, data.rows) for one, typed in zip(data.sets, mix, strict=False)]


def toml_content(text: str, width: int) -> Content:
    """TOML with values bold and comments dim, both wrapped so that they stay what they are."""
    lines: list[Content] = []
    for line in clean(text).splitlines():
        if line.startswith("#"):
            wrapped = textwrap.wrap(line, width, subsequent_indent="# ", break_on_hyphens=False) or ["#"]
            lines += [Content.styled(part, "$dim") for part in wrapped]
        elif line.startswith("["):
            lines.append(Content.styled(line, "$accent bold"))
        else:
            lines.append(Content.styled(line, "bold"))
    return Content("\n").join(lines)
