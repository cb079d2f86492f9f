"""The forms in which people keep configurations: scripts, files that scripts name, bases, mixes; none of it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.imports.draft import Imported
from tuiwiz.bundle.imports.neighbours import Neighbours
from tuiwiz.bundle.imports.read import import_file, import_text
from tuiwiz.bundle.imports.shell import commands
from tuiwiz.bundle.imports.syntax import assignments
from tuiwiz.bundle.imports.words import split
from tuiwiz.spec.keys import flatten

LLAMA_FACTORY = "model_name_or_path: m\nstage: sft\ndataset: rows\nlearning_rate: 1.0e-4\nlora_rank: 8\n"
AXOLOTL = "base_model: m\nadapter: lora\nlora_r: 8\ndatasets:\n  - {path: rows.jsonl, type: alpaca}\n"
TRL = "model_name_or_path: m\ndataset_name: rows\nlearning_rate: 1.0e-5\n"
SCRIPTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "continued and commented": (
        "# swift sft --model wrong \\\nN=2 # two cards\nNPROC_PER_NODE=$N \\\n swift sft \\\n --model 'some/model' \\\n"
        " --dataset 'a/b#500' c.jsonl \\\n --lora_rank 8 \\\n --system \"You're # kind\" \\\n"
        " --gradient_accumulation_steps 4\\\n --learning_rate 1e-4 2>&1 | tee log.txt \\\n",
        "ms-swift", {"model.source": "some/model", "batch.effective": 8, "data.system": "You're # kind"}),
    "an array of arguments": (
        "ARGS=(\n  --model m # comment\n  --train_type full\n)\nARGS+=(--dataset rows.jsonl --learning_rate 3e-5)\n"
        'torchrun --nproc_per_node 4 swift/cli/sft.py "${ARGS[@]}" --per_device_train_batch_size 2',
        "ms-swift", {"adapter.method": "full", "optimizer.learning_rate": 3e-5, "batch.effective": 16}),
    "a text that is evaluated": (
        'EXTRA="""--use_peft \\\n  --load_in_4bit\n"""\nif [[ "$X" == "" ]]; then\n  EXTRA="--fp16"\nfi\n'
        'CMD="""\naccelerate launch --num_processes 2 \\\n `pwd`/examples/scripts/dpo.py \\\n'
        ' --model_name_or_path m \\\n'
        ' --max_steps 5 --per_device_train_batch_size 2 $EXTRA\n"""\neval "$CMD"\n',
        "TRL", {"task.kind": "dpo", "adapter.method": "qlora", "batch.effective": 4, "schedule.steps": 5}),
    "flags in other spellings": (
        "python -m trl.scripts.sft --model-name-or-path=m --dataset_name=rows --no_push_to_hub --packing --beta2 x",
        "TRL", {"task.kind": "chat", "data.packing": True}),
    "an old command of its own": (
        "swift dpo --model_type yi --sft_type lora --dataset d --lora_target_modules ALL --batch_size 1",
        "ms-swift", {"task.kind": "dpo", "model.source": "yi", "adapter.targets": "all-linear"}),
    "a file that the script writes": (
        f"cat > my.yaml <<EOF\n{LLAMA_FACTORY}num_train_epochs: $E\nEOF\nllamafactory-cli train my.yaml lora_rank=16\n"
        .replace("cat >", "E=4\ncat >", 1),
        "LLaMA-Factory", {"schedule.epochs": 4.0, "adapter.rank": 16}),
    "no stage named": (
        "llamafactory-cli train \\\n --model_name_or_path m --dataset d --finetuning_type lora --lora_target q_proj",
        "LLaMA-Factory", {"task.kind": "chat", "adapter.targets": ["q_proj"]}),
    "one label that is a number": (
        "swift sft --model m --train_type lora --dataset d --task_type seq_cls --num_labels 1",
        "ms-swift", {"task.kind": "classify", "task.labels": "regression"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_as_a_shell_would_split_it(name: str) -> None:
    text, tool, expected = SCRIPTS[name]
    found = import_text(text, "train.sh")
    flat = flatten(found.bundle)
    assert found.tool == tool
    assert {key: flat[key] for key in expected} == expected


def test_what_only_the_shell_knows_and_further_commands_are_named() -> None:
    text = (
        "for lr in 1e-4 2e-4; do\n  swift sft --model $MODEL --train_type lora --learning_rate $lr --dataset ${1:-d}\n"
        "done\nswift rlhf --rlhf_type dpo --model m"
    )
    found = import_text(text, "train.sh")
    told = " ".join(f"{line.source} {line.how}" for line in found.lines if line.fate == "not carried")
    assert found.bundle.optimizer.learning_rate == 1e-4 and found.bundle.data.train == "d"
    for word in ("$MODEL", "only its first value 1e-4", "a further command"):
        assert word in told


def test_layers_beside_the_word_for_all_linear_ones_are_named() -> None:
    found = import_text("swift sft --model m --dataset d --target_modules all-linear embed_tokens lm_head", "a.sh")
    assert found.bundle.adapter.targets == "all-linear"
    lost = [line for line in found.lines if line.source == "target_modules" and line.fate == "not carried"]
    assert [line.value for line in lost] == ["embed_tokens, lm_head"] and "modules_to_save" in lost[0].how


def test_another_loss_or_schedule_is_never_called_the_tasks_own() -> None:
    found = import_text(TRL + "loss_type: dft\nper_device_train_batch_size: 2\n", "a.yaml", command="sft")
    lost = {line.source: line.how for line in found.lines if line.fate == "not carried"}
    assert lost["loss_type"] == "no such loss: that of chat stands"
    found = import_text(AXOLOTL + "lr_scheduler: rex\n", "a.yml")
    told = [line.how for line in found.lines if line.key == "schedule.kind"]
    assert told == ["no such schedule: cosine, which falls to zero as well, stands"]


def test_what_longlora_does_beside_adapters_is_named() -> None:
    found = import_text("swift sft --model m --dataset d --train_type longlora", "a.sh")
    lost = [line for line in found.lines if line.source == "train_type" and line.fate == "not carried"]
    assert found.bundle.adapter.method == "lora" and "attention is not shifted" in lost[0].how


def test_a_setting_written_twice_is_told() -> None:
    found = import_text(AXOLOTL + "lora_r: 16\n", "a.yml")
    assert found.bundle.adapter.rank == 16
    assert [line.source for line in found.lines if "more than once" in line.how] == ["lora_r"]
    assert not [line for line in import_text(AXOLOTL, "a.yml").lines if "more than once" in line.how]


def test_a_command_of_megatron_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidError, match="Megatron"):
        import_text("NPROC_PER_NODE=8 \\\nmegatron sft --model m --dataset d --lr 1e-4", "a.sh")
    with pytest.raises(InvalidError, match="no training command"):
        import_text("# not megatron sft\necho hello", "a.sh")


def test_of_two_names_for_one_key_the_tools_own_wins_and_the_other_is_named() -> None:
    for words in ("--model a/b --model_type qwen2", "--model_type qwen2 --model a/b"):
        found = import_text(f"swift sft {words} --train_type lora --dataset d", "x.sh")
        lost = next(line for line in found.lines if line.source == "model_type")
        assert found.bundle.model.source == "a/b" and lost.fate == "not carried"


@pytest.mark.parametrize(
    ("command", "file", "text", "tool"),
    [
        ("llamafactory-cli train conf/a.yaml --lora_rank 32", "conf/a.yaml", LLAMA_FACTORY, "LLaMA-Factory"),
        ("accelerate launch src/train.py conf/a.yaml lora_rank=32", "conf/a.yaml", LLAMA_FACTORY, "LLaMA-Factory"),
        ("axolotl train a.yml --lora-r 32", "a.yml", AXOLOTL, "axolotl"),
        ("accelerate launch -m axolotl.cli.train a.yml --lora_r=32", "a.yml", AXOLOTL, "axolotl"),
        ("trl sft --config a.yaml --use_peft --lora_r 32", "a.yaml", TRL, "TRL"),
        ("ACCELERATE_LOG_LEVEL=info accelerate launch scripts/run_sft.py a.yaml --use_peft=true --lora_r=32", "a.yaml",
         TRL, "TRL"),
    ],
)  # fmt: skip
def test_the_file_that_a_command_names_is_read_near_it(
    command: str, file: str, text: str, tool: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    script = tmp_path / "scripts" / "train.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_text(command, encoding="utf-8")
    found = import_file(script)
    assert (found.tool, found.bundle.adapter.rank) == (tool, 32)
    with pytest.raises(InvalidError, match="which is not here"):
        import_text(command, "train.sh")


BASE = """
from xtuner.model import SupervisedFinetune
pretrained_model_name_or_path = 'some/model'
data_root = 'data/'
lr = 2e-4
model = dict(type=SupervisedFinetune, llm=dict(pretrained_model_name_or_path=pretrained_model_name_or_path),
             lora=dict(type=LoraConfig, r=64, lora_alpha=16))
optim_wrapper = dict(optimizer=dict(type=AdamW, lr=lr, weight_decay=0.1), clip_grad=dict(max_norm=0.5),
                     accumulative_counts=4)
train_dataset = dict(type=process_hf_dataset, max_length=512,
                     dataset=dict(type=load_dataset, path='json', data_files=dict(train=data_root + 'a.json')))
train_dataloader = dict(batch_size=2, dataset=train_dataset)
train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type=LinearLR, by_epoch=True, end=0.2), dict(type=CosineAnnealingLR, eta_min=0.0)]
"""
LAZY = """
from mmengine.config import read_base
with read_base():
    from .base import *
    from ..nowhere import other
model.lora.r = 8
model['lora'].update(lora_dropout=0.1)
optim_wrapper.optimizer.lr = 1e-3
train_dataloader["batch_size"] *= 2
if lr > 1:
    lr = 2
"""
LISTED = """
_base_ = ['./base.py']
model = dict(lora=dict(r=8))
optim_wrapper = dict(_delete_=True, optimizer=dict(type='torch.optim.AdamW', lr=1e-3))
"""


def xtuner(tmp_path: Path, text: str) -> Imported:
    (tmp_path / "base.py").write_text(BASE, encoding="utf-8")
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    return import_file(tmp_path / "own.py")


def test_an_xtuner_file_builds_on_others_and_changes_their_parts(tmp_path: Path) -> None:
    found = xtuner(tmp_path, LAZY)
    bundle = found.bundle
    assert (bundle.adapter.rank, bundle.adapter.alpha, bundle.adapter.dropout) == (8, 16.0, 0.1)
    assert (bundle.optimizer.learning_rate, bundle.optimizer.weight_decay, bundle.optimizer.clip_norm) == (
        1e-3, 0.1, 0.5)  # fmt: skip
    assert (bundle.batch.effective, bundle.schedule.epochs, bundle.schedule.warmup) == (16, 2.0, 0.1)
    assert bundle.model.source == "some/model" and bundle.data.max_length == 512
    assert bundle.data.train == "data/a.json"
    told = [line.source for line in found.lines if line.fate == "not carried"]
    assert any("if lr > 1" in one for one in told) and any("nowhere.py: a file" in one for one in told)


def test_a_listed_base_is_merged_and_a_table_can_replace_it(tmp_path: Path) -> None:
    bundle = xtuner(tmp_path, LISTED).bundle
    assert (bundle.adapter.rank, bundle.adapter.alpha) == (8, 16.0)
    assert bundle.optimizer.learning_rate == 1e-3 and bundle.batch.effective == 2


def test_bases_that_call_each_other_or_grow_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("_base_ = 'b.py'\n", encoding="utf-8")
    (tmp_path / "b.py").write_text("_base_ = ['a.py', 'a.py', 'a.py']\n", encoding="utf-8")
    with pytest.raises(InvalidError, match="other files"):
        import_file(tmp_path / "a.py")
    grown = "a = [1]\n" + "a = a + a\n" * 60 + "b = 'x' * 9\n" + "c = 'xy' + 'z'\n" + "c = c + c\n" * 60
    known, _ = assignments(grown)
    assert len(known["a"]) == 1000 and len(known["c"]) == 10_000


def test_llama_factorys_second_layout_and_what_trains_nothing() -> None:
    text = (
        "model: m\nmodel_class: llm\ntrain_dataset: rows.yaml\nmicro_batch_size: 2\nglobal_batch_size: 8\n"
        "max_steps: 9\n"
        "peft_config: {name: lora, r: 16, lora_alpha: 32, target_modules: all}\nquant_config: {quantization_bit: 4}\n"
        "dist_config: {name: deepspeed}\n"
    )
    bundle = import_text(text, "x.yaml").bundle
    assert (bundle.adapter.method, bundle.adapter.rank, bundle.batch.effective) == ("qlora", 16, 8)
    assert bundle.schedule.kind == "constant" and bundle.optimizer.learning_rate == 1e-4
    for extra in ("infer_backend: vllm", "export_dir: out", "do_predict: true"):
        with pytest.raises(InvalidError, match="not for training"):
            import_text(f"model_name_or_path: m\ntemplate: qwen\n{extra}\n", "x.yaml")


def test_every_file_and_every_part_of_a_mix_is_told() -> None:
    text = AXOLOTL + (
        "  - {path: json, data_files: [a.jsonl, b.jsonl], split: 'train[:10%]', type: chat_template, field: m}\n"
        "test_datasets:\n  - {path: json, data_files: held.jsonl, split: train}\nchat_template: chatml\n"
    )
    found = import_text(text, "x.yml")
    flat = flatten(found.bundle)
    train = found.bundle.data.train
    assert not isinstance(train, str) and [one.path for one in train] == ["rows.jsonl", "a.jsonl", "b.jsonl"]
    assert flat["validation.path"] == "held.jsonl"
    told = " ".join(f"{line.value} {line.how}" for line in found.lines if line.fate == "not carried")
    assert "train[:10%]" in told and "field" in told
    mixed = import_text(TRL.replace("dataset_name: rows", "dataset_mixer: {a: 1.0, b: 0.25}"), "sft/x.yaml")
    assert any(line.value == "b: 0.25" and line.fate == "not carried" for line in mixed.lines)


def test_trl_without_named_layers_adapts_those_of_peft() -> None:
    found = import_text(TRL + "use_peft: true\n", "sft/x.yaml")
    assert found.bundle.adapter.targets == ("q_proj", "v_proj")


def test_files_are_read_only_near_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("x", encoding="utf-8")
    (tmp_path / "a.yaml").write_text("x", encoding="utf-8")
    near = Neighbours(tmp_path)
    assert near.read("a.yaml") is not None
    for name in ("secret.key", str(tmp_path / "a.yaml"), "", ".", "no.yaml", "a\0.yaml"):
        assert near.read(name) is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=" \n\t\\'\"$(){}`#;|&<>=ab-EOF[]@!", max_size=80))
def test_any_text_is_split_and_any_script_is_read(text: str) -> None:
    assert all(word for one in split(text) for word in one.words)
    assert isinstance(commands(f"{text}\nswift sft --model m\n{text}"), list)
