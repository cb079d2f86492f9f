"""Clocks that jump, and many who look at once."""

from __future__ import annotations

import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

from tests.faults.checks import assert_same, assert_state, fresh, resume, step_of, until_step
from tests.faults.conftest import Server, Table, Whole
from tests.support.processes import tuiwiz
from tests.support.training import events_of
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.state import state
from tuiwiz.events.view import RunView

READERS = 50


def test_a_clock_that_jumps_changes_neither_the_run_nor_its_order(server: Server, whole: Whole, table: Table) -> None:
    run = fresh(whole, "clock")
    executor = server.start(run, "clock")
    until_step(run, 8, executor)
    assert_state(run, "training")
    executor.signal(signal.SIGKILL)
    executor.wait()
    assert_state(run, "crashed")
    assert resume(server, run).wait() == 0
    events = events_of(run)
    assert [event.seq for event in events] == list(range(len(events)))
    assert any(b.t < a.t for a, b in pairwise(events)), "the clock did jump"
    assert_same(run, whole)
    table.add("clock jumping by an hour, a day, a year")


def test_fifty_readers_at_once_see_the_same_run(server: Server, whole: Whole, table: Table) -> None:
    run = fresh(whole, "watched")
    executor = server.start(run)
    over = threading.Event()
    seen: list[tuple[int, dict[float, float]]] = []

    def look() -> None:
        view, reader = RunView(), EventReader(run.events)
        while True:
            last = over.is_set()
            while events := reader.read(50):
                fold(view, events)
            state(view, run, time.time())
            if last:
                break
            time.sleep(0.01)
        loss = view.series["loss"]
        seen.append((view.events, dict(zip(loss.x, loss.y, strict=True))))

    readers = [threading.Thread(target=look) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    code = executor.wait()
    over.set()
    for reader in readers:
        reader.join()
    assert code == 0 and len(seen) == READERS
    assert all(one == seen[0] for one in seen) and seen[0][0] == len(events_of(run))
    assert_same(run, whole)
    table.add(f"{READERS} readers at once")


def test_commands_look_at_a_crashed_run_and_leave_it_as_it_is(server: Server, whole: Whole) -> None:
    run = fresh(whole, "looked-at")
    executor = server.start(run)
    until_step(run, 4, executor)
    executor.signal(signal.SIGKILL)
    executor.wait()

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in RunFolder(run.path).path.rglob("*") if path.is_file()}

    before = content()
    done = tuiwiz("watch", run.path, "--plain")
    assert "goes on from the last checkpoint" in done.stdout and content() == before
    assert step_of(run) >= 4
