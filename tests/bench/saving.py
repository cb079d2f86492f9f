"""What surviving costs: heartbeat, events and checkpoints as a share of a run's wall time at the default cadence.

python tests/bench/saving.py [--json] [--model DIR] [--steps N]

One run in this process, LoRA on the CPU. Every write of an event and every save is timed where it happens, the
heartbeat by its processor time, since it runs beside the steps.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tests.support.training import make_run, run_here, write_rows
from tuiwiz.events.types import Finished, Metric

LIMIT = 0.01


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
    """Seconds of the run's steps and evaluations, and of each part of surviving; the thread's among them."""
    from tuiwiz.events.writer import EventWriter
    from tuiwiz.executor import checkpoint
    from tuiwiz.executor.record import Recorder

    spent: dict[str, float] = {}
    timed(EventWriter, "write", spent)
    timed(EventWriter, "flush", spent)
    timed(checkpoint, "save", spent)
    timed(checkpoint, "retire", spent)
    timed(Recorder, "_beat", spent, time.thread_time)
    base = Path(tempfile.mkdtemp(prefix="tuiwiz-saving-"))
    write_rows(base / "rows.jsonl", 400)
    run = make_run(base, model, schedule__steps=steps, batch__effective=16, batch__micro=8, adapter__rank=16)
    events = run_here(run)
    finished = next(event for event in events if isinstance(event, Finished))
    wall_s = float(finished.summary["elapsed_s"])
    surviving_s = sum(spent.values())
    return {
        "steps": sum(isinstance(event, Metric) for event in events),
        "wall_s": wall_s,
        **{f"{name.strip('_')}_s": seconds for name, seconds in spent.items()},
        "surviving_s": surviving_s,
        "share": surviving_s / wall_s,
    }


def main() -> int:
    words = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True))
    usual = Path.home() / ".cache" / "tuiwiz" / "models" / "smollm2-135m-instruct"
    found = measure(Path(words.get("--model") or usual), int(words.get("--steps") or 40))
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<14} {value:10.4f}")
        print("ok" if found["share"] < LIMIT else f"over {LIMIT:.0%}")
    return 0 if found["share"] < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
