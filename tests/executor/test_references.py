"""What is computed by hand here equals what torch, peft and transformers compute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.executor.support import CPU, make_run
from tests.support.processes import write_bundle
from tuiwiz.bundle.read import read_bundle
from tuiwiz.executor.batching import collate, lay_out
from tuiwiz.executor.lora import LoraForward
from tuiwiz.executor.objectives.causal import CHUNK, ChunkedCrossEntropy
from tuiwiz.executor.optim import make_optimizer, set_rate
from tuiwiz.executor.trainer import Trainer
from tuiwiz.spec.optimizer import Schedule
from tuiwiz.spec.rates import rate_factor


def close(one: Tensor, other: Tensor, relative: float) -> bool:
    scale = float(other.norm()) or 1.0
    return float((one - other).norm()) <= relative * scale


@given(
    rows=st.one_of(st.integers(0, 40), st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])),
    hidden=st.integers(1, 24),
    vocab=st.integers(2, 50),
    with_bias=st.booleans(),
    softcap=st.sampled_from([None, 0.7, 30.0]),
    frozen_head=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 0.7]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_the_loss_in_chunks_is_torchs_in_value_and_gradients(
    rows: int,
    hidden: int,
    vocab: int,
    with_bias: bool,
    softcap: float | None,
    frozen_head: bool,
    smoothing: float,
    seed: int,
) -> None:
    source = torch.Generator().manual_seed(seed)
    states = torch.randn(rows, hidden, generator=source)
    weight = torch.randn(vocab, hidden, generator=source)
    bias = torch.randn(vocab, generator=source) if with_bias else None
    targets = torch.randint(vocab, (rows,), generator=source)

    def leaves() -> tuple[Tensor, Tensor, Tensor | None]:
        made = [None if value is None else value.clone() for value in (states, weight, bias)]
        for index, value in enumerate(made):
            if value is not None and (index == 0 or not frozen_head):
                value.requires_grad_()
        assert made[0] is not None and made[1] is not None
        return made[0], made[1], made[2]

    ours, theirs = leaves(), leaves()
    total, _, losses = ChunkedCrossEntropy.apply(*ours, targets, softcap, smoothing)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        _, right, _ = ChunkedCrossEntropy.apply(
            *(one if one is None else one.detach() for one in ours), targets, softcap
        )  # type: ignore[no-untyped-call]
    logits = functional.linear(*theirs)
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    wanted = nn.CrossEntropyLoss(reduction="sum", label_smoothing=smoothing)(logits, targets)
    plain = functional.cross_entropy(logits.detach(), targets, reduction="none")
    assert torch.allclose(losses, plain, rtol=1e-4, atol=1e-5), "told without smoothing"
    # A factor in front, as the loop divides by the supervised tokens of the step.
    (total / 7).backward()
    (wanted / 7).backward()
    assert float(total.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5, abs=1e-5)
    assert torch.equal(right, logits.argmax(-1) == targets)
    for one, other in zip(ours, theirs, strict=True):
        if one is not None and other is not None and other.requires_grad:
            assert one.grad is not None and other.grad is not None
            assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5)


TRACES = {
    "constant": lambda hf, opt: hf.get_constant_schedule_with_warmup(opt, 3),
    "linear": lambda hf, opt: hf.get_linear_schedule_with_warmup(opt, 3, 20),
    "cosine": lambda hf, opt: hf.get_cosine_schedule_with_warmup(opt, 3, 20),
}


@pytest.mark.parametrize("kind", TRACES)
def test_after_the_warm_up_the_rate_is_transformers(kind: Any) -> None:
    """The warm-up itself differs on purpose: ours starts above zero, so that no step is spent on nothing."""
    from transformers import optimization

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler: Any = TRACES[kind](optimization, optimizer)
    theirs = []
    for _ in range(20):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule = Schedule(kind=kind, warmup=3, steps=20)
    ours = [rate_factor(step, 20, schedule) for step in range(20)]
    assert ours[3:] == pytest.approx(theirs[3:], abs=1e-12)
    assert ours[:3] == pytest.approx([0.25, 0.5, 0.75])


REFERENCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-6}),
    "paged_adamw_32bit": (torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-6}),
    "sgd": (torch.optim.SGD, {"momentum": 0.7}),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_an_optimizers_path_is_that_of_torch(tmp_path: Path, name: str) -> None:
    """Twenty steps on a matrix (decayed) and a vector (not), with a changing rate."""
    kind, options = REFERENCES[name]
    values = {"name": f'"{name}"', "weight_decay": "0.1", "learning_rate": "0.05"}
    values |= {"momentum": "0.7"} if name == "sgd" else {"betas": "[0.8, 0.95]", "epsilon": "1e-6"}
    changes = {f"optimizer__{key}": value for key, value in values.items()}
    bundle = read_bundle(write_bundle(tmp_path, rows=4, **changes))

    def problem() -> dict[str, nn.Parameter]:
        source = torch.Generator().manual_seed(3)
        return {
            "matrix": nn.Parameter(torch.randn(8, 6, generator=source)),
            "vector": nn.Parameter(torch.randn(6, generator=source)),
        }

    def loss(weights: dict[str, nn.Parameter]) -> Tensor:
        return ((weights["matrix"] @ weights["vector"]).cos() + weights["matrix"].square().mean(1)).sum()

    ours, theirs = problem(), problem()
    groups = [{"params": [theirs["matrix"]], "weight_decay": 0.1}, {"params": [theirs["vector"]], "weight_decay": 0.0}]
    optimizers = (make_optimizer(ours.items(), bundle, CPU), kind(groups, lr=0.05, **options))
    for step in range(20):
        for weights, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            loss(weights).backward()  # type: ignore[no-untyped-call]
            set_rate(optimizer, 0.05 * (1 - step / 20))
            optimizer.step()
    for key in ours:
        assert close(ours[key], theirs[key], 1e-5), key


def loss_and_gradients(run: Trainer) -> tuple[float, dict[str, Tensor]]:
    """One pass over four rows with a seed of its own, so that dropout draws the same masks."""
    (sequences,) = lay_out(run.train_rows, range(4), 4, packing=False)
    torch.manual_seed(11)
    run.model.zero_grad()
    loss = run.objective(collate(run.train_rows, sequences, CPU.where)).total
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss), {name: value.grad.clone() for name, value in run.weights.items() if value.grad is not None}


LAYERS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora with dropout": {"adapter__variant": '"rslora"', "adapter__dropout": "0.4"},
    "nf4": {"adapter__method": '"qlora"', "quantization__compute_dtype": '"fp32"'},
    "nf4 with dropout, recomputed": {
        "adapter__method": '"qlora"',
        "quantization__compute_dtype": '"fp32"',
        "adapter__dropout": "0.4",
        "memory__gradient_checkpointing": "true",
    },
}


@pytest.mark.parametrize("layers", LAYERS)
def test_a_lora_layer_as_one_function_is_pefts(tmp_path: Path, tiny_model: Path, layers: str) -> None:
    """Same loss and gradients as the layers that a reloaded adapter will run."""
    run = make_run(tmp_path, tiny_model, **LAYERS[layers])
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in run.weights.items():
            if ".lora_B." in name:
                value.copy_(0.05 * torch.randn_like(value))
    fast = [module for module in run.model.modules() if isinstance(vars(module).get("forward"), LoraForward)]
    assert len(fast) == 2 * 7, "every layer of this model is plain"
    loss, gradients = loss_and_gradients(run)
    for module in fast:
        del module.forward
    wanted, references = loss_and_gradients(run)
    assert math.isfinite(loss) and loss == pytest.approx(wanted, rel=1e-6)
    assert gradients.keys() == references.keys() == run.weights.keys()
    for name, reference in references.items():
        assert bool(reference.any()) and close(gradients[name], reference, 5e-5), name
