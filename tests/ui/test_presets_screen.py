"""The gallery on a screen: search, a preset's page, two beside each other, and the way into the wizard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.screens import screen_text
from tuiwiz.presets.find import forget
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.preset import PresetScreen
from tuiwiz.ui.screens.presets import PresetsScreen
from tuiwiz.ui.screens.wizard.screen import WizardScreen

MINE = """name = "mine"
[when]
task = "chat"
band = "S"
method = "lora"
[optimizer]
learning_rate = 1e-4
[why."optimizer.learning_rate"]
reason = "[red]measured[/red] here"
source = "me"
grade = "B"
[[results]]
model = "tiny"
hardware = "L4"
first = 2.0
value = 0.5
rows = 800
"""


@pytest.fixture(autouse=True)
def gallery(own_home: Path) -> None:
    (own_home / "presets").mkdir(parents=True)
    (own_home / "presets" / "mine.toml").write_text(MINE)
    forget()


async def test_search_page_and_use() -> None:
    app = TuiwizApp("presets", ascii=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, PresetsScreen)
        assert "mine" in screen_text(app) and "own 1 result" in screen_text(app)
        await pilot.press("slash", *"dpo full")
        await pilot.pause()
        assert {row.name for row in screen.found} == {"dpo"} and "1 of" in screen_text(app)
        screen.words = "lora chat"
        assert {row.method for row in screen.found} == {"lora"}, "a method is meant as it stands"
        screen.words = "dpo full"
        await pilot.press("enter", "enter")
        await pilot.pause()
        page = screen_text(app)
        assert isinstance(app.screen, PresetScreen)
        assert "optimizer.learning_rate  5e-7" in page and "zephyr 7B" in page and "grade A" in page
        await pilot.press("right")
        await pilot.pause()
        assert "10-20B" in screen_text(app) and "StarChat2" in screen_text(app)
        await pilot.press("u")
        await pilot.pause()
        wizard = app.screen
        assert isinstance(wizard, WizardScreen)
        answers = wizard.session.draft.answers
        assert (answers.preset, answers.task, answers.method) == ("dpo", "dpo", "full")


async def test_two_marked_presets_stand_beside_each_other_and_back_leads_out() -> None:
    app = TuiwizApp("presets", ascii=False)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        await pilot.press("slash", *"qlora instruct", "enter", "space", "j", "space", "c")
        await pilot.pause()
        assert isinstance(app.screen, PresetScreen)
        text = screen_text(app)
        assert "the same in both" in text and "first: " in text and "second: " in text
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert isinstance(app.screen, PresetsScreen) and app.screen.words == ""


async def test_a_measured_preset_shows_its_results_and_markup_stays_letters() -> None:
    app = TuiwizApp("presets", ascii=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press("slash", *"measured", "enter", "enter")
        await pilot.pause()
        text = screen_text(app)
        assert "measured" in text and "loss 2 -> 0.5" in text and "rows 800" in text
        assert "[red]measured[/red] here" in text and "your own" in text


async def test_nothing_found_says_so() -> None:
    app = TuiwizApp("presets", ascii=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("slash", *"nonsense", "enter", "enter", "space")
        await pilot.pause()
        assert "no preset has all of these words" in screen_text(app)
