"""Following: one piece per request, the thread ends with its screen, a cut file begins anew."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import streams
from tests.support.screens import screen_text
from tests.support.screenshot import run_app_for, settle
from tuiwiz.events import control
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import Exit, write_exit
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.follow import CHUNK, Batch, Follower
from tuiwiz.ui.screens.run import RunScreen
from tuiwiz.ui.widgets.chart import Chart


def long_run(folder: Path, steps: int) -> RunFolder:
    folder.mkdir()
    run = RunFolder(folder)
    with run.events.open("wb") as file:
        file.writelines(streams.long_lines(steps))
    return run


def test_a_long_history_comes_in_pieces(tmp_path: Path) -> None:
    follower = Follower(long_run(tmp_path / "long", 2 * CHUNK), lambda batch: None, lambda: streams.T0)
    sizes = []
    while True:
        batch = follower.read()
        if not batch.events:
            break
        fold(follower.view, batch.events)
        sizes.append(len(batch.events))
    assert sizes[:2] == [CHUNK, CHUNK] and max(sizes) == CHUNK
    assert follower.view.step == 2 * CHUNK


def test_the_thread_reads_only_when_asked_and_stops(tmp_path: Path) -> None:
    run = streams.training_run(tmp_path / "run", until=5)
    came: list[Batch] = []
    arrived = threading.Event()

    def deliver(batch: Batch) -> None:
        came.append(batch)
        arrived.set()

    follower = Follower(run, deliver, lambda: streams.T0)
    thread = threading.Thread(target=follower.loop)
    thread.start()
    assert not came
    follower.ask()
    assert arrived.wait(10)
    assert len(came) == 1 and came[0].events
    follower.stop()
    thread.join(10)
    assert not thread.is_alive() and len(came) == 1


async def test_the_thread_ends_with_its_screen(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, RunScreen)
        await pilot.press("q")
        await pilot.pause()
    ours = [thread for thread in threading.enumerate() if thread.name == "follow" and thread not in before]
    for thread in ours:
        thread.join(10)
    assert not any(thread.is_alive() for thread in ours)


async def test_a_file_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    run = streams.training_run(tmp_path / "run", until=30)
    app = TuiwizApp("run", run=run, clock=lambda: streams.T0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, RunScreen) and screen.view.step == 30
        recorder = streams.Recorder()
        streams.training(recorder, until=4)
        run.events.write_bytes(recorder.text())
        for _ in range(300):
            await pilot.pause(0.02)
            if screen.view.step == 4:
                break
        assert screen.view.step == 4 and len(screen.view.series["loss"]) == 4


async def test_a_crashed_run_shows_the_evidence(tmp_path: Path) -> None:
    run = streams.training_run(tmp_path / "run", until=60)
    run.pid.unlink()
    write_exit(run.exit, Exit(signal="SIGKILL", message="killed by signal SIGKILL", evidence="out of memory: 15.9 GiB"))
    app = TuiwizApp("run", run=run, clock=lambda: streams.T0 + 300)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        text = screen_text(app)
    assert "✗ crashed" in text and "killed by signal SIGKILL" in text
    assert "out of memory: 15.9 GiB" in text and "step 50" in text and "tuiwiz resume" in text


async def test_a_read_only_folder_is_only_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuiwiz.ui.screens.run.os.access", lambda path, mode: False)
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("P", "S", "C")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert "stop" not in screen_text(app).splitlines()[-1]
    assert not (tmp_path / "gsm8k-qwen3-8b" / "control").exists()


async def test_a_request_that_cannot_be_left_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: RunFolder, kind: str, *, steps: int = 0) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(control, "request", refuse)
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("P")
        await settle(pilot)
        await pilot.pause(0.1)
        assert "Read-only file system" in screen_text(app)


async def test_nothing_new_repaints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        chart = app.screen.query_one(Chart)
        painted: list[object] = []
        monkeypatch.setattr(chart, "refresh", lambda *regions, **kw: painted.extend(regions))
        chart.set_data(chart.data)
        assert not painted
        chart.toggle_cross()
        assert 0 < len(painted) <= chart.size.height


def test_screens_load_no_heavy_library() -> None:
    rooms = "app, screens.home, screens.run, screens.help, rows, follow".replace(" ", "").split(",")
    heavy = {"torch", "numpy", "datasets", "pyarrow", "optuna", "transformers", "tuiwiz.executor"}
    wanted = ", ".join(f"tuiwiz.ui.{room}" for room in rooms)
    code = f"import sys, {wanted}; sys.exit({heavy!r} & set(sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
