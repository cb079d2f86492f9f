"""What one process for all trials of a study saves: the time of N short trials in it against that of N processes.

python -m tests.bench.trials [--json] [--model DIR] [--trials N] [--steps N]

Both ways go through the study's own runner. Losses must be the same to the last bit. Time is that of the wall, and
beside it that of the processors, which says the same on a machine that others use too. What is saved is libraries,
weights and proofs, some seconds a trial whatever its length: the share grows with the steps of a trial.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tuiwiz.base.waiting import waiting

os.environ.update(waiting(os.environ))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from tests.support.training import curve, events_of, write_rows, write_toml
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.host import Alone, Executor, Host
from tuiwiz.tune.trial import run_trial

LIMIT = 0.6
"""Share of the time of separate processes that one process may take."""


def trials(base: Path, model: Path, count: int, steps: int) -> list[Path]:
    """Bundles that differ in rate and rank, as those of a study do."""
    write_rows(base / "rows.jsonl", 200)
    found = []
    for number in range(count):
        path = base / f"{number:04d}.toml"
        flat = {
            "name": "short",
            "seed": 1,
            "task.kind": "instruct",
            "model.source": str(model),
            "data.train": "rows.jsonl",
            "data.max_length": 128,
            "validation.fraction": 0.03,
            "adapter.method": "lora",
            "adapter.rank": (8, 16, 32)[number % 3],
            "optimizer.learning_rate": 1e-4 * (1 + number),
            "schedule.steps": steps,
            "batch.effective": 4,
            "batch.micro": 2,
            "evaluation.samples": 0,
            "evaluation.every": 0.5,
            "checkpoint.every": 0.5,
        }
        write_toml(path, flat)
        found.append(path)
    return found


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the wall and of the processors of ended children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_all(bundles: list[Path], base: Path, name: str, executor: Executor) -> None:
    for bundle in bundles:
        row = run_trial(bundle, base / name / bundle.stem, base, lambda value, step: False, host=executor)
        assert row.state == "finished", row.reason


def measure(model: Path, count: int, steps: int) -> dict[str, float]:
    """Seconds both ways and their ratio."""
    with tempfile.TemporaryDirectory(prefix="tuiwiz-trials-") as place:
        base = Path(place)
        bundles = trials(base, model, count, steps)
        # Tokenised rows and hashes of files are kept from run to run either way.
        run_all(bundles[:1], base, "warm", Alone())

        def together() -> None:
            with Host(base) as host:
                run_all(bundles, base, "together", host)

        one, one_cpu = timed(together)
        many, many_cpu = timed(lambda: run_all(bundles, base, "apart", Alone()))
        for bundle in bundles:
            runs = [RunFolder(base / name / bundle.stem) for name in ("together", "apart")]
            assert curve(events_of(runs[0])) == curve(events_of(runs[1])), f"{bundle.stem} came out differently"
    return {
        "together_s": one,
        "apart_s": many,
        "share": one / many,
        "together_processor_s": one_cpu,
        "apart_processor_s": many_cpu,
        "processor_share": one_cpu / many_cpu,
    }


def main() -> int:
    words = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True))
    usual = Path.home() / ".cache" / "tuiwiz" / "models" / "smollm2-135m-instruct"
    found = measure(
        Path(words.get("--model") or usual), int(words.get("--trials") or 12), int(words.get("--steps") or 4)
    )
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<22} {value:10.2f}")
        print("ok" if found["share"] <= LIMIT else f"over {LIMIT:.0%}")
    return 0 if found["share"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
