"""Who executes a run: the very same process, not one with its number; and ending with one's parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.processes import environment, eventually
from tuiwiz.events import control
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import (
    Exit,
    Process,
    boot_id,
    is_alive,
    is_suspended,
    read_exit,
    read_process,
    start_time,
    this_process,
    wake,
    write_exit,
    write_process,
)
from tuiwiz.events.state import state
from tuiwiz.events.view import RunView

SLEEPER = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


def sleeper() -> subprocess.Popen[str]:
    child = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def named(child: subprocess.Popen[str]) -> Process:
    return replace(this_process(), pid=child.pid, started=start_time(child.pid) or 0.0)


def test_this_process_lives_and_says_so_in_the_file(tmp_path: Path) -> None:
    written = write_process(tmp_path / "pid.json")
    assert read_process(tmp_path / "pid.json") == written == this_process()
    assert is_alive(written) is True


def test_a_process_that_ended_is_dead_even_before_its_parent_has_looked() -> None:
    child = sleeper()
    process = named(child)
    assert is_alive(process) is True
    child.kill()
    # A zombie until `wait`: it executes nothing any more.
    eventually(lambda: is_alive(process) is False)
    child.communicate()
    assert is_alive(process) is False


def test_another_process_with_the_same_number_is_not_the_executor() -> None:
    process = this_process()
    assert is_alive(replace(process, started=process.started - 100)) is False


def test_a_process_of_an_earlier_boot_is_dead() -> None:
    assert is_alive(replace(this_process(), boot_id="another")) is False


def test_of_another_machine_nothing_is_known() -> None:
    assert is_alive(replace(this_process(), host="elsewhere")) is None
    assert is_alive(replace(this_process(), host="elsewhere", boot_id="another")) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid":"x"}', b"\xff", b'{"pid":1}'])
def test_a_damaged_file_is_no_process(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pid.json").write_bytes(content)
    assert read_process(tmp_path / "pid.json") is None
    assert read_process(tmp_path / "absent.json") is None


def test_how_it_ended_comes_back_whole(tmp_path: Path) -> None:
    ended = Exit(signal="SIGKILL", message="m", peak_rss_bytes=7, out_of_memory=True, log_tail=("a", "b"), ended=1.0)
    write_exit(tmp_path / "exit.json", ended)
    assert read_exit(tmp_path / "exit.json") == ended


def test_boot_ids_are_stable() -> None:
    assert boot_id() == boot_id()


PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""
CHILD = """
import os, sys, time
from tuiwiz.events.process import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_child_ends_with_its_parent_however_that_ends(number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert start_time(child) is not None
    parent.send_signal(number)
    parent.communicate()
    eventually(lambda: start_time(child) is None)


def test_a_parent_that_was_gone_before_the_child_asked_counts_too() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(os.getppid())], env=environment())
    assert child.wait(60) == -signal.SIGTERM


def test_a_suspended_executor_is_told_and_woken_by_the_request_to_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        started = start_time(child.pid)
        assert started is not None
        process = Process(pid=child.pid, started=started, host=this_process().host, boot_id=boot_id())
        run.pid.write_bytes(msgspec.json.encode(process))
        assert not is_suspended(process)
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: is_suspended(process))
        assert state(RunView(), run, time.time()) == "paused"
        control.request(run, "checkpoint")
        assert is_suspended(process), "only what needs it to go on wakes it"
        control.request(run, "resume")
        eventually(lambda: not is_suspended(process))
        assert state(RunView(), run, time.time()) == "starting"
    finally:
        child.kill()
        child.wait(30)
    assert not is_suspended(process)
    wake(process)
