"""`watch`, `stop`, `pause`, `resume`, `checkpoint` and `runs`, from outside the process that started the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.processes import (
    begin,
    events,
    eventually,
    executor_of,
    fake_executor,
    gone,
    steps,
    tuiwiz,
    write_bundle,
)
from tests.support.streams import failed_run, finished_run, long_lines, training_run
from tuiwiz.events import control, types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_process, this_process
from tuiwiz.runs.names import run_root
from tuiwiz.runs.registry import info

FOREVER = 1_000_000


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A detached run that goes on until it is asked to stop."""
    out = tmp_path / "out"
    bundle = write_bundle(tmp_path / "work")
    done = tuiwiz("run", bundle, "--out", out, "--detach", env=fake_executor("--steps", FOREVER))
    assert done.returncode == 0, done.stderr
    yield out
    process = read_process(RunFolder(out).pid)
    if process is not None and not gone(process):
        control.request(RunFolder(out), "stop")
        eventually(lambda: gone(process))


def test_two_watchers_see_the_same_whole_history_and_the_end(running: Path, tmp_path: Path) -> None:
    eventually(lambda: steps(running) > 3)
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    watchers = [begin("watch", running, "--json", out=out) for out in outs]
    eventually(lambda: all(out.stat().st_size for out in outs))
    assert tuiwiz("stop", running).returncode == 0
    assert [watcher.wait(60) for watcher in watchers] == [0, 0]
    told = [out.read_text() for out in outs]
    assert documents(told[0]) == documents(RunFolder(running).events.read_text())
    assert told[0] == told[1] and documents(told[0])[-1]["kind"] == "stopped"


def test_looking_never_touches_the_run(running: Path) -> None:
    watcher = begin("watch", running)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    for number in (signal.SIGINT, signal.SIGKILL):
        watcher.send_signal(number)
        watcher.communicate(timeout=60)
        now = steps(running)
        eventually(lambda at=now: steps(running) > at + 3)  # type: ignore[misc]
        watcher = begin("watch", running)
    watcher.kill()
    watcher.communicate(timeout=60)
    assert info(RunFolder(running)).state == "training"


def test_a_watcher_is_told_when_the_executor_is_killed(running: Path, tmp_path: Path) -> None:
    out = tmp_path / "told.jsonl"
    watcher = begin("watch", running, "--json", out=out)
    eventually(lambda: out.stat().st_size)
    process = executor_of(running)
    os.kill(process.pid, signal.SIGKILL)
    assert watcher.wait(60) == 0
    last = documents(out.read_text())[-1]
    assert last["kind"] == "failed" and "SIGKILL" in last["summary"]["message"]
    assert info(RunFolder(running)).state == "crashed"


def test_pausing_saving_and_going_on_are_asked_and_answered(running: Path) -> None:
    folder = RunFolder(running)
    eventually(lambda: steps(running) > 3)
    assert tuiwiz("pause", running).returncode == 0
    eventually(lambda: info(folder).state == "paused")
    assert tuiwiz("checkpoint", running).returncode == 0
    eventually(lambda: any(isinstance(event, types.Checkpoint) for event in events(running)))
    assert info(folder).state == "paused"
    resumed = tuiwiz("resume", running, "--json")
    assert documents(resumed.stdout)[0]["request"] == "resume"
    at = steps(running)
    eventually(lambda: steps(running) > at + 3)
    assert info(folder).state == "training"
    answered = [event.request for event in events(running) if isinstance(event, types.Control)]
    assert answered == ["pause", "checkpoint", "resume"]


def test_resume_takes_up_a_run_whose_executor_was_killed(running: Path) -> None:
    folder = RunFolder(running)
    eventually(lambda: steps(running) > 3)
    tuiwiz("checkpoint", running)
    eventually(lambda: any(isinstance(event, types.Checkpoint) for event in events(running)))
    process = executor_of(running)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: info(folder).state == "crashed")
    refused = tuiwiz("stop", running)
    assert refused.returncode == 2 and "not running" in refused.stderr
    again = tuiwiz("resume", running, env=fake_executor("--steps", FOREVER))
    assert again.returncode == 0, again.stderr
    # At once, not after a while: who watches next sees the new attempt.
    assert info(folder).state in ("starting", "training")
    assert executor_of(running).pid != process.pid
    started = [event for event in events(running) if isinstance(event, types.RunStarted)]
    assert [one.attempt for one in started] == [1, 2] and started[1].from_step > 0


def test_a_run_that_is_over_is_printed_and_left(tmp_path: Path) -> None:
    for run, last in ((finished_run(tmp_path / "done"), "finished"), (failed_run(tmp_path / "bad"), "failed")):
        told = tuiwiz("watch", run.path, "--json")
        assert told.returncode == 0 and documents(told.stdout)[-1]["kind"] == last
        assert len(documents(told.stdout)) == len(run.events.read_bytes().splitlines())
        lines = tuiwiz("watch", run.path)
        assert lines.returncode == 0 and last in lines.stdout
        assert len(lines.stdout.splitlines()) < 200, "a long history stays readable"


def test_a_run_of_another_machine_is_told_for_what_it_is(tmp_path: Path) -> None:
    run = training_run(tmp_path / "run")
    run.pid.write_bytes(msgspec.json.encode(replace(this_process(), host="elsewhere")))
    told = tuiwiz("watch", run.path)
    assert told.returncode == 0 and "elsewhere" in told.stderr and "not known" in told.stderr
    resumed = tuiwiz("resume", run.path)
    assert resumed.returncode == 2 and "tuiwiz run --resume --out" in resumed.stderr
    asked = tuiwiz("stop", run.path)
    assert asked.returncode == 0, "over a shared disk the request may still be heard"


def test_terminal_sequences_in_a_run_reach_no_terminal(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", steps=3)
    text = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r"
    lines = run.events.read_bytes().splitlines(keepends=True)
    nasty = [
        types.Log(seq=1, t=1.0, level="info", message=text),
        types.Sample(seq=1, t=1.0, step=1, prompt=text, base=text, now=text, expected=text),
        types.Alert(seq=1, t=1.0, rule=text, severity="warning", message=text),
        types.Checkpoint(seq=1, t=1.0, step=1, path=text, bytes=1),
        types.Stage(seq=1, t=1.0, name=text, note=text),
        types.Control(seq=1, t=1.0, request=text, answer=text),
        types.Adjusted(seq=1, t=1.0, step=1, key=text, from_=text, to=text, reason=text),
        types.RunStarted(seq=1, t=1.0, attempt=1, from_step=0, steps=3, name=text, device=text, model=text, task=text),
        types.Failed(seq=1, t=1.0, summary={"message": text, "hint": text, "problems": [{"message": text}]}),
        types.Stopped(seq=1, t=1.0, summary={"reason": text, "artifact": text, "step": text, "steps": text}),
    ]
    run.events.write_bytes(b"".join([*lines, *(msgspec.json.encode(event) + b"\n" for event in nasty)]))
    for words in (("watch", run.path), ("runs", "show", run.path), ("runs", "list")):
        told = tuiwiz(*words)
        assert told.returncode == 0, told.stderr
        assert not set("\x1b\x9b\x07\r\u202e") & set(told.stdout + told.stderr)


def test_a_long_run_is_listed_in_a_moment(tmp_path: Path) -> None:
    run = finished_run(run_root() / "20260101-000000-long-aaaaaa", steps=3)
    run.events.write_bytes(b"".join(long_lines(100_000)))
    start = time.monotonic()
    told = tuiwiz("runs", "show", "long", "--json")
    assert documents(told.stdout)[0]["step"] == 100_000
    assert time.monotonic() - start < 20


def test_runs_list_show_compare_and_remove_keep_their_keys(tmp_path: Path) -> None:
    one = finished_run(run_root() / "20260101-000000-one-aaaaaa")
    two = failed_run(run_root() / "20260102-000000-two-bbbbbb")
    shutil.copy(write_bundle(tmp_path / "a"), one.bundle)
    shutil.copy(write_bundle(tmp_path / "b", adapter__rank="8"), two.bundle)
    listed: Any = documents(tuiwiz("runs", "list", "--json").stdout)[0]
    keys = {
        "name",
        "path",
        "state",
        "step",
        "steps",
        "bundle_digest",
        "metrics",
        "peak_bytes",
        "tokens_per_second",
        "elapsed_s",
    }
    assert len(listed) == 2 and all(keys <= set(found) for found in listed)
    shown = documents(tuiwiz("runs", "show", "one", "--json").stdout)[0]
    assert shown["state"] == "finished" and set(shown["metrics"]) == {"first", "last", "best"}
    compared = documents(tuiwiz("runs", "compare", "one", "two", "--json").stdout)[0]
    assert compared["ok"] and len(compared["runs"]) == len(compared["curves"]) == 2
    assert [(got["key"], got["a"], got["b"]) for got in compared["differences"]] == [("adapter.rank", 4, 8)]
    two.bundle.write_text("from = 'another version'\n")
    beside = tuiwiz("runs", "compare", "one", "two", "--json")
    assert beside.returncode == 0 and documents(beside.stdout)[0]["differences"] is None
    unasked = tuiwiz("runs", "remove", "two", "--for-good")
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    assert tuiwiz("runs", "remove", "two").returncode == 0
    left: Any = documents(tuiwiz("runs", "list", "--json").stdout)[0]
    assert [found["name"] for found in left] == ["20260101-000000-one-aaaaaa"]
    empty = tuiwiz("runs", "show", "two", "--json")
    assert empty.returncode == 2 and documents(empty.stdout)[0]["ok"] is False


def test_a_living_run_is_not_removed(running: Path) -> None:
    refused = tuiwiz("runs", "remove", running, "--for-good", "--yes")
    assert refused.returncode == 2 and "running" in refused.stderr
    assert running.is_dir()
