"""Memory of a check: a few bytes of hashes a row, whatever the rows hold. (`tests/bench/data_memory.py` measures whole
processes on large files.)"""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.bench.data_memory import MOST_BYTES_A_ROW
from tests.data.support import lines
from tuiwiz.data import read_object, stream
from tuiwiz.data.duplicates import NearDuplicates
from tuiwiz.data.load import Loader, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.source import open_source

FEW, MANY = 2_000, 8_000


def row(number: int) -> dict[str, str]:
    return {"prompt": f"What comes after {number} here?", "completion": f"{number * number % 9973} " + "and so on " * 9}


def peak(work: Iterable[object]) -> int:
    """Most bytes that Python held while this was done, beyond what there was before."""
    tracemalloc.start()
    try:
        deque(work, maxlen=0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_by_at_most_32_bytes_a_row(tmp_path: Path) -> None:
    found = []
    for count in (FEW, MANY):
        path = lines(tmp_path / f"{count}.jsonl", map(row, range(count)))
        found.append(peak(Loader(path, Settings(), Renderer(None), near=NearDuplicates(limit=200)).rows()))
    assert (found[1] - found[0]) / (MANY - FEW) <= MOST_BYTES_A_ROW


def test_rows_of_a_split_come_and_go_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_CHUNK_BYTES", 1 << 14)
    monkeypatch.setattr(read_object, "LOOKED_AT_CHARACTERS", 1 << 14)
    found = []
    for count in (FEW, MANY):
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps({"train": [row(n) for n in range(count)], "test": [row(1)]}), encoding="utf-8")
        source = open_source(path)
        found.append(peak(source.read()))
    assert source.container == "json-splits" and abs(found[1] - found[0]) < 1 << 16
