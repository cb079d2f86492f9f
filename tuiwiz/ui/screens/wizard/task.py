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
    "instruct": ("answer one request", "pairs of request and answer: instructions, questions, JSON, summaries"),
    "chat": ("talk over several turns", "conversations; every answer of the assistant is learnt"),
    "pretrain": ("know a field or a style", "running text without questions; every token is learnt"),
}


class TaskView(StepView):
    def compose(self) -> ComposeResult:
        yield Static("What is the model to learn?\n")
        yield PickList(id="tasks")

    def first_focus(self) -> Widget:
        return self.query_one(PickList)

    def entered(self) -> None:
        picks = []
        kinds = [str(kind) for kind in available("task.kind")]
        for kind in [*(one for one in SAYS if one in kinds), *(one for one in kinds if one not in SAYS)]:
            short, long = SAYS.get(kind, (kind, ""))
            picks.append(Pick(kind, Content.assemble((f"{kind:<10}", "bold"), f"to {short:<26}", (long, "$dim"))))
        self.query_one(PickList).set_picks(picks, select=self.session.draft.answers.task or None)

    def commit(self) -> bool:
        kind = self.query_one(PickList).value
        if kind is not None:
            self.session.answer(task=kind)
        return kind is not None

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        self.post_message(self.Next())
