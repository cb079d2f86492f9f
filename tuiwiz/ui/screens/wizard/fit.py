"""Step Fit: whether the run fits, and the settings that do, fastest first."""

from __future__ import annotations

from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tuiwiz.base.text import clean
from tuiwiz.base.units import GIB, gib, human_duration
from tuiwiz.memory.cost import budget_words
from tuiwiz.memory.plan import Plan, cost_words
from tuiwiz.memory.search import Choice
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.budget import budget_bar, items_line
from tuiwiz.ui.widgets.picklist import Pick, PickList
from tuiwiz.ui.widgets.saying import Saying
from tuiwiz.wizard.answers import Composed, Picked

METHODS = {"qlora": "QLoRA", "lora": "LoRA", "full": "full", "freeze": "freeze"}
MOST = 14
SIMULATED = 3
"""Rows that are simulated when asked for: each takes some seconds."""
HEADINGS = f"   {'method':<7}{'length':>6}{'micro x accum':>14}  {'ckpt':<5}{'memory':>10}{'tokens/s':>10}{'time':>12}"


class VerdictLine(NamedTuple):
    """The one sentence, in parts. `left`: what of time and cost had no room behind it."""

    head: str
    tone: str
    room: str
    took: str
    cost: str
    left: str


def verdict_line(plan: Plan, width: int) -> VerdictLine:
    """The sentence in at most `width` columns, time and cost included as far as they go in whole."""
    spare = plan.usable_bytes - plan.total_bytes
    word, tone, rest = {
        "fits": ("It fits", "$good", f"{gib(spare)} to spare"),
        "tight": ("It is tight", "$warn", f"only {gib(max(0, spare))} to spare"),
        "no": ("It does not fit", "$bad", f"{gib(-spare)} too much"),
    }[plan.verdict]
    head, room = f"  {word}: ", f"{plan.total_bytes / GIB:.1f} of {gib(plan.usable_bytes)} usable, {rest}."
    took = "" if plan.seconds is None else f"about {human_duration(plan.seconds)}"
    cost = clean(cost_words(plan).removeprefix("about ")) if took else ""
    free = width - len(head) - len(room)
    if len(took) + 3 > free:
        return VerdictLine(head, tone, room, "", "", ", ".join(filter(None, (took, cost))))
    if cost and len(took) + len(cost) + 5 > free:
        return VerdictLine(head, tone, room, f"   {took}", "", f"about {cost}")
    return VerdictLine(head, tone, room, f"   {took}" if took else "", f", {cost}" if cost else "", "")


def first_within(width: int, *texts: str) -> str:
    """The first text that a line of that width holds; the last one where none does."""
    return next((text for text in texts if len(text) <= width), texts[-1])


class FitView(StepView):
    def compose(self) -> ComposeResult:
        yield Saying(id="fit-verdict")
        with VerticalScroll(id="fit-body", can_focus=False):
            yield PickList(id="choices")
        yield Saying(id="fit-notes")

    def first_focus(self) -> Widget:
        return self.query_one(PickList)

    def entered(self) -> None:
        self.refresh_view()

    def on_resize(self) -> None:
        self.refresh_view()

    def refresh_view(self) -> None:
        composed = self.session.composed
        verdict, notes = self.query_one("#fit-verdict", Static), self.query_one("#fit-notes", Static)
        if composed is None or composed.plan is None:
            waiting = [self.problem(one) for one in self.session.problems if one.severity == "error"]
            waiting = waiting or [Content("  looking at model and device ...")]
            verdict.update(Content("\n").join(waiting))
            notes.update("")
            self.query_one(PickList).set_picks([])
            return
        verdict.update(self._verdict(composed, composed.plan))
        self._fill(composed)
        notes.update(self._notes(composed, composed.plan))

    def _verdict(self, composed: Composed, plan: Plan) -> Content:
        width = self.size.width or 78
        data = self.session.facts.data
        where = clean(f"  {plan.model} on {plan.device}")
        counted = f", {data.rows:,} rows" if data is not None else ""
        rows = f"{counted}, 95 % up to {data.p95} tokens" if data is not None else ""
        line = verdict_line(plan, width)
        lines = [
            Content.assemble((first_within(width, where + rows, where + counted, where), "$dim")),
            Content.assemble((line.head, f"{line.tone} bold"), line.room, (line.took, "bold"), (line.cost, "$dim")),
            items_line(plan.items, width, self.glyphs),
            budget_bar(plan.items, plan.usable_bytes, width, self.glyphs),
            Content.assemble((HEADINGS, "$dim")),
        ]
        return Content("\n").join(lines)

    def _fill(self, composed: Composed) -> None:
        picks = []
        present = _present(composed)
        chosen: str | None = None
        for number, choice in _listed(composed):
            if choice == present:
                chosen = str(number)
            picks.append(Pick(str(number), self._row(choice, composed, chosen=choice == present, first=number == 0)))
        self.query_one(PickList).set_picks(picks, select=chosen)

    def _row(self, choice: Choice, composed: Composed, *, chosen: bool, first: bool) -> Content:
        speed = f"{choice.tokens_per_second:,.0f}" if choice.tokens_per_second else "-"
        took = _duration(choice, composed)
        simulated = self.session.simulated(choice)
        found = simulated if simulated is not None and not simulated.problem else None
        size, fits = (found.total_bytes, found.verdict == "fits") if found else (choice.total_bytes, choice.fits)
        layout = f"{choice.micro_batch} x {choice.accumulation}"
        figures = (
            f"{METHODS.get(choice.method, choice.method):<7}{choice.max_length:>6}"
            f"{layout:>14}  {'on' if choice.gradient_checkpointing else 'off':<5}"
            f"{gib(size):>10}{'s' if found else ' '}{speed:>9}{took:>12}"
        )
        if not fits:
            word = " tight" if found is not None and found.verdict == "tight" else " no"
            return Content.assemble((figures, "$dim"), (word, "$bad bold"))
        word = " chosen" if chosen else " fastest" if first else ""
        return Content.assemble(figures, (word, "$accent bold" if chosen else "$good"))

    def _notes(self, composed: Composed, plan: Plan) -> Content:
        lines = [Content.assemble(("  Limited by: ", "$dim"), clean(plan.limiting or "nothing"))]
        if paid := verdict_line(plan, self.size.width or 78).left:
            lines.append(Content.assemble(("  Takes: ", "$dim"), paid))
        if plan.next_step:
            lines.append(Content.assemble(("  ", ""), clean(plan.next_step)))
        if plan.budget is not None:
            tone = "$dim" if plan.budget.enough else "$warn"
            lines.append(Content.assemble((f"  {clean(budget_words(plan.budget))}", tone)))
        if plan.corrected:
            lines.append(Content.assemble((f"  {clean(plan.corrected)}", "$dim")))
        if plan.seconds_per_step is None and plan.why:
            lines.append(Content.assemble((f"  {clean(plan.why)}", "$dim")))
        said = self._simulation(composed)
        if said:
            lines.append(Content.assemble((f"  {clean(said)}", "$dim")))
        if composed.preset:
            lines.append(
                Content.assemble(("  Preset: ", "$dim"), composed.preset, ("   each row brings its own", "$dim"))
            )
        return Content("\n").join(lines)

    def _simulation(self, composed: Composed) -> str:
        if self.session.verifying:
            return "simulating a step of the first rows ..."
        if self.session.simulation_error is not None:
            return f"not simulated: {self.session.simulation_error.message}"
        found = [one for _, choice in _listed(composed) if (one := self.session.simulated(choice)) is not None]
        problem = next((one.problem for one in found if one.problem), "")
        if problem:
            return f"not simulated: {problem}"
        return "s: by simulation of a step with the installed libraries" if found else ""

    def verify(self) -> None:
        """Want the first rows, and the one that is set, simulated."""
        composed = self.session.composed
        if composed is None:
            return
        rows = [choice for _, choice in _listed(composed)][:SIMULATED]
        present = _present(composed)
        if present is not None and present not in rows:
            rows.append(present)
        if self.session.verify(rows):
            self.wizard.changed()

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        event.stop()
        self.take(event.value)
        self.post_message(self.Next())

    def take(self, value: str) -> None:
        """Take a row: its method brings its own preset, its layout is kept."""
        composed = self.session.composed
        if composed is None:
            return
        choice = composed.choices[int(value)]
        if choice == _present(composed):
            return
        picked = Picked(
            micro_batch=choice.micro_batch,
            gradient_checkpointing=choice.gradient_checkpointing,
            max_length=choice.max_length,
        )
        self.session.answer(method=choice.method, picked=picked)

    def commit(self, *, quietly: bool = False) -> bool:
        value = self.query_one(PickList).value
        if value is not None:
            self.take(value)
        return True


def _listed(composed: Composed) -> list[tuple[int, Choice]]:
    """The first choices, and of a method that is not among them its first: what does not fit is worth seeing too."""
    numbered = list(enumerate(composed.choices))
    listed, rest = numbered[:MOST], numbered[MOST:]
    for number, choice in rest:
        if all(choice.method != other.method for _, other in listed):
            listed.append((number, choice))
    present = _present(composed)
    return listed + [
        (number, choice) for number, choice in rest if choice == present and (number, choice) not in listed
    ]


def _present(composed: Composed) -> Choice | None:
    """The row that the bundle is set to."""
    bundle = composed.bundle
    for choice in composed.choices:
        if (
            choice.method == bundle.adapter.method
            and choice.micro_batch == bundle.batch.micro
            and choice.gradient_checkpointing == bundle.memory.gradient_checkpointing
            and choice.max_length == bundle.data.max_length
        ):
            return choice
    return None


def _duration(choice: Choice, composed: Composed) -> str:
    """Time of the whole run at this row's speed, from the plan's own."""
    plan = composed.plan
    own = _present(composed)
    if plan is None or plan.seconds is None or own is None or not own.tokens_per_second or not choice.tokens_per_second:
        return "-"
    return human_duration(plan.seconds * own.tokens_per_second / choice.tokens_per_second)
