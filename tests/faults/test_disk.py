"""Disks that are full, read-only or lie; files that are cut or have a bit flipped."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checks import TRUTH_S, assert_same, fresh, lost_steps, resume, step_of, until_step
from tests.faults.conftest import Server, Table, Whole
from tests.support.processes import tuiwiz
from tests.support.training import events_of, of_kind
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.state import state
from tuiwiz.events.types import Alert, Failed, RunStarted
from tuiwiz.executor import checkpoint
from tuiwiz.runs.folder import take_up
from tuiwiz.runs.registry import info

DISK_BYTES = 24 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory and small."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def on_disk(whole: Whole, disk: Path, name: str) -> RunFolder:
    """The undisturbed run's beginning, on the small disk."""
    made = fresh(whole, name)
    shutil.move(made.path, disk / name)
    return RunFolder(disk / name)


def leave_free(disk: Path, free_bytes: int) -> Path:
    """Fill the disk but for so many bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, shutil.disk_usage(disk).free - free_bytes))
    return filler


def run_bytes(whole: Whole) -> int:
    return sum(path.stat().st_size for path in whole.run.path.rglob("*") if path.is_file())


SHARES = (0.0, 0.002, 0.01, 0.05, 0.12, 0.25, 0.4, 0.6, 0.8)
"""Room for so much of what a run writes: the disk is full at the first event, at the start, in saves, at the end."""


@pytest.mark.parametrize("share", SHARES)
def test_a_full_disk_at_every_place_that_writes(
    server: Server, whole: Whole, table: Table, disk: Path, share: float
) -> None:
    run = on_disk(whole, disk, "run")
    filler = leave_free(disk, int(share * run_bytes(whole)))
    executor = server.start(run, "lying disk")
    code = executor.wait()
    reached = step_of(run)
    assert code == 8 or (code == 0 and share > 0.5), code
    told = of_kind(events_of(run), Failed)
    if told:
        assert "disk is full" in told[-1].summary["message"] and "resume" in told[-1].summary["hint"]
    complaints = checkpoint.newest_valid(run.checkpoints)[1]
    assert not complaints, "what did not fit must not look like a checkpoint"
    lost = lost_steps(run, reached)
    assert lost <= 3
    filler.unlink()
    if code:
        assert state(view_of(run), run, time.time() + TRUTH_S + 1) in ("failed", "crashed", "unknown")
        assert resume(server, run).wait() == 0
    assert_same(run, whole)
    table.add("disk full while writing (tmpfs)", lost=f"{lost} steps" if lost else "nothing")


def test_a_disk_without_room_is_told_before_the_start(server: Server, whole: Whole, table: Table, disk: Path) -> None:
    run = on_disk(whole, disk, "run")
    filler = leave_free(disk, 2 << 20)
    assert server.start(run).wait() == 8
    (told,) = of_kind(events_of(run), Failed)
    assert "are free" in told.summary["message"] and not run.checkpoints.exists() and step_of(run) == 0
    filler.unlink()
    assert resume(server, run).wait() == 0
    assert_same(run, whole)
    table.add("disk without room for the run (tmpfs)")


def test_a_folder_that_has_become_read_only(server: Server, whole: Whole, table: Table, disk: Path) -> None:
    run = on_disk(whole, disk, "run")
    executor = server.start(run)
    until_step(run, 7, executor)
    executor.signal(signal.SIGKILL)
    executor.wait()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert info(run).state == "crashed"
    with pytest.raises(MachineLacksError, match="cannot be written"):
        take_up(run)
    refused = tuiwiz("run", "--resume", "--out", run.path)
    assert refused.returncode == 8 and "Traceback" not in refused.stderr
    assert server.start(run).wait() == 8
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert resume(server, run).wait() == 0
    assert_same(run, whole)
    table.add("read-only file system")


@pytest.mark.parametrize("harm", ["flip", "cut"])
def test_damaged_checkpoints_are_told_and_the_older_one_is_used(
    server: Server, whole: Whole, table: Table, harm: str
) -> None:
    chance = random.Random(harm)
    run = fresh(whole, f"damaged-{harm}")
    executor = server.start(run)
    until_step(run, 13, executor)
    executor.signal(signal.SIGKILL)
    executor.wait()
    kept = sorted(int(path.name.removeprefix("step-")) for path in run.checkpoints.glob("step-*"))
    path = run.checkpoint(kept[-1]) / chance.choice([checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE])
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    if harm == "flip":
        content[at] ^= 1 << chance.randrange(8)
    else:
        del content[at:]
    path.write_bytes(content)
    assert resume(server, run).wait() == 0
    events = events_of(run)
    assert of_kind(events, RunStarted)[-1].from_step == kept[-2]
    assert any(one.rule == "damaged_checkpoint" and f"step-{kept[-1]}" in one.message for one in of_kind(events, Alert))
    assert_same(run, whole)
    words = {"flip": "flipped bit in a checkpoint", "cut": "truncated checkpoint"}
    table.add(words[harm], lost=f"{kept[-1] - kept[-2]} steps")


def test_with_every_checkpoint_damaged_it_starts_anew_and_says_so(server: Server, whole: Whole, table: Table) -> None:
    run = fresh(whole, "all-damaged")
    executor = server.start(run)
    until_step(run, 10, executor)
    executor.signal(signal.SIGKILL)
    executor.wait()
    reached = step_of(run)
    for path in run.checkpoints.glob(f"step-*/{checkpoint.WEIGHTS}"):
        path.write_bytes(b"")
    assert resume(server, run).wait() == 0
    assert of_kind(events_of(run), RunStarted)[-1].from_step == 0
    assert_same(run, whole)
    table.add("every checkpoint damaged", lost=f"{reached} steps")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.71])
def test_an_event_file_that_was_cut(server: Server, whole: Whole, table: Table, share: float) -> None:
    run = fresh(whole, f"cut-{share}")
    executor = server.start(run)
    until_step(run, 16, executor)
    executor.signal(signal.SIGKILL)
    executor.wait()
    content = run.events.read_bytes()
    run.events.write_bytes(content[: int(share * len(content))])
    assert resume(server, run).wait() == 0
    events = events_of(run)
    from_step = of_kind(events, RunStarted)[-1].from_step
    assert from_step >= 12
    assert any(one.rule == "events_cut" and "lacks" in one.message for one in of_kind(events, Alert))
    assert_same(run, whole, recorded_from=from_step)
    table.add("truncated event file", lost="records of the curve alone")
