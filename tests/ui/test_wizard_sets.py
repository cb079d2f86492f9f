"""Several training sets on step Data, by keyboard at 80x24."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.screens import screen_text
from tests.support.wizard import bare_model, count_here, settled, sums, type_text, wizard_app, wizard_of
from tuiwiz.bundle.read import read_bundle
from tuiwiz.spec.data import WeightedPath
from tuiwiz.ui.screens.wizard.sets import MOST_SETS, mix_of
from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.draft import Draft

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.count", count_here)


@pytest.fixture
def place(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """`a.jsonl` of 40 rows, `b.jsonl` of other 60, `other.csv` of classes, and the bare model folder `tiny`."""
    whole = sums(tmp_path / "whole", 100).read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_text("".join(whole[:40]), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("".join(whole[40:]), encoding="utf-8")
    (tmp_path / "other.csv").write_text("text,label\nx y,a\nz w,b\n" * 20, encoding="utf-8")
    bare_model(tmp_path / "tiny", tiny_tokenizer)
    return tmp_path


async def press(pilot: Pilot[int], *keys: str, text: str = "") -> str:
    await pilot.press(*keys)
    await type_text(pilot, text)
    await settled(pilot)
    return screen_text(pilot.app)


async def test_sets_are_added_weighted_measured_and_written(place: Path) -> None:
    app = wizard_app(place, draft=Draft(step="data", answers=Answers(task="instruct", data="a.jsonl", model="tiny")))
    async with app.run_test(size=SIZE) as pilot:
        one = await press(pilot)
        assert "ctrl+o add a set" in one and "leave out" not in one and "weight" not in one
        await press(pilot, "ctrl+o", text="b.jsonl")
        await press(pilot, "tab", text="1")
        assert "give every set a weight" in await press(pilot, "enter")
        await press(pilot, "shift+tab", "shift+tab", text="4")
        text = await press(pilot, "tab")
        assert "50 rows of 2 sets in a pass" in text and "ctrl+r leave out" in text
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert "a.jsonl weight 4 40 of 40 rows 80 %" in lines and "b.jsonl weight 1 10 of 60 rows 20 %" in lines
        wizard_of(pilot).session.go("review")
        wizard_of(pilot).show_step()
        assert "2 sets mixed, 50 rows in a pass" in await press(pilot)
        await press(pilot, "ctrl+s")
    mix = (WeightedPath(path="a.jsonl", weight=4), WeightedPath(path="b.jsonl", weight=1))
    bundle = read_bundle(place / "a-tiny.toml")
    assert bundle.data.train == mix and bundle.lock is not None and set(bundle.lock.data) == {"a.jsonl", "b.jsonl"}


async def test_a_set_that_does_not_fit_is_named_and_left_out(place: Path) -> None:
    mix = [WeightedPath(path=name) for name in ("a.jsonl", "other.csv", "b.jsonl")]
    draft = Draft(step="data", answers=Answers(task="instruct").with_mix(mix))
    app = wizard_app(place, draft=draft)
    async with app.run_test(size=SIZE) as pilot:
        assert "error other.csv: a classification set does not fit the task instruct" in await press(pilot)
        assert "cannot be used" in await press(pilot, "enter")
        text = await press(pilot, "tab", "tab", "ctrl+r")
        assert "other.csv" not in text and "100 rows of 2 sets" in text
        # Taking back brings the set back.
        assert "other.csv" in await press(pilot, "ctrl+z") and "other.csv" not in await press(pilot, "ctrl+y")
        text = await press(pilot, "ctrl+r")
        assert "ctrl+r" not in text and "60 usable rows" in text and "Training data\n" in text.replace(" \n", "\n")


async def test_a_draft_of_several_sets_comes_back_whole(place: Path) -> None:
    mix = [WeightedPath(path=name, weight=weight) for name, weight in (("a.jsonl", 0.25), ("b.jsonl", 3))]
    draft = Draft(step="data", answers=Answers(task="instruct").with_mix(mix))
    app = wizard_app(place, draft=draft)
    async with app.run_test(size=SIZE) as pilot:
        text = await press(pilot, "down")
        assert "0.25" in text and "520 rows of 2 sets" in text
        assert "! b.jsonl: 480 rows an epoch (92 %), from 60 training rows" in text
        assert wizard_of(pilot).session.draft == draft
        # The rows that are shown are those of the line that is written in.
        text = await press(pilot, "tab", "tab")
        assert "b.jsonl   prompt-completion" in text and "a.jsonl   prompt" not in text


async def test_there_is_no_second_empty_line_and_an_end_to_lines(place: Path) -> None:
    app = wizard_app(place, draft=Draft(step="data", answers=Answers(task="instruct")))
    async with app.run_test(size=SIZE) as pilot:
        assert "name the set whose line is empty first" in await press(pilot, "ctrl+o")
        for number in range(MOST_SETS - 1):
            await pilot.press(str(number % 10), "ctrl+o")
        await pilot.press("x")
        assert f"more than {MOST_SETS} sets" in await press(pilot, "ctrl+o")
        # The step still shows what was typed and has its footer.
        assert "ctrl+r leave out" in screen_text(app)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ([("a", "")], (WeightedPath(path="a"),)),
        ([("a", "3"), ("", "9")], (WeightedPath(path="a"),)),
        ([("a", "1e1"), ("b", ".5")], (WeightedPath(path="a", weight=10), WeightedPath(path="b", weight=0.5))),
        ([("a", ""), ("", ""), ("b", "")], (WeightedPath(path="a"), WeightedPath(path="b"))),
        ([("a", "1"), ("b", "")], "give every set a weight, or none: then every row comes once"),
        ([("a", "1"), ("b", "much")], "a weight is a number above 0, and not much"),
        ([("a", "inf"), ("b", "1")], "a weight is a number above 0, and not inf"),
        ([("a", "1"), ("b", "-1")], "a weight is a number above 0, and not -1"),
        ([("a", ""), ("a", "")], "a is named twice"),
        ([], ()),
    ],
)
def test_lines_become_sets_or_say_what_is_wrong(typed: list[tuple[str, str]], found: object) -> None:
    assert mix_of(typed) == found
