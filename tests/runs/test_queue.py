"""Bundles one after another: order, as many at once as there are cards, failures in between, reboots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.processes import (
    environment,
    eventually,
    executor_of,
    fake_executor,
    gone,
    steps,
    tuiwiz,
    write_bundle,
)
from tuiwiz.base.errors import UsageError
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_process
from tuiwiz.runs import queue, worker
from tuiwiz.runs.registry import info

FOREVER = 1_000_000


def bundle(root: Path, name: str) -> Path:
    return write_bundle(root / name, name=f'"{name}"')


def executed(monkeypatch: pytest.MonkeyPatch, *options: str | int) -> None:
    for name, value in fake_executor(*options).items():
        monkeypatch.setenv(name, value)


def add(path: Path) -> queue.Entry:
    return queue.add(path, rehearse=False)


def worked(lanes: int = 1) -> None:
    """Work in this process until nothing is left."""
    eventually(lambda: not worker.work(lanes), within_s=60)


def started(entry: queue.Entry) -> float:
    return view_of(RunFolder(Path(entry.run))).first_t


def test_one_after_another_in_the_order_in_which_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", 5)
    for name in ("one", "two", "three"):
        add(bundle(tmp_path, name))
    worked()
    known = queue.entries()
    assert [(entry.state, entry.code) for entry in known] == [("done", 0)] * 3
    times = [(started(entry), view_of(RunFolder(Path(entry.run))).last_t) for entry in known]
    assert times[0][1] <= times[1][0] and times[1][1] <= times[2][0], "never two at once"
    assert [info(RunFolder(Path(entry.run))).state for entry in known] == ["finished"] * 3


def test_two_cards_take_two_and_what_cannot_run_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed(monkeypatch, "--steps", FOREVER)
    bad = bundle(tmp_path, "bad")
    add(bad)
    bad.write_text("name = 3\n")
    for name in ("one", "two", "three"):
        add(bundle(tmp_path, name))
    worker.work(2)
    states = [entry.state for entry in queue.entries()]
    # The refused one leaves its lane free at the next look.
    assert states[0] == "done" and queue.entries()[0].code == 3 and queue.entries()[0].message
    worker.work(2)
    known = queue.entries()
    assert [entry.state for entry in known] == ["done", "running", "running", "waiting"]
    with pytest.raises(UsageError, match="running"):
        queue.remove("2")
    assert queue.remove("4").bundle.endswith("three/bundle.toml")
    for entry in known[1:3]:
        executor = executor_of(Path(entry.run))
        assert tuiwiz("stop", entry.run).returncode == 0
        eventually(lambda process=executor: gone(process))  # type: ignore[misc]
    worked(2)
    assert [entry.code for entry in queue.entries()] == [3, 7, 7]


def test_a_run_whose_machine_went_down_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", FOREVER)
    add(bundle(tmp_path, "one"))
    worker.work(1)
    run = RunFolder(Path(queue.entries()[0].run))
    executor = executor_of(run.path)
    eventually(lambda: steps(run.path) > 3)
    os.kill(executor.pid, 9)
    eventually(run.exit.exists)
    # As after a reboot: nobody wrote how it ended, and the process belongs to an earlier boot.
    run.exit.unlink()
    process = read_process(run.pid)
    assert process is not None
    run.pid.write_bytes(msgspec.json.encode(replace(process, boot_id="earlier")))
    executed(monkeypatch, "--steps", 8)
    worked()
    (entry,) = queue.entries()
    assert (entry.state, entry.code, entry.tries) == ("done", 0, 1)
    assert info(run).state == "finished"


def test_a_run_that_has_just_ended_is_not_taken_for_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", FOREVER)
    add(bundle(tmp_path, "one"))
    worker.work(1)
    run = RunFolder(Path(queue.entries()[0].run))
    executor = executor_of(run.path)
    os.kill(executor.pid, 9)
    eventually(run.exit.exists)
    ended = run.exit.read_bytes()
    run.exit.unlink()
    assert worker.work(1) and queue.entries()[0].state == "running"
    run.exit.write_bytes(ended)
    worked()
    assert queue.entries()[0].code == 6 and queue.entries()[0].tries == 0


def test_by_commands_it_survives_the_one_who_added_it(tmp_path: Path, own_home: Path) -> None:
    env = fake_executor("--steps", 30)
    paths = [bundle(tmp_path, name) for name in ("one", "two")]
    done = tuiwiz("queue", "add", *paths, "--json", env=env, start_new_session=True)
    assert done.returncode == 0 and len(json.loads(done.stdout)["added"]) == 2
    assert own_home in queue.folder().parents

    def listed() -> list[str]:
        return [entry["state"] for entry in json.loads(tuiwiz("queue", "list", "--json", env=env).stdout)]

    eventually(lambda: listed() == ["done", "done"], within_s=60)
    shown = tuiwiz("queue", "list").stdout
    assert shown.count("exit code 0: finished") == 2

    def worker_is_gone() -> bool:
        lock = queue.worker_lock()
        if lock is not None:
            os.close(lock)
        return lock is not None

    eventually(worker_is_gone)
    assert tuiwiz("queue", "remove", "1").returncode == 0
    assert listed() == ["done"]


def test_what_cannot_run_is_told_when_it_is_added(tmp_path: Path) -> None:
    good, bad = bundle(tmp_path, "good"), bundle(tmp_path, "bad")
    bad.write_text(bad.read_text() + '\n[lock.data]\n"rows.jsonl" = "00"\n')
    assert tuiwiz("queue", "add", good, bad).returncode == 5
    assert tuiwiz("queue", "add", good, "--set", "adapter.rank=0").returncode == 3
    assert queue.entries() == []
    assert tuiwiz("queue", "remove", "7").returncode == 2
    assert "empty" in tuiwiz("queue", "list").stdout


def test_litter_is_no_entry_and_old_ends_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.folder().mkdir(parents=True)
    (queue.folder() / "0001.json").write_text("{")
    (queue.folder() / "notes.json").write_text("{}")
    assert queue.entries() == [] and not worker.work(1)
    monkeypatch.setattr(queue, "KEPT_DONE", 2)
    for number in range(5):
        queue.store(queue.Entry(id=f"{number:020d}", bundle=f"{number}.toml", state="done", ended=time.time()))
    worker.work(1)
    assert [entry.bundle for entry in queue.entries()] == ["3.toml", "4.toml"]


def answering(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have rehearsals be made by `code`, in which `name` is that of the bundle's folder."""
    start = "import pathlib, sys, time; name = pathlib.Path(sys.argv[1]).parent.name; "
    monkeypatch.setattr(worker, "REHEARSAL", (sys.executable, "-c", start + code))


def test_a_failed_rehearsal_ends_its_entry_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", 5)
    answering(
        monkeypatch,
        """print('{"code": 4, "message": "no room"}' if name == "big" else '{"code": 0}' if name == "good" else "?")""",
    )
    for name in ("big", "broken", "good"):
        queue.add(bundle(tmp_path, name))
    queue.add(bundle(tmp_path, "big"), rehearse=False)
    worked()
    known = queue.entries()
    assert [(entry.state, entry.code) for entry in known] == [("done", 4), ("done", 6), ("done", 0), ("done", 0)]
    assert known[0].message == "no room" and "rehearsal" in known[1].message
    assert [bool(entry.run) for entry in known] == [False, False, True, True]


def test_a_rehearsal_takes_a_lane_and_ends_with_its_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", 5)
    answering(monkeypatch, "time.sleep(600)")
    for name in ("one", "two"):
        queue.add(bundle(tmp_path, name))
    assert worker.work(1) and worker.work(1)
    assert [entry.state for entry in queue.entries()] == ["rehearsing", "waiting"]
    (child,) = worker._rehearsals.values()
    queue.remove("1")
    worker.work(1)
    assert child.poll() is not None
    # What a worker that is gone left behind is begun again by the next one.
    (child,) = worker._rehearsals.values()
    worker._end_rehearsals(keep=())
    answering(monkeypatch, """print('{"code": 0}')""")
    worked()
    (entry,) = queue.entries()
    assert child.poll() is not None and (entry.state, entry.code, entry.rehearse) == ("done", 0, False)


def test_what_is_due_is_told_by_a_process_of_its_own(tmp_path: Path, tiny_tokenizer: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_tokenizer, model)
    widths = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    (model / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 512, **widths}))

    def told(path: Path) -> tuple[int, dict[str, Any]]:
        env = environment(TUIWIZ_EXECUTOR_COMMAND=f"{sys.executable}\n-c\nraise SystemExit(4)")
        words = [sys.executable, "-m", "tuiwiz.rehearsal", str(path)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout)

    assert told(write_bundle(tmp_path / "short", model)) == (0, {"code": 0, "message": ""})
    code, found = told(write_bundle(tmp_path / "long", model, schedule__steps="100000000"))
    assert code == found["code"] == 4 and found["message"].startswith("the rehearsal: ")
    assert told(tmp_path / "none.toml")[0] == 3
