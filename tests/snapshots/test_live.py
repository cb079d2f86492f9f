"""Layout of home and run screens. Content is asserted as text elsewhere; a picture that differs is looked at by eye:
`pytest tests/snapshots --snapshot-update` writes the new ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support import streams
from tests.support.screenshot import README_PICTURE, main, run_app_for, settle
from tuiwiz.runs import registry
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.home import HomeScreen

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures are written with the oldest supported Python"
)
SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiwiz.ui.screens.home.__version__", "0.0.0")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["run", "finished", "failed"])
def test_run(snap_compare: Compare, kind: str, size: tuple[int, int]) -> None:
    assert snap_compare(run_app_for(kind, Path("runs")), terminal_size=size, run_before=settle)


@pytest.mark.parametrize("pane", ["2", "3", "4", "5"])
def test_panes(snap_compare: Compare, pane: str) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await pilot.press(pane)
        await settle(pilot)

    assert snap_compare(run_app_for("run", Path("runs")), terminal_size=(80, 24), run_before=before)


def test_the_picture_in_the_readme_is_of_today(tmp_path: Path) -> None:
    """`python -m tests.support.screenshot` writes it anew."""
    made = tmp_path / "run.svg"
    main("run", str(made))
    assert made.read_text(encoding="utf-8") == README_PICTURE.read_text(encoding="utf-8")


def test_wide(snap_compare: Compare) -> None:
    assert snap_compare(run_app_for("run", Path("runs")), terminal_size=(170, 50), run_before=settle)


def test_small(snap_compare: Compare) -> None:
    assert snap_compare(run_app_for("run", Path("runs")), terminal_size=(60, 16), run_before=settle)


def test_ascii(snap_compare: Compare) -> None:
    assert snap_compare(run_app_for("run", Path("runs"), ascii=True), terminal_size=(80, 24), run_before=settle)


def test_light(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUIWIZ_THEME", "light")
    assert snap_compare(run_app_for("run", Path("runs")), terminal_size=(80, 24), run_before=settle)


def test_dialog(snap_compare: Compare) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await pilot.press("S")
        await pilot.pause()

    assert snap_compare(run_app_for("run", Path("runs")), terminal_size=(80, 24), run_before=before)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("full", [True, False], ids=["runs", "empty"])
def test_home(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, full: bool, size: tuple[int, int]) -> None:
    runs = []
    if full:
        runs = [
            streams.training_run(Path("runs/now")),
            streams.finished_run(Path("runs/yesterday")),
            streams.failed_run(Path("runs/before")),
        ]
    monkeypatch.setattr(registry, "folders", lambda: runs)

    async def before(pilot: Pilot[int]) -> None:
        screen = pilot.app.screen
        assert isinstance(screen, HomeScreen)
        for _ in range(500):
            await pilot.pause(0.01)
            if screen.loaded:
                break
        await pilot.pause()

    app = TuiwizApp("home", ascii=False, clock=lambda: streams.T0 + 2000)
    assert snap_compare(app, terminal_size=size, run_before=before)
