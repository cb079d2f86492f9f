"""What a run leaves: an adapter that plain peft loads, the best evaluated weights, samples, what really ran."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.training import curve, make_run, of_kind, run_here, write_rows
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Rows
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Eval, Finished, Metric, RunStarted, Sample, Stage

FULL: dict[str, Any] = {"adapter__method": "full", "adapter__rank": None}


def held_out_loss(model: Any, rows: Rows) -> float:
    """Mean cross-entropy over supervised tokens, row by row with the model's own logits."""
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([list(row.input_ids)])
            logs = model(input_ids=ids).logits[0].float().log_softmax(-1)
            for place in range(1, len(row.input_ids)):
                if row.trained[place]:
                    total -= float(logs[place - 1, row.input_ids[place]])
                    count += 1
    return total / count


def reloaded(run: RunFolder, tiny_model: Path, method: str) -> Any:
    """The result as anybody would load it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    if method == "full":
        return AutoModelForCausalLM.from_pretrained(run.model, dtype=torch.float32).eval()
    quantized = (
        {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.float32,
            )
        }
        if method == "qlora"
        else {}
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, **quantized)
    return PeftModel.from_pretrained(base, str(run.adapter)).eval()


@pytest.mark.parametrize("method", ["lora", "rslora", "qlora", "full"])
def test_the_saved_result_reproduces_the_evaluated_loss(tmp_path: Path, tiny_model: Path, method: str) -> None:
    write_rows(tmp_path / "held.jsonl", 6, start=100)
    changes: dict[str, dict[str, Any]] = {
        "lora": {},
        "full": FULL,
        "rslora": {"adapter__variant": "rslora"},
        "qlora": {"adapter__method": "qlora"},
    }
    run = make_run(tmp_path, tiny_model, validation__path="held.jsonl", schedule__steps=6, **changes[method])
    events = run_here(run)
    summary = of_kind(events, Finished)[0].summary
    losses = {event.step: event.metrics["loss"] for event in of_kind(events, Eval)}
    assert losses[6] < losses[0]
    assert summary["artifact"] == ("model" if method == "full" else "adapter")
    assert summary["artifact_step"] == summary["best_step"] == min((s for s in losses if s), key=lambda s: losses[s])

    rows = prepare(read_bundle(run.bundle), tmp_path, tiny_model).validation
    found = held_out_loss(reloaded(run, tiny_model, method), rows)
    assert found == pytest.approx(losses[summary["best_step"]], rel=1e-5)
    assert (run.path / summary["artifact"] / "tokenizer.json").is_file()


def test_patience_ends_a_run_and_the_best_weights_are_kept(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 6, start=100)
    run = make_run(
        tmp_path,
        tiny_model,
        validation__path="held.jsonl",
        schedule__steps=12,
        evaluation__every=1,
        evaluation__patience=2,
        evaluation__min_delta=0.9,
    )
    events = run_here(run)
    summary = of_kind(events, Finished)[0].summary
    _, first, _, third, *_ = of_kind(events, RunStarted)[0].evaluation_steps
    assert (summary["step"], summary["best_step"], summary["artifact_step"]) == (third, first, first)
    assert summary["reason"] == "stopped improving"


def test_samples_are_given_before_during_and_after(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 4, start=100)
    run = make_run(
        tmp_path,
        tiny_model,
        validation__path="held.jsonl",
        evaluation__samples=2,
        evaluation__every=1,
    )
    samples = of_kind(run_here(run), Sample)
    steps = sorted({sample.step for sample in samples})
    assert steps[0] == 0 and steps[-1] == 4 and len(steps) == 3
    assert all(sum(sample.step == step for sample in samples) == 2 for step in steps)
    first = {sample.prompt: sample.now for sample in samples if sample.step == 0}
    assert all(sample.base == first[sample.prompt] and sample.expected for sample in samples)


def test_every_step_tells_the_agreed_metrics_and_the_rate_of_the_schedule(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(
        tmp_path,
        tiny_model,
        schedule__steps=10,
        schedule__kind="cosine",
        schedule__warmup=2,
        schedule__min_ratio=0.1,
    )
    events = run_here(run)
    for event in of_kind(events, Metric):
        assert set(event.metrics) >= {
            "loss",
            "grad_norm",
            "learning_rate",
            "epoch",
            "tokens",
            "supervised_tokens",
            "tokens_per_second",
            "step_seconds",
            "data_seconds",
            "forward_seconds",
            "backward_seconds",
            "optimizer_seconds",
            "allocated_bytes",
            "peak_bytes",
        }
    rates = [rate for (rate,) in curve(events, "learning_rate").values()]
    after = [1e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * x / 8)) / 2) for x in range(8)]
    assert rates == pytest.approx([1e-3 / 3, 2e-3 / 3, *after])
    assert [event.name for event in of_kind(events, Stage)][:2] == ["loading", "tokenizing"]


def test_the_run_folder_says_what_really_ran(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, batch__micro=None)
    events = run_here(run)
    resolved = read_bundle(run.resolved)
    assert resolved.data.train == str(tmp_path / "rows.jsonl")
    assert resolved.model.dtype == "fp32" and resolved.model.attention == "auto" and resolved.batch.micro
    environment = json.loads(run.environment.read_text(encoding="utf-8"))
    assert environment["libraries"]["torch"] and environment["rows"]["train"] == of_kind(events, RunStarted)[0].rows


def test_training_goes_on_from_an_adapter(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 6, start=100)
    first = make_run(tmp_path, tiny_model, "first", validation__path="held.jsonl", schedule__steps=6)
    after = of_kind(run_here(first), Eval)[-1].metrics["loss"]
    second = make_run(
        tmp_path,
        tiny_model,
        "second",
        validation__path="held.jsonl",
        adapter__from="first/adapter",
        evaluation__every=9,
    )
    assert of_kind(run_here(second), Eval)[0].metrics["loss"] == pytest.approx(after, rel=1e-6)
