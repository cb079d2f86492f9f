"""Resident pages of a run on a processor, by the kernel's word, against what was planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.processes import tuiwiz
from tuiwiz.executor.device import Device

TEXT = "What is two plus two? It is four; the quick brown fox jumps over the lazy dog. "


def test_the_heap_is_given_back_around_an_evaluation_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Device, "release", lambda self: told.append(self.where.type))
    for where in ("cpu", "cuda"):
        with Device(torch.device(where), where, torch.float32).apart():
            told.append("done")
    assert told == ["cpu", "done", "cpu", "done"]


@pytest.mark.long
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_on_rows_of_many_lengths_takes_what_was_planned(tmp_path: Path, tiny_model: Path, method: str) -> None:
    """Before compiled products were bounded it took twice that."""
    rows = [json.dumps({"text": (TEXT * 12)[: 20 + 7 * n]}) for n in range(120)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    values = {
        "task.kind": '"pretrain"',
        "model.source": json.dumps(str(tiny_model)),
        "data.train": '"rows.jsonl"',
        "data.format": '"text"',
        "data.mapping": '{ text = "text" }',
        "data.max_length": "512",
        "data.train_on": '"all"',
        "validation.fraction": "0.1",
        "adapter.method": f'"{method}"',
        "schedule.steps": "70",
        "batch.effective": "4",
        "batch.micro": "2",
        "evaluation.every": "35",
    }
    bundle = tmp_path / "bundle.toml"
    bundle.write_text('name = "lengths"\n' + "".join(f"{key} = {value}\n" for key, value in values.items()))
    plan: dict[str, Any] = json.loads(tuiwiz("plan", bundle, "--json").stdout)
    run = tmp_path / "run"
    assert tuiwiz("run", bundle, "--out", run, "--plain").returncode == 0
    peak = json.loads((run / "exit.json").read_text())["peak_rss_bytes"]
    assert 0.8 * peak < plan["total_bytes"] and peak < 1.05 * plan["total_bytes"], (peak, plan["items"])
