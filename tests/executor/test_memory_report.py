"""The `memory` event of a real run with a tiny model: items by tensor, and sums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Finished, Memory, Metric
from tuiwiz.memory.estimate import ITEMS

BUNDLE = """\
format = 1
name = "tiny"
[task]
kind = "instruct"
[model]
source = "{model}"
dtype = "fp32"
[data]
train = "rows.jsonl"
max_length = 64
[adapter]
{adapter}
[schedule]
steps = 2
[batch]
effective = 2
micro = 1
[evaluation]
samples = 0
"""


@pytest.mark.parametrize("adapter", ['method = "lora"\nrank = 4', 'method = "full"'])
def test_the_memory_event_names_what_is_held_and_sums_to_the_peak(
    tmp_path: Path, tiny_model: Path, adapter: str
) -> None:
    from tuiwiz.executor import train

    rows = [{"prompt": f"What is {i} plus two?", "completion": f"It is {i + 2}."} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "bundle.toml").write_text(BUNDLE.format(model=tiny_model, adapter=adapter), encoding="utf-8")
    write_job(folder, "train", {"bundle_folder": str(tmp_path), "resume": False})
    assert train.run(folder) == 0

    events = EventReader(RunFolder(folder).events).read(10_000)
    (memory,) = [event for event in events if isinstance(event, Memory)]
    assert set(memory.predicted) <= set(ITEMS) and set(memory.actual) <= set(ITEMS)
    assert memory.limiting
    for item in ("weights", "adapter", "optimizer"):
        assert memory.actual.get(item, 0) == pytest.approx(memory.predicted.get(item, 0), rel=0.02), item
    peaks = [event.metrics["peak_bytes"] for event in events if isinstance(event, Metric)]
    assert (
        peaks[0]
        <= sum(memory.actual.values())
        <= next(e for e in events if isinstance(e, Finished)).summary["peak_bytes"]
    )
