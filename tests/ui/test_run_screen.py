"""The run screen on recorded runs: what it says, what its keys do, at every size."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from tests.support import streams
from tests.support.screens import screen_text
from tests.support.screenshot import run_app_for, settle
from tuiwiz.events import types as ev
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.panes import PANES
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.dialog import Dialog

SIZES = [(80, 24), (120, 40), (170, 50), (60, 16)]


def run_screen(app: TuiwizApp) -> RunScreen:
    assert isinstance(app.screen, RunScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
async def test_the_header_says_the_facts_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
    assert "gsm8k-qwen3-8b" in text and "● training" in text
    assert "184/267" in text and "69 %" in text
    assert "loss 0." in text and "best 0.462@150" in text


async def test_wide_screens_show_memory_and_sensors_beside_the_chart(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
    assert "11.6 of 11.9 GiB predicted" in text
    assert "predicted" in text and "activations" in text
    assert "NVIDIA GeForce RTX 4090" in text and "97 %" in text
    assert "nothing wrong so far" in text


@pytest.mark.parametrize("size", [(40, 10), (20, 5), (48, 11), (10, 2), (1, 1)])
async def test_a_tiny_terminal_shows_one_line_and_no_crash(tmp_path: Path, size: tuple[int, int]) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("x", "6", "plus", "left")
        text = screen_text(app)
    if size[0] >= 40:
        assert "training  184/267  loss 0." in text.replace("\n", " ")


@pytest.mark.parametrize("pane", [name for name in PANES if name != "result"])
@pytest.mark.parametrize("kind", ["run", "failed"])
async def test_every_pane_is_one_key_away(tmp_path: Path, pane: str, kind: str) -> None:
    app = run_app_for(kind, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press(PANES[pane][0])
        await pilot.pause()
        assert run_screen(app).pane == pane
        text = screen_text(app)
    wanted = {
        "loss": "validation",
        "metrics": "backward_seconds",
        "memory": "weights",
        "gpu": "of 450 W",
        "samples": "base model",
        "log": "in 4 bits",
        "health": "NaN since step 90" if kind == "failed" else "nothing wrong",
        "doctor": "rules",
        "bundle": 'source = "qwen/qwen3-8b"',
    }
    pane_text = text.split("9 doctor")[-1] if kind == "run" else text
    if pane not in ("bundle", "metrics"):
        assert wanted[pane] in pane_text


async def test_the_finish_card_says_what_it_brought_and_how_to_try_it(tmp_path: Path) -> None:
    app = run_app_for("finished", tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
    assert "✓ Done" in text and "1.684" in text and "0.462" in text
    assert "step 150, the best of 12 evaluations" in text
    assert "AutoPeftModelForCausalLM" in text and "adapter" in text
    assert "11.9 GiB" in text


async def test_a_failed_run_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    app = run_app_for("failed", tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        text = screen_text(app)
    assert "✗ Failed at step 92 of 267" in text
    assert "the loss was not a finite number" in text
    assert "halve the learning rate" in text
    assert "loss is NaN since step 90" in text
    assert "step 75" in text and "tuiwiz resume" in text


async def test_stopping_asks_first(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    folder = tmp_path / "gsm8k-qwen3-8b" / "control"
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("S")
        assert isinstance(app.screen, Dialog)
        await pilot.press("escape")
        await pilot.pause()
        assert not requests(folder)
        await pilot.press("S", "s")
        await pilot.pause()
        assert [name for name in requests(folder) if "stop" in name]


@pytest.mark.parametrize(("key", "kind"), [("P", "pause"), ("C", "checkpoint")])
async def test_requests_are_files(tmp_path: Path, key: str, kind: str) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
    assert [name for name in requests(tmp_path / "gsm8k-qwen3-8b" / "control") if kind in name]


def requests(control: Path) -> list[str]:
    return sorted(path.name for path in control.iterdir()) if control.is_dir() else []


async def test_an_ended_run_takes_no_requests(tmp_path: Path) -> None:
    app = run_app_for("finished", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("P", "C", "S")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert "pause" not in screen_text(app).splitlines()[-1]
    assert not requests(tmp_path / "gsm8k-qwen3-8b" / "control")


async def test_leaving_an_own_run_asks_detach_or_stop(tmp_path: Path) -> None:
    run = streams.training_run(tmp_path / "mine")
    app = TuiwizApp("run", run=run, started_here=True, clock=lambda: streams.T0 + 760)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("q")
        assert "detach or stop" in screen_text(app)
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        await pilot.press("q", "d")
        await pilot.pause()
    assert app.return_value == 0
    assert not requests(run.control)


async def test_the_screen_that_started_a_run_ends_with_its_exit_code(tmp_path: Path) -> None:
    for maker, code in ((streams.finished_run, 0), (streams.failed_run, 6)):
        run = maker(tmp_path / maker.__name__)
        app = TuiwizApp("run", run=run, started_here=True, clock=lambda: streams.T0 + 760)
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            await pilot.press("q")
            await pilot.pause()
        assert app.return_value == code


async def test_stopping_on_the_way_out_leaves_with_the_code_of_a_stop(tmp_path: Path) -> None:
    run = streams.training_run(tmp_path / "mine")
    app = TuiwizApp("run", run=run, started_here=True, clock=lambda: streams.T0 + 760)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("q", "s")
        await pilot.pause()
    assert app.return_value == 7 and [name for name in requests(run.control) if "stop" in name]


async def test_leaving_as_a_watcher_asks_nothing(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == 0


async def test_the_crosshair_reads_values_by_keyboard(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        chart = app.screen.query_one(Chart)
        await pilot.press("x")
        await pilot.pause()
        assert "step 184" in screen_text(app)
        await pilot.press("left", "left", "h")
        await pilot.pause()
        assert chart.cross is not None and chart.cross < 184
        named = dict(chart.read_out())
        assert {"step", "train", "ema 0.9", "val@175"} <= set(named)
        await pilot.press("escape")
        assert chart.cross is None and isinstance(app.screen, RunScreen)


async def test_zoom_pan_follow_and_log_axis(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        chart = app.screen.query_one(Chart)
        full = chart.window()
        await pilot.press("plus", "plus", "left")
        low, high = chart.window()
        assert not chart.following and high - low < (full[1] - full[0]) * 0.6
        await pilot.press("f", "L")
        assert chart.following and chart.window() == full
        await pilot.pause()
        assert chart.log_axis


async def test_new_events_arrive_without_a_key(tmp_path: Path) -> None:
    recorder = streams.Recorder()
    streams.training(recorder, until=10)
    run = streams.write(tmp_path / "growing", recorder)
    app = TuiwizApp("run", run=run, clock=lambda: streams.T0 + 100)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "10/267" in screen_text(app)
        streams.training(recorder, until=20, from_step=10)
        run.events.write_bytes(recorder.text())
        screen = run_screen(app)
        for _ in range(200):
            await pilot.pause(0.02)
            if screen.view.step == 20:
                break
        await pilot.pause()
        assert screen.view.step == 20


async def test_the_log_is_searched_and_filtered(tmp_path: Path) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("6", "slash", *"dropped")
        await pilot.pause()
        text = screen_text(app)
        assert "1 of 2 entries" in text and "were dropped" in text and "in 4 bits" not in text
        await pilot.press("escape")
        await pilot.pause()
        assert not app.screen.query(Input) and run_screen(app).search == ""
        await pilot.press("w")
        await pilot.pause()
        assert "in 4 bits" not in screen_text(app)


async def test_text_from_outside_cannot_draw(tmp_path: Path) -> None:
    recorder = streams.Recorder()
    streams.training(recorder, until=3)
    nasty = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \u202e evil \x9b31m"
    recorder.add(ev.Log, level="error", message=nasty)
    recorder.add(ev.Sample, step=3, prompt=nasty, base=nasty, now=nasty)
    recorder.add(ev.Alert, rule="r", severity="error", message=nasty, evidence={nasty: nasty})
    run = streams.write(tmp_path / "nasty", recorder)
    run.bundle.write_text(nasty, encoding="utf-8")
    app = TuiwizApp("run", run=run, clock=lambda: streams.T0)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        for key in "5678":
            await pilot.press(key)
            await pilot.pause()
            text = screen_text(app)
            assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(text)
            assert "[bold red]x[/]" in text


async def test_ascii_draws_nothing_else(tmp_path: Path) -> None:
    app = run_app_for("finished", tmp_path, ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        for key in "012345678x":
            await pilot.press(key)
            await pilot.pause()
            assert screen_text(app).isascii()


async def test_a_folder_without_events_says_so(tmp_path: Path) -> None:
    app = TuiwizApp("run", run=tmp_path / "nothing")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "no events" in screen_text(app)
