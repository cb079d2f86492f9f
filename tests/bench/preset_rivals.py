"""Held-out loss of the chosen preset beside the defaults of other tools, after equal tokens, through our executor.

    python -m tests.bench.preset_rivals FOLDER [--tokens 60000] [--held-out 100] [--longest 512]
        [--sets gsm8k,...] [--contenders preset,TRL,...] [--keep PLACE] [--json]

FOLDER holds the data sets gsm8k, sharegpt-en and banking77. Every contender trains SmolLM2 with adapters on the very
same rows, once over, with the same seed and the same held-out rows; only rate, rank, scale, layers, dropout, decay,
schedule, batch and clipping differ. The rivals' values are those that their released versions take where a
configuration is silent (axolotl has no default rate and rank: those of its LoRA example for a 1B model, whose four rows
a step are four packs of 2,048 tokens there and four single rows here: more steps, to its advantage). The figures of a
single seed on some hundred rows: differences below 1 % say nothing.

With --keep the rows are drawn once and each contender's result is a line of PLACE/results.jsonl: what is there is not
trained again, so the comparison can be made one contender at a time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tuiwiz.base.waiting import waiting

MODEL = "smollm2-135m-instruct"
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
    # soup-cli 0.77: TrainingConfig and LoraConfig; batch 4 (its automatic one is a guess), accumulated 4 times.
    "soup-cli": {"optimizer.learning_rate": 2e-5, "adapter.rank": 64, "adapter.alpha": 16.0, "adapter.dropout": 0.05,
                 "adapter.targets": ["q_proj", "v_proj"], "optimizer.weight_decay": 0.01,
                 "schedule.kind": "cosine", "schedule.warmup": 0.03, "batch.effective": 16},
}  # fmt: skip
CONTENDERS: dict[str, dict[str, Any]] = {"preset": {}, **{name: NEUTRAL | values for name, values in RIVALS.items()}}


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


def prepare(place: Path, rows: Sequence[str], tokens: int, held_out: int) -> None:
    """Writes rows drawn from all over the set, without repetitions: some held out, others up to so many tokens."""
    drawn = list(dict.fromkeys(rows))
    # Sets are sorted by label or subject.
    random.Random(0).shuffle(drawn)
    train: list[str] = []
    left = tokens * CHARACTERS_A_TOKEN
    for row in drawn[held_out:]:
        if left <= 0:
            break
        train.append(row)
        left -= len(row)
    place.mkdir(parents=True)
    (place / "rows.jsonl").write_text("\n".join(train) + "\n", encoding="utf-8")
    (place / "held-out.jsonl").write_text("\n".join(drawn[:held_out]) + "\n", encoding="utf-8")


def train(place: Path, name: str, task: str, values: dict[str, Any], longest: int) -> dict[str, Any]:
    """One contender: what was held out before the first and after the last step, and the tokens that were trained."""
    given = {"schedule.epochs": 1.0, "data.max_length": longest, "data.overlong": "truncate", "evaluation.samples": 0,
             "evaluation.patience": None, "evaluation.every": 0.999, "checkpoint.every": 0.999, "seed": 1}  # fmt: skip
    given |= values
    words = [
        word
        for key, value in given.items()
        for word in ("--set", f"{key}={'' if value is None else json.dumps(value)}")
    ]
    with tempfile.TemporaryDirectory(prefix="rivals-") as scratch:
        bundle, run = Path(scratch) / f"{name}.toml", Path(scratch) / "run"
        _run(["new", "--task", task, "--model", MODEL, "--method", "lora", "--data", str(place / "rows.jsonl"),
              "--validation", str(place / "held-out.jsonl"), "-o", str(bundle), *words])  # fmt: skip
        lines = [json.loads(line) for line in _run(["run", str(bundle), "--json", "--out", str(run)]).splitlines()]
    evals = [line for line in lines if line["kind"] == "eval"]
    steps = [line for line in lines if line["kind"] == "metric"]
    before, after = evals[0], evals[-1]
    if before["step"] != 0 or after["step"] != steps[-1]["step"] or before["rows"] != after["rows"]:
        raise SystemExit(f"{name}: evaluated at steps {[one['step'] for one in evals]}, not before and after")
    rate = max(line["metrics"]["learning_rate"] for line in steps)
    return {"before": before["metrics"]["loss"], "after": after["metrics"]["loss"], "held_out": after["rows"],
            "steps": len(steps), "rate": rate, "tokens": steps[-1]["metrics"]["tokens"]}  # fmt: skip


def compare(place: Path, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The results asked for, in order; those that `place` holds already are read, the others are trained and kept."""
    drawn = {"tokens": asked.tokens, "held_out": asked.held_out, "longest": asked.longest}
    kept = place / "results.jsonl"
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    known = {(one["set"], one["contender"]): one for one in map(json.loads, lines) if one["drawn"] == drawn}
    for name in asked.sets:
        rows = place / f"{name}-{asked.tokens}-{asked.held_out}"
        if not rows.exists():
            prepare(rows, rows_of(asked.folder, name), asked.tokens, asked.held_out)
        for contender in asked.contenders:
            if (name, contender) not in known:
                found = train(rows, contender, TASKS[name], CONTENDERS[contender], asked.longest)
                known[name, contender] = {"set": name, "contender": contender, **found, "drawn": drawn}
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(known[name, contender]) + "\n")
            yield known[name, contender]


def _run(words: list[str]) -> str:
    done = subprocess.run([sys.executable, "-m", "tuiwiz", *words], capture_output=True, text=True, check=False,
                          env={**os.environ, **waiting(os.environ)})  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:2])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--longest", type=int, default=512)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(TASKS))
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=list(CONTENDERS))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="rivals-") as scratch:
        for one in compare(asked.keep or Path(scratch), asked):
            found.append(one)
            words = f"{one['set']:<12}{one['contender']:<14}{one['after']:.4f} (before {one['before']:.4f})"
            steps = f"{one['steps']} steps, {one['tokens']:,} tokens, rate {one['rate']:.2g}"
            print(json.dumps(one) if asked.json else f"{words}, {steps}", flush=True)
    best = {
        name: min((one for one in found if one["set"] == name), key=lambda one: one["after"]) for name in asked.sets
    }
    lost = [name for name, one in best.items() if "preset" in asked.contenders and one["contender"] != "preset"]
    if lost:
        print(f"the preset is not the best on {', '.join(lost)}", file=sys.stderr)
    raise SystemExit(int(bool(lost)))


if __name__ == "__main__":
    main()
