"""`kill -9` at any moment, again and again: while loading, in a step, in an evaluation, in the middle of a save."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.faults.checks import assert_same, assert_state, bits, fresh, lost_steps, resume, step_of, until_step
from tests.faults.conftest import Executor, Server, Table, Whole
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import checkpoint

EVERY = 3
"""Steps between checkpoints: the most that a kill may cost, besides the step that was going on."""


def kill_at(executor: Executor, moment_s: float) -> None:
    time.sleep(moment_s)
    executor.signal(signal.SIGKILL)


def kill_in_save(run: RunFolder, executor: Executor, after: int) -> bool:
    """Kill as soon as a save beyond step `after` is being written; False if the run was over before."""
    while executor.poll() is None:
        for path in run.checkpoints.glob(".step-*.tmp"):
            if int(path.name.split(".")[1].removeprefix("step-")) > after:
                executor.signal(signal.SIGKILL)
                return True
    return False


def torture(server: Server, whole: Whole, table: Table, name: str, kills: int, seed: int) -> int:
    """Kill a run until `kills` are used up or it is over; returns the kills that were used."""
    chance = random.Random(seed)
    run = fresh(whole, name)
    executor = server.start(run)
    used = 0
    while used < kills:
        before = lost_steps(run, 0) * -1
        in_save = chance.random() < 0.5
        if in_save:
            hit = kill_in_save(run, executor, before)
        else:
            kill_at(executor, chance.uniform(0, whole.seconds))
            hit = executor.poll() is None
        code = executor.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL and (hit or not in_save)
        used += 1
        if run.pid.exists():
            assert_state(run, "crashed")
        newest, complaints = checkpoint.newest_valid(run.checkpoints)
        assert not complaints, "a save that was cut short must not look like a checkpoint"
        lost = lost_steps(run, step_of(run))
        assert lost <= EVERY, f"{lost} steps lost of {step_of(run)}, newest {newest}"
        what = "kill -9 inside a save" if in_save else "kill -9 at a random moment"
        table.add(what, lost=f"{lost} steps" if lost else "nothing")
        executor = resume(server, run)
    assert executor.wait() == 0
    assert_same(run, whole)
    return used


def test_killed_twelve_times_it_ends_as_if_nothing_had_been(server: Server, whole: Whole, table: Table) -> None:
    left, number = 12, 0
    while left > 0:
        left -= torture(server, whole, table, f"killed-{number}", min(left, 5), seed=number)
        number += 1
        assert number < 20, "the kills never hit"


@pytest.mark.long
def test_killed_three_hundred_times(server: Server, whole: Whole, table: Table) -> None:
    left, number = 300, 0
    seed = random.randrange(1 << 30)
    while left > 0:
        left -= torture(server, whole, table, f"tortured-{number}", min(left, 8), seed=seed + number)
        number += 1


def test_stopped_and_continued_by_signals_nothing_changes(server: Server, whole: Whole, table: Table) -> None:
    run = fresh(whole, "suspended")
    executor = server.start(run)
    for step in (3, 11, 20):
        until_step(run, step, executor)
        executor.signal(signal.SIGSTOP)
        assert_state(run, "paused")
        executor.signal(signal.SIGCONT)
        table.add("SIGSTOP, then SIGCONT")
    assert executor.wait() == 0
    assert_same(run, whole)


def test_terminated_by_the_batch_system_it_saves_and_goes_on(server: Server, whole: Whole, table: Table) -> None:
    for number, warning in enumerate((signal.SIGTERM, signal.SIGUSR1)):
        run = fresh(whole, f"warned-{number}")
        executor = server.start(run)
        until_step(run, 5, executor)
        executor.signal(signal.SIGHUP)
        executor.signal(warning)
        if warning == signal.SIGUSR1:
            executor.signal(warning)
        assert executor.wait() == 7
        assert_state(run, "stopped")
        assert lost_steps(run, step_of(run)) == 0
        assert resume(server, run).wait() == 0
        assert_same(run, whole)
        table.add(f"SIGHUP, then {warning.name}")


def test_two_executors_on_one_folder(server: Server, whole: Whole, table: Table) -> None:
    run = fresh(whole, "contested")
    first = server.start(run)
    until_step(run, 2, first)
    # Held, so that it cannot be over before the second one is there.
    first.signal(signal.SIGSTOP)
    second = server.start(run)
    assert second.wait() == 2 and first.poll() is None
    assert_state(run, "paused")
    first.signal(signal.SIGCONT)
    assert first.wait() == 0
    assert_same(run, whole)
    assert bits(run, "loss") == bits(whole.run, "loss")
    table.add("two executors on one folder")
