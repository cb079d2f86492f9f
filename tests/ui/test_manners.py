"""Keys, themes and sizes of the user's own; copies through tmux; another user's run; requests that ask first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.containers import VerticalScroll

from tests.support import streams
from tests.support.screens import screen_text
from tests.support.screenshot import run_app_for, settle
from tuiwiz.events.control import pending
from tuiwiz.ui import remember
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.keymap import own_keys
from tuiwiz.ui.screens.jump import JumpScreen, targets
from tuiwiz.ui.screens.run import RunScreen, own_run
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.dialog import Dialog


def screen(app: TuiwizApp) -> RunScreen:
    assert isinstance(app.screen, RunScreen)
    return app.screen


async def test_a_key_of_the_user_is_pressed_shown_and_explained(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[keys]\n"run.pause" = "a"\n"run.paus" = "b"\n', encoding="utf-8")
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settle(pilot)
        assert "a pause" in screen_text(app).splitlines()[-1]
        assert "did you mean run.pause" in screen_text(app).replace("\n", " ")
        await pilot.press("P")
        assert pending(screen(app).folder) == []
        await pilot.press("a")
        assert [one.kind for one in pending(screen(app).folder)] == ["pause"]


@pytest.mark.parametrize(
    ("text", "says"), [("[keys", "cannot be read"), ("keys = 3", "no table"), ('[keys]\n"run.pause" = 3', "key's name")]
)
def test_a_broken_key_file_is_said_and_changes_nothing(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    found, wrong = own_keys()
    assert found == {} and says in wrong[0]


async def test_sizes_and_theme_are_the_same_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUIWIZ_THEME", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    app = run_app_for("run", tmp_path / "a")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        before = app.screen.query_one("#pane", VerticalScroll).size.height
        await pilot.press("right_curly_bracket")
        await pilot.pause()
        await pilot.press("right_curly_bracket")
        await pilot.pause()
        app.theme = "tuiwiz-light"
        await pilot.pause()
    app = run_app_for("run", tmp_path / "b")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.screen.query_one("#pane", VerticalScroll).size.height == before + 2
        assert app.theme == "tuiwiz-light"


def test_what_cannot_be_remembered_is_no_error(own_home: Path) -> None:
    own_home.parent.mkdir(exist_ok=True)
    own_home.write_text("a file where the folder should be", encoding="utf-8")
    remember.keep("theme", "tuiwiz-light")
    assert remember.load() == {} and remember.number("pane_rows_tall", 3, 20) is None


async def test_a_copy_reaches_the_terminal_through_tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        sent: list[str] = []
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("y")
        await pilot.pause()
    assert any(text.startswith("\x1bPtmux;\x1b\x1b]52;c;") and text.endswith("\x07\x1b\\") for text in sent)


async def test_another_users_run_can_be_looked_at_and_not_steered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams.training_run(tmp_path / "theirs")
    assert own_run(tmp_path / "theirs")
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert not own_run(tmp_path / "theirs") and not own_run(tmp_path / "gone")
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "read only" in screen_text(app) and "P pause" not in screen_text(app)
        await pilot.press("P", "S", "E", "V")
        await pilot.pause()
        assert screen(app) and pending(screen(app).folder) == []


async def test_longer_and_cadence_ask_first_and_then_leave_a_request(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        folder = screen(app).folder
        await pilot.press("E")
        await pilot.pause()
        assert isinstance(app.screen, Dialog) and "+10 %, 26 steps" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert pending(folder) == []
        await pilot.press("E", "2")
        await pilot.pause()
        assert [(one.kind, one.steps) for one in pending(folder)] == [("extend", 66)]
        await pilot.press("V", "o")
        await pilot.pause()
        assert [(one.kind, one.steps) for one in pending(folder)] == [("cadence", 12)]
        await pilot.press("V", "e")
        await pilot.pause()
        assert [one.kind for one in pending(folder)] == ["evaluate"]


async def test_the_chart_shows_any_metric_over_steps_time_or_tokens(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        chart = app.screen.query_one(Chart)
        assert chart.data.x_name == "step"
        await pilot.press("t", "x")
        await pilot.pause()
        assert chart.data.x_name == "minutes" and chart.read_out()[0][1] == pytest.approx(11.5, abs=0.1)
        await pilot.press("t")
        await pilot.pause()
        assert chart.data.x_name == "tokens" and chart.full()[1] == pytest.approx(184 * 21_200)
        await pilot.press("t", "2", "slash", *"grad", "enter", "m")
        await pilot.pause()
        assert chart.data.raw_name == "grad norm" and "backward_seconds" not in screen_text(app)
        await pilot.press("m")
        assert screen(app).metric == "grad_norm"


async def test_the_doctors_change_becomes_a_bundle_after_a_question(tmp_path: Path) -> None:
    app = run_app_for("failed", tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        folder = screen(app).folder
        text = folder.bundle.read_text(encoding="utf-8").replace("[optimizer]", "[schedule]\nepochs = 3\n\n[optimizer]")
        folder.bundle.write_text(text, encoding="utf-8")
        await pilot.press("9")
        await settle(pilot)
        assert "not finite 5" in screen_text(app)
        await pilot.press("F")
        await pilot.pause()
        assert "optimizer.learning_rate = 0.0001" in screen_text(app)
        await pilot.press("w")
        await pilot.pause()
    written = list(folder.path.glob("*non-finite.toml"))
    assert len(written) == 1
    assert "learning_rate = 0.0001" in written[0].read_text(encoding="utf-8")
    assert "doctor D1 on " in written[0].read_text(encoding="utf-8")


async def test_a_letter_jumps_to_a_pane(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert isinstance(app.screen, JumpScreen)
        row = next(line for line in screen_text(app).splitlines() if " a " in line and " s " in line)
        assert row.index(" a ") < row.index(" s ")
        await pilot.press("s")
        await pilot.pause()
        assert screen(app).pane == "memory"
        await pilot.press("ctrl+o", "escape")
        await pilot.pause()
        assert screen(app).pane == "memory"


async def test_a_letter_jumps_to_a_field(tmp_path: Path) -> None:
    app = TuiwizApp("wizard")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        found = targets(app.screen)
        assert found
        await pilot.press("ctrl+o", "a")
        await pilot.pause()
        assert app.focused is not None
