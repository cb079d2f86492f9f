"""Step Hardware: what is here, or a card to plan for."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.text import clean
from tuiwiz.base.units import gib
from tuiwiz.catalog.gpus import CARDS
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.picklist import Pick, PickList
from tuiwiz.ui.widgets.saying import Saying

HERE = ""
"""Value of the row that means this machine."""


class HardwareView(StepView):
    def compose(self) -> ComposeResult:
        yield Static("Train here, or plan for a card: by name, or by its memory in GiB", classes="dim")
        yield Input(placeholder="empty: this machine", id="card")
        yield Saying(id="device-info")
        with VerticalScroll(id="device-body", can_focus=False):
            yield PickList(id="cards")

    def first_focus(self) -> Widget:
        return self.query_one(PickList)

    def entered(self) -> None:
        with self.prevent(Input.Changed):
            self.query_one(Input).value = self.session.draft.answers.gpu or ""
        self._fill()
        self.refresh_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Next())

    def on_key(self, event: events.Key) -> None:
        """Down from the line goes into the list."""
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.query_one(PickList).focus()

    def on_pick_list_moved(self, event: PickList.Moved) -> None:
        event.stop()
        with self.prevent(Input.Changed):
            self.query_one(Input).value = event.value

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        with self.prevent(Input.Changed):
            self.query_one(Input).value = event.value
        self.post_message(self.Next())

    def _fill(self) -> None:
        typed = self.query_one(Input).value.strip().lower()
        picks = [Pick(HERE, Content.assemble(("this machine", "bold")))]
        for device in sorted(CARDS, key=lambda card: card.total_bytes):
            if typed in device.name.lower() or typed == (self.session.draft.answers.gpu or "").lower():
                picks.append(
                    Pick(
                        device.name, Content.assemble(f"{device.name:<28}", (f"{gib(device.total_bytes):>10}", "$dim"))
                    )
                )
        self.query_one(PickList).set_picks(picks, select=self.query_one(Input).value.strip())

    def refresh_view(self) -> None:
        info = self.query_one("#device-info", Static)
        error = self.session.error(self.session.device_job())
        device = self.session.device
        if error is not None:
            info.update(Content.assemble((f"  {clean(error.message)}  ", "$bad"), (clean(error.hint), "$dim")))
        elif device is not None:
            where = "" if self.session.draft.answers.gpu else "this machine: "
            kind = "no GPU here" if device.kind == "cpu" else "GPU"
            line = f"  {where}{device.name}, {gib(device.usable_bytes)} of {gib(device.total_bytes)} usable"
            others = f"; in use: {', '.join(device.others)}" if getattr(device, "others", ()) else ""
            info.update(Content.assemble(clean(line + others), (f"  {kind}", "$dim")))
        else:
            info.update(Content.assemble(("  looking ...", "$dim")))

    def commit(self, *, quietly: bool = False) -> bool:
        typed = self.query_one(Input).value.strip()
        if typed:
            from tuiwiz.base.errors import TuiwizError
            from tuiwiz.catalog.gpus import find_device

            try:
                find_device(typed)
            except TuiwizError as error:
                if not quietly:
                    self.wizard.say(f"{error.message}; {error.hint}" if error.hint else error.message)
                return False
        self.session.answer(gpu=typed or None)
        return True
