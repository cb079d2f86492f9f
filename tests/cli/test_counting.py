"""Long readings say how far they have come: on a terminal, in the events, and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.processes import write_bundle
from tuiwiz.bundle.lock import lock_now
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.relock import with_lock
from tuiwiz.cli import counting
from tuiwiz.cli.check import _collect
from tuiwiz.cli.lines import Lines
from tuiwiz.cli.run import refuse_drift
from tuiwiz.data.prepare import prepare
from tuiwiz.events import types
from tuiwiz.events.view import RunView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error as a terminal on which every row is worth a word."""
    found = Terminal()
    monkeypatch.setattr(counting, "sys", SimpleNamespace(stderr=found))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(counting, "LEAST_ROWS", 1)
    monkeypatch.setattr(counting, "PERIOD_S", 0.0)
    return found


@pytest.fixture
def bundle(tmp_path: Path, tiny_model: Path) -> Path:
    """A locked bundle."""
    path = write_bundle(tmp_path, tiny_model, rows=40)
    lock = lock_now(read_bundle(path), tmp_path, tiny_model)
    path.write_text(with_lock(path.read_text(encoding="utf-8"), read_bundle(path), lock), encoding="utf-8")
    return path


def test_a_check_counts_rows_and_names_what_is_hashed_and_leaves_no_trace(bundle: Path, terminal: Terminal) -> None:
    _collect(bundle, [], quiet=False)
    said = terminal.getvalue()
    assert "\rhashing rows.jsonl\x1b[K" in said and "1 rows read" in said and "40 rows: comparing" in said
    assert said.endswith("\r\x1b[K")


def test_a_run_names_what_is_hashed_before_it(bundle: Path, terminal: Terminal) -> None:
    refuse_drift(bundle, [])
    said = terminal.getvalue()
    assert "hashing rows.jsonl" in said and "hashing model.safetensors" in said and said.endswith("\r\x1b[K")


def test_nothing_is_said_to_a_pipe_or_beside_json(
    bundle: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    _collect(bundle, [], quiet=True)
    assert not terminal.getvalue()
    pipe = io.StringIO()
    monkeypatch.setattr(counting, "sys", SimpleNamespace(stderr=pipe))
    _collect(bundle, [], quiet=False)
    assert not pipe.getvalue()


def test_the_line_goes_also_where_reading_fails(terminal: Terminal) -> None:
    with pytest.raises(ValueError, match="no"), counting.counting(quiet=False) as counter:
        counter.rows("read", 20_000, 0)
        raise ValueError("no")
    assert terminal.getvalue() == "\r20,000 rows read\x1b[K\r\r\x1b[K"


def test_a_run_tells_the_rows_that_it_has_read(tmp_path: Path, tiny_model: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = write_bundle(tmp_path, tiny_model, rows=40)
    prepare(read_bundle(path), tmp_path, tiny_model, progress=lambda *what: told.append(what))
    assert told[0][0] == "read" and told[-1] == ("comparing", 40, 40)
    known: dict[str, Any] = {"seq": 1, "t": 1.0, "name": "tokenizing"}
    lines = Lines(live=False)
    assert lines.of(types.Stage(**known, done=51_000, note="read"), RunView()) == ["tokenizing 51,000 rows read"]
