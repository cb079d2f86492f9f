"""What surviving costs: heartbeat, events and checkpoints as a share of a run's time at the default cadence.

python -m tests.bench.saving [--json] [--model DIR] [--steps N]

One run in this process, LoRA on the CPU. Every write of an event and every save is timed where it happens, the
heartbeat by its processor time, since it runs beside the steps. By default a run saves ten times, however long it is;
the share is that of a run of `RUN_STEPS` steps, from the measured time of a save, of a step's events and of a step.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tuiwiz.base.waiting import waiting

os.environ.update(waiting(os.environ))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tests.support.training import make_run, run_here, write_rows
from tuiwiz.events.types import Checkpoint, Finished, Metric

LIMIT = 0.01
RUN_STEPS = 200
SAVES = 10
"""At the default of `checkpoint.every`, a tenth of a run."""


def timed(owner: Any, name: str, spent: dict[str, float], clock: Any = time.perf_counter) -> None:
    """Count the seconds spent in `owner.name` under its name."""
    plain = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        begun = clock()
        try:
            return plain(*arguments, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + clock() - begun

    setattr(owner, name, wrapped)


def measure(model: Path, steps: int) -> dict[str, float]:
    """Seconds of a step, a save and a step's events, and the share of all that surviving takes.

    `save_processor_s` is the part of a save that computes (hashes, copies); the rest of it waits for the disk.
    """
    from tuiwiz.events.writer import EventWriter
    from tuiwiz.executor import checkpoint
    from tuiwiz.executor.record import Recorder

    spent: dict[str, float] = {}
    timed(EventWriter, "write", spent)
    timed(EventWriter, "flush", spent)
    timed(checkpoint, "save", spent)
    processor: dict[str, float] = {}
    timed(checkpoint, "save", processor, time.thread_time)
    timed(checkpoint, "retire", spent)
    timed(Recorder, "_beat", spent, time.thread_time)
    base = Path(tempfile.mkdtemp(prefix="tuiwiz-saving-"))
    write_rows(base / "rows.jsonl", 400)
    run = make_run(base, model, schedule__steps=steps, batch__effective=16, batch__micro=8, adapter__rank=16)
    events = run_here(run)
    times = [event.metrics["step_seconds"] for event in events if isinstance(event, Metric)]
    saves = sum(isinstance(event, Checkpoint) for event in events)
    finished = next(event for event in events if isinstance(event, Finished))
    found = {
        "step_s": statistics.median(times),
        "save_s": (spent["save"] + spent["retire"] + spent["flush"]) / saves,
        "save_processor_s": processor["save"] / saves,
        "events_of_a_step_s": spent["write"] / len(times),
        "heartbeat_share": spent.get("_beat", 0.0) / float(finished.summary["elapsed_s"]),
    }
    run_s = RUN_STEPS * found["step_s"]
    surviving_s = SAVES * found["save_s"] + RUN_STEPS * found["events_of_a_step_s"]
    return {**found, "share": surviving_s / run_s + found["heartbeat_share"]}


def main() -> int:
    words = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True))
    usual = Path.home() / ".cache" / "tuiwiz" / "models" / "smollm2-135m-instruct"
    found = measure(Path(words.get("--model") or usual), int(words.get("--steps") or 20))
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<20} {value:10.4f}")
        print("ok" if found["share"] < LIMIT else f"over {LIMIT:.0%}")
    return 0 if found["share"] < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
