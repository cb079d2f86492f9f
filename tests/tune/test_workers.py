"""Two workers in processes of their own on one study: no trial runs twice, also when one of them is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import environment, eventually, write_bundle
from tests.tune.test_study import make
from tuiwiz.tune.space import parse_over
from tuiwiz.tune.study import Budget, StudyFolder

WORKER = """
import os, sys, time
from pathlib import Path
from tuiwiz.tune.rows import Row
from tuiwiz.tune.start import rules_of
from tuiwiz.tune.study import StudyFolder
from tuiwiz.tune.work import Worker
from tuiwiz.tune import work

work.POLL_S = 0.05
folder, told, slow = StudyFolder(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:] == ["slow"]

def run(bundle, out, base, report):
    file = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{out.name} {os.getpid()}\\n".encode())
    while slow:
        time.sleep(0.05)
    report(1.0, 50)
    return Row(number=0, state="finished", score=1.0 + int(out.name), step=100, steps=100, seconds=1)

question = folder.question
Worker(folder, question, rules_of(folder.base, question), run).work()
"""


def begin(folder: StudyFolder, told: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder.path), str(told), *more], env=environment())


def carried_out(told: Path) -> list[tuple[str, str]]:
    return [(line.split()[0], line.split()[1]) for line in told.read_text().splitlines()] if told.exists() else []


def shared(tmp_path: Path, storage: str, trials: int = 8) -> StudyFolder:
    """A grid of so many trials, with its storage made."""
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.tune.storage import Storage

    bundle = read_bundle(write_bundle(tmp_path, tmp_path / "model", rows=20))
    over = parse_over(bundle, [f"adapter.rank={','.join(str(rank) for rank in range(1, trials + 1))}"])
    folder, question = make(tmp_path, storage=storage, over=over)
    Storage(folder, question, new=True)
    return folder


def two_workers(folder: StudyFolder, told: Path, trials: int = 8) -> None:
    both = [begin(folder, told) for _ in range(2)]
    assert [worker.wait(timeout=300) for worker in both] == [0, 0]
    numbers = [number for number, _ in carried_out(told)]
    assert sorted(numbers) == [f"{number:04d}" for number in range(trials)]
    assert [row.state for row in folder.rows] == ["finished"] * trials
    assert [row.score for row in folder.rows] == [1.0 + number for number in range(trials)]


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_two_workers_on_one_file_run_no_trial_twice(tmp_path: Path, storage: str) -> None:
    two_workers(shared(tmp_path, storage), tmp_path / "told")


def test_a_killed_worker_s_trial_is_taken_up_by_the_next(tmp_path: Path) -> None:
    folder, told = shared(tmp_path, "sqlite", trials=4), tmp_path / "told"
    slow = begin(folder, told, "slow")
    eventually(lambda: carried_out(told))
    slow.send_signal(signal.SIGKILL)
    slow.wait(timeout=60)
    assert [row.state for row in folder.rows].count("running") == 1
    assert begin(folder, told).wait(timeout=300) == 0
    numbers = [number for number, _ in carried_out(told)]
    assert numbers == ["0000", "0000", "0001", "0002", "0003"]
    assert all(row.state == "finished" for row in folder.rows)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL server of the test's own, on a socket in its folder."""
    pytest.importorskip("psycopg")
    programs = {name: shutil.which(name) for name in ("initdb", "pg_ctl")}
    if not all(programs.values()):
        pytest.skip("PostgreSQL is not installed")
    place = Path("/tmp") / f"tuiwiz-pg-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        # The server does not run as root.
        shutil.chown(place, "nobody")
        user = {"user": "nobody"}
    data = str(place / "data")

    def call(name: str, *words: str) -> int:
        command = [str(programs[name]), *words]
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, cwd=place, capture_output=True, timeout=300, check=False, **user
        )
        return done.returncode

    if call("initdb", "-D", data, "-U", "tuiwiz", "-A", "trust", "--no-sync") != 0:
        shutil.rmtree(place, ignore_errors=True)
        pytest.skip("initdb does not work here")
    options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
    assert call("pg_ctl", "-D", data, "-w", "-l", str(place / "log"), "-o", options, "start") == 0
    try:
        yield f"postgresql://tuiwiz@/postgres?host={place}"
    finally:
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


def test_two_workers_on_one_postgresql_study_run_no_trial_twice(tmp_path: Path, database: str) -> None:
    folder = shared(tmp_path, database)
    two_workers(folder, tmp_path / "told")
    more = msgspec.structs.replace(folder.question, budget=Budget(trials=8))
    folder.write_question(more)
    assert begin(folder, tmp_path / "told").wait(timeout=300) == 0
    assert len(carried_out(tmp_path / "told")) == 8
