"""The home screen: runs with their state, the empty state, and only keys that lead somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support import streams
from tests.support.screens import screen_text
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs import registry
from tuiwiz.ui import app as app_room
from tuiwiz.ui.app import DEMO, TuiwizApp
from tuiwiz.ui.glyphs import UNICODE
from tuiwiz.ui.rows import run_rows
from tuiwiz.ui.screens.home import HomeScreen
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.widgets.runlist import RunList

NOW = streams.T0 + 2000


async def loaded(pilot: Pilot[int]) -> HomeScreen:
    screen = pilot.app.screen
    assert isinstance(screen, HomeScreen)
    for _ in range(500):
        await pilot.pause(0.01)
        if screen.loaded:
            break
    await pilot.pause()
    return screen


@pytest.fixture
def three_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    runs = [
        streams.finished_run(tmp_path / "one"),
        streams.training_run(tmp_path / "two"),
        streams.failed_run(tmp_path / "three"),
    ]
    monkeypatch.setattr(registry, "folders", lambda: runs)
    return runs


def home() -> TuiwizApp:
    return TuiwizApp("home", ascii=False, clock=lambda: NOW)


async def test_runs_are_listed_with_state_progress_and_result(three_runs: Sequence[RunFolder]) -> None:
    app = home()
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        lines = screen_text(app).splitlines()
    by_state = {word: next(line for line in lines if word in line) for word in ("training", "finished", "failed")}
    assert "184/267" in by_state["training"] and "left" in by_state["training"]
    assert "1.684 → 0.462" in by_state["finished"] and "ago" in by_state["finished"]
    assert "92/267" in by_state["failed"]
    text = "\n".join(lines)
    assert text.index("Running") < text.index("training") < text.index("Recent") < text.index("finished")


async def test_enter_opens_the_selected_run(three_runs: Sequence[RunFolder]) -> None:
    app = home()
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("down", "j", "enter")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert app.screen.folder.path == three_runs[2].path
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, HomeScreen)


async def test_a_click_opens_a_run(three_runs: Sequence[RunFolder]) -> None:
    app = home()
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.click(RunList, offset=(10, 1))
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert app.screen.folder.path == three_runs[1].path


async def test_the_empty_state_says_how_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "folders", list)
    app = home()
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        text = screen_text(app)
        assert "Nothing has run yet" in text and "shipped data" in text
        await pilot.press("enter", "j", "G")
        await pilot.press("d")
        await pilot.pause()
    assert app.return_value == DEMO


async def test_a_key_without_a_screen_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "folders", list)
    monkeypatch.setitem(app_room.SCREENS, "wizard", "tuiwiz.ui.screens.no_such:Thing")
    app = home()
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(app.screen, HomeScreen)
        assert "new run" not in screen_text(app)


def test_a_broken_folder_is_left_out(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "broken").mkdir()
    broken = RunFolder(tmp_path / "broken")
    broken.events.write_bytes(b"\x00\xff not json\n")
    good = streams.training_run(tmp_path / "good")
    rows = run_rows([RunFolder(empty), broken, RunFolder(tmp_path / "gone"), good], NOW, UNICODE)
    assert [row.path for row in rows] == [good.path]


def test_at_most_ten_ended_runs_are_listed(tmp_path: Path) -> None:
    runs = [streams.failed_run(tmp_path / str(number)) for number in range(12)]
    live = streams.training_run(tmp_path / "live")
    rows = run_rows([live, *runs], NOW, UNICODE)
    assert len(rows) == 11 and sum(row.live for row in rows) == 1
