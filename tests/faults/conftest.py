"""What the fault tests share: the fork server, the undisturbed run that all are measured by, and the fault table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import environment, eventually
from tests.support.tiny import make_model
from tests.support.training import make_run
from tuiwiz.events.folder import RunFolder

SETTINGS: dict[str, Any] = {
    "adapter__dropout": 0.1,
    "data__packing": True,
    "batch__micro": 2,
    "validation__fraction": 0.2,
    "evaluation__every": 7,
    "schedule__steps": 40,
    "checkpoint__every": 3,
}
"""Forty steps with dropout, packing, accumulation 2 and evaluation."""


class Executor:
    """A running executor of the fork server."""

    def __init__(self, server: Server, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._server.ask("poll", self.pid)
        return self._code

    def wait(self, within_s: float = 90.0) -> int:
        eventually(lambda: self.poll() is not None, within_s=within_s)
        assert self._code is not None
        return self._code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Server:
    """The fork server, started once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false"),
            text=True,
        )
        self._lock = threading.Lock()
        assert self._answer() == "ready"

    def start(self, folder: RunFolder, disturbance: str = "") -> Executor:
        pid = self.ask("start", str(folder.path), disturbance)
        assert pid is not None
        return Executor(self, pid)

    def ask(self, *words: str | int) -> int | None:
        assert self._process.stdin is not None
        # A leader and the thread that watches its members ask at once.
        with self._lock:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            answer: int | None = self._answer()
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@dataclass
class Whole:
    """A run that nothing disturbed, its data and how long it took."""

    base: Path
    model: Path
    run: RunFolder
    seconds: float


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all runs lie: in memory, where there is room. What a kill leaves behind does not depend on the disk, and
    hundreds of flushed saves need not wait for one."""
    memory = Path("/dev/shm")
    if not (os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30):
        yield tmp_path_factory.mktemp("faults")
        return
    with tempfile.TemporaryDirectory(prefix="tuiwiz-faults-", dir=memory) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def whole(base: Path, server: Server) -> Whole:
    model = make_model(base / "model", layers=1)
    os.environ.setdefault("TUIWIZ_HOME", str(base / "home"))
    run = make_run(base, model, "whole", **SETTINGS)
    begun = time.monotonic()
    assert server.start(run).wait() == 0, run.events.read_text()[-2000:]
    return Whole(base, model, run, time.monotonic() - begun)


@dataclass
class Row:
    """One fault: how often it was tried, how often the run ended as the undisturbed one, the most that was lost."""

    tried: int = 0
    survived: int = 0
    lost: str = "nothing"


@dataclass
class Table:
    rows: dict[str, Row] = field(default_factory=dict)

    def add(self, fault: str, *, survived: bool = True, lost: str = "nothing") -> None:
        row = self.rows.setdefault(fault, Row())
        row.tried += 1
        row.survived += survived
        row.lost = max(row.lost, lost, key=lambda words: (words != "nothing", _number(words)))

    def lines(self) -> list[str]:
        head = ["| fault | tried | survived | most that was lost |", "|---|---|---|---|"]
        return head + [f"| {name} | {row.tried} | {row.survived} | {row.lost} |" for name, row in self.rows.items()]


def _number(words: str) -> int:
    return next((int(word) for word in words.split() if word.isdigit()), 0)


TABLE = Table()


@pytest.fixture
def table() -> Table:
    return TABLE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the fault table, and write it where TUIWIZ_FAULT_TABLE says."""
    if not TABLE.rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("\n".join(TABLE.lines()))
    if path := os.environ.get("TUIWIZ_FAULT_TABLE"):
        Path(path).write_text("\n".join(TABLE.lines()) + "\n", encoding="utf-8")
