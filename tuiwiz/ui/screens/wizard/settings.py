"""Step Settings: every value, who decided it and why; edited in place."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.text import clean, clean_line
from tuiwiz.base.units import gib, human_duration
from tuiwiz.bundle.change import parse_value
from tuiwiz.bundle.convert import value_problems
from tuiwiz.spec.bundle import SECTIONS
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import flatten, section_keys
from tuiwiz.spec.rules import AVAILABLE, available
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.picklist import Pick, PickList
from tuiwiz.ui.widgets.ratecurve import rate_lines, shows_rate
from tuiwiz.ui.widgets.saying import Saying
from tuiwiz.wizard.alternatives import Alternative
from tuiwiz.wizard.answers import Composed
from tuiwiz.wizard.work import brief, shown

FIRST = (
    "optimizer.learning_rate", "adapter.rank", "adapter.alpha", "schedule.epochs", "schedule.steps", "schedule.warmup",
    "batch.effective", "data.max_length",
)  # fmt: skip
"""What people change, on top."""


class SettingsView(StepView):
    def compose(self) -> ComposeResult:
        yield Saying(id="settings-fit")
        with VerticalScroll(id="settings-body", can_focus=False):
            yield PickList(id="settings")
        yield Input(id="settings-edit")
        with VerticalScroll(id="settings-about", can_focus=False):
            yield Saying(id="settings-why")

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

    @property
    def is_own(self) -> bool:
        """Whether the value under the cursor is the user's own."""
        return self.key in self.session.draft.answers.sets

    @property
    def other(self) -> Alternative | None:
        """The other value that is shown for the key under the cursor."""
        composed = self.session.composed
        found = composed.alternatives.get(self.key or "", ()) if composed is not None else ()
        return found[0] if found else None

    def refresh_view(self) -> None:
        composed = self.session.composed
        if composed is None:
            lines = [self.problem(one) for one in self.session.problems]
            self.query_one("#settings-fit", Static).update(Content("\n").join(lines))
            return
        self._show_fit(composed)
        self._fill(composed)
        if not self.editing:
            self._explain(composed)

    def _show_fit(self, composed: Composed, *, trial: bool = False) -> None:
        """One line: the fit of the bundle, or of what it would be with the value being typed."""
        plan = composed.plan
        parts: list[tuple[str, str]] = [("  would be: " if trial else "  ", "$accent" if trial else "")]
        if plan is None:
            parts.append(("not planned: model or device unknown", "$dim"))
        else:
            word, tone = {"fits": ("fits", "$good"), "tight": ("tight", "$warn")}.get(
                plan.verdict, ("does not fit", "$bad")
            )
            parts.append((f"{word}: {gib(plan.total_bytes)} of {gib(plan.usable_bytes)}", f"{tone} bold"))
        if composed.steps:
            warmup = f", warm-up {composed.warmup}" if composed.warmup is not None else ""
            parts.append((f"   {composed.steps:,} steps{warmup}", "$dim"))
        if plan is not None and plan.seconds is not None:
            parts.append((f"   about {human_duration(plan.seconds)}", "$dim"))
        self.query_one("#settings-fit", Static).update(Content.assemble(*parts))

    def _fill(self, composed: Composed) -> None:
        flat = flatten(composed.bundle)
        keys = [key for key in FIRST if flat.get(key) is not None or key == "schedule.epochs"]
        keys += [*(f"{section}.{name}" for section in SECTIONS for name in section_keys(section)), "phases"]
        picks: list[Pick] = []
        for key in dict.fromkeys([*keys[: len(FIRST)], "seed", *keys]):
            if key not in flat or _fixed(key):
                continue
            origin = composed.origin.get(key, "default")
            value = flat[key]
            text = "-" if value in (None, []) else clean_line(brief(key, value), 17)
            grade = composed.grades.get(key, "") if origin.startswith("preset") else ""
            tone = "$accent bold" if origin == "user" else "bold"
            mine = f"[ {text} ]" if origin == "user" else text
            picks.append(
                Pick(
                    key,
                    Content.assemble(
                        f"{key:<29}",
                        (f"{mine:>17}", tone),
                        "  ",
                        (f"{clean_line(origin, 22):<22}", "$dim"),
                        (f" {grade}" if grade else "", "$good" if grade == "A" else "$dim"),
                    ),
                )
            )
        self.query_one(PickList).set_picks(picks)

    def _explain(self, composed: Composed) -> None:
        key = self.key
        if key is None:
            return
        whole = self.has_class("-whole")
        field = FIELDS[key]
        unit = f" [{field.unit}]" if field.unit else ""
        lines = [Content.assemble((f"{field.help}{unit}", "$dim"))]
        lines += [self.problem(one) for one in self.session.problems if one.key == key]
        others = composed.alternatives.get(key, ())
        for number, other in enumerate(others if whole else others[:1]):
            mark = "" if other.usable else " (no room for it here)"
            press = ("a: ", "$accent bold") if number == 0 else ("   ", "")
            comment = clean_line(other.comment, 0 if whole else 130)
            lines.append(Content.assemble(press, (f"{other.who} says {shown(other.value)}{mark}: ", "$dim"), comment))
        if key in composed.ranges:
            low, high = composed.ranges[key]
            lines.append(Content.assemble((f"published range {shown(low)} to {shown(high)}", "$dim")))
        why = composed.why.get(key, "")
        curve = self._rate(composed, key)
        if why:
            # Below a curve there is room for the other value, and for the reason only on demand.
            place = len(lines) if curve else 1
            lines.insert(place, Content.assemble(("why: ", "$dim"), clean_line(why, 0 if whole else 230)))
        # Asked for the whole reason, nobody wants it pushed off the screen by a picture.
        lines[len(lines) if whole else 1 : len(lines) if whole else 1] = curve
        self._tell(lines)

    def _rate(self, composed: Composed, key: str) -> list[Content]:
        """The curve of the learning rate, for keys that bend it."""
        if not composed.steps or not shows_rate(key):
            return []
        large = self.has_class("-whole")
        return rate_lines(composed.bundle, composed.steps, self.size.width - 8, self.glyphs, large=large)

    def _tell(self, lines: list[Content]) -> None:
        self.query_one("#settings-why", Static).update(Content("\n").join(lines))

    def toggle_whole(self) -> None:
        """Give the reason most of the screen, and back."""
        self.toggle_class("-whole")
        self.refresh_view()

    def on_pick_list_moved(self, event: PickList.Moved) -> None:
        event.stop()
        if self.session.composed is not None:
            self._explain(self.session.composed)
        self.screen.refresh_bindings()

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        self.begin(event.value)

    def edit_selected(self) -> None:
        if self.key is not None:
            self.begin(self.key)

    def begin(self, key: str) -> None:
        """Edit a value in place."""
        composed = self.session.composed
        if composed is None:
            return
        edit = self.query_one("#settings-edit", Input)
        edit.placeholder = f"{key}: empty unsets it"
        value = flatten(composed.bundle)[key]
        with edit.prevent(Input.Changed):
            edit.value = "" if value in (None, []) else shown(value)
        edit.display = True
        edit.focus()
        edit.cursor_position = len(edit.value)
        self._judge(edit.value)
        self.screen.refresh_bindings()

    def end(self) -> None:
        """Leave the edit line without taking it."""
        self.query_one("#settings-edit", Input).display = False
        self.query_one(PickList).focus()
        self.wizard.say("")
        self.refresh_view()
        self.screen.refresh_bindings()

    def on_key(self, event: events.Key) -> None:
        """While a value of few choices is edited, up and down go through them."""
        step = {"down": 1, "up": -1}.get(event.key)
        words = [str(word) for word in available(self.key or "") if word is not None]
        if step is None or not self.editing or not words:
            return
        event.stop()
        event.prevent_default()
        edit = self.query_one("#settings-edit", Input)
        edit.value = words[(words.index(edit.value) + step) % len(words)] if edit.value in words else words[0]
        edit.cursor_position = len(edit.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.editing:
            self._judge(event.value)

    def _judge(self, typed: str) -> None:
        """Say whether the value as typed can be, and what the run would be with it."""
        key, composed = self.key, self.session.composed
        if key is None or composed is None:
            return
        wrong = _judged(key, typed)
        lines = [Content.assemble((f"{FIELDS[key].help}", "$dim"))]
        if words := ", ".join(str(word) for word in available(key) if word is not None):
            lines.append(Content.assemble(("up and down choose: ", "$dim"), words))
        trial = None if wrong else self.session.with_value(key, parse_value(typed))
        if wrong:
            lines.insert(0, Content.assemble(("no: ", "$bad bold"), (wrong, "$bad")))
        else:
            lines.insert(0, Content.assemble(("ok", "$good bold"), ("   enter takes it, esc leaves it", "$dim")))
            found = trial.problems if trial is not None else ()
            lines[1:1] = [self.problem(one) for one in found if one.key == key]
            lines += self._rate(trial or composed, key)
        self._tell(lines)
        self._show_fit(trial or composed, trial=trial is not None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        key = self.key
        if key is None:
            return
        if wrong := _judged(key, event.value):
            self.wizard.say(wrong)
        else:
            self.take(key, parse_value(event.value))

    def take(self, key: str, value: Any) -> None:
        """Make `value` the user's own; taking the value that stands anyway changes nothing."""
        if (composed := self.session.composed) and (self.is_own or flatten(composed.bundle)[key] != value):
            self.session.edit(key, value)
        self.end()
        self.wizard.changed()

    def take_other(self) -> None:
        """Take the other value that is shown."""
        if self.key is not None and self.other is not None:
            self.take(self.key, self.other.value)

    def reset_value(self) -> None:
        """Take back the user's own value of the key under the cursor."""
        if self.key is not None:
            self.session.reset(self.key)
            self.wizard.changed()


def _fixed(key: str) -> bool:
    """Keys of which this version knows one value, and those that are questions of other steps."""
    of_other_steps = key in ("task.kind", "model.source", "data.train", "validation.path")
    return of_other_steps or len(AVAILABLE.get(key, (0, 0))) == 1


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
