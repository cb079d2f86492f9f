"""`tuiwiz run` and its exit codes, with an executor that ends in every way (none of these loads torch)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import (
    begin,
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
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import start_time
from tuiwiz.runs.names import run_root
from tuiwiz.runs.registry import info

FOREVER = 1_000_000
ENDINGS = {0: "finished", 7: "stopped", 6: "failed", 1: "failed"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "work")


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),
        (("--at", 3), 6),
        (("--at", 3, "--by", "torn"), 6),
        (("--at", 3, "--by", "failed"), 6),
        (("--at", 3, "--by", "silent"), 1),
    ],
)
def test_the_stream_ends_with_the_ending_that_the_exit_code_says(
    bundle: Path, options: tuple[str | int, ...], code: int
) -> None:
    done = tuiwiz("run", bundle, "--json", env=fake_executor(*options))
    assert done.returncode == code
    told = documents(done.stdout)
    assert all({"v", "seq", "t", "kind"} <= set(one) for one in told)
    assert [one["kind"] for one in told if one["kind"] in ENDINGS.values()] == [ENDINGS[code]]
    assert told[-1]["kind"] == ENDINGS[code] and isinstance(told[-1]["summary"], dict)
    if code:
        summary = told[-1]["summary"]
        assert summary["exit_code"] == code and summary["message"]


def test_lines_for_people_say_the_same(bundle: Path) -> None:
    done = tuiwiz("run", bundle, env=fake_executor("--at", 3))
    assert done.returncode == 6
    assert "failed   the executor was ended by SIGKILL" in done.stdout and "hint:" in done.stdout
    assert "run folder" in done.stderr and "Traceback" not in done.stdout + done.stderr
    fine = tuiwiz("run", bundle, "--plain", env=fake_executor())
    assert fine.returncode == 0 and "finished at step 5/5" in fine.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_once_it_stops_saves_and_goes_on_later(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    run = begin("run", bundle, "--out", out, "--json", env=fake_executor("--steps", FOREVER))
    eventually(lambda: steps(out) > 3)
    run.send_signal(number)
    told, said = run.communicate(timeout=60)
    assert run.returncode == 7 and documents(told)[-1]["kind"] == "stopped"
    assert "stopping after this step" in said
    at = documents(told)[-1]["summary"]["step"]
    again = tuiwiz("run", "--resume", "--out", out, "--json", env=fake_executor("--steps", at + 4))
    assert again.returncode == 0
    # Only the new attempt is told, and it goes on where the first ended.
    kinds = [one["kind"] for one in documents(again.stdout)]
    assert kinds.count("run_started") == 1 and kinds[-1] == "finished" and "stopped" not in kinds
    assert [one["step"] for one in documents(again.stdout) if one["kind"] == "metric"] == list(range(at + 1, at + 5))


def test_a_new_attempt_that_dies_before_its_first_word_is_not_told_as_the_old_ending(
    bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = begin("run", bundle, "--out", out, "--json", env=fake_executor("--steps", FOREVER))
    eventually(lambda: steps(out) > 3)
    run.terminate()
    run.communicate(timeout=60)
    broken = {"TUIWIZ_EXECUTOR_COMMAND": "\n".join(["python3", "-c", "raise SystemExit('no torch here')"])}
    again = tuiwiz("run", "--resume", "--out", out, "--json", env=broken)
    (only,) = documents(again.stdout)
    assert only["kind"] == "failed" and "no torch here" in only["summary"]["hint"]
    assert again.returncode == only["summary"]["exit_code"] == 1


def test_asked_twice_it_ends_at_once(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = begin("run", bundle, "--out", out, env=fake_executor("--steps", FOREVER))
    eventually(lambda: steps(out) > 3)
    executor = executor_of(out)
    # Stopped, the executor cannot answer the first request before the second comes.
    os.kill(executor.pid, signal.SIGSTOP)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    eventually(lambda: "once more" in str(run.stderr and run.stderr.readline()))
    run.send_signal(signal.SIGINT)
    os.kill(executor.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert gone(executor)


def test_killed_outright_it_takes_the_run_with_it_after_a_save(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = begin("run", bundle, "--out", out, env=fake_executor("--steps", FOREVER))
    eventually(lambda: steps(out) > 3)
    executor = executor_of(out)
    run.kill()
    run.communicate(timeout=60)
    eventually(lambda: gone(executor))
    assert info(RunFolder(out)).state == "stopped"


def test_a_reader_that_goes_away_ends_the_run_quietly(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = begin("run", bundle, "--out", out, "--json", env=fake_executor("--steps", FOREVER))
    assert run.stdout is not None and run.stderr is not None
    run.stdout.readline()
    executor = executor_of(out)
    run.stdout.close()
    assert "Traceback" not in run.stderr.read()
    run.wait(60)
    eventually(lambda: gone(executor))
    assert info(RunFolder(out)).state == "stopped"


def test_detached_it_prints_its_name_and_outlives_its_caller_and_the_session(bundle: Path) -> None:
    done = tuiwiz("run", bundle, "--detach", env=fake_executor("--steps", FOREVER), start_new_session=True)
    assert done.returncode == 0
    name = done.stdout.strip()
    path = run_root() / name
    executor = executor_of(path)
    now = steps(path)
    eventually(lambda: steps(path) > now + 3)
    as_json = tuiwiz("runs", "show", name, "--json")
    assert documents(as_json.stdout)[0]["state"] == "training"
    assert tuiwiz("stop", name).returncode == 0
    eventually(lambda: gone(executor))
    assert info(RunFolder(path)).state == "stopped"


def test_detached_an_executor_that_cannot_start_is_told_at_once(bundle: Path) -> None:
    broken = {"TUIWIZ_EXECUTOR_COMMAND": "\n".join(["python3", "-c", "raise SystemExit('no torch here')"])}
    done = tuiwiz("run", bundle, "--detach", env=broken)
    assert done.returncode == 6 and "no torch here" in done.stderr


def test_a_living_run_is_not_started_again(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    env = fake_executor("--steps", FOREVER)
    assert tuiwiz("run", bundle, "--out", out, "--detach", env=env).returncode == 0
    pid = executor_of(out).pid
    cases: list[list[str | Path]] = [
        ["run", bundle, "--out", out],
        ["run", "--resume", "--out", out],
        ["run", "--resume", out],
    ]
    for words in cases:
        refused = tuiwiz(*words, "--json", env=env)
        assert refused.returncode == 2
        assert f"process {pid}" in documents(refused.stdout)[0]["message"]
    tuiwiz("stop", out)
    eventually(lambda: start_time(pid) is None)


def test_a_finished_run_has_nothing_left_to_do(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tuiwiz("run", bundle, "--out", out, env=fake_executor())
    before = RunFolder(out).events.read_bytes()
    again = tuiwiz("run", "--resume", "--out", out, env=fake_executor())
    assert again.returncode == 0 and "nothing to do" in again.stderr
    as_json = tuiwiz("run", "--resume", "--out", out, "--json", env=fake_executor())
    assert as_json.returncode == 0 and documents(as_json.stdout)[-1]["kind"] == "finished"
    assert RunFolder(out).events.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run"], 2, "no bundle named"),
        (["run", "absent.toml"], 3, "absent.toml"),
        (["run", "{bundle}", "--set", "adapter.rnk=3"], 2, "adapter.rank"),
        (["run", "{bundle}", "--set", "batch.effective=0"], 3, "batch.effective"),
        (["run", "{bundle}", "--resume"], 2, "--out"),
        (["run", "--out", "nowhere", "--resume"], 2, "no run in"),
        (["run", "--colour"], 2, "--help"),
        (["watch", "nothing"], 2, "no run"),
        (["stop"], 2, "no run"),
    ],
)
def test_what_cannot_work_is_told_in_a_sentence(
    bundle: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = tuiwiz(*(word.format(bundle=bundle) for word in words), cwd=tmp_path, env=fake_executor())
    assert done.returncode == code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr and not done.stdout
    if "--colour" not in words:
        as_json = tuiwiz(*(word.format(bundle=bundle) for word in words), "--json", cwd=tmp_path, env=fake_executor())
        (document,) = documents(as_json.stdout)
        assert as_json.returncode == code and document["ok"] is False and document["problems"]


def test_nothing_waits_for_a_key_without_a_terminal(bundle: Path) -> None:
    """Standard input stays open and empty: whoever read it would wait for ever."""
    for words in (["run", str(bundle)], ["watch"], ["runs", "list"]):
        child = subprocess.Popen(
            command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(**fake_executor()),
        )
        assert child.wait(60) == 0
        assert child.stdin is not None
        child.stdin.close()
