"""Step Model: a folder, a hub id, or only a size, which lists models of that size."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiwiz.base.text import clean
from tuiwiz.base.units import human_count
from tuiwiz.catalog.models import Known, all_models, of_size, on_this_machine
from tuiwiz.presets.bands import band_of, band_words, parse_size
from tuiwiz.ui.screens.wizard.paths import PathSuggester
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.picklist import Pick, PickList
from tuiwiz.ui.widgets.saying import Saying

MOST = 60


class ModelView(StepView):
    def compose(self) -> ComposeResult:
        yield Static("Model: a folder, a hub id, or a size such as 1B or 8B; down: the list", classes="dim")
        yield Input(placeholder="smollm2-135m-instruct", suggester=PathSuggester(self.session.folder), id="model-name")
        yield Saying(id="model-info")
        with VerticalScroll(id="model-body", can_focus=False):
            yield PickList(id="models")

    def first_focus(self) -> Widget:
        return self.query_one(Input)

    def entered(self) -> None:
        with self.prevent(Input.Changed):
            self.query_one(Input).value = self.session.draft.answers.model
        self._fill()
        self.refresh_view()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            # Nothing typed: choose from the list.
            self.query_one(PickList).focus()
            return
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
        typed = self.query_one(Input).value.strip()
        size = parse_size(typed)
        if size is not None:
            found = of_size(size)
        else:
            found = [
                known for known in all_models() if typed.lower() in known.name or typed.lower() in known.hub.lower()
            ]
        rows = sorted((not on_this_machine(known), band_rank(known), index) for index, known in enumerate(found))
        picks: list[Pick] = []
        heading = ""
        for away, _, index in rows[:MOST]:
            known = found[index]
            band = band_of(known.shape.parameters)
            title = "on this machine" if not away else f"{band}: {band_words(band)}"
            if title != heading:
                picks.append(Pick(None, Content.assemble((title, "$dim"))))
                heading = title
            terms = ", needs an agreement" if known.gated else ""
            figures = f"{human_count(known.shape.parameters):>8}   "
            picks.append(
                Pick(known.name, Content.assemble(f"{known.name:<32}", figures, (f"{known.licence}{terms}", "$dim")))
            )
        self.query_one(PickList).set_picks(picks, select=typed or None)

    def refresh_view(self) -> None:
        info = self.query_one("#model-info", Static)
        error = self.session.error(self.session.model_job())
        model = self.session.model
        if error is not None:
            info.update(Content.assemble(("  " + clean(error.message), "$bad"), ("  " + clean(error.hint), "$dim")))
        elif model is not None and model.shape is not None:
            shape = model.shape
            size = f"{human_count(shape.parameters)} parameters, {shape.layers} layers"
            line = f"  {shape.name}: {size}, {shape.hidden} wide"
            info.update(Content.assemble(clean(line), (f"  {clean(model.note)}" if model.note else "", "$dim")))
        else:
            info.update(Content.assemble((f"  {clean(model.note)}" if model is not None else "", "$dim")))

    def commit(self, *, quietly: bool = False) -> bool:
        typed = self.query_one(Input).value.strip()
        if quietly and not typed:
            return False
        self.session.answer(model=typed)
        lacking = self.session.lacking("model")
        if lacking and not quietly:
            self.wizard.say(lacking)
        return not lacking


def band_rank(known: Known) -> float:
    return float(known.shape.parameters)
