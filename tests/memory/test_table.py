"""The command that reads tables of published measurements, and how well it meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.memory_table import answer, summary
from tests.bench.published import NotModelled, published
from tests.memory.test_estimate import CPU, known_shape
from tuiwiz.catalog.gpus import find_device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import LOADING, estimate
from tuiwiz.memory.setting import Setting

ROOT = Path(__file__).parents[2]
ROW = {
    "id": "r1",
    "source": "",
    "model": "mistral-7b",
    "hidden": "4096",
    "layers": "32",
    "heads": "32",
    "kv_heads": "8",
    "intermediate": "14336",
    "vocab": "32000",
    "tied_embeddings": "0",
    "method": "lora",
    "quant": "none",
    "lora_rank": "16",
    "lora_targets": "q,k,v,o",
    "seq_len": "4096",
    "micro_batch": "4",
    "grad_ckpt": "1",
    "attn": "fa2",
    "fused_ce": "0",
    "optimizer": "adamw_torch",
    "compute_dtype": "bf16",
    "master_dtype": "fp32 adapters",
    "gpus": "1",
    "sharding": "",
    "measured_gib": "24.871",
    "measure_kind": "allocated",
    "notes": "A100 80GB; autocast off (pure bfloat16)",
    "quality": "A",
    "stack": "transformers 4.48.1,torch 2.4.1,peft 0.13.2,trl 0.13",
    "head_dim": "128",
}


def line(**changes: str) -> dict[str, Any]:
    return answer({**ROW, **changes}, simulate=False, cache={})


def test_a_row_is_predicted_and_judged() -> None:
    found = line()
    assert found["modelled"] and found["verdict"] == "fits" and abs(found["error"]) < 0.02
    assert set(found) == {
        *("id", "target", "predicted_gib", "measured_gib", "error", "verdict", "modelled", "why"),
    }
    assert line(measure_kind="nvidia-smi")["predicted_gib"] > line(measure_kind="reserved")["predicted_gib"] > 24


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"gpus": "4", "sharding": "fsdp"}, "fsdp"),
        ({"quant": "gptq"}, "gptq"),
        ({"fused_ce": "1"}, "fused"),
        ({"optimizer": "galore"}, "galore"),
        ({"attn": "ring"}, "ring"),
        ({"stack": "unsloth 2025.3"}, "unsloth"),
        ({"model": "secret-moe-9b"}, "secret"),
        ({"hidden": "", "model": "nobody-knows"}, "nobody-knows"),
        ({"notes": "A100; framework_config=accelerated-peft-autogptq-foak"}, "foak"),
        ({"method": "dpo"}, "dpo"),
        ({"seq_len": ""}, "seq_len"),
        ({"gpus": "4", "sharding": "ddp"}, "ddp"),
        ({"gpus": "8", "sharding": "deepspeed zero3"}, "zero3"),
        ({"gpus": "2x"}, "whole number"),
        ({"seq_len": "0"}, "seq_len"),
        ({"micro_batch": "0"}, "micro_batch"),
        ({"method": "lora", "lora_rank": "-8"}, "rank -8"),
        ({"notes": "MI300X ROCm 6.2"}, "device"),
        ({"notes": "A100; packing with varlen flash"}, "each row alone"),
        ({"notes": "A100; sequence classification head"}, "head"),
        ({"notes": "A100; multi-token prediction"}, "heads"),
        ({"notes": "A100; expandable_segments:True", "measure_kind": "reserved"}, "expandable"),
        ({"model": "gemma-3-27b-it", "hidden": "5376"}, "gemma-3-27b"),
        ({"lora_rank": "r8"}, "whole number"),
        ({"heads": "0"}, "width"),
        ({"notes": "A100; use_dora=True"}, "DoRA"),
        ({"stack": "transformers 4.50, liger-kernel 0.5"}, "liger"),
        ({"stack": "transformers 5.0, trl 1.4"}, "TRL 1.4"),
        ({"notes": "A100; cut cross entropy"}, "cross-entropy"),
        ({"notes": "A100; DPOTrainer"}, "preference"),
        ({"notes": "A100; dynamic padding, mean length 300"}, "lengths"),
        ({"notes": "A100; torch.compile"}, "compiled"),
        ({"notes": "A100; ring attention"}, "parts"),
        ({"notes": "A100; modules_to_save lm_head"}, "modules"),
        ({"notes": "A100; activation_offloading"}, "offload"),
        ({"model": "qwen2-vl-7b"}, "qwen2-vl"),
        ({"model": "gemma-3n-e4b"}, "gemma-3n"),
        ({"model": "llama-4-scout"}, "llama-4"),
        ({"model": "mixtral-8x7b", "hidden": "", "quant": "nf4", "method": "qlora"}, "experts"),
        ({"quant": "int8"}, "int8"),
        ({"attn": "flex_attention"}, "flex"),
    ],
)
def test_what_is_not_described_is_said_so_and_not_guessed(changes: dict[str, str], word: str) -> None:
    found = line(**changes)
    assert not found["modelled"] and word in found["why"] and found["predicted_gib"] is None
    with pytest.raises(NotModelled):
        published({**ROW, **changes})


def test_what_is_said_not_to_be_there_is_no_reason() -> None:
    assert line(notes="A100 80GB; no liger, without dora; pure bfloat16")["modelled"]
    assert line(gpus="1.0", micro_batch="4")["modelled"]


# Card, model, method, quantisation, length, rows: more than the card holds by any account.
TOO_MUCH = [
    ("Tesla T4", "llama-2-13b", "lora", "none", 512, 1),
    ("RTX 3060", "llama-3.1-8b", "qlora", "nf4", 4096, 4),
    ("RTX 3090", "qwen2.5-7b", "full", "none", 1024, 1),
    ("RTX 4090", "gemma-2-9b", "lora", "none", 4096, 4),
    ("A100 40GB", "qwen3-32b", "lora", "none", 1024, 1),
    ("A100 80GB", "llama-3.1-70b", "qlora", "nf4", 8192, 8),
    ("H100 PCIe", "olmo-2-1124-13b", "full", "none", 2048, 1),
]


@pytest.mark.parametrize(("card", "model", "method", "quant", "length", "micro"), TOO_MUCH)
@pytest.mark.parametrize(
    "stack", ["transformers 4.48.1,torch 2.4.1,peft 0.13", "transformers 5.2,torch 2.9,peft 0.18", "trl 1.16,torch 2.9"]
)
def test_runs_of_other_models_and_cards_that_ran_out_are_not_said_to_fit(
    card: str, model: str, method: str, quant: str, length: int, micro: int, stack: str
) -> None:
    changes = {"model": model, "hidden": "", "method": method, "quant": quant, "seq_len": str(length)}
    changes |= {"micro_batch": str(micro), "gpu": card, "stack": stack, "notes": "", "measured_gib": "OOM"}
    found = line(**changes, measure_kind="nvidia-smi", lora_targets="all-linear", master_dtype="")
    assert found["verdict"] != "fits"
    assert found["modelled"] or found["why"]


def test_a_run_that_ran_out_of_memory_is_never_said_to_fit() -> None:
    row = {**ROW, "measured_gib": "", "notes": "Tesla T4; OOM", "measure_kind": "nvidia-smi"}
    found = answer(row, simulate=False, cache={})
    assert found["verdict"] == "no" and found["measured_gib"] is None and found["error"] is None
    assert summary([found], [row])["false_fits"] == 0
    assert summary([{**found, "verdict": "fits"}], [row])["false_fits"] == 1


def test_the_command_prints_one_document() -> None:
    table = ROOT / "tests/memory/measured.csv"
    done = subprocess.run(
        [sys.executable, "tests/bench/memory_table.py", str(table), "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    document = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    lines = document["rows"]
    assert sum(one["modelled"] for one in lines) >= 0.95 * len(lines)
    found = document["summary"]
    assert found["allocated"]["median"] <= 0.02 and found["allocated"]["p90"] <= 0.08
    assert found["reserved"]["median"] <= 0.03 and found["reserved"]["p90"] <= 0.10
    assert found["false_fits"] == 0


# Peak resident set of three steps of SmolLM2-135M in bf16 on two cores, MiB: method, length, micro, checkpointing.
RESIDENT = [
    ("qlora", 64, 4, False, 1220),
    ("qlora", 346, 4, False, 2272),
    ("qlora", 512, 4, False, 2721),
    ("qlora", 512, 4, True, 1525),
    ("lora", 128, 4, False, 1646),
    ("lora", 512, 4, False, 2921),
    ("lora", 512, 4, True, 1641),
    ("full", 128, 4, False, 4076),
    ("full", 512, 4, False, 6220),
    ("full", 512, 4, True, 4809),
]


@pytest.mark.parametrize(("method", "length", "micro", "checkpointing", "measured_mib"), RESIDENT)
def test_runs_on_a_processor_within_ten_per_cent(
    method: Any, length: int, micro: int, checkpointing: bool, measured_mib: int
) -> None:
    setting = Setting(
        method=method,
        length=length,
        micro=micro,
        accumulation=max(8, micro) // micro,
        checkpointing=checkpointing,
        attention="flash",
        slim=True,
    )
    found = estimate(known_shape("smollm2-135m-instruct"), setting, CPU)
    assert found.total_bytes / (1 << 20) == pytest.approx(measured_mib, rel=0.10)


TINY = ModelShape(
    name="tiny", hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, intermediate=128, vocab=512, tied=True
)
# The kernel's word (VmHWM) on whole runs in fresh processes, with evaluations, samples, saves and a user's environment,
# MiB: model, method, length, micro, accumulation, checkpointing. Those of 512 x 8 had rows of many lengths; the 4-bit
# run of 64 x 1 took most while it was loaded: 1,148 to 1,298 in seven starts.
WHOLE_RUNS = [
    ("tiny", "lora", 64, 4, 2, False, 609),
    ("tiny", "full", 512, 4, 2, False, 658),
    ("tiny", "lora", 512, 8, 1, False, 675),
    ("tiny", "full", 512, 8, 1, False, 758),
    ("smollm2-135m-instruct", "lora", 64, 1, 2, False, 962),
    ("smollm2-135m-instruct", "lora", 128, 4, 1, False, 1390),
    ("smollm2-135m-instruct", "lora", 512, 4, 2, False, 2831),
    ("smollm2-135m-instruct", "lora", 512, 4, 2, True, 1548),
    ("smollm2-135m-instruct", "qlora", 64, 1, 2, False, 1239),
    ("smollm2-135m-instruct", "qlora", 512, 4, 2, False, 2603),
    ("smollm2-135m-instruct", "qlora", 512, 4, 2, True, 1320),
    ("smollm2-135m-instruct", "full", 64, 1, 2, False, 3229),
    ("smollm2-135m-instruct", "full", 128, 4, 2, False, 3955),
    ("smollm2-135m-instruct", "full", 512, 4, 2, True, 4577),
]


@pytest.mark.parametrize(
    ("model", "method", "length", "micro", "accumulation", "checkpointing", "measured_mib"), WHOLE_RUNS
)
def test_whole_runs_on_a_processor_take_what_was_planned_or_a_little_less(
    model: str, method: Any, length: int, micro: int, accumulation: int, checkpointing: bool, measured_mib: int
) -> None:
    setting = Setting(
        method=method,
        length=length,
        micro=micro,
        accumulation=accumulation,
        checkpointing=checkpointing,
        attention="flash",
        slim=True,
    )
    found = estimate(TINY if model == "tiny" else known_shape(model), setting, CPU)
    assert -0.03 <= found.total_bytes / (1 << 20) / measured_mib - 1 <= 0.14
    assert sum(found.items.values()) == found.total_bytes and min(found.items.values()) >= 0
    assert (found.limiting == LOADING) == ((method, length) == ("qlora", 64))


def test_loading_decides_on_a_processor_alone() -> None:
    setting = Setting(method="qlora", length=64, attention="flash", slim=True)
    shape = known_shape("smollm2-135m-instruct")
    assert estimate(shape, setting, CPU).limiting == LOADING
    assert estimate(shape, setting, find_device("24")).limiting != LOADING
