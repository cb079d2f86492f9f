"""Recorded-looking runs for tests and pictures: deterministic, with a frozen clock, no process behind them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.events import types as ev
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import write_process

T0 = 1_760_000_000.0
"""Start of every recorded run, in seconds since the epoch."""
STEP_S = 3.61
GIB = 1024**3

ITEMS = {
    "weights": 5.62,
    "quantization_constants": 0.11,
    "adapter": 0.33,
    "gradients": 0.33,
    "optimizer": 0.33,
    "activations": 1.94,
    "logits": 0.31,
    "temporary": 0.42,
    "communication": 0.0,
    "context": 0.52,
    "reserve": 1.99,
}
"""Predicted memory in GiB by item of the plan."""

PROMPTS = (
    (
        "Tom has 3 times as many marbles as Ann. Ann has 4. How many does Tom have?",
        "Tom has 9 marbles because he has three more than Ann and then some of them are lost on the way to school.",
        "Tom has 3 x 4 = <<3*4=12>>12 marbles.\n#### 12",
        "3 x 4 = <<3*4=12>>12\n#### 12",
    ),
    (
        "A train covers 180 km in 3 hours. How far does it go in 5 hours at the same speed?",
        "The train is very fast and can go far.",
        "The speed is 180/3 = <<180/3=60>>60 km an hour.\nIn 5 hours it covers 60*5 = 300 km.\n#### 300",
        "180/3 = 60\n60*5 = 300\n#### 300",
    ),
    (
        "A box of 12 eggs costs 3.60. What do 5 eggs cost?",
        "5 eggs cost 5.",
        "One egg costs 3.60/12 = 0.30.\n5 eggs cost 5*0.30 = 1.50.\n#### 1.5",
        "3.60/12 = 0.3\n0.3*5 = 1.5\n#### 1.5",
    ),
)
"""Prompt, the base model's answer, the trained model's answer, the expected answer."""


class Recorder:
    """Collects events with rising `seq` under a clock that only moves when told."""

    def __init__(self, now: float = T0) -> None:
        self.now = now
        self.lines: list[bytes] = []

    def add(self, kind: type[ev.Base], **fields: Any) -> None:
        event = kind(seq=len(self.lines), t=self.now, **fields)
        self.lines.append(msgspec.json.encode(event))

    def text(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)


def loss_at(step: int, noise: random.Random, *, floor: float = 0.39, start: float = 1.62) -> float:
    """A training loss that falls as a fine-tune's does: fast, then slowly, noisier at the beginning."""
    curve = floor + (start - floor) * math.exp(-step / 38) + 0.08 * math.exp(-step / 150)
    return curve * math.exp(noise.gauss(0, 0.055))


def rate_at(step: int, steps: int, peak: float = 2e-4, warmup: int = 8) -> float:
    """Cosine with linear warm-up."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def training(
    recorder: Recorder, *, steps: int = 267, until: int = 184, every: int = 25, from_step: int = 0, attempt: int = 1
) -> None:
    """A healthy run up to `until` finished steps: stages, metrics, evaluations, samples, checkpoints, resources."""
    noise = random.Random(7)
    _start(recorder, steps=steps, every=every, from_step=from_step, attempt=attempt)
    if from_step == 0:
        _evaluate(recorder, 0, 1.684)
        _samples(recorder, 0)
    recorder.add(ev.Stage, name="training")
    best = math.inf
    for step in range(1, until + 1):
        value = loss_at(step, noise)
        if step <= from_step:
            continue
        recorder.now += STEP_S
        recorder.add(ev.Metric, step=step, metrics=_metrics(step, steps, value, noise))
        if step == 2:
            recorder.add(
                ev.Memory, predicted=_bytes(1.0), actual=_bytes(0.97), limiting="the loss of the longest batch"
            )
        if step % 5 == 0:
            recorder.add(ev.Resource, gpus=(_gpu(step),), host=_host(step))
        if step % every == 0:
            held_out = 0.435 + 0.75 * math.exp(-step / 45) + (0.012 + 2e-4 * (step - 150) if step > 150 else 0.0)
            recorder.add(ev.Stage, name="evaluating")
            recorder.now += 4
            _evaluate(recorder, step, held_out)
            better, best = held_out < best, min(best, held_out)
            if step % (2 * every) == 0:
                _samples(recorder, step)
            recorder.add(ev.Checkpoint, step=step, path=f"checkpoints/step-{step}", bytes=349_175_808, best=better)
            recorder.add(ev.Stage, name="training")
    if until > 60:
        recorder.add(ev.Log, level="warning", message="3 rows longer than 2048 tokens were dropped (0.2 %)")


def training_run(folder: Path, **kw: Any) -> RunFolder:
    """A folder with a run in the middle of training; the calling process stands for its executor."""
    recorder = Recorder()
    training(recorder, **kw)
    run = write(folder, recorder)
    write_process(run.pid)
    return run


def finished_run(folder: Path, *, steps: int = 267) -> RunFolder:
    """A folder with a run that ended well."""
    recorder = Recorder()
    training(recorder, steps=steps, until=steps)
    recorder.now += 4
    _evaluate(recorder, steps, 0.4712)
    _samples(recorder, steps)
    recorder.add(ev.Finished, summary=_summary(steps, recorder))
    run = write(folder, recorder)
    run.adapter.mkdir()
    (run.adapter / "adapter_config.json").write_text("{}")
    return run


def failed_run(folder: Path) -> RunFolder:
    """A folder with a run that broke after its third checkpoint."""
    recorder = Recorder()
    training(recorder, until=92)
    message = "the loss was not a finite number in 3 steps in a row"
    recorder.add(ev.Log, level="error", message=message)
    recorder.add(
        ev.Alert,
        rule="non-finite-loss",
        severity="error",
        message="loss is NaN since step 90",
        evidence={"step": 90, "skipped": 3, "learning_rate": 2e-4},
    )
    summary = _summary(92, recorder) | {
        "artifact": "",
        "message": message,
        "hint": "halve the learning rate: --set optimizer.learning_rate=1e-4",
        "exit_code": 6,
        "skipped_steps": 3,
    }
    recorder.add(ev.Failed, summary=summary)
    return write(folder, recorder)


def long_lines(steps: int) -> Iterator[bytes]:
    """The lines of a run with `steps` metric events, cheap enough to write a million."""
    recorder = Recorder()
    _start(recorder, steps=steps, every=max(1, steps // 50), from_step=0, attempt=1)
    yield from (line + b"\n" for line in recorder.lines)
    noise = random.Random(1)
    seq = len(recorder.lines)
    for step in range(1, steps + 1):
        value = 0.4 + 1.2 * math.exp(-step / (steps / 6)) + noise.gauss(0, 0.05)
        yield (
            f'{{"kind":"metric","seq":{seq},"t":{T0 + step * 0.1:.1f},"step":{step},'
            f'"metrics":{{"loss":{value:.5f},"grad_norm":{abs(noise.gauss(0.3, 0.05)):.4f},"learning_rate":0.0001}}}}\n'
        ).encode()
        seq += 1


def write(folder: Path, recorder: Recorder) -> RunFolder:
    """A run folder holding the events and a small bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.events.write_bytes(recorder.text())
    run.bundle.write_text(BUNDLE, encoding="utf-8")
    return run


BUNDLE = """\
name = "gsm8k-qwen3-8b"
format = 1
seed = 42

[task]
kind = "chat"

[model]
source = "qwen/qwen3-8b"

[data]
train = "gsm8k-train.jsonl"
max_length = 2048

[adapter]
method = "qlora"
rank = 32  # from your data: 1.1 M trained tokens need rank 4 or more

[optimizer]
learning_rate = 2e-4  # preset qlora-7-9b-chat: grade A
"""


def _start(recorder: Recorder, *, steps: int, every: int, from_step: int, attempt: int) -> None:
    recorder.add(
        ev.RunStarted,
        attempt=attempt,
        from_step=from_step,
        steps=steps,
        name="gsm8k-qwen3-8b",
        digest="3f9c2a7d" * 8,
        pid=0,
        host="workbench",
        version="0.1.0",
        method="qlora",
        task="chat",
        model="qwen/qwen3-8b",
        rows=1425,
        validation_rows=75,
        steps_per_epoch=89,
        effective=16,
        device="NVIDIA GeForce RTX 4090",
        evaluation_steps=tuple(range(0, steps + 1, every)),
    )
    recorder.add(ev.Log, level="info", message="qwen/qwen3-8b in 4 bits (nf4), adapter on 7 kinds of layers, rank 32")
    for done in (0, 600, 1425):
        recorder.now += 1.5
        recorder.add(ev.Stage, name="tokenizing", done=done, total=1425)
    recorder.now += 9
    recorder.add(ev.Stage, name="loading", note="qwen/qwen3-8b")
    recorder.now += 21
    recorder.add(ev.Stage, name="evaluating")
    recorder.now += 4


def _metrics(step: int, steps: int, loss: float, noise: random.Random) -> dict[str, float]:
    return {
        "loss": round(loss, 5),
        "grad_norm": round((0.28 + 1.1 * math.exp(-step / 12)) * math.exp(noise.gauss(0, 0.12)), 4),
        "learning_rate": rate_at(step, steps),
        "epoch": step / 89,
        "tokens": step * 21_200.0,
        "supervised_tokens": step * 9_730.0,
        "tokens_per_second": round(5870 + noise.gauss(0, 60), 1),
        "step_seconds": STEP_S,
        "data_seconds": 0.07,
        "forward_seconds": 1.12,
        "backward_seconds": 2.20,
        "optimizer_seconds": 0.22,
        "allocated_bytes": 9.1 * GIB,
        "peak_bytes": 11.6 * GIB,
    }


def _evaluate(recorder: Recorder, step: int, loss: float) -> None:
    recorder.add(ev.Eval, step=step, metrics={"loss": round(loss, 4), "perplexity": round(math.exp(loss), 3)}, rows=75)


def _samples(recorder: Recorder, step: int) -> None:
    for prompt, base, good, expected in PROMPTS:
        now = base if step == 0 else good
        recorder.add(ev.Sample, step=step, prompt=prompt, base=base, now=now, expected=expected)


def _bytes(share: float) -> dict[str, int]:
    return {name: int(size * share * GIB) for name, size in ITEMS.items() if size}


def _gpu(step: int) -> dict[str, ev.Scalar]:
    return {
        "index": 0,
        "name": "NVIDIA GeForce RTX 4090",
        "utilization_percent": 97 - step % 3,
        "used_bytes": int(12.1 * GIB),
        "total_bytes": int(23.99 * GIB),
        "temperature_c": 64,
        "power_w": 318 + step % 7,
        "power_limit_w": 450,
        "clock_mhz": 2610,
        "throttle": "",
    }


def _host(step: int) -> dict[str, float]:
    return {
        "rss_bytes": 3.4 * GIB,
        "available_bytes": 41.0 * GIB,
        "total_bytes": 64.0 * GIB,
        "cpu_percent": 108.0 + step % 9,
        "disk_free_bytes": 210.0 * GIB,
    }


def _summary(step: int, recorder: Recorder) -> dict[str, Any]:
    return {
        "steps": step,
        "best_step": 150 if step > 150 else 75,
        "best_loss": 0.4618 if step > 150 else 0.5767,
        "first_loss": 1.684,
        "last_loss": 0.4712 if step > 150 else 0.5767,
        "artifact": "adapter",
        "elapsed_s": recorder.now - T0,
        "tokens": step * 21_200,
        "peak_bytes": int(11.6 * GIB),
        "tokens_per_second": 5868.0,
        "skipped_steps": 0,
        "reason": "",
    }
