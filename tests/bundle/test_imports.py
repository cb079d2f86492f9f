"""Other tools' configurations become bundles; nothing in them runs, and every key's fate is told."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuiwiz.base.errors import InvalidError, TuiwizError
from tuiwiz.bundle.imports.draft import Imported
from tuiwiz.bundle.imports.read import MOST_PARTS, import_text
from tuiwiz.bundle.imports.shell import commands
from tuiwiz.bundle.imports.syntax import assignments
from tuiwiz.bundle.read import parse_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.keys import flatten

LLAMA_FACTORY = """
model_name_or_path: some/model-8b
stage: dpo
finetuning_type: lora
lora_rank: 8
lora_target: all
pref_beta: 0.2
pref_loss: sigmoid
dataset: pairs_en
template: llama3
cutoff_len: 2048
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-6
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
val_size: 0.1
deepspeed: ds.json
output_dir: out
"""
AXOLOTL = """
base_model: some/model-7b
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
datasets:
  - {path: rows.jsonl, type: alpaca}
sequence_len: 4096
sample_packing: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 4
optimizer: paged_adamw_32bit
lr_scheduler: cosine
learning_rate: 0.0002
evals_per_epoch: 4
warmup_steps: 10
val_set_size: 0.05
"""
TRL = """
model_name_or_path: some/model-7b
use_peft: true
load_in_4bit: true
lora_r: 128
lora_alpha: 128
dataset_name: org/pairs
beta: 0.01
learning_rate: 5.0e-6
optim: paged_adamw_32bit
num_train_epochs: 1
per_device_train_batch_size: 4
gradient_accumulation_steps: 4
max_length: 1024
lr_scheduler_type: cosine_with_min_lr
lr_scheduler_kwargs: {min_lr_rate: 0.1}
warmup_ratio: 0.1
"""
SWIFT = """
# a comment with `swift sft --model wrong`
N=2
NPROC_PER_NODE=$N \\
swift rlhf \\
    --rlhf_type kto --model some/model-7b --train_type lora --dataset 'org/rows#500' other.jsonl \\
    --lora_rank 8 --lora_alpha 32 --target_modules all-linear --learning_rate 1e-4 \\
    --gradient_accumulation_steps $(expr 16 / $N) --per_device_train_batch_size 1 --max_length 2048 > log.txt
"""
XTUNER = """
from mmengine.optim import CosineAnnealingLR
from xtuner.model import SupervisedFinetune
pretrained_model_name_or_path = 'some/model-7b'
data_path = 'rows.json'
max_length = 2048
pack_to_max_length = True
batch_size = 1
accumulative_counts = 16
lr = 2e-4
betas = (0.9, 0.999)
max_norm = 1
warmup_ratio = 0.03
max_epochs = 3
optim_type = PagedAdamW32bit
model = dict(
    type=SupervisedFinetune,
    llm=dict(quantization_config=dict(load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_use_double_quant=True)),
    lora=dict(type=LoraConfig, r=64, lora_alpha=16, lora_dropout=0.1))
param_scheduler = [dict(type=LinearLR, end=warmup_ratio * max_epochs),
                   dict(type=CosineAnnealingLR, eta_min=lr * 0.1)]
"""
EXPECTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lf.yaml": (LLAMA_FACTORY, "LLaMA-Factory", {
        "task.kind": "dpo", "adapter.method": "lora", "adapter.rank": 8, "adapter.alpha": 16.0, "objective.beta": 0.2,
        "batch.effective": 8, "optimizer.learning_rate": 5e-6, "validation.fraction": 0.1, "data.train": "pairs_en"}),
    "ax.yml": (AXOLOTL, "axolotl", {
        "task.kind": "chat", "adapter.method": "qlora", "adapter.alpha": 16.0, "batch.effective": 8,
        "optimizer.name": "paged_adamw_32bit", "schedule.warmup": 10.0, "evaluation.every": 0.0625,
        "data.packing": True, "data.train": "rows.jsonl", "data.max_length": 4096}),
    "recipes/zephyr/dpo/config_qlora.yaml": (TRL, "TRL", {
        "task.kind": "dpo", "adapter.method": "qlora", "adapter.rank": 128, "objective.beta": 0.01,
        "schedule.kind": "cosine", "schedule.min_ratio": 0.1, "batch.effective": 16, "data.max_length": 1024}),
    "train.sh": (SWIFT, "ms-swift", {
        "task.kind": "kto", "adapter.alpha": 32.0, "batch.effective": 16, "adapter.targets": "all-linear",
        "data.train": [{"path": "org/rows", "weight": None}, {"path": "other.jsonl", "weight": None}]}),
    "conf.py": (XTUNER, "XTuner", {
        "task.kind": "chat", "adapter.method": "qlora", "adapter.rank": 64, "adapter.alpha": 16.0,
        "adapter.dropout": 0.1, "optimizer.name": "paged_adamw_32bit", "schedule.min_ratio": 0.1,
        "batch.effective": 16, "schedule.epochs": 3.0, "data.packing": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_configuration_becomes_a_bundle_and_every_key_is_accounted_for(name: str) -> None:
    text, tool, expected = EXPECTED[name]
    found = import_text(text, name)
    flat = flatten(found.bundle)
    assert found.tool == tool
    assert {key: flat[key] for key in expected} == expected
    told = " ".join(line.source for line in found.lines)
    for key in keys_of(text, name):
        assert key in told, key
    assert all(line.how for line in found.lines if line.fate != "carried")
    again, problems = parse_bundle(write_bundle(found.bundle))
    assert again == found.bundle and problems.ok


def keys_of(text: str, name: str) -> list[str]:
    if name.endswith(".sh"):
        return [word[2:] for word in text.split() if word.startswith("--") and word != "--model"]
    if name.endswith(".py"):
        return ["batch_size", "accumulative_counts", "lr", "max_norm", "warmup_ratio", "optim_type", "model"]
    return [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]


def test_what_does_not_go_together_is_taken_back_and_named() -> None:
    found = import_text(LLAMA_FACTORY + "packing: true\n", "lf.yaml")
    assert not found.bundle.data.packing
    assert any(line.source == "packing" and line.fate == "not carried" for line in found.lines)


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (LLAMA_FACTORY.replace("stage: dpo", "stage: ppo"), "x.yaml", "ppo"),
        (LLAMA_FACTORY.replace("type: lora", "type: oft"), "x.yaml", "oft"),
        (AXOLOTL + "rl: grpo\n", "x.yml", "grpo"),
        (TRL + "num_generations: 8\n", "x.yaml", "grpo"),
        (SWIFT.replace("kto", "ppo"), "x.sh", "ppo"),
        (XTUNER.replace("=SupervisedFinetune", "=LLaVAModel"), "x.py", "LLaVAModel"),
        ("from mmengine.config import read_base\nwith read_base():\n    from .base import *\n", "x.py", "other files"),
        ("def f(:", "x.py", "no valid Python"),
        ("a: [1", "x.yaml", "no valid YAML"),
        ("- 1", "x.yaml", "no table"),
        ("a: 1", "x.yaml", "no configuration"),
        ("a: &x [1]\nb: !!python/object/apply:os.system ['touch /tmp/no']", "x.yaml", "no valid YAML"),
        ("echo hello", "x.sh", "no training command"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(text: str, name: str, reason: str) -> None:
    with pytest.raises(InvalidError) as error:
        import_text(text, name)
    assert reason in error.value.message


def test_a_yaml_that_grows_by_reference_is_refused() -> None:
    lines = ["a0: &a0 [1, 1]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(InvalidError, match=f"{MOST_PARTS:,}"):
        import_text("\n".join(lines) + "\nbase_model: x", "x.yml")
    with pytest.raises(InvalidError):
        import_text("base_model: &a [*a]", "x.yml")


def test_python_is_read_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = f"import os\nlr = open({str(mark)!r}, 'w')\nbatch_size = os.system('touch {mark}')\nx = 2 ** 10 ** 10\n"
    found = import_text(evil + XTUNER, "x.py")
    assert isinstance(found, Imported) and not mark.exists()
    assert assignments("a = 10 ** 9\nb = -2 * (3 + 4)\nc = [a, 'x']")[0]["b"] == -14


def test_scripts_are_split_and_never_run() -> None:
    script = "M=some/model\nNPROC_PER_NODE=4 swift sft --model $M --lora_rank=8 --flag --names a b | tee log\n"
    found = commands(script)[0]
    assert (found.tool, found.word, found.processes) == ("swift", "sft", 4)
    assert found.options == {"model": "some/model", "lora_rank": "8", "flag": "true", "names": ["a", "b"]}
    handled = commands("accelerate launch --num_processes 8 examples/scripts/dpo.py --model_name_or_path m")
    assert handled[0].tool == "trl" and handled[0].word == "dpo"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "stage",
    "finetuning_type",
    "dataset",
    "learning_rate",
    "num_train_epochs",
    "lora_rank",
    "cutoff_len",
    "packing",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from([*KEYS, "warmup_steps", "lora_target", "save_steps", "quantization_bit"]), VALUES)
)
def test_any_values_give_a_bundle_or_a_reason(given: dict[str, Any]) -> None:
    import json

    text = json.dumps({"model_name_or_path": "m", "stage": "sft", **given})
    try:
        found = import_text(text, "x.json")
    except TuiwizError as error:
        assert error.message
    else:
        assert parse_bundle(write_bundle(found.bundle))[1].ok


def test_at_least_95_of_100_public_examples_for_supported_tasks_import() -> None:
    with (Path(__file__).parent / "imported.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    supported = [row for row in rows if row["result"] != "unsupported"]
    assert len(supported) > 500
    assert sum(row["result"] == "imported" for row in supported) / len(supported) >= 0.95
    assert all(len(row["sha256"]) == 64 and row["note"] for row in rows)


def test_launchers_say_how_many_processes_share_a_step() -> None:
    script = "torchrun --nproc_per_node 4 src/train_bash.py --stage sft --model_name_or_path m --do_train --lora_rank 4"
    found = import_text(script, "x.sh")
    assert found.tool == "LLaMA-Factory" and found.bundle.batch.effective == 32
    handled = commands("accelerate launch --num_processes 8 trl/scripts/sft.py --model_name_or_path m")[0]
    assert handled.processes == 8


@pytest.mark.parametrize(("text", "name"), [(LLAMA_FACTORY + "image_max_pixels: 9\n", "x.yaml"),
                                            (AXOLOTL + "processor_type: AutoProcessor\n", "x.yml")])  # fmt: skip
def test_models_that_see_are_refused(text: str, name: str) -> None:
    with pytest.raises(InvalidError, match="sees or hears"):
        import_text(text, name)


def test_of_two_keys_for_one_value_the_loser_is_named() -> None:
    found = import_text(LLAMA_FACTORY + "use_rslora: true\nloraplus_lr_ratio: 16.0\n", "x.yaml")
    assert found.bundle.adapter.variant == "loraplus"
    lost = next(line for line in found.lines if line.source == "use_rslora")
    assert lost.fate == "not carried" and "loraplus_lr_ratio" in lost.how
