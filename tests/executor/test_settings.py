"""Each bundle key in force reaches what is trained: a value that differs shows, and in the right place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.executor.support import copies, make_run
from tests.support.processes import write_bundle
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.executor import checkpoint
from tuiwiz.executor.batching import lay_out
from tuiwiz.executor.device import choose_device
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.trainer import Trainer
from tuiwiz.spec.optimizer import Schedule
from tuiwiz.spec.rates import rate_factor


def linears(run: Trainer, name: str) -> list[Any]:
    return [module for path, module in run.model.named_modules() if path.endswith(name)]


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("double", [True, False])
def test_quantization(tmp_path: Path, tiny_model: Path, kind: str, double: bool) -> None:
    run = make_run(
        tmp_path,
        tiny_model,
        adapter__method='"qlora"',
        quantization__type=f'"{kind}"',
        quantization__double=str(double).lower(),
        quantization__compute_dtype='"fp32"',
    )
    layers = linears(run, "base_layer")
    assert len(layers) == 2 * 7
    for layer in layers:
        state = layer.weight.quant_state
        assert state.quant_type == kind
        assert layer.compute_dtype == torch.float32 or state.dtype == torch.float32
    before = copies(run)
    assert math.isfinite(optimizer_step(run, [0, 1, 2, 3])["loss"])
    assert any(not torch.equal(before[name], run.weights[name]) for name in before)


def test_rank_alpha_dropout_targets_and_variant(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(
        tmp_path / "a",
        tiny_model,
        adapter__rank="9",
        adapter__alpha="18.0",
        adapter__dropout="0.25",
        adapter__targets='["q_proj", "v_proj"]',
    )
    assert {name.split(".")[-4] for name in run.weights} == {"q_proj", "v_proj"}
    assert all(9 in value.shape and value.dtype == torch.float32 for value in run.weights.values())
    for layer in linears(run, "q_proj"):
        assert layer.scaling["default"] == pytest.approx(2.0)
        assert layer.lora_dropout["default"].p == 0.25
    other = make_run(tmp_path / "b", tiny_model, adapter__rank="9", adapter__alpha="18.0", adapter__variant='"rslora"')
    assert [layer.scaling["default"] for layer in linears(other, "q_proj")] == pytest.approx([18 / 3] * 2)
    assert len(other.weights) == 2 * 7 * 2


def test_full_trains_every_weight_in_fp32(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, adapter__method='"full"', adapter__rank="16", adapter__alpha="32.0")
    assert set(run.weights) == {name for name, _ in run.model.named_parameters()}
    before = copies(run)
    optimizer_step(run, [0, 1, 2, 3])
    assert all(not torch.equal(before[name], run.weights[name]) for name in before)


OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw_8bit": "AdamW8bit",
    "paged_adamw_8bit": "PagedAdamW8bit",
    "paged_adamw_32bit": "PagedAdamW32bit",
    "sgd": "SGD",
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_with_their_settings_train_and_come_back(tmp_path: Path, tiny_model: Path, name: str) -> None:
    values = {"optimizer__name": f'"{name}"', "optimizer__weight_decay": "0.03", "optimizer__clip_norm": "0"}
    if name == "sgd":
        values |= {"optimizer__momentum": "0.7"}
    else:
        values |= {"optimizer__betas": "[0.8, 0.95]", "optimizer__epsilon": "1e-6"}
    full = {"adapter__method": '"full"', "adapter__rank": "16", "adapter__alpha": "32.0"}
    runs = [make_run(tmp_path / str(number), tiny_model, steps=6, **{**values, **full}) for number in range(2)]
    groups = runs[0].optimizer.param_groups
    assert type(runs[0].optimizer).__name__ == OPTIMIZERS[name]
    assert [group["weight_decay"] for group in groups] == [0.03, 0.0]
    assert all(value.ndim < 2 for value in groups[1]["params"])
    for group in groups:
        if name == "sgd":
            assert group["momentum"] == 0.7
        else:
            assert tuple(group["betas"])[:2] == (0.8, 0.95) and group["eps"] == 1e-6
    for step in range(2):
        optimizer_step(runs[0], [4 * step + i for i in range(4)])
        runs[0].progress.step += 1
    path, _ = checkpoint.save(tmp_path / "saved", runs[0].weights, runs[0].optimizer, None, runs[0].progress)
    runs[1].progress = checkpoint.load(path, runs[1].weights, runs[1].optimizer, None)
    for run in runs:
        optimizer_step(run, [8, 9, 10, 11])
    one, other = copies(runs[0]), copies(runs[1])
    assert all(torch.equal(one[key], other[key]) for key in one), "goes on bit for bit"


def test_the_rate_is_that_of_the_schedule_and_the_step_that_of_the_rate(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(
        tmp_path,
        tiny_model,
        optimizer__name='"sgd"',
        optimizer__learning_rate="0.5",
        schedule__kind='"linear"',
        schedule__warmup="2",
        schedule__min_ratio="0.1",
        optimizer__clip_norm="0",
    )
    rates = []
    for step in range(6):
        before = copies(run)
        metrics = optimizer_step(run, [step, step + 1])
        moved = math.sqrt(sum(float((run.weights[name] - before[name]).square().sum()) for name in before))
        assert moved == pytest.approx(metrics["learning_rate"] * metrics["grad_norm"], rel=1e-3)
        rates.append(metrics["learning_rate"])
        run.progress.step += 1
    assert rates == pytest.approx([0.5 / 3, 1.0 / 3, 0.5, 0.3875, 0.275, 0.1625])


def test_schedules_between_their_ends() -> None:
    cosine = Schedule(kind="cosine", warmup=0.0, steps=10, min_ratio=0.2)
    assert rate_factor(0, 10, cosine) == 1.0
    assert rate_factor(5, 10, cosine) == pytest.approx(0.6)
    assert rate_factor(10, 10, cosine) == pytest.approx(0.2)
    constant = Schedule(kind="constant", warmup=0.5, steps=10)
    assert rate_factor(0, 10, constant) == pytest.approx(1 / 6)
    assert {rate_factor(step, 10, constant) for step in range(5, 10)} == {1.0}


def test_gradients_are_clipped_to_the_norm(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(
        tmp_path,
        tiny_model,
        optimizer__name='"sgd"',
        optimizer__learning_rate="1.0",
        optimizer__clip_norm="0.01",
        schedule__kind='"constant"',
        schedule__warmup="0",
    )
    before = copies(run)
    metrics = optimizer_step(run, [0, 1, 2, 3])
    moved = math.sqrt(sum(float((run.weights[name] - before[name]).square().sum()) for name in before))
    assert metrics["grad_norm"] > 0.02, "told as it was"
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_seed_length_and_what_is_trained_on(tmp_path: Path, tiny_model: Path) -> None:
    def first(run: Trainer) -> Tensor:
        return next(value for name, value in run.weights.items() if ".lora_A." in name)

    plain = make_run(tmp_path / "a", tiny_model)
    again = make_run(tmp_path / "b", tiny_model)
    assert torch.equal(first(plain), first(again))
    assert not torch.equal(first(plain), first(make_run(tmp_path / "c", tiny_model, seed="2")))
    everything = make_run(tmp_path / "d", tiny_model, data__train_on='"all"')
    ours, theirs = plain.train_rows[0], everything.train_rows[0]
    assert ours.input_ids == theirs.input_ids and sum(theirs.trained) > sum(ours.trained) > 0
    short = make_run(tmp_path / "e", tiny_model, data__max_length="28", data__overlong='"truncate"')
    assert max(short.train_rows.lengths) == 28 < max(plain.train_rows.lengths)


def test_an_adapter_is_taken_up(tmp_path: Path, tiny_model: Path) -> None:
    earlier = make_run(tmp_path / "a", tiny_model)
    optimizer_step(earlier, [0, 1, 2, 3])
    earlier.model.save_pretrained(str(tmp_path / "b" / "adapter"))
    later = make_run(tmp_path / "b", tiny_model, adapter__from='"adapter"', seed="9")
    one, other = copies(earlier), copies(later)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("wanted", "found"), [("auto", "tuiwiz_blocks"), ("sdpa", "sdpa"), ("eager", "eager")])
def test_attention(tmp_path: Path, tiny_model: Path, wanted: str, found: str) -> None:
    run = make_run(tmp_path, tiny_model, model__attention=f'"{wanted}"')
    objective: Any = run.objective
    assert objective.causal.config._attn_implementation == found


def test_recomputing_and_the_fused_loss(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path / "a", tiny_model, memory__gradient_checkpointing="true", memory__fused_loss="false")
    objective: Any = run.objective
    assert objective.causal.is_gradient_checkpointing and not objective.fused
    other = make_run(tmp_path / "b", tiny_model)
    plain: Any = other.objective
    assert not plain.causal.is_gradient_checkpointing and plain.fused


def test_packing_saves_padding_and_keeps_every_row(tmp_path: Path, tiny_model: Path) -> None:
    rows = make_run(tmp_path, tiny_model, data__train_on='"all"').train_rows
    for index, length in enumerate((5, 9, 4, 20, 10, 10)):
        rows.append(100 + index, [7] * length, b"\1" * length)
    indexes = list(range(len(rows) - 6, len(rows)))
    packed = lay_out(rows, indexes, 2, packing=True)
    plain = lay_out(rows, indexes, 2, packing=False)
    assert sorted(index for batch in packed for pack in batch for index in pack) == indexes
    assert sum(map(len, packed)) == 3 < sum(map(len, plain)) == 6
    assert all(sum(rows.lengths[index] for index in pack) <= 20 for batch in packed for pack in batch)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a card")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model__dtype": '"fp16"'}, "fp16 does not train on a CPU"),
        ({"launch__devices": "[1]"}, "no CUDA device"),
    ],
)
def test_what_this_machine_lacks_is_named(tmp_path: Path, values: dict[str, str], message: str) -> None:
    bundle = read_bundle(write_bundle(tmp_path, rows=4, **values))
    with pytest.raises(MachineLacksError, match=message):
        choose_device(bundle)


def test_precision(tmp_path: Path) -> None:
    for wanted, compute in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        bundle = read_bundle(write_bundle(tmp_path / wanted, rows=4, model__dtype=f'"{wanted}"'))
        assert choose_device(bundle).compute == compute
