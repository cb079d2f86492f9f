"""The closed form against peaks that others measured with other programs (allocated bytes; sources in the table)."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from tuiwiz.base.units import GIB
from tuiwiz.catalog.gpus import find_device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import PEFT_KBIT_LOOP, PEFT_LOOP, TRL_013

CUDA_WORKSPACE = 24 << 20
"""cuBLAS takes its workspace from the allocator that was measured."""


def rows() -> list[dict[str, str]]:
    with (Path(__file__).parent / "measured.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predicted_gib(row: dict[str, str]) -> float:
    heads = int(row["heads"])
    architecture = "qwen2" if row["model"].startswith("qwen2") else "llama"
    shape = ModelShape(
        name=row["model"],
        architecture=architecture,
        hidden=int(row["hidden"]),
        layers=int(row["layers"]),
        heads=heads,
        kv_heads=int(row["kv_heads"]),
        head_dim=int(row["head_dim"] or int(row["hidden"]) // heads),
        intermediate=int(row["intermediate"]),
        vocab=int(row["vocab"]),
        tied=row["tied_embeddings"] == "1",
    )
    # Windows builds of torch have no fused attention for grouped heads: they build the scores, as eager does.
    windows = row["id"].startswith("cif")
    attention = (
        "flash" if row["attn"] == "fa2" else "sdpa" if row["attn"].startswith("sdpa") and not windows else "eager"
    )
    method = row["method"]
    setting = Setting(
        method="qlora" if method == "qlora" else "full" if method == "full" else "lora",
        length=int(row["seq_len"]),
        micro=int(row["micro_batch"]),
        rank=int(row["lora_rank"] or 16),
        targets=("q_proj", "k_proj", "v_proj", "o_proj"),
        double_quantised=row["quant"] == "nf4-dq",
        compute="bf16" if row["compute_dtype"] == "bf16" else "fp16",
        checkpointing=row["grad_ckpt"] == "1",
        optimizer="paged_adamw_8bit" if row["optimizer"] == "paged_adamw_8bit" else "adamw",
        attention=attention,  # type: ignore[arg-type]
    )
    stack = TRL_013 if row["id"].startswith("fms") else PEFT_KBIT_LOOP if method == "qlora" else PEFT_LOOP
    found = estimate(shape, setting, find_device("80"), stack)
    return (found.allocated_bytes + CUDA_WORKSPACE) / GIB


def errors() -> dict[str, float]:
    return {row["id"]: predicted_gib(row) / float(row["measured_gib"]) - 1 for row in rows()}


def test_the_closed_form_meets_published_measurements() -> None:
    sizes = sorted(abs(error) for error in errors().values())
    assert len(sizes) >= 50
    assert statistics.median(sizes) <= 0.02
    assert sizes[int(0.9 * len(sizes))] <= 0.08


@pytest.mark.parametrize("kind", ["fms", "fc", "cif"])
def test_no_group_is_far_too_low(kind: str) -> None:
    assert min(error for name, error in errors().items() if name.startswith(kind)) >= -0.15
