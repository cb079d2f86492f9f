"""Held-out loss of the chosen preset beside the defaults of other tools, after equal tokens, through our executor.

    python -m tests.bench.preset_rivals FOLDER [--tokens 60000] [--held-out 100] [--sets gsm8k,...] [--json]

FOLDER holds the data sets gsm8k, sharegpt-en and banking77. Every contender trains SmolLM2 with adapters on the very
same rows, once over, with the same seed and the same held-out rows; only rate, rank, scale, dropout, schedule, batch
and clipping differ. The rivals' values are those that their released versions take where a configuration is silent
(axolotl has no default rate and rank: those of its LoRA example for a 1B model). The figures of a single seed on some
hundred rows: differences below 1 % say nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m-instruct"
LONGEST = 512
TASKS = {"gsm8k": "instruct", "sharegpt-en": "chat", "banking77": "classify"}
CHARACTERS_A_TOKEN = 4
NEUTRAL = {"adapter.variant": "plain", "schedule.min_ratio": 0.0, "optimizer.weight_decay": 0.0,
           "optimizer.clip_norm": 1.0, "optimizer.name": "adamw", "regularization.label_smoothing": 0.0}  # fmt: skip
RIVALS: dict[str, dict[str, Any]] = {
    # LLaMA-Factory 0.9.5: TrainingArguments' own, rank 8, alpha twice the rank.
    "LLaMA-Factory": {"optimizer.learning_rate": 5e-5, "adapter.rank": 8, "adapter.alpha": 16.0, "adapter.dropout": 0.0,
                      "schedule.kind": "linear", "schedule.warmup": 0.0, "batch.effective": 8},
    # TRL 1.16: SFTConfig and ModelConfig; where no layer is named PEFT adapts q_proj and v_proj.
    "TRL": {"optimizer.learning_rate": 2e-5, "adapter.rank": 16, "adapter.alpha": 32.0, "adapter.dropout": 0.05,
            "adapter.targets": ["q_proj", "v_proj"], "schedule.kind": "linear", "schedule.warmup": 0.0,
            "batch.effective": 8},
    # axolotl 0.19: examples/llama-3/lora-1b.yml.
    "axolotl": {"optimizer.learning_rate": 2e-4, "adapter.rank": 16, "adapter.alpha": 32.0, "adapter.dropout": 0.05,
                "schedule.kind": "cosine", "schedule.warmup": 0.1, "batch.effective": 4},
    # soup-cli 0.77: TrainingConfig and LoraConfig; its automatic batch is taken as 4.
    "soup-cli": {"optimizer.learning_rate": 2e-5, "adapter.rank": 64, "adapter.alpha": 16.0, "adapter.dropout": 0.05,
                 "schedule.kind": "cosine", "schedule.warmup": 0.03, "batch.effective": 16},
}  # fmt: skip


def rows_of(folder: Path, name: str) -> list[str]:
    """The training rows of a set as lines of JSON."""
    if name == "gsm8k":
        return (folder / name / "train.jsonl").read_text(encoding="utf-8").splitlines()
    if name == "sharegpt-en":
        found = json.loads((folder / name / "dummy_conversation.json").read_text(encoding="utf-8"))
    else:
        with (folder / name / "train.csv").open(encoding="utf-8", newline="") as file:
            found = [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(file)]
    return [json.dumps(row) for row in found]


def prepare(scratch: Path, rows: Sequence[str], tokens: int, held_out: int) -> int:
    """Every k-th row is held out, the first others up to so many tokens are trained; returns how many."""
    step = max(2, len(rows) // held_out)
    kept = [row for at, row in enumerate(rows) if at % step == 0][:held_out]
    seen = set(kept)
    train: list[str] = []
    left = tokens * CHARACTERS_A_TOKEN
    # Sets are sorted by label or subject: rows are taken from all over.
    for at in range(len(rows)):
        row = rows[at * 7919 % len(rows)]
        if left > 0 and row not in seen:
            train.append(row)
            seen.add(row)
            left -= len(row)
    (scratch / "rows.jsonl").write_text("\n".join(train) + "\n", encoding="utf-8")
    (scratch / "held-out.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return len(train)


def train(scratch: Path, name: str, task: str, values: dict[str, Any]) -> dict[str, Any]:
    """One contender: what was held out before and after, and the tokens that were trained."""
    bundle, run = scratch / f"{name}.toml", scratch / f"run-{name}"
    given = {"schedule.epochs": 1.0, "data.max_length": LONGEST, "data.overlong": "truncate", "evaluation.samples": 0,
             "evaluation.patience": None, "evaluation.every": 0.999, "checkpoint.every": 0.999, "seed": 1}  # fmt: skip
    given |= values
    words = [
        word
        for key, value in given.items()
        for word in ("--set", f"{key}={'' if value is None else json.dumps(value)}")
    ]
    _run(["new", "--task", task, "--model", MODEL, "--method", "lora", "--data", str(scratch / "rows.jsonl"),
          "--validation", str(scratch / "held-out.jsonl"), "-o", str(bundle), *words])  # fmt: skip
    lines = [json.loads(line) for line in _run(["run", str(bundle), "--json", "--out", str(run)]).splitlines()]
    losses = [line["metrics"]["loss"] for line in lines if line["kind"] == "eval"]
    steps = [line for line in lines if line["kind"] == "metric"]
    rate = max(line["metrics"]["learning_rate"] for line in steps)
    return {"before": losses[0], "after": losses[-1], "steps": len(steps), "rate": rate,
            "tokens": steps[-1]["metrics"]["tokens"]}  # fmt: skip


def _run(words: list[str]) -> str:
    done = subprocess.run([sys.executable, "-m", "tuiwiz", *words], capture_output=True, text=True, check=False,
                          env={**os.environ, "OMP_WAIT_POLICY": "passive"})  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:2])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--sets", default=",".join(TASKS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    lost = 0
    for name in asked.sets.split(","):
        with tempfile.TemporaryDirectory(prefix="rivals-") as place:
            scratch = Path(place)
            count = prepare(scratch, rows_of(asked.folder, name), asked.tokens, asked.held_out)
            found: dict[str, dict[str, Any]] = {}
            for contender, values in {"preset": {}, **{key: NEUTRAL | one for key, one in RIVALS.items()}}.items():
                found[contender] = train(scratch, contender, TASKS[name], values)
                one = {"set": name, "rows": count, "contender": contender, **found[contender]}
                words = (
                    f"{name:<12}{contender:<14}{one['after']:.4f} (before {one['before']:.4f}), {one['steps']} steps"
                )
                print(json.dumps(one) if asked.json else f"{words}, rate {one['rate']:.2g}", flush=True)
            lost += any(one["after"] < found["preset"]["after"] for one in found.values())
    if lost:
        print(f"the preset is not the best on {lost} sets", file=sys.stderr)
    raise SystemExit(int(lost > 0))


if __name__ == "__main__":
    main()
