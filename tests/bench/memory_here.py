"""Predicted against measured peak memory of real runs on this machine.

    python -m tests.bench.memory_here [METHOD:LENGTH:MICRO:CHECKPOINTING ...] [--model NAME]

Each setting is a run of three optimizer steps whose rows all have the full length; it takes a minute or so. The peak is
the executor's own resident set (or the CUDA allocator's), the prediction is that of `tuiwiz plan` before the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from tuiwiz.base.units import MIB
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog.machine import this_device
from tuiwiz.catalog.sources import locate
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Metric
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import setting_of
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


def measure(folder: Path, setting: str, model: str) -> tuple[int, int]:
    """Predicted and measured peak in bytes."""
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
    predicted = estimate(shape, setting_of(read_bundle(run / "bundle.toml"), device), device).total_bytes
    with (run / "run.log").open("wb") as log:
        child = subprocess.Popen(executor_command("train", run), env=executor_environment(), stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit((run / "run.log").read_text(encoding="utf-8", errors="replace")[-2000:])
    peak = usage.ru_maxrss * 1024
    if device.kind == "cuda":
        events = EventReader(RunFolder(run).events).read(100_000)
        peak = max(int(event.metrics["peak_bytes"]) for event in events if isinstance(event, Metric))
    return predicted, peak


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
        for setting in given.settings:
            predicted, peak = measure(folder, setting, given.model)
            off = 100 * (predicted - peak) / peak
            print(f"{setting:<20}{predicted / MIB:>15,.0f}{peak / MIB:>14,.0f}{off:>+7.1f}%", flush=True)


if __name__ == "__main__":
    main()
