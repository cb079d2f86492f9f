"""The same hostile texts on screens: shown as text, never obeyed, never taken for markup."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.test_terminal import DANGER, evil_run
from tests.support.screens import screen_text
from tests.support.screenshot import settle
from tuiwiz.events.folder import RunFolder
from tuiwiz.ui.app import TuiwizApp

__all__ = ["evil_run"]


def looked_at(app: TuiwizApp) -> None:
    text = screen_text(app)
    assert text.strip()
    found = DANGER.search(text)
    assert found is None, text[max(0, found.start() - 40) : found.end() + 20]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_hostile_run_on_the_live_screen(evil_run: RunFolder, size: tuple[int, int]) -> None:
    app = TuiwizApp("run", run=evil_run.path)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        looked_at(app)
        for key in ("1", "2", "3", "4", "5", "6", "7", "8", "tab", "l", "s", "question_mark", "escape"):
            await pilot.press(key)
            await pilot.pause()
            looked_at(app)


async def test_a_hostile_run_in_the_list(evil_run: RunFolder, tmp_path: Path) -> None:
    app = TuiwizApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await app.workers.wait_for_complete()
        await pilot.pause()
        looked_at(app)
