"""Step Task: what the model is to learn."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tuiwiz.spec.rules import available
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.picklist import Pick, PickList

SAYS = {
    "instruct": (
        "answer one request",
        "Rows are pairs of a request and its answer: instructions, questions, text to JSON, summaries. "
        "Only the answers are learnt.",
    ),
    "chat": (
        "talk over several turns",
        "Rows are conversations, with or without a system message. Every answer of the assistant is learnt.",
    ),
    "pretrain": (
        "know a field or a style",
        "Rows are running text without questions. Every token is learnt; a chat model may lose some of its manners.",
    ),
    "classify": (
        "sort texts into classes",
        "Rows are a text and its label, several labels, or a number. The model gets a new head.",
    ),
    "dpo": (
        "prefer better answers",
        "Rows are a prompt with a better and a worse answer. The model is held near what it was.",
    ),
    "kto": (
        "favour answers judged good",
        "Rows are one answer each, judged good or bad: thumbs up and down, without pairs.",
    ),
    "orpo": (
        "learn and prefer at once",
        "Rows are a prompt with a better and a worse answer. The better ones are learnt as well.",
    ),
    "simpo": (
        "prefer, judged by the word",
        "Rows are a prompt with a better and a worse answer. Nothing holds the model near what it was: low rates.",
    ),
    "reward": (
        "judge answers by a number",
        "Rows are a prompt with a better and a worse answer. The result is no chat model: it scores chats.",
    ),
}
"""By task: what the model is to do, and what the data is like."""


class TaskView(StepView):
    def compose(self) -> ComposeResult:
        yield Static("What is the model to learn?\n")
        yield PickList(id="tasks")
        yield Static(id="task-about")

    def first_focus(self) -> Widget:
        return self.query_one(PickList)

    def entered(self) -> None:
        picks = []
        kinds = [str(kind) for kind in available("task.kind")]
        for kind in [*(one for one in SAYS if one in kinds), *(one for one in kinds if one not in SAYS)]:
            short, _ = SAYS.get(kind, (kind, ""))
            picks.append(Pick(kind, Content.assemble((f"{kind:<10}", "bold"), f"to {short}")))
        self.query_one(PickList).set_picks(picks, select=self.session.draft.answers.task or None)
        self._tell()

    def _tell(self) -> None:
        _, long = SAYS.get(self.query_one(PickList).value or "", ("", ""))
        self.query_one("#task-about", Static).update(Content.styled(long, "$dim"))

    def on_pick_list_moved(self, event: PickList.Moved) -> None:
        event.stop()
        self._tell()

    def commit(self, *, quietly: bool = False) -> bool:
        kind = self.query_one(PickList).value
        if kind is not None:
            self.session.answer(task=kind)
        return kind is not None

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        self.post_message(self.Next())
