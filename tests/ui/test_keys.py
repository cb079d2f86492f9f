"""The key table is the one source: every action exists, no key means two things, help and palette show all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.dom import DOMNode

from tests.support.screens import screen_text
from tests.support.screenshot import run_app_for, settle
from tuiwiz.ui import keys
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.help import HelpScreen
from tuiwiz.ui.screens.home import HomeScreen
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.widgets.footer import KeyFooter

TABLES: list[tuple[tuple[keys.Key, ...], type[DOMNode]]] = [
    (keys.APP, TuiwizApp),
    (keys.HOME, HomeScreen),
    (keys.RUN, RunScreen),
    (keys.HELP, HelpScreen),
]


@pytest.mark.parametrize(("table", "owner"), TABLES)
def test_every_key_has_an_action_an_id_and_a_sentence(table: tuple[keys.Key, ...], owner: type[DOMNode]) -> None:
    for key in table:
        target, _, name = key.action.split("(")[0].rpartition(".")
        node: type[Any] = TuiwizApp if target == "app" else owner
        assert hasattr(node, f"action_{name}"), key.id
        assert key.description.endswith("."), key.id
        assert key.label and "." in key.id
    ids = [key.id for key in table]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("table", "owner"), TABLES)
def test_no_key_means_two_things(table: tuple[keys.Key, ...], owner: type[DOMNode]) -> None:
    everywhere = keys.APP if table not in (keys.APP, keys.HELP) else ()
    used = [name for key in (*table, *everywhere) for name in key.keys.split(",") if name]
    assert sorted(used) == sorted(set(used))


def test_no_key_that_terminals_or_multiplexers_take() -> None:
    taken = {"ctrl+b", "ctrl+h", "ctrl+i", "ctrl+m", "ctrl+j", "ctrl+s"}
    used = {name for table, _ in TABLES for key in table for name in key.keys.split(",")}
    assert not used & taken


async def test_help_lists_every_key_of_the_screen(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(100, 90)) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = " ".join(screen_text(app).split())
        for key in keys.RUN:
            assert " ".join(key.description.split()[:4]) in text
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)


async def test_the_palette_opens_by_three_keys_and_runs_commands(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for key in ("ctrl+p", "f2", "colon"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, CommandPalette)
            await pilot.press("escape")
            await pilot.pause()
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert any(title.startswith("checkpoint") for title in titles)
        # A run that is not paused cannot be resumed.
        assert not any(title.startswith("resume") for title in titles)


async def test_footer_keys_can_be_clicked(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        footer = app.screen.query_one(KeyFooter)
        placed = {key.id: start for start, key in footer.fitting()}
        assert {"run.stop", "app.help"} <= set(placed)
        await pilot.click(KeyFooter, offset=(placed["app.help"] + 1, 0))
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
