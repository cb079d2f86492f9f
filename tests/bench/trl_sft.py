"""Tokens per second and peak memory of the executor beside those of TRL's `SFTTrainer`, on this machine.

    python -m tests.bench.trl_sft ROWS.jsonl [--model FOLDER] [--steps 6] [--repeats 3] [--micro 8] [--json]

Both train the same adapter (QLoRA, NF4 twice quantised, rank 16 on all linear layers, fused AdamW) on the same rows at
an effective batch of 8 in the same environment, each in a process of its own. TRL runs at the fastest of its
micro-batches 1, 2, 4 and 8, with and without gradient checkpointing, which a first pass finds. Then both take turns;
medians are compared. The first step is left out of the time, padding out of the tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuiwiz.base.units import GIB
from tuiwiz.catalog.config import read_shape
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Metric
from tuiwiz.runs.launch import executor_command, executor_environment

EFFECTIVE = 8
LENGTH = 512
LEAST_FASTER = 1.6
MOST_MEMORY = 0.5
TRL_SETTINGS = [(micro, checkpointing) for checkpointing in (False, True) for micro in (1, 2, 4, 8)]
BUNDLE = """\
format = 1
name = "bench"
[task]
kind = "instruct"
[model]
source = {model}
[data]
train = "rows.jsonl"
max_length = {length}
overlong = "truncate"
train_on = "completion"
[validation]
path = "held-out.jsonl"
[adapter]
method = "qlora"
rank = 16
alpha = 32.0
[optimizer]
learning_rate = 2e-4
[schedule]
kind = "constant"
steps = {steps}
[batch]
effective = {effective}
micro = {micro}
[checkpoint]
every = {steps}
[evaluation]
every = {steps}
samples = 0
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one process did; `peak_bytes` is its largest resident set."""

    tokens_per_s: float
    peak_bytes: int


def prepare_rows(folder: Path, rows: Path, steps: int) -> None:
    """The rows of so many steps, and one held-out row: evaluated before the first step and after the last."""
    lines = rows.read_text(encoding="utf-8").splitlines()[: steps * EFFECTIVE + 1]
    (folder / "rows.jsonl").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    (folder / "held-out.jsonl").write_text(lines[-1] + "\n", encoding="utf-8")


def run_ours(folder: Path, model: Path, steps: int, micro: int) -> Figures:
    run = Path(tempfile.mkdtemp(prefix="ours-", dir=folder))
    values = {"model": json.dumps(str(model)), "length": LENGTH, "steps": steps, "effective": EFFECTIVE, "micro": micro}
    (run / "bundle.toml").write_text(BUNDLE.format(**values), encoding="utf-8")
    write_job(run, "train", {"bundle_folder": str(folder), "resume": False})
    peak = _wait(executor_command("train", run), run / "run.log")
    done = [event for event in EventReader(RunFolder(run).events).read(100_000) if isinstance(event, Metric)]
    tokens = done[-1].metrics["tokens"] - done[0].metrics["tokens"]
    return Figures(tokens / (done[-1].t - done[0].t), peak)


def run_trl(folder: Path, model: Path, steps: int, micro: int, checkpointing: bool) -> Figures:
    run = Path(tempfile.mkdtemp(prefix="trl-", dir=folder))
    words = [str(run), str(folder / "rows.jsonl"), str(model), str(steps), str(micro), str(int(checkpointing))]
    peak = _wait([sys.executable, "-m", "tests.bench.trl_sft", "--child", *words], run / "run.log")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return Figures(float(result["tokens_per_s"]), peak)


def _wait(command: list[str], log: Path) -> int:
    """Run a command to its end in the executor's environment; returns its largest resident set in bytes."""
    with log.open("wb") as file:
        child = subprocess.Popen(command, env=executor_environment(), stdout=file, stderr=file)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(log.read_text(encoding="utf-8", errors="replace")[-3000:])
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def train_with_trl(run: Path, rows: Path, model: Path, steps: int, micro: int, checkpointing: bool) -> None:
    """What the child process does: the documented way of QLoRA with TRL, the clock read after every step."""
    import time

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks: list[tuple[float, float]] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            marks.append((time.monotonic(), float(state.num_input_tokens_seen)))

    records = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    data = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": record["question"]}],
                "completion": [{"role": "assistant", "content": record["answer"]}],
            }
            for record in records
        ]
    )
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    settings = SFTConfig(
        output_dir=str(run / "out"),
        use_cpu=not torch.cuda.is_available(),
        bf16=True,
        max_length=LENGTH,
        completion_only_loss=True,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=EFFECTIVE // micro,
        gradient_checkpointing=checkpointing,
        max_steps=steps,
        learning_rate=2e-4,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        include_num_input_tokens_seen="non_padding",
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, quantization_config=quantization, dtype=torch.bfloat16),
        args=settings,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[Watch()],
    )
    trainer.train()
    rate = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
    (run / "result.json").write_text(json.dumps({"tokens_per_s": rate}), encoding="utf-8")


def matrix_rate() -> float:
    """Floating-point operations per second of a large bf16 matrix product, the best of several, in a fresh process."""
    code = (
        "import time, torch\n"
        "where = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
        "wait = torch.cuda.synchronize if where == 'cuda' else (lambda: None)\n"
        "a = torch.randn(2048, 2048, dtype=torch.bfloat16, device=where)\n"
        "best = 0.0\n"
        "for _ in range(12):\n"
        "    start = time.perf_counter(); a @ a; wait()\n"
        "    best = max(best, 2 * 2048**3 / (time.perf_counter() - start))\n"
        "print(best)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=executor_environment(), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def median(runs: list[Figures]) -> Figures:
    return Figures(
        statistics.median(run.tokens_per_s for run in runs), round(statistics.median(run.peak_bytes for run in runs))
    )


def compare(rows: Path, model: Path, steps: int, repeats: int, micro: int) -> dict[str, Any]:
    def tell(what: str, found: Figures) -> None:
        print(
            f"{what:<34}{found.tokens_per_s:>8.0f} tokens/s{found.peak_bytes / GIB:>8.2f} GiB",
            file=sys.stderr,
            flush=True,
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare_rows(folder, rows, steps)
        tried: dict[tuple[int, bool], Figures] = {}
        for size, checkpointing in TRL_SETTINGS:
            tried[size, checkpointing] = run_trl(folder, model, steps, size, checkpointing)
            tell(f"TRL, {size} x {EFFECTIVE // size}{', recomputing' * checkpointing}", tried[size, checkpointing])
        best = max(tried, key=lambda setting: tried[setting].tokens_per_s)
        ours: list[Figures] = []
        theirs: list[Figures] = []
        for number in range(repeats):
            ours.append(run_ours(folder, model, steps, micro))
            tell(f"tuiwiz, turn {number + 1}", ours[-1])
            theirs.append(run_trl(folder, model, steps, *best))
            tell(f"TRL at its fastest, turn {number + 1}", theirs[-1])
    mine, other, rate = median(ours), median(theirs), matrix_rate()
    # Frozen matrices take a forward product and one for the gradient of their input: 4 operations a weight and token.
    operations = 4 * read_shape(model).parameters * mine.tokens_per_s
    return {
        "tuiwiz_tokens_per_s": mine.tokens_per_s,
        "trl_tokens_per_s": other.tokens_per_s,
        "trl_micro": best[0],
        "trl_checkpointing": best[1],
        "times_faster": mine.tokens_per_s / other.tokens_per_s,
        "tuiwiz_peak_bytes": mine.peak_bytes,
        "trl_peak_bytes": other.peak_bytes,
        "share_of_memory": mine.peak_bytes / other.peak_bytes,
        "matrix_flops": rate,
        "share_of_matrix_rate": operations / rate,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="JSON lines with question and answer")
    parser.add_argument("--model", type=Path, help="folder; the embedded model if left out")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--micro", type=int, default=8, help="tuiwiz's micro-batch")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.model is None:
        from tuiwiz.catalog import embedded

        given.model = embedded.folder()
    found = compare(given.rows, given.model, given.steps, given.repeats, given.micro)
    if given.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['times_faster']:.2f} times TRL's tokens per second (at least {LEAST_FASTER}), "
            f"{found['share_of_memory']:.2f} of its peak memory (at most {MOST_MEMORY}); "
            f"{100 * found['share_of_matrix_rate']:.0f} % of {found['matrix_flops'] / 1e12:.2f} Tflop/s in bf16"
        )
    return 0 if found["times_faster"] >= LEAST_FASTER and found["share_of_memory"] <= MOST_MEMORY else 1


if __name__ == "__main__":
    if "--child" in sys.argv:
        target, source, weights, count, batch, recompute = sys.argv[sys.argv.index("--child") + 1 :]
        train_with_trl(Path(target), Path(source), Path(weights), int(count), int(batch), recompute == "1")
        sys.exit(0)
    sys.exit(main())
