"""What the keys of optimizer, schedule, batch, evaluation, checkpoint and machine change in a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.executor.desk import FRACTION, ONE, SGD, Desk, Seen, shows
from tuiwiz.base.errors import InvalidError, RunFailedError
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import loop, muster


@shows("optimizer.name")
def _optimizer_name(desk: Desk) -> None:
    kinds = {}
    for name in ("adamw", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit", "sgd"):
        run = desk.run(optimizer__name=name, adapter__rank=64)
        kinds[name] = {t.dtype for key in ("exp_avg", "state1") for t in run.states(key)}
    assert kinds["adamw"] == kinds["paged_adamw_32bit"] == {torch.float32} and not kinds["sgd"]
    assert torch.uint8 in kinds["adamw_8bit"] and torch.uint8 in kinds["paged_adamw_8bit"]


@shows("optimizer.learning_rate")
def _optimizer_learning_rate(desk: Desk) -> None:
    one, other = (desk.run(optimizer__learning_rate=rate, **SGD) for rate in (1e-3, 3e-3))
    assert other.metric("learning_rate") == pytest.approx([3 * rate for rate in one.metric("learning_rate")])
    assert other.moved() > 2 * one.moved()


@shows("optimizer.betas")
def _optimizer_betas(desk: Desk) -> None:
    run = desk.run(optimizer__betas=[0.6, 0.75], **ONE)
    norm = run.metric("grad_norm")[0]
    assert math.sqrt(sum(float(m.square().sum()) for m in run.states("exp_avg"))) == pytest.approx(0.4 * norm, rel=1e-4)
    assert sum(float(v.sum()) for v in run.states("exp_avg_sq")) == pytest.approx(0.25 * norm**2, rel=1e-4)


@shows("optimizer.epsilon")
def _optimizer_epsilon(desk: Desk) -> None:
    assert desk.run(optimizer__epsilon=1.0, **ONE).moved() < 0.1 * desk.run(**ONE).moved()


@shows("optimizer.momentum")
def _optimizer_momentum(desk: Desk) -> None:
    assert not desk.run(**SGD).states("momentum_buffer")
    assert desk.run(optimizer__momentum=0.9, **SGD).states("momentum_buffer")


@shows("optimizer.weight_decay")
def _optimizer_weight_decay(desk: Desk) -> None:
    # A has no gradient while B is zero: all that moves it in the first step is decay.
    assert desk.run(**ONE).moved("lora_A") == 0
    run = desk.run(optimizer__weight_decay=0.5, **ONE)
    size = math.sqrt(sum(float(v.square().sum()) for name, v in run.first.items() if "lora_A" in name))
    assert run.moved("lora_A") == pytest.approx(1e-3 * 0.5 * size, rel=1e-3)


@shows("optimizer.clip_norm")
def _optimizer_clip_norm(desk: Desk) -> None:
    run = desk.run(**{**ONE, **SGD, "optimizer__clip_norm": 0.01, "optimizer__learning_rate": 1.0})
    assert run.metric("grad_norm")[0] > 0.02 and run.moved() == pytest.approx(0.01, rel=1e-3)


def _rates(desk: Desk, **changes: Any) -> list[float]:
    found = desk.run(**{"schedule__steps": 8, "schedule__warmup": 0, "optimizer__learning_rate": 1.0, **changes})
    return found.metric("learning_rate")


@shows("schedule.kind")
def _schedule_kind(desk: Desk) -> None:
    assert _rates(desk, schedule__kind="constant") == [1.0] * 8
    assert _rates(desk, schedule__kind="linear") == pytest.approx([1 - i / 8 for i in range(8)])
    assert _rates(desk, schedule__kind="cosine") == pytest.approx(
        [(1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)]
    )


@shows("schedule.warmup")
def _schedule_warmup(desk: Desk) -> None:
    rates = _rates(desk, schedule__kind="constant", schedule__warmup=3)
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


@shows("schedule.min_ratio")
def _schedule_min_ratio(desk: Desk) -> None:
    rates = _rates(desk, schedule__kind="linear", schedule__min_ratio=0.5)
    assert rates == pytest.approx([1 - i / 16 for i in range(8)])


@shows("schedule.epochs")
def _schedule_epochs(desk: Desk) -> None:
    run = desk.run(schedule__steps=None, schedule__epochs=1.5)
    assert len(run.metric("loss")) == 9 and run.metric("epoch")[-1] == 1.5
    assert sum(batch.rows for batch in run.batches) == 36


@shows("schedule.steps")
def _schedule_steps(desk: Desk) -> None:
    assert len(desk.run(schedule__steps=3).metric("loss")) == 3


@shows("batch.effective")
def _batch_effective(desk: Desk) -> None:
    assert sum(batch.rows for batch in desk.run(batch__effective=6).batches) == 4 * 6


@shows("batch.micro")
def _batch_micro(desk: Desk) -> None:
    assert [batch.rows for batch in desk.run(batch__micro=3, schedule__steps=2).batches] == [3, 1, 3, 1]


@shows("batch.micro_tokens")
def _batch_micro_tokens(desk: Desk) -> None:
    changes: dict[str, Any] = {"batch__micro": None, "batch__effective": 8, "schedule__steps": 2}
    whole = desk.run(batch__micro_tokens=100_000, **changes)
    assert [batch.rows for batch in whole.batches] == [8, 8]
    longest = max(batch.input_ids.shape[1] for batch in whole.batches)
    budget = 3 * longest
    run = desk.run(batch__micro_tokens=budget, **changes)
    assert len(run.batches) > 4 and sum(batch.rows for batch in run.batches) == 16
    assert all(batch.input_ids.numel() <= budget for batch in run.batches)
    assert run.metric("loss") == pytest.approx(whole.metric("loss"), rel=1e-4)
    assert "micro_tokens" in run.folder.resolved.read_text(encoding="utf-8")


@shows("batch.accumulation")
def _batch_accumulation(desk: Desk) -> None:
    for passes in (1, 2, 4):
        run = desk.run(batch__micro=None, batch__accumulation=passes)
        assert len(run.batches) == 4 * passes, passes
    run = desk.run(batch__micro=None, batch__accumulation=3, batch__effective=8, schedule__steps=1)
    assert [batch.rows for batch in run.batches] == [3, 3, 2] and run.folder.resolved.is_file()


def _evaluated_at(run: Seen) -> list[int]:
    return [event.step for event in run.of(types.Eval)]


@shows("evaluation.every")
def _evaluation_every(desk: Desk) -> None:
    assert _evaluated_at(desk.run(evaluation__every=2, schedule__steps=6, **FRACTION)) == [0, 2, 4, 6]
    assert _evaluated_at(desk.run(evaluation__every=0.5, schedule__steps=6, **FRACTION)) == [0, 3, 6]


STALLED: dict[str, Any] = {"evaluation__every": 1, "schedule__steps": 8, **FRACTION}


@shows("evaluation.patience")
def _evaluation_patience(desk: Desk) -> None:
    run = desk.run(evaluation__patience=2, evaluation__min_delta=0.9, **STALLED)
    assert len(run.metric("loss")) < 8 == len(desk.run(evaluation__min_delta=0.9, **STALLED).metric("loss"))


@shows("evaluation.min_delta")
def _evaluation_min_delta(desk: Desk) -> None:
    falling = {**STALLED, "evaluation__patience": 2, "optimizer__learning_rate": 3e-3}
    assert len(desk.run(**falling).metric("loss")) == 8
    assert len(desk.run(evaluation__min_delta=0.9, **falling).metric("loss")) < 8


@shows("evaluation.samples")
def _evaluation_samples(desk: Desk) -> None:
    run = desk.run(evaluation__samples=2, **FRACTION)
    assert len([event for event in run.of(types.Sample) if event.step == 0]) == 2
    assert len(list(run.folder.samples.glob("step-0-*.txt"))) == 2


@shows("checkpoint.every")
def _checkpoint_every(desk: Desk) -> None:
    run = desk.run(checkpoint__every=2, schedule__steps=6)
    assert [event.step for event in run.of(types.Checkpoint)] == [2, 4, 6]


@shows("checkpoint.keep")
def _checkpoint_keep(desk: Desk) -> None:
    run = desk.run(checkpoint__every=1, checkpoint__keep=3, schedule__steps=6)
    assert sorted(path.name for path in run.folder.checkpoints.iterdir()) == ["step-4", "step-5", "step-6"]


@shows("checkpoint.milestones")
def _checkpoint_milestones(desk: Desk) -> None:
    run = desk.run(checkpoint__every=1, checkpoint__milestones=3, schedule__steps=8)
    kept = sorted(path.name for path in run.folder.checkpoints.iterdir())
    assert kept == ["step-3", "step-6", "step-7", "step-8"]


@shows("memory.gradient_checkpointing")
def _memory_gradient_checkpointing(desk: Desk) -> None:
    from transformers.models.llama.modeling_llama import LlamaAttention

    passes: list[int] = []
    plain: Callable[..., Any] = LlamaAttention.forward

    def counted(*arguments: Any, **named: Any) -> Any:
        passes.append(1)
        return plain(*arguments, **named)

    desk.patch.setattr(LlamaAttention, "forward", counted)
    counts = []
    for recompute in (False, True):
        passes.clear()
        desk.run(memory__gradient_checkpointing=recompute)
        counts.append(len(passes))
    assert counts[1] == 2 * counts[0], "each layer is computed a second time in the backward pass"


@shows("memory.oom")
def _memory_oom(desk: Desk) -> None:
    step, left = loop.optimizer_step, [1]

    def hungry(*given: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("no room")
        return step(*given)

    desk.patch.setattr(loop, "optimizer_step", hungry)
    assert [one.key for one in desk.run(memory__oom="ladder").of(types.Adjusted)] == ["batch.micro"]
    left[0] = 1
    assert desk.refused(desk.prepare(memory__oom="fail")) == 4


@shows("memory.fused_loss")
def _memory_fused_loss(desk: Desk) -> None:
    made: list[int] = []
    plain = torch.nn.functional.linear

    def watching(states: torch.Tensor, weight: torch.Tensor, *bias: Any) -> torch.Tensor:
        if weight.shape[0] == 512:
            made.append(states.numel() // states.shape[-1])
        return plain(states, weight, *bias)

    desk.patch.setattr(torch.nn.functional, "linear", watching)
    totals = []
    for fused in (True, False):
        made.clear()
        run = desk.run(memory__fused_loss=fused)
        totals.append((sum(made), run))
    assert totals[0][0] == totals[0][1].supervised
    assert totals[1][0] == sum(batch.input_ids.numel() for batch in totals[1][1].batches)


@shows("launch.devices")
def _launch_devices(desk: Desk) -> None:
    if torch.cuda.is_available():
        run = desk.run(launch__devices=[torch.cuda.device_count() - 1])
        assert run.trainer.device.where.index == torch.cuda.device_count() - 1
    else:
        assert desk.refused(desk.prepare(launch__devices=[0])) == 8


def _members(desk: Desk, **changes: Any) -> list[str]:
    """Ranks of the processes that a run of these settings starts besides its own."""
    started: list[str] = []

    def start(folder: RunFolder, variables: dict[str, str]) -> None:
        started.append(variables[muster.RANK])
        if len(started) + 1 == int(variables[muster.SIZE]):
            raise RunFailedError("seen enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(muster, "start_member", start)
        assert desk.refused(desk.prepare(**changes)) == RunFailedError.exit_code
    return started


@shows("batch.processes")
def _batch_processes(desk: Desk) -> None:
    for count in (2, 3):
        ranks = [str(rank) for rank in range(1, count)]
        assert _members(desk, launch__strategy="ddp", batch__processes=count) == ranks


@shows("launch.strategy")
def _launch_strategy(desk: Desk) -> None:
    assert _members(desk, launch__strategy="ddp", batch__processes=2) == ["1"]
    assert desk.refused(desk.prepare(launch__strategy="single", batch__processes=2)) == InvalidError.exit_code


def _needs_cuda(desk: Desk, **changes: Any) -> Seen | None:
    """The run on a card; without one it is refused before a model is loaded."""
    if torch.cuda.is_available():
        return desk.run(**changes)
    assert desk.refused(desk.prepare(**changes)) == 8
    return None


@shows("memory.offload")
def _memory_offload(desk: Desk) -> None:
    run = _needs_cuda(desk, memory__offload="activations")
    if run is not None:
        plain = desk.run()
        assert run.metric("loss") == pytest.approx(plain.metric("loss"), rel=1e-4)
        assert run.metric("peak_bytes")[-1] < plain.metric("peak_bytes")[-1]


@shows("memory.liger")
def _memory_liger(desk: Desk) -> None:
    run = _needs_cuda(desk, memory__liger=True)
    assert run is None or any("Liger" in event.message for event in run.of(types.Log))


@shows("memory.compile")
def _memory_compile(desk: Desk) -> None:
    run = _needs_cuda(desk, memory__compile=True)
    assert run is None or any("torch.compile" in event.message for event in run.of(types.Log))


@shows("memory.tf32")
def _memory_tf32(desk: Desk) -> None:
    run = _needs_cuda(desk, memory__tf32=True)
    assert run is None or torch.get_float32_matmul_precision() == "high"
    desk.run()
    assert torch.get_float32_matmul_precision() == "highest"
