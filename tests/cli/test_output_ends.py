"""Standard output that is full, closed or no longer read, and Ctrl-C while a command is still starting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import command, environment, eventually
from tests.support.streams import finished_run
from tuiwiz.runs.names import run_root


@pytest.fixture(autouse=True)
def one_run(own_home: Path) -> None:
    finished_run(run_root() / "20260101-000000-one-aaaaaa")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line for sh in which $TUIWIZ is the command."""
    return subprocess.run(
        ["sh", "-c", line.replace("$TUIWIZ", " ".join(command()))],
        # Buffered, as in a shell of one's own.
        env={name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words", ["runs list", "runs list --json", "watch one", "watch one --json", "where", "--version", "run --help"]
)
def test_a_full_disk_behind_standard_output_is_told(words: str) -> None:
    done = shell(f"$TUIWIZ {words} > /dev/full")
    assert done.returncode == 8
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    if "--json" not in words:
        assert "the disk is full" in done.stderr


@pytest.mark.parametrize("ends", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_ends_disturb_nothing(ends: str) -> None:
    for words in ("runs list", "runs list --json", "watch one", "watch one --json", "where"):
        assert shell(f"$TUIWIZ {words} {ends}").returncode == 0, words
    assert shell(f"$TUIWIZ watch nothing {ends}").returncode == 2


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    done = shell(
        "$TUIWIZ watch one --json | head -n 1; ($TUIWIZ watch one; test $? = 0 || echo failed >&2) | head -n 1"
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


@pytest.mark.parametrize("module", ["tuiwiz.cli.main", "msgspec", "typer", "tuiwiz.cli.runs", "tuiwiz.runs.registry"])
def test_ctrl_c_while_a_module_is_loaded_is_no_traceback(tmp_path: Path, module: str) -> None:
    """`sitecustomize` makes the command wait in the middle of an import, so that the moment is always met."""
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            pathlib.Path({str(tmp_path / "waiting")!r}).touch()
            time.sleep(60)

sys.meta_path.insert(0, Slow())
"""
    )
    env = environment()
    child = subprocess.Popen(
        [sys.executable, "-m", "tuiwiz", "runs", "list"],
        env={**env, "PYTHONPATH": os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually((tmp_path / "waiting").exists)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in said and "internal error" not in said
