"""Every task from a file to a result: the held-out metric improves, a resumed run is the same run, and what was saved
is loaded by plain transformers and peft and gives what was measured."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny import make_encoder
from tests.support.training import ask_to_resume, curve, events_of, make_run, of_kind, own_signals, run_here
from tuiwiz.base.errors import StoppedError
from tuiwiz.base.files import sha256_file
from tuiwiz.events import control, types
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import train

FRUITS = ("apples", "pears", "lemons")
BASE: dict[str, Any] = {
    "validation__fraction": 0.25,
    "optimizer__learning_rate": 1e-2,
    "schedule__steps": 16,
    "schedule__warmup": 0,
    "batch__effective": 8,
    "batch__micro": 4,
    "evaluation__every": 0.5,
    "checkpoint__every": 4,
    "checkpoint__keep": 9,
}


def pair(index: int) -> dict[str, Any]:
    """The better answer names the fruit asked for, the worse one another."""
    right, wrong = FRUITS[index % 3], FRUITS[(index + 1 + index // 3 % 2) % 3]
    return {"prompt": f"{index}: which {right}?", "chosen": f"He has {right}.", "rejected": f"No, {wrong} {index % 5}"}


def judged(index: int) -> dict[str, Any]:
    one, good = pair(index), index % 2 == 0
    return {"prompt": one["prompt"], "completion": one["chosen" if good else "rejected"], "label": good}


def labelled(index: int, kind: str = "single") -> dict[str, Any]:
    fruits = [fruit for place, fruit in enumerate(FRUITS) if (index + place) % 3 != 0]
    if kind == "multi":
        return {"text": f"{index} {' and '.join(fruits)} here", "label": fruits}
    count = index % 4
    if kind == "regression":
        return {"text": f"{index} is " + "four " * count, "label": count / 2}
    return {"text": f"Tom {index} has {FRUITS[index % 3]} today", "label": FRUITS[index % 3]}


ROWS: dict[str, Any] = {
    "dpo": pair,
    "orpo": pair,
    "simpo": pair,
    "reward": pair,
    "kto": judged,
    "classify": labelled,
}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    # Name -> task, metric that must rise (or loss), changes.
    "dpo": ("dpo", "accuracy", {}),
    "dpo, all weights": ("dpo", "margin", {"adapter__method": "full", "adapter__rank": None}),
    "dpo, 4 bits, recomputed": ("dpo", "margin", {"adapter__method": "qlora", "memory__gradient_checkpointing": True}),
    "ipo, plain logits": ("dpo", "margin", {"objective__loss": "ipo", "memory__fused_loss": False}),
    "orpo": ("orpo", "accuracy", {}),
    "simpo": ("simpo", "accuracy", {}),
    "kto": ("kto", "margin", {}),
    "reward": ("reward", "margin", {}),
    "reward, 4 bits": ("reward", "margin", {"adapter__method": "qlora"}),
    "classify": ("classify", "accuracy", {}),
    "classify, all weights": ("classify", "macro_f1", {"adapter__method": "full", "adapter__rank": None}),
    "classify, last layers and head": (
        "classify",
        "accuracy",
        {"adapter__method": "freeze", "adapter__rank": None, "adapter__trainable": "layers[-50%:]"},
    ),
    "classify, 8 bits": (
        "classify",
        "accuracy",
        {"adapter__method": "qlora", "quantization__bits": 8, "quantization__double": None},
    ),
    "classify, 4 bits": ("classify", "accuracy", {"adapter__method": "qlora"}),
    "several labels": ("classify", "macro_f1", {"task__labels": "multi"}),
    "numbers": ("classify", "pearson", {"task__labels": "regression"}),
}
ENCODERS: dict[str, dict[str, Any]] = {
    "adapters": {},
    "adapters in 16 bit": {"model__dtype": "bf16"},
    "all weights": {"adapter__method": "full", "adapter__rank": None, "optimizer__learning_rate": 3e-3},
    "several labels": {"task__labels": "multi"},
}


def task_run(base: Path, model: Path, task: str, name: str = "run", **changes: Any) -> RunFolder:
    kind = changes.get("task__labels", "single")
    rows = [labelled(i, kind) if task == "classify" else ROWS[task](i) for i in range(64)]
    (base / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return make_run(base, model, name, **{**BASE, "task__kind": task, "data__train": "judged.jsonl", **changes})


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder") / "model")


def improves(run: RunFolder, metric: str) -> list[dict[str, float]]:
    """Evaluations of a run whose loss fell and whose metric rose."""
    events = run_here(run)
    found = [event.metrics for event in of_kind(events, types.Eval)]
    assert len(found) == 3 and found[-1]["loss"] < found[0]["loss"]
    assert found[-1][metric] > found[0][metric]
    summary = of_kind(events, types.Finished)[0].summary
    assert summary["best_loss"] == min(one["loss"] for one in found[1:])
    # What a step says of itself has the words of an evaluation.
    assert metric in of_kind(events, types.Metric)[-1].metrics
    return found


def result_of(run: RunFolder) -> str:
    adapter = run.adapter / "adapter_model.safetensors"
    return sha256_file(adapter if adapter.exists() else run.model / "model.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_a_task_is_learnt_and_taken_up_bit_for_bit(tmp_path: Path, tiny_model: Path, case: str) -> None:
    task, metric, changes = CASES[case]
    run = task_run(tmp_path, tiny_model, task, **changes)
    improves(run, metric)
    whole, digest = curve(events_of(run)), result_of(run)
    for path in run.checkpoints.iterdir():
        if int(path.name.removeprefix("step-")) > 4:
            shutil.rmtree(path)
    ask_to_resume(run, tmp_path)
    run_here(run)
    assert curve(events_of(run)) == whole and result_of(run) == digest


@pytest.mark.parametrize("case", ENCODERS)
def test_a_model_that_looks_both_ways_learns_classes(tmp_path: Path, tiny_encoder: Path, case: str) -> None:
    changes = {"schedule__steps": 32, **ENCODERS[case]}
    if changes.get("adapter__method") != "full":
        changes["adapter__dropout"] = 0.1
    improves(task_run(tmp_path, tiny_encoder, "classify", **changes), "accuracy")


@pytest.mark.parametrize("kind", ["left to right", "both ways"])
def test_a_saved_classifier_says_what_was_measured(
    tmp_path: Path, tiny_model: Path, tiny_encoder: Path, kind: str
) -> None:
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    model = tiny_model if kind == "left to right" else tiny_encoder
    run = task_run(tmp_path, model, "classify", evaluation__metric="accuracy", schedule__steps=32)
    found = improves(run, "accuracy")
    summary = of_kind(events_of(run), types.Finished)[0].summary
    config = AutoConfig.from_pretrained(run.adapter)
    assert config.id2label == {0: "apples", 1: "lemons", 2: "pears"}
    base = AutoModelForSequenceClassification.from_pretrained(model, config=config, dtype=torch.float32)
    network = PeftModel.from_pretrained(base, str(run.adapter)).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.adapter)
    table = list(csv.reader((run.path / "confusion.csv").open(encoding="utf-8")))
    assert table[0][1:] == ["apples", "lemons", "pears"]
    counts = torch.tensor([[int(cell) for cell in line[1:]] for line in table[1:]])
    assert int(counts.sum()) == 16
    assert float(counts.diagonal().sum()) / 16 == summary["best_score"] == max(one["accuracy"] for one in found[1:])
    right = 0
    for index in range(64):
        row = labelled(index)
        ids = tokenizer(row["text"], return_tensors="pt", padding=False, truncation=False)
        with torch.no_grad():
            place = int(network(input_ids=ids["input_ids"]).logits.argmax())
        right += config.id2label[place] == row["label"]
    # Trained and held-out rows together: the loaded model has learnt them.
    assert right / 64 >= summary["best_score"] - 0.15


def test_the_reference_is_measured_once_and_is_the_model_before_training(tmp_path: Path, tiny_model: Path) -> None:
    from safetensors.torch import load_file, save_file

    run = task_run(tmp_path, tiny_model, "dpo", schedule__steps=3)
    events = run_here(run)
    first = of_kind(events, types.Eval)[0].metrics
    assert first["margin"] == pytest.approx(0, abs=1e-5) and first["loss"] == pytest.approx(0.693147, abs=1e-5)
    found = load_file(run.path / "reference.safetensors")
    assert found["validation"].shape == (16, 2) and bool(found["validation"].isfinite().all())
    # Three steps of eight rows: nothing is measured for the rest.
    assert int(found["train"].isfinite().all(1).sum()) == 24
    # What a later attempt misses is measured again, and nothing else.
    missing = {name: values.clone() for name, values in found.items()}
    missing["validation"][3:5] = float("nan")
    missing["validation"][0] = 7.0
    save_file(missing, run.path / "reference.safetensors")
    shutil.rmtree(run.checkpoints)
    ask_to_resume(run, tmp_path)
    run_here(run)
    again = load_file(run.path / "reference.safetensors")["validation"]
    assert again[0].tolist() == [7.0, 7.0] and torch.allclose(again[1:], found["validation"][1:], atol=1e-4)
    # An adapter that is continued is its own reference.
    other = task_run(tmp_path, tiny_model, "dpo", "other", schedule__steps=3, adapter__from=str(run.adapter))
    start = of_kind(run_here(other), types.Eval)[0].metrics
    assert start["margin"] == pytest.approx(0, abs=1e-5)
    moved = load_file(other.path / "reference.safetensors")["validation"]
    assert float((moved - found["validation"]).abs().max()) > 1e-3


def test_a_stop_is_answered_while_rows_are_measured(tmp_path: Path, tiny_model: Path) -> None:
    run = task_run(tmp_path, tiny_model, "dpo")
    run.control.mkdir(exist_ok=True)
    control.request(run, "stop")
    with own_signals(), pytest.raises(StoppedError):
        train.run(run.path)
    events = events_of(run)
    assert of_kind(events, types.Control)[0].request == "stop" and not of_kind(events, types.Metric)
    assert not (run.path / "reference.safetensors").exists()


def test_labels_that_training_does_not_have_are_left_out_and_told(tmp_path: Path, tiny_model: Path) -> None:
    rows = [labelled(index) for index in range(100, 108)]
    rows[3]["label"] = "plums"
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = task_run(
        tmp_path, tiny_model, "classify", schedule__steps=1, validation__fraction=None, validation__path="held.jsonl"
    )
    events = run_here(run)
    assert of_kind(events, types.Eval)[0].rows == 7
    assert any("plums" in event.message for event in of_kind(events, types.Log))


@pytest.mark.parametrize("task", ["classify", "reward", "dpo"])
def test_every_task_runs_the_fast_lora_layers_and_they_are_pefts(
    tmp_path: Path, tiny_model: Path, tiny_encoder: Path, task: str
) -> None:
    from peft.tuners.lora.layer import LoraLayer

    from tests.executor import support
    from tuiwiz.executor.batching import lay_out
    from tuiwiz.executor.lora import LoraForward

    rows = [labelled(i) if task == "classify" else pair(i) for i in range(16)]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = tiny_encoder if task == "classify" else tiny_model
    changes: dict[str, Any] = {"task__kind": f'"{task}"', "data__train": '"judged.jsonl"', "adapter__dropout": "0.0"}
    run = support.make_run(tmp_path, model, **changes)
    run.train_rows.reference = [(0.0, 0.0)] * len(run.train_rows) if task == "dpo" else []
    layers = [module for module in run.model.modules() if isinstance(module, LoraLayer)]
    assert layers and all(isinstance(vars(layer).get("forward"), LoraForward) for layer in layers)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, value in run.weights.items():
            if ".lora_B." in name:
                value.copy_(0.05 * torch.randn_like(value))

    def gradients() -> torch.Tensor:
        (sequences,) = lay_out(run.train_rows, range(8), 8, packing=False)
        run.model.zero_grad()
        torch.manual_seed(4)
        torch.autograd.backward(
            run.objective(run.objective.collate(run.train_rows, sequences, support.CPU.where)).total
        )
        return torch.cat([value.grad.flatten() for value in run.weights.values() if value.grad is not None])

    fast = gradients()
    for layer in layers:
        del layer.forward
    slow = gradients()
    assert float(slow.norm()) > 0 and float((fast - slow).norm()) <= 1e-5 * float(slow.norm())
