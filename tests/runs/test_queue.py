"""Bundles one after another: order, as many at once as there are cards, failures in between, reboots."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.processes import eventually, executor_of, fake_executor, gone, steps, tuiwiz, write_bundle
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


def worked(lanes: int = 1) -> None:
    """Work in this process until nothing is left."""
    eventually(lambda: not worker.work(lanes), within_s=60)


def started(entry: queue.Entry) -> float:
    return view_of(RunFolder(Path(entry.run))).first_t


def test_one_after_another_in_the_order_in_which_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(monkeypatch, "--steps", 5)
    for name in ("one", "two", "three"):
        queue.add(bundle(tmp_path, name))
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
    queue.add(bad)
    bad.write_text("name = 3\n")
    for name in ("one", "two", "three"):
        queue.add(bundle(tmp_path, name))
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
    queue.add(bundle(tmp_path, "one"))
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
    queue.add(bundle(tmp_path, "one"))
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
