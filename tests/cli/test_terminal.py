"""Real terminals that go away: a detached run and one behind the live screen live on, one in the foreground stops."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import (
    ROOT,
    command,
    environment,
    eventually,
    executor_of,
    fake_executor,
    gone,
    steps,
    tuiwiz,
    write_bundle,
)
from tuiwiz.events import control, types
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import is_alive, read_process
from tuiwiz.runs.registry import info

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


OVER = "==over=="
"""What the shell prints when the command has ended."""


class Terminal:
    """A tmux server of its own with one window of 80x24."""

    def __init__(self) -> None:
        self.name = f"tuiwiz-{uuid.uuid4().hex[:8]}"

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.name, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=environment(**fake_executor("--steps", 1_000_000)),
            cwd=ROOT,
        )
        return done.stdout

    def run(self, *words: str | Path) -> None:
        # The shell survives Ctrl-C and keeps the window open after the command has ended.
        script = f"trap : INT; {shlex.join(command(*words))}; echo {OVER}; cat"
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", script)

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def kill(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.kill()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "work")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """The run's folder; what still runs there is stopped at the end."""
    yield tmp_path / "run"
    process = read_process(RunFolder(tmp_path / "run").pid)
    if process is not None and is_alive(process):
        end(tmp_path / "run")


def end(out: Path) -> None:
    executor = executor_of(out)
    control.request(RunFolder(out), "stop")
    eventually(lambda: gone(executor))


def goes_on(out: Path) -> bool:
    now = steps(out)
    eventually(lambda: steps(out) > now + 3)
    return info(RunFolder(out)).state == "training"


def test_a_detached_run_outlives_its_terminal_and_is_watched_from_another(
    terminal: Terminal, bundle: Path, out: Path
) -> None:
    terminal.run("run", bundle, "--out", out, "--detach")
    executor = executor_of(out)
    eventually(lambda: steps(out) > 3)
    terminal.kill()
    assert goes_on(out) and is_alive(executor)
    other = Terminal()
    try:
        other.run("watch", out, "--plain")
        eventually(lambda: "run      fake" in other.text() and "step     " in other.text())
    finally:
        other.kill()
    assert goes_on(out)
    end(out)
    # The whole history, from the first step on.
    view = view_of(RunFolder(out))
    assert list(view.series["loss"].x) == list(range(1, view.step + 1))


def test_behind_the_live_screen_the_run_outlives_the_terminal(terminal: Terminal, bundle: Path, out: Path) -> None:
    terminal.run("run", bundle, "--out", out)
    executor = executor_of(out)
    eventually(lambda: "training" in terminal.text())
    terminal.kill()
    assert goes_on(out) and is_alive(executor)
    end(out)


def test_in_the_foreground_the_run_stops_and_saves_when_the_terminal_goes(
    terminal: Terminal, bundle: Path, out: Path
) -> None:
    terminal.run("run", bundle, "--out", out, "--plain")
    executor = executor_of(out)
    eventually(lambda: steps(out) > 3)
    terminal.kill()
    eventually(lambda: gone(executor))
    view = view_of(RunFolder(out))
    assert isinstance(view.closing, types.Stopped) and [one.step for one in view.checkpoints] == [view.step]


def test_ctrl_c_in_a_terminal_reaches_the_command_alone_and_stops_after_the_step(
    terminal: Terminal, bundle: Path, out: Path
) -> None:
    terminal.run("run", bundle, "--out", out, "--plain")
    executor = executor_of(out)
    eventually(lambda: steps(out) > 3)
    terminal.keys("C-c")
    eventually(lambda: gone(executor))
    eventually(lambda: "stopped at step" in terminal.text())
    assert info(RunFolder(out)).state == "stopped"
    assert "Traceback" not in terminal.text()


def test_watching_in_a_terminal_ends_with_ctrl_c_and_the_run_goes_on(
    terminal: Terminal, bundle: Path, out: Path
) -> None:
    done = tuiwiz("run", bundle, "--out", out, "--detach", env=fake_executor("--steps", 1_000_000))
    assert done.returncode == 0
    terminal.run("watch", out, "--plain")
    eventually(lambda: "step     " in terminal.text())
    terminal.keys("C-c")
    # Not "^C" on the screen: lines that came after it may have pushed it off.
    eventually(lambda: OVER in terminal.text())
    assert "Traceback" not in terminal.text()
    assert goes_on(out)
    end(out)
