"""The same hostile texts on screens: shown as text, never obeyed, never taken for markup."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from tests.security.test_terminal import DANGER, EVIL, SLY, TOML_EVIL, evil_run
from tests.support.screens import screen_text
from tests.support.screenshot import settle
from tests.support.wizard import bare_model, count_here, settled, type_text, wizard_app
from tuiwiz.base import places
from tuiwiz.events.folder import RunFolder
from tuiwiz.presets.find import forget
from tuiwiz.runs.compare import load
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.wizard import saved
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.draft import Draft

__all__ = ["evil_run"]
NAME = EVIL.replace("\x00", "").replace("/", "")[:60]
"""A hostile name that a file system takes."""


def looked_at(app: TuiwizApp) -> None:
    text = screen_text(app)
    assert text.strip()
    found = DANGER.search(text)
    assert found is None, text[max(0, found.start() - 40) : found.end() + 20]


async def press(pilot: Pilot[int], app: TuiwizApp, *keys: str) -> None:
    """Press the keys one after another and look at the screen after each."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)
        looked_at(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_hostile_run_on_the_live_screen(evil_run: RunFolder, size: tuple[int, int]) -> None:
    app = TuiwizApp("run", run=evil_run.path)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        looked_at(app)
        await press(pilot, app, *"12345678", "tab", "l", "s", "question_mark", "escape")


async def test_a_hostile_run_in_the_list_and_beside_another(evil_run: RunFolder, tmp_path: Path) -> None:
    other = evil_run.path.with_name(NAME)
    other.mkdir()
    for path in evil_run.path.glob("*.*"):
        (other / path.name).write_bytes(path.read_bytes())
    app = TuiwizApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await app.workers.wait_for_complete()
        await settle(pilot)
        looked_at(app)
    app = TuiwizApp("compare", runs=load([evil_run, RunFolder(other)]))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await app.workers.wait_for_complete()
        await press(pilot, app, "m", "a", "tab", "down", "question_mark", "escape")


async def test_a_hostile_preset_in_the_gallery_and_on_its_page(own_home: Path) -> None:
    places.presets().mkdir(parents=True)
    (places.presets() / "sly.toml").write_text(SLY, encoding="utf-8")
    (places.presets() / "odd.toml").write_text(f"name = {TOML_EVIL}\n{TOML_EVIL} = 1\n", encoding="utf-8")
    forget()
    app = TuiwizApp("presets")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        looked_at(app)
        await press(pilot, app, "slash", *"sly", "enter", "enter")
        assert "red" in screen_text(app) or "end" in screen_text(app), "what the preset says is shown"
        await press(pilot, app, "w", "tab", "down", "down", "question_mark", "escape", "escape")
    forget()


@pytest.fixture
def hostile_place(tmp_path: Path, tiny_tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which names, rows and a model's configuration are hostile; so is a draft that was kept."""
    monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.count", count_here)
    folder = tmp_path / NAME
    folder.mkdir()
    rows = [{"question": f"{number} {EVIL}", "answer": EVIL} for number in range(40)]
    text = "\n".join(map(json.dumps, rows))
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    (folder / f"{NAME}.jsonl").write_text(text + "\n{" + EVIL, encoding="utf-8")
    model = bare_model(folder / "tiny", tiny_tokenizer)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"_name_or_path": EVIL, EVIL: EVIL}), encoding="utf-8")
    bare_model(folder / f"{NAME}-model", tiny_tokenizer)
    return folder


async def test_the_wizard_among_hostile_files(hostile_place: Path) -> None:
    app = wizard_app(hostile_place)
    async with app.run_test(size=(80, 24)) as pilot:
        for text, key in (("", "enter"), ("rows.jsonl", "enter"), ("tiny", "enter"), ("", "enter"), ("", "ctrl+n")):
            screen = await settled(pilot)
            looked_at(app)
            before = screen.step
            await type_text(pilot, text)
            await settled(pilot)
            looked_at(app)
            await pilot.press(key)
            await settled(pilot)
            assert screen.step != before or before == "fit", screen_text(app)
        looked_at(app)
        await pilot.press("ctrl+n")
        await settled(pilot)
        looked_at(app)


async def test_a_file_with_a_hostile_name_and_broken_rows_in_the_wizard(hostile_place: Path) -> None:
    app = wizard_app(hostile_place)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        for _ in range(3):
            await pilot.press("down")
            await settled(pilot)
            looked_at(app)
        await pilot.press("enter")
        await settled(pilot)
        looked_at(app)


async def test_what_a_hostile_draft_kept_is_offered_as_text(hostile_place: Path) -> None:
    text = EVIL.replace("\x00", "")
    answers = Answers(task="instruct", data=text, model=text, validation=text, preset=text, name=text)
    draft = Draft(step="data", answers=answers, output=text)
    saved.save(msgspec.structs.replace(draft, output=EVIL))
    assert saved.load() is None, "a zero byte"
    saved.save(draft)
    assert saved.load() == draft
    for app in (TuiwizApp(), wizard_app(hostile_place)):
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            looked_at(app)
            await press(pilot, app, "question_mark", "escape", "enter", "escape")
