"""Predicted against measured peak memory of real runs on this machine.

    python -m tests.bench.memory_here [METHOD:LENGTH:MICRO:CHECKPOINTING ...] [--model NAME]

Each setting is a run of three optimizer steps whose rows all have the full length; it takes a minute or so. The peak is
the executor's own resident set (or the CUDA allocator's), the prediction is that of `tuiwiz plan` before the run, with
nothing that was measured on this machine.

On a processor it ends with what a refit of `memory/overhead.py` needs: for each run the bytes that all layers save in a
pass, and those that the process held beyond everything else that was planned; and for each method the share that is the
gaps' (`CPU_GAPS`, and `CPU_GAPS_OF_PASSING` where activations are recomputed), as median and from least to most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tuiwiz.base.units import MIB
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog.machine import this_device
from tuiwiz.catalog.sources import locate
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Metric
from tuiwiz.memory.activations import saved
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.overhead import CPU_GAPS, CPU_GAPS_OF_PASSING, PYTHON_AND_LIBRARIES, ROOM
from tuiwiz.memory.setting import setting_of
from tuiwiz.memory.stack import OURS
from tuiwiz.runs.launch import executor_command, executor_environment

SETTINGS = (
    "qlora:128:4:0",
    "qlora:512:4:0",
    "qlora:512:1:0",
    "qlora:512:4:1",
    "lora:128:4:0",
    "lora:512:4:0",
    "full:128:4:0",
    "full:512:4:0",
    "lora:512:4:1",
    "full:512:4:1",
)
BUNDLE = """\
format = 1
name = "memory"
[task]
kind = "pretrain"
[model]
source = "{model}"
[data]
train = "rows.jsonl"
format = "text"
mapping = {{ text = "text" }}
max_length = {length}
overlong = "truncate"
train_on = "all"
[adapter]
method = "{method}"
[schedule]
steps = 3
[batch]
effective = {effective}
micro = {micro}
[evaluation]
samples = 0
every = 3
[memory]
gradient_checkpointing = {checkpointing}
"""


class Measured(NamedTuple):
    """Bytes. `passing`: what all layers save in one pass; `planned`: all of the plan but the gaps."""

    predicted: int
    peak: int
    passing: float
    planned: int

    @property
    def gap(self) -> float:
        """Bytes that are left for gaps."""
        return self.peak - self.planned


def measure(folder: Path, setting: str, model: str) -> Measured:
    method, length, micro, checkpointing = setting.split(":")
    run = folder / setting.replace(":", "-")
    run.mkdir()
    text = BUNDLE.format(
        model=model,
        method=method,
        length=length,
        micro=micro,
        effective=max(8, int(micro)),
        checkpointing="true" if checkpointing == "1" else "false",
    )
    (run / "bundle.toml").write_text(text, encoding="utf-8")
    write_job(run, "train", {"bundle_folder": str(folder), "resume": False})
    device = this_device()
    shape = locate(model, None, folder).shape
    if shape is None:
        raise SystemExit(f"nothing is known of {model}")
    wanted = setting_of(read_bundle(run / "bundle.toml"), device, grouped=shape.grouped)
    found = estimate(shape, wanted, device)
    passing = saved(shape, wanted, OURS).layers
    with (run / "run.log").open("wb") as log:
        child = subprocess.Popen(executor_command("train", run), env=executor_environment(), stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit((run / "run.log").read_text(encoding="utf-8", errors="replace")[-2000:])
    peak = usage.ru_maxrss * 1024
    if device.kind == "cuda":
        events = EventReader(RunFolder(run).events).read(100_000)
        peak = max(int(event.metrics["peak_bytes"]) for event in events if isinstance(event, Metric))
    return Measured(found.total_bytes, peak, passing, found.total_bytes - found.items["reserve"])


def refit(found: dict[str, Measured]) -> None:
    """Print the constants that would have met these runs."""
    shares: dict[tuple[str, bool], list[float]] = {}
    print(f"\n{'setting':<20}{'passing MiB':>15}{'gaps MiB':>14}{'share':>8}")
    for setting, one in found.items():
        method, _, _, checkpointing = setting.split(":")
        # The plan lets the first tensors lie in room that the libraries hold anyway.
        share = (one.gap + ROOM) / one.passing
        shares.setdefault((method, checkpointing == "1"), []).append(share)
        print(f"{setting:<20}{one.passing / MIB:>15,.0f}{one.gap / MIB:>14,.0f}{share:>8.3f}")
    print()
    for (method, recomputed), of in sorted(shares.items()):
        present = (CPU_GAPS_OF_PASSING if recomputed else CPU_GAPS)[method]
        name = "CPU_GAPS_OF_PASSING" if recomputed else "CPU_GAPS"
        print(
            f'{name}["{method}"] = {statistics.median(of):.2f}   '
            f"({min(of):.2f} to {max(of):.2f} in {len(of)} runs; now {present})"
        )
    print(f"PYTHON_AND_LIBRARIES = {PYTHON_AND_LIBRARIES / MIB:.0f} MiB went into it as it is")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", default=SETTINGS)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        line = json.dumps({"text": " ".join(f"word {number} of a long row" for number in range(4000))})
        (folder / "rows.jsonl").write_text("\n".join([line] * 40), encoding="utf-8")
        print(f"{'setting':<20}{'predicted MiB':>15}{'measured MiB':>14}{'off':>8}")
        found: dict[str, Measured] = {}
        for setting in given.settings:
            one = found[setting] = measure(folder, setting, given.model)
            off = 100 * (one.predicted - one.peak) / one.peak
            print(f"{setting:<20}{one.predicted / MIB:>15,.0f}{one.peak / MIB:>14,.0f}{off:>+7.1f}%", flush=True)
        if this_device().kind == "cpu":
            refit(found)


if __name__ == "__main__":
    main()
