"""Step Settings: every value, who decided it and why; edited in place."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.text import clean, clean_line
from tuiwiz.bundle.change import parse_value
from tuiwiz.bundle.convert import value_problems
from tuiwiz.spec.bundle import SECTIONS
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import flatten, section_keys
from tuiwiz.spec.rules import AVAILABLE, available
from tuiwiz.ui.screens.wizard.view import StepView, problem_content
from tuiwiz.ui.widgets.picklist import Pick, PickList
from tuiwiz.wizard.answers import Composed
from tuiwiz.wizard.planning import verdict_words
from tuiwiz.wizard.work import shown

FIRST = (
    "optimizer.learning_rate", "adapter.rank", "adapter.alpha", "schedule.epochs", "schedule.steps", "schedule.warmup",
    "batch.effective", "data.max_length",
)  # fmt: skip
"""What people change, on top."""


class SettingsView(StepView):
    def compose(self) -> ComposeResult:
        yield Static(id="settings-fit")
        with VerticalScroll(id="settings-body", can_focus=False):
            yield PickList(id="settings")
        yield Static(id="settings-why")
        yield Input(id="settings-edit")

    def on_mount(self) -> None:
        self.query_one("#settings-edit").display = False

    def first_focus(self) -> Widget:
        return self.query_one(PickList)

    def entered(self) -> None:
        self.refresh_view()

    @property
    def key(self) -> str | None:
        return self.query_one(PickList).value

    @property
    def editing(self) -> bool:
        return bool(self.query_one("#settings-edit", Input).display)

    def refresh_view(self) -> None:
        composed = self.session.composed
        fit = self.query_one("#settings-fit", Static)
        if composed is None:
            fit.update(Content("\n").join(problem_content(one) for one in self.session.problems))
            return
        steps = f"   {composed.steps:,} steps" if composed.steps else ""
        warmup = f", warm-up {composed.warmup}" if composed.warmup is not None else ""
        fit.update(Content.assemble(("  ", ""), (verdict_words(composed.plan), "bold"), (f"{steps}{warmup}", "$dim")))
        self._fill(composed)
        self._explain(composed)

    def _fill(self, composed: Composed) -> None:
        flat = flatten(composed.bundle)
        keys = [key for key in FIRST if flat.get(key) is not None or key == "schedule.epochs"]
        keys += [f"{section}.{name}" for section in SECTIONS for name in section_keys(section)]
        picks: list[Pick] = []
        for key in dict.fromkeys([*keys[: len(FIRST)], "seed", *keys]):
            if key not in flat or _fixed(key):
                continue
            origin = composed.origin.get(key, "default")
            value = flat[key]
            text = "-" if value is None else clean_line(shown(value), 22)
            grade = composed.grades.get(key, "") if origin.startswith("preset") else ""
            tone = "$accent bold" if origin == "user" else "bold"
            mine = f"[ {text} ]" if origin == "user" else text
            picks.append(
                Pick(
                    key,
                    Content.assemble(
                        f"{key:<32}",
                        (f"{mine:>16}", tone),
                        "  ",
                        (f"{clean_line(origin, 22):<22}", "$dim"),
                        (f" {grade}" if grade else "", "$good" if grade == "A" else "$dim"),
                    ),
                )
            )
        self.query_one(PickList).set_picks(picks)

    def _explain(self, composed: Composed, *, whole: bool = False) -> None:
        key = self.key
        if key is None:
            return
        field = FIELDS[key]
        unit = f" [{field.unit}]" if field.unit else ""
        lines = [Content.assemble((f"  {field.help}{unit}", "$dim"))]
        why = composed.why.get(key, "")
        if why:
            lines.append(Content.assemble(("  why: ", "$dim"), clean_line(why, 0 if whole else 230)))
        for problem in self.session.problems:
            if problem.key == key:
                lines.append(problem_content(problem))
        if key in composed.ranges:
            low, high = composed.ranges[key]
            lines.append(Content.assemble((f"  published range {shown(low)} to {shown(high)}", "$dim")))
        for other in composed.alternatives.get(key, ())[: 4 if whole else 1]:
            mark = "" if other.usable else " (no room for it here)"
            lines.append(
                Content.assemble(
                    (f"  {other.who} says {shown(other.value)}{mark}: ", "$dim"), clean_line(other.comment, 160)
                )
            )
        self.query_one("#settings-why", Static).update(Content("\n").join(lines))

    def on_pick_list_moved(self, event: PickList.Moved) -> None:
        event.stop()
        if self.session.composed is not None:
            self._explain(self.session.composed)

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        self.begin(event.value)

    def begin(self, key: str) -> None:
        """Edit a value in place."""
        composed = self.session.composed
        if composed is None:
            return
        edit = self.query_one("#settings-edit", Input)
        words = ", ".join(str(word) for word in available(key))
        edit.placeholder = f"{key}: {words}" if words else f"{key}: empty unsets it"
        value = flatten(composed.bundle)[key]
        with edit.prevent(Input.Changed):
            edit.value = "" if value is None else shown(value)
        edit.display = True
        edit.focus()

    def end(self) -> None:
        """Leave the edit line without taking it."""
        edit = self.query_one("#settings-edit", Input)
        edit.display = False
        self.query_one(PickList).focus()
        self.refresh_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        key, composed = self.key, self.session.composed
        if key is None or composed is None or not self.editing:
            return
        wrong = _judged(key, event.value)
        line = Content.assemble(("  ok", "$good")) if not wrong else Content.assemble((f"  {wrong}", "$bad"))
        self.query_one("#settings-why", Static).update(
            Content("\n").join([line, Content.assemble((f"  {FIELDS[key].help}", "$dim"))])
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        key = self.key
        if key is None:
            return
        wrong = _judged(key, event.value)
        if wrong:
            self.wizard.say(wrong)
            return
        self.session.edit(key, parse_value(event.value))
        self.end()
        self.wizard.changed()

    def reset_value(self) -> None:
        """Take back the user's own value of the key under the cursor."""
        if self.key is not None:
            self.session.reset(self.key)
            self.wizard.changed()

    def explain_whole(self) -> None:
        if self.session.composed is not None:
            self._explain(self.session.composed, whole=True)


def _fixed(key: str) -> bool:
    """Keys of which this version knows one value, and those that are questions of other steps."""
    if key in ("task.kind", "model.source", "data.train", "validation.path"):
        return True
    return len(AVAILABLE.get(key, (0, 0))) == 1


def _judged(key: str, typed: str) -> str:
    """What is wrong with a value as typed, in one line."""
    value: Any = parse_value(typed)
    if value is None:
        return ""
    for problem in value_problems(key, value):
        return clean(f"{problem.message}{f'; {problem.hint}' if problem.hint else ''}")
    allowed = AVAILABLE.get(key)
    if allowed is not None and value not in allowed:
        return f"not available in this version: {', '.join(str(one) for one in allowed if one is not None)}"
    return ""
