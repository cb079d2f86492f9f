"""A question at the bottom of the screen: what will happen, and the answers by key, arrow or mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from tuiwiz.base.text import clean
from tuiwiz.ui.widgets.line import Line


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the key that gives it, its label, and what `push_screen`'s callback receives."""

    key: str
    label: str
    result: str


class Choice(Static):
    """A clickable, focusable answer."""

    can_focus = True

    class Chosen(Message):
        def __init__(self, answer: Answer) -> None:
            super().__init__()
            self.answer = answer

    def __init__(self, answer: Answer) -> None:
        super().__init__(Content.assemble((answer.key, "$accent bold"), f" {answer.label}"))
        self.answer = answer

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.answer))


class Dialog(ModalScreen[str]):
    """Dismisses with the result of the chosen answer; Escape gives the last one, which therefore must be harmless."""

    AUTO_FOCUS = ""

    def __init__(self, question: str, detail: str, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._question = clean(question)
        self._detail = clean(detail)
        self._answers = tuple(answers)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Line()
            yield Static(Content.styled(self._question, "bold"), id="dialog-question")
            if self._detail:
                yield Static(Content.styled(self._detail, "$dim"), id="dialog-detail")
            with Horizontal(id="dialog-answers"):
                for answer in self._answers:
                    yield Choice(answer)

    def on_mount(self) -> None:
        # A word about the request before would lie over the answers.
        self.app.clear_notifications()
        self.query(Choice).last().focus()

    def on_key(self, event: events.Key) -> None:
        choices = list(self.query(Choice))
        at = next((number for number, choice in enumerate(choices) if choice.has_focus), len(choices) - 1)
        if event.key == "escape":
            self._choose(event, self._answers[-1])
        elif event.key == "enter":
            self._choose(event, choices[at].answer)
        elif event.key in ("left", "right", "h", "l", "tab", "shift+tab"):
            event.stop()
            step = -1 if event.key in ("left", "h", "shift+tab") else 1
            choices[(at + step) % len(choices)].focus()
        else:
            for answer in self._answers:
                if answer.key in (event.key, event.character):
                    self._choose(event, answer)

    def _choose(self, event: events.Key, answer: Answer) -> None:
        event.stop()
        self.dismiss(answer.result)

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        self.dismiss(event.answer.result)
