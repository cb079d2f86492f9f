"""Layout of the wizard's steps, on facts that do not follow the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support.wizard import settled, sums, wizard_app
from tests.wizard.known import data
from tuiwiz.base.problems import Problem
from tuiwiz.catalog import embedded
from tuiwiz.catalog.gpus import find_device
from tuiwiz.catalog.models import find
from tuiwiz.data.sets import Share
from tuiwiz.spec.data import WeightedPath
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.wizard import screen as screen_room
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.facts import ModelFacts
from tuiwiz.wizard.jobs import CheckData, DataReport
from tuiwiz.wizard.steps import STEPS, Step

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures are written with the oldest supported Python"
)
Compare = Callable[..., bool]
ANSWERS = Answers(task="instruct", data="rows.jsonl", model="qwen3-8b", gpu="RTX 4090")


@pytest.fixture(autouse=True)
def steady(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts that a machine would differ in are given."""
    known = find("qwen3-8b")
    assert known is not None
    shape = known.shape

    def model_facts(source: str, revision: str | None, folder: Path) -> ModelFacts:
        return ModelFacts(shape=shape, note="would be fetched from the hub before the run")

    def count(job: CheckData) -> DataReport:
        return DataReport(data(), ())

    monkeypatch.setattr(screen_room, "model_facts", model_facts)
    monkeypatch.setattr(screen_room, "device_facts", lambda gpu: find_device(gpu or "24"))
    monkeypatch.setattr(screen_room, "count", count)
    monkeypatch.setattr("tuiwiz.ui.screens.wizard.model.on_this_machine", lambda known: False)
    monkeypatch.setattr(embedded, "is_ready", lambda: False)
    sums(tmp_path / "rows.jsonl")


async def before(pilot: Pilot[int]) -> None:
    screen = await settled(pilot)
    screen.say("")
    # A blinking cursor would be there in one picture and not in the next.
    for line in screen.query(Input):
        line.cursor_blink = False
    await settled(pilot)


def at(step: Step, *, ascii: bool = False) -> TuiwizApp:
    return wizard_app(Path(), ascii=ascii, draft=Draft(step=step, answers=ANSWERS))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("step", STEPS)
def test_step(snap_compare: Compare, step: Step, size: tuple[int, int]) -> None:
    assert snap_compare(at(step), terminal_size=size, run_before=before)


@pytest.mark.parametrize("step", ["data", "fit"])
def test_ascii_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, step: Step) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(at(step, ascii=True), terminal_size=(80, 24), run_before=before)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_several_sets(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    first = Share(path="rows.jsonl", weight=9, usable_rows=60, rows=60, tokens=4200, supervised_tokens=900)
    other = Share(path="more.jsonl", weight=1, usable_rows=1425, rows=7, tokens=490, supervised_tokens=105)
    facts = msgspec.structs.replace(data(rows=67), sets=(first, other))
    same = Problem(severity="warning", message="3 rows are in rows.jsonl too, word for word", path="more.jsonl", row=17)
    monkeypatch.setattr(screen_room, "count", lambda job: DataReport(facts, (same,)))
    sums(Path("more.jsonl"))
    mix = [WeightedPath(path=one.path, weight=one.weight) for one in facts.sets]
    app = wizard_app(Path(), draft=Draft(step="data", answers=ANSWERS.with_mix(mix)))
    assert snap_compare(app, terminal_size=size, run_before=before)


def test_editing_a_value(snap_compare: Compare) -> None:
    async def edit(pilot: Pilot[int]) -> None:
        await before(pilot)
        await pilot.press("down", "enter", "0")
        await before(pilot)

    assert snap_compare(at("settings"), terminal_size=(80, 24), run_before=edit)
