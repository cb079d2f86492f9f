"""A long run that the wizard starts is rehearsed first: seen, refused, failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support.processes import fake_executor
from tests.support.screens import screen_text
from tests.support.wizard import bare_model, count_here, on_step, settled, sums, until, wizard_app
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.problems import Problem
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog import measured
from tuiwiz.rehearsal import ahead, take
from tuiwiz.runs.index import list_runs
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.screens.wizard.rehearsing import Rehearsing
from tuiwiz.ui.screens.wizard.screen import WizardScreen
from tuiwiz.ui.widgets.dialog import Dialog
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.draft import Draft

NO_ROOM = Problem(message="the rehearsal: out of memory at 1 x 512 tokens", key=take.OUT_OF_MEMORY, hint="shorten rows")
WELL = [Problem(severity="info", message="rehearsed on this machine: peak 1.2 GiB", key="rehearsal")]


class Stand:
    """In place of a rehearsal: waits until `go` is set, then answers or raises `answer`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.bundles: list[Path] = []
        self.answer: list[Problem] | MachineLacksError = WELL
        self.refused = threading.Event()

    def __call__(self, path: Path, sets: list[str], *, tick: Callable[[], None]) -> tuple[None, list[Problem]]:
        self.bundles.append(path)
        while not self.go.wait(0.02):
            try:
                tick()
            except take.RefusedError:
                self.refused.set()
                raise
        if isinstance(self.answer, MachineLacksError):
            raise self.answer
        return None, self.answer


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Every run counts as long, and rehearsals are stood in for."""
    found = Stand()
    monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.count", count_here)
    monkeypatch.setattr(ahead, "LONG_S", 0.0)
    monkeypatch.setattr(take, "rehearsal", found)
    for name, value in fake_executor("--steps", 2).items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def place(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    sums(folder / "rows.jsonl")
    # The fake executor loads nothing; a folder without weights would not be started at all.
    (bare_model(folder / "tiny", tiny_tokenizer) / "model.safetensors").write_bytes(b"")
    return folder


def at_review(place: Path) -> TuiwizApp:
    return wizard_app(
        place, draft=Draft(step="review", answers=Answers(task="instruct", data="rows.jsonl", model="tiny"))
    )


async def write_and_run(pilot: Pilot[int]) -> None:
    await on_step(pilot, "review")
    await pilot.press("ctrl+t")


def words(app: TuiwizApp) -> str:
    return " ".join(screen_text(app).split())


async def test_it_is_shown_and_the_run_starts_by_itself(place: Path, stand: Stand) -> None:
    app = at_review(place)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await write_and_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, Rehearsing) and stand.bundles)
        assert (
            "rehearsing it first" in words(app) and "worst batch" in words(app) and "s start without it" in words(app)
        )
        assert not list_runs()
        stand.go.set()
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await until(pilot, lambda: any("peak 1.2 GiB" in str(toast.render()) for toast in app.screen.query("Toast")))
    assert stand.bundles == [place / "rows-tiny.toml"] and len(list_runs()) == 1


@pytest.mark.parametrize(("key", "runs"), [("s", 1), ("escape", 0)])
async def test_it_can_be_refused_and_is_ended(place: Path, stand: Stand, key: str, runs: int) -> None:
    app = at_review(place)
    async with app.run_test(size=(80, 24)) as pilot:
        await write_and_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, Rehearsing) and stand.bundles)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, RunScreen if runs else WizardScreen))
        await until(pilot, stand.refused.is_set)
        if not runs:
            await settled(pilot)
            assert "not started; rows-tiny.toml is written" in words(app)
    assert len(list_runs()) == runs


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([NO_ROOM], ("out of memory at 1 x 512 tokens", "shorten rows", "Go back to Fit")),
        (MachineLacksError("the cache cannot be written: disk full", hint="free some"), ("disk full", "free some")),
        (
            [Problem(message="the rehearsal: x went wrong", key="rehearsal")],
            ("x went wrong", "--rehearse tries it again"),
        ),
    ],
)
async def test_a_failure_is_told_with_the_way_out(place: Path, stand: Stand, answer: Any, said: tuple[str]) -> None:
    stand.answer = answer
    stand.go.set()
    app = at_review(place)
    async with app.run_test(size=(80, 24)) as pilot:
        await write_and_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, Dialog) and "all the same" in words(app))
        assert all(one in words(app) for one in said)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        await settled(pilot)
        assert not list_runs() and "not started" in words(app)
        # It may be started all the same; and the file that is there now may be replaced.
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(app.screen, Dialog) and "Replace it?" in words(app))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Dialog) and "all the same" in words(app))
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
    assert len(list_runs()) == 1


async def test_a_bundle_that_was_rehearsed_here_starts_at_once(
    place: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = place / "rows-tiny.toml"
    monkeypatch.setattr(
        measured, "kept", lambda: [{"digest": digest(read_bundle(written))}] if written.is_file() else []
    )
    app = at_review(place)
    async with app.run_test(size=(80, 24)) as pilot:
        await write_and_run(pilot)
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
    assert not stand.bundles
