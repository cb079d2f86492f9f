"""The closed form of other programs' stacks against replays that were recorded: one step of shallow models of six
families, simulated, served by the allocator's own rules without expandable segments."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from tests.memory.test_estimate import GPU, known_shape
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.reserved import reserved_bytes, reserved_high
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import PEFT_LOOP, TRAINER, TRL_013, Stack

STACKS = {stack.name: stack for stack in (TRAINER, PEFT_LOOP, TRL_013)}
ROWS = list(csv.DictReader((Path(__file__).parent / "replayed.csv").read_text().splitlines()))


def case(row: dict[str, str]) -> tuple[ModelShape, Setting, Stack]:
    shape = msgspec.structs.replace(known_shape(row["model"]), layers=int(row["layers"]))
    setting = Setting(
        method=row["method"],  # type: ignore[arg-type]
        length=int(row["length"]),
        micro=int(row["micro"]),
        checkpointing=row["checkpointing"] == "1",
        attention="flash",
    )
    return shape, setting, STACKS[row["stack"]]


def spread(errors: Iterable[float]) -> tuple[float, float]:
    """Median and 90th percentile of their sizes."""
    sizes = sorted(map(abs, errors))
    return statistics.median(sizes), sizes[int(0.9 * len(sizes))]


def test_allocated() -> None:
    found = []
    for row in ROWS:
        shape, setting, stack = case(row)
        found.append(estimate(shape, setting, GPU, stack).allocated_bytes / int(row["allocated"]) - 1)
    median, most = spread(found)
    assert median <= 0.01 and most <= 0.03 and max(map(abs, found)) <= 0.05


@pytest.mark.parametrize(("full", "median_at_most", "most_at_most"), [(False, 0.02, 0.04), (True, 0.08, 0.16)])
def test_reserved(full: bool, median_at_most: float, most_at_most: float) -> None:
    cases = [(case(row), int(row["reserved"])) for row in ROWS if (row["method"] == "full") == full]
    median, most = spread(reserved_bytes(*of) / measured - 1 for of, measured in cases)
    assert median <= median_at_most and most <= most_at_most
    high = sorted(reserved_high(*of) / measured - 1 for of, measured in cases)
    assert high[len(high) // 10] >= -0.10, "what a verdict reckons with is rarely far too low"
