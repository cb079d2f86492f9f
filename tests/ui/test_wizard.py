"""The wizard walked by keyboard at 80x24, from Task to a bundle and a run; what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support.processes import fake_executor
from tests.support.screens import screen_text
from tests.support.wizard import bare_model, count_here, on_step, settled, sums, type_text, until, wizard_app, wizard_of
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.memory.plan import Simulation
from tuiwiz.runs.index import list_runs
from tuiwiz.spec.rules import available, check
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.screens.wizard.review import ReviewView
from tuiwiz.ui.screens.wizard.screen import WizardScreen
from tuiwiz.ui.widgets.dialog import Dialog
from tuiwiz.ui.widgets.picklist import PickList
from tuiwiz.wizard import saved
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.jobs import SimulateMemory
from tuiwiz.wizard.steps import STEPS, Step

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are counted here instead of in a process of their own, except in walks that are to be as a user's."""
    if "as_a_user" not in request.node.name:
        monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.count", count_here)


@pytest.fixture
def place(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """A folder to start the wizard in: `rows.jsonl` and the bare model folder `tiny`."""
    folder = tmp_path / "place"
    folder.mkdir()
    sums(folder / "rows.jsonl")
    bare_model(folder / "tiny", tiny_tokenizer)
    return folder


async def answer(pilot: Pilot[int], *, data: str = "rows.jsonl", model: str = "tiny", until_step: Step = "fit") -> None:
    """From Task on, by keyboard: instruct, the file, the model, this machine."""
    for step, text in (("task", ""), ("data", data), ("model", model), ("hardware", ""), ("fit", ""), ("settings", "")):
        screen = await settled(pilot)
        assert screen.step == step
        if step == until_step:
            return
        await type_text(pilot, text)
        await pilot.press("enter" if step not in ("fit", "settings") else "ctrl+n")
    await on_step(pilot, until_step)


def step_of(pilot: Pilot[int]) -> Step:
    return wizard_of(pilot).step


def words(app: TuiwizApp) -> str:
    """What the screen says, wherever its lines are broken."""
    return " ".join(screen_text(app).split())


async def dialog(pilot: Pilot[int]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, Dialog))


async def test_from_task_to_a_written_bundle_as_a_user_by_keyboard_alone(place: Path, tiny_model: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, model=str(tiny_model))
        assert "It fits" in screen_text(app)
        await pilot.press("enter")
        await on_step(pilot, "settings")
        await pilot.press("ctrl+n")
        await on_step(pilot, "review")
        await pilot.press("enter")
        await dialog(pilot)
        await pilot.press("b")
        await until(pilot, lambda: app._exit)
    written = place / "rows-model.toml"
    bundle = read_bundle(written)
    assert not [problem for problem in check(bundle) if problem.severity == "error"]
    assert bundle.data.train == "rows.jsonl" and bundle.model.source == str(tiny_model)
    assert bundle.lock is not None and bundle.lock.data["rows.jsonl"]
    assert saved.load() is None


async def test_paths_in_the_bundle_start_at_its_folder(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="review")
        line = wizard_of(pilot).query_one("#output", Input)
        line.focus()
        line.value = ""
        await type_text(pilot, "deep/er/b.toml")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app._exit)
    bundle = read_bundle(place / "deep" / "er" / "b.toml")
    assert (bundle.data.train, bundle.model.source) == ("../../rows.jsonl", "../../tiny")


async def test_write_and_run_starts_a_run_and_shows_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_executor("--steps", 3).items():
        monkeypatch.setenv(name, value)
    # The fake executor loads nothing; a folder without weights would not be started at all.
    (place / "tiny" / "model.safetensors").write_bytes(b"")
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="review")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.state == "finished")
        (run,) = list_runs()
        assert str(screen.folder.path) == run.path
    assert saved.load() is None


async def test_a_file_that_is_there_is_replaced_only_after_asking(place: Path) -> None:
    there = place / "rows-tiny.toml"
    there.write_text("mine")
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="review")
        await pilot.press("ctrl+s")
        await dialog(pilot)
        assert "Replace it?" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert there.read_text() == "mine"
        await pilot.press("ctrl+s")
        await dialog(pilot)
        await pilot.press("r")
        await until(pilot, lambda: app._exit)
    assert read_bundle(there).data.train == "rows.jsonl"


async def test_a_size_alone_plans_and_writes_but_does_not_run(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, model="1B")
        assert "1b" in screen_text(app).lower()
        await pilot.press("ctrl+n")
        await on_step(pilot, "settings")
        await pilot.press("ctrl+n")
        await on_step(pilot, "review")
        assert "only a size: choose a model" in screen_text(app)
        await pilot.press("ctrl+t")
        await settled(pilot)
        assert "choose a model before running" in screen_text(app)
        assert not (place / "rows-1b.toml").exists()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app._exit)
    assert read_bundle(place / "rows-1b.toml").model.source == "1B"


async def test_back_keeps_answers_and_escape_leaves_from_the_first_step(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot)
        for step in ("hardware", "model", "data", "task"):
            await pilot.press("escape")
            screen = await settled(pilot)
            assert screen.step == step
            if step == "model":
                assert screen.query_one("#model-name", Input).value == "tiny"
            if step == "data":
                assert screen.query_one("#train", Input).value == "rows.jsonl"
                assert "What is 0 plus 0?" in screen_text(app)
        for step in STEPS[1:5]:
            await pilot.press("ctrl+n")
            await on_step(pilot, step)
        await pilot.press(*["escape"] * 5)
        await until(pilot, lambda: app._exit)
    kept = saved.load()
    assert kept is not None and kept.answers.model == "tiny"


async def test_going_back_keeps_what_was_typed_but_not_taken(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        await on_step(pilot, "data")
        await type_text(pilot, "rows.jsonl")
        await settled(pilot)
        await pilot.press("escape")
        await on_step(pilot, "task")
        assert wizard_of(pilot).session.draft.answers.data == "rows.jsonl"


async def test_undo_and_redo(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        before = screen.session.composed
        await edit(pilot, "schedule.epochs", "7")
        changed = screen.session.composed
        assert changed is not None and changed.bundle.schedule.epochs == 7
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.session.composed == before and step_of(pilot) == "settings"
        await pilot.press("ctrl+y")
        await settled(pilot)
        assert screen.session.composed == changed
        for _ in range(9):
            await pilot.press("ctrl+z")
        await settled(pilot)
        assert step_of(pilot) == "task"
        assert "nothing to take back" in screen_text(app)


async def test_a_draft_survives_a_crash(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        await edit(pilot, "schedule.epochs", "7")
    # Nothing was said goodbye to: the file alone is left.
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        screen = await settled(pilot)
        assert step_of(pilot) == "settings"
        assert "your last draft" in screen_text(app) and "[ 7 ]" in screen_text(app)
        await pilot.press("ctrl+l")
        await settled(pilot)
        assert step_of(pilot) == "task" and wizard_of(pilot).session.draft == Draft()
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.session.draft.answers.data == "rows.jsonl"


# What is wrong is said, and the wizard stays.


async def said(place: Path, step: Step, text: str) -> str:
    """What the screen shows after `text` was given as the answer of `step`."""
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step=step)
        await type_text(pilot, text)
        await settled(pilot)
        await pilot.press("ctrl+n")
        screen = await settled(pilot)
        if screen.step != step:
            await pilot.press("ctrl+n")
            await settled(pilot)
        assert screen.step == step
        return words(app)


async def test_a_file_that_is_not_there(place: Path) -> None:
    assert "there is no file nothing.jsonl" in await said(place, "data", "nothing.jsonl")


async def test_no_file_at_all(place: Path) -> None:
    assert "name the file with the training data" in await said(place, "data", "")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"colour": "red", "shade": 3}\n', "colour"),
        ("", "empty"),
        ("[1, 2]\n", "columns fit no known format"),
    ],
)
async def test_a_file_that_cannot_be_used(place: Path, content: str, word: str) -> None:
    (place / "bad.jsonl").write_text(content)
    shown = await said(place, "data", "bad.jsonl")
    assert word in shown and "cannot be used" in shown


async def test_a_file_whose_later_rows_are_bad_is_refused_after_counting(place: Path) -> None:
    with (place / "rows.jsonl").open("a") as file:
        file.write("".join("17\n" for _ in range(4000)))
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="data")
        await type_text(pilot, "rows.jsonl")
        await settled(pilot)
        await pilot.press("enter")
        screen = await settled(pilot)
        report = screen.session.data
        assert report is not None
        if report.facts is None:
            assert screen.session.go("review") and screen.step == "data"


async def test_an_unknown_model(place: Path) -> None:
    assert "no-such-model" in await said(place, "model", "no-such-model")


async def test_an_empty_folder_is_no_model(place: Path) -> None:
    (place / "empty").mkdir()
    assert "config.json" in await said(place, "model", "empty")


async def test_a_model_without_weights_says_so(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="hardware")
        await pilot.press("escape")
        await on_step(pilot, "model")
        assert "no *.safetensors" in words(app)


async def test_an_unknown_card(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="hardware")
        await pilot.press("shift+tab")
        await type_text(pilot, "RTX 9999x")
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.step == "hardware"
        assert "9999x" in screen_text(app).splitlines()[-3] + screen_text(app).splitlines()[-4]


async def test_a_folder_that_cannot_be_written(place: Path) -> None:
    (place / "file").write_text("")
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="review")
        line = wizard_of(pilot).query_one("#output", Input)
        line.value = "file/b.toml"
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert "cannot be written" in words(app)
        line.value = "."
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert "is a folder" in words(app)


# Steps.


async def select(pilot: Pilot[int], key: str) -> None:
    """Move the cursor of Settings to `key` with the arrow keys."""
    picks = wizard_of(pilot).query_one("#settings", PickList)
    await pilot.press("home")
    for _ in range(len(picks.picks)):
        if picks.value == key:
            return
        await pilot.press("down")
    raise AssertionError(f"{key} is not in the list")


async def edit(pilot: Pilot[int], key: str, text: str) -> None:
    """Edit a value of Settings by keyboard."""
    await select(pilot, key)
    await pilot.press("enter", "end", *["backspace"] * 24)
    await type_text(pilot, text)
    await pilot.press("enter")
    await settled(pilot)


async def test_settings_judge_as_typed_and_show_what_the_run_would_be(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        composed = screen.session.composed
        assert composed is not None and composed.steps is not None
        await select(pilot, "schedule.epochs")
        await pilot.press("enter")
        await pilot.press(*["backspace"] * 10)
        await type_text(pilot, "-1")
        assert "no:" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert "schedule.epochs" not in screen.session.draft.answers.sets
        await pilot.press("backspace", "backspace")
        await type_text(pilot, "30")
        text = screen_text(app)
        assert "ok" in text and "would be:" in text and f"{composed.steps:,} steps" not in text
        await pilot.press("escape")
        await settled(pilot)
        assert screen.step == "settings" and f"{composed.steps:,} steps" in screen_text(app)
        assert screen.session.composed == composed


async def test_a_value_is_the_users_until_it_is_reset(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        before = screen.session.composed
        await edit(pilot, "adapter.rank", "8")
        assert "[ 8 ]" in screen_text(app) and "your own choice" in screen_text(app)
        assert "reset" in screen_text(app).splitlines()[-1]
        await pilot.press("ctrl+r")
        await settled(pilot)
        assert screen.session.composed == before


async def test_values_of_few_choices_are_chosen_with_arrows(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        await select(pilot, "schedule.kind")
        await pilot.press("enter")
        assert "constant, linear, cosine" in screen_text(app)
        line = screen.query_one("#settings-edit", Input)
        seen = {line.value}
        words = available("schedule.kind")
        for _ in words[1:]:
            await pilot.press("down")
            seen.add(line.value)
        assert seen == set(words)
        while line.value != "constant":
            await pilot.press("up")
        await pilot.press("enter")
        await settled(pilot)
        composed = screen.session.composed
        assert composed is not None and composed.bundle.schedule.kind == "constant"


async def test_phases_are_typed_drawn_and_written(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        await select(pilot, "phases")
        await pilot.press("enter")
        line = screen.query_one("#settings-edit", Input)
        line.value = '[{name = "hot", share = 0.5}, {name = "cool", share = 0.6}]'
        await pilot.pause()
        assert "add up to 1.1" in screen_text(app)
        line.value = '[{name = "hot", share = 0.5}, {name = "cool", share = 0.5, learning_rate = 1e-6}]'
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        assert "hot, cool" in text and "at step 1" in text, "names in the list, the curve below"
        await pilot.press("ctrl+n")
        await on_step(pilot, "review")
        composed = screen.session.composed
        assert composed is not None and composed.bundle.phases[1].learning_rate == 1e-6
        assert "[[phases]]" in screen.query_one(ReviewView).text(composed)


async def test_the_guides_value_is_one_key_away(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        screen = wizard_of(pilot)
        await select(pilot, "schedule.warmup")
        assert "the guide says 1000" in screen_text(app) and "alternative" in screen_text(app).splitlines()[-1]
        await pilot.press("a")
        await settled(pilot)
        composed = screen.session.composed
        assert composed is not None and composed.bundle.schedule.warmup == 1000
        assert "[ 1000 ]" in screen_text(app)
        await select(pilot, "seed")
        assert "alternative" not in screen_text(app).splitlines()[-1]
        await pilot.press("a")
        assert "seed" not in screen.session.draft.answers.sets


async def test_a_users_value_that_breaks_a_rule_is_shown(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        await edit(pilot, "optimizer.learning_rate", "0.09")
        assert "evidence covers" in words(app)
        await pilot.press("w")
        assert "the guide says" in screen_text(app)


async def test_a_full_row_brings_its_own_preset(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot)
        screen = wizard_of(pilot)
        before = screen.session.composed
        assert before is not None
        full = next(number for number, choice in enumerate(before.choices) if choice.method == "full" and choice.fits)
        picks = screen.query_one("#choices", PickList)
        await pilot.press("home")
        while picks.value != str(full):
            await pilot.press("down")
        await pilot.press("enter")
        await on_step(pilot, "settings")
        after = screen.session.composed
        assert after is not None and after.bundle.adapter.method == "full"
        assert after.bundle.batch.effective != before.bundle.batch.effective
        assert after.bundle.optimizer.learning_rate < before.bundle.optimizer.learning_rate
        assert after.bundle.batch.micro == before.choices[full].micro_batch
        await pilot.press("escape")
        await on_step(pilot, "fit")
        assert next(line for line in screen_text(app).splitlines() if "chosen" in line).split()[1] == "full"


async def test_paths_are_completed_with_tab(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="data")
        await type_text(pilot, "ro")
        await settled(pilot)
        assert "tab or right arrow completes: rows.jsonl" in screen_text(app)
        await pilot.press("tab")
        await settled(pilot)
        screen = wizard_of(pilot)
        assert screen.query_one("#train", Input).value == "rows.jsonl"
        await pilot.press("tab")
        assert screen.query_one("#validation", Input).has_focus


async def test_rows_are_shown_as_the_model_sees_them(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=(80, 40)) as pilot:
        await answer(pilot, until_step="model")
        await type_text(pilot, "tiny")
        await pilot.press("enter")
        await on_step(pilot, "hardware")
        await pilot.press("escape", "escape")
        await on_step(pilot, "data")
        text = screen_text(app)
        assert "written with the model's own template" in text
        assert "⟦It is 0.<|im_end|>" in text
        assert "60 usable rows" in text


async def test_a_validation_file_of_ones_own(place: Path) -> None:
    sums(place / "held.jsonl", 12)
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="data")
        await type_text(pilot, "rows.jsonl")
        await pilot.press("tab")
        await type_text(pilot, "held.jsonl")
        await pilot.press("enter")
        await on_step(pilot, "model")
        composed = wizard_of(pilot).session.composed
        assert composed is not None and composed.bundle.validation.path == "held.jsonl"
        assert wizard_of(pilot).session.facts.data is not None


async def test_the_mouse_does_what_keys_do(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        screen = await settled(pilot)
        tasks = screen.query_one("#tasks", PickList)
        await pilot.click(tasks, offset=(6, 1))
        assert tasks.value == "chat"
        await pilot.click(tasks, offset=(6, 1))
        await on_step(pilot, "data")
        assert screen.session.draft.answers.task == "chat"
        await pilot.click("KeyFooter", offset=(14, 0))
        await on_step(pilot, "task")


async def test_the_footer_names_what_can_be_pressed(place: Path) -> None:
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot, until_step="settings")
        assert {"edit", "next", "back", "help"} <= set(screen_text(app).splitlines()[-1].split())
        await pilot.press("ctrl+n")
        await on_step(pilot, "review")
        last = screen_text(app).splitlines()[-1]
        assert "enter next" in last and "ctrl+s write" in last and "ctrl+t write and run" in last


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (48, 12)])
async def test_every_step_at_every_size_and_in_ascii(place: Path, size: tuple[int, int]) -> None:
    app = wizard_app(place, ascii=True)
    async with app.run_test(size=size) as pilot:
        await answer(pilot, until_step="review")
        for _ in range(6):
            text = screen_text(app)
            assert text.isascii() and len(text.splitlines()) == size[1]
            await pilot.press("escape")
            await settled(pilot)
        assert wizard_of(pilot).step == "task"


async def test_a_draft_of_a_step_that_cannot_be_reached_opens_where_something_is_missing(place: Path) -> None:
    saved.path().parent.mkdir(parents=True)
    saved.path().write_text(json.dumps({"version": 1, "draft": {"step": "review", "answers": {"task": "chat"}}}))
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        screen = await settled(pilot)
        assert isinstance(screen, WizardScreen) and screen.step == "data"


async def test_fit_is_checked_by_simulation(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`v` asks for the first rows; the figures that come back stand in the table with their mark."""
    asked: list[SimulateMemory] = []

    def simulate(job: SimulateMemory) -> tuple[Simulation, ...]:
        asked.append(job)
        return tuple(
            Simulation(allocated_bytes=1 << 30, total_bytes=3 << 30, verdict="fits", seconds=1.0) for _ in job.settings
        )

    monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.simulate", simulate)
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot)
        assert "3.0 GiBs" not in screen_text(app)
        await pilot.press("v")
        await settled(pilot)
        assert "3.0 GiBs" in screen_text(app) and "by simulation" in screen_text(app)
        assert len(asked) == 1 and 1 <= len(asked[0].settings) <= 4
        assert all(setting.length <= 64 for setting in asked[0].settings)
        await pilot.press("g")
        await on_step(pilot, "hardware")


async def test_a_simulation_that_fails_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(job: SimulateMemory) -> tuple[Simulation, ...]:
        raise MachineLacksError("peft is not installed")

    monkeypatch.setattr("tuiwiz.ui.screens.wizard.screen.simulate", simulate)
    app = wizard_app(place)
    async with app.run_test(size=SIZE) as pilot:
        await answer(pilot)
        await pilot.press("v")
        await settled(pilot)
        assert "not simulated: peft is not installed" in screen_text(app)
