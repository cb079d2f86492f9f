"""Each optimizer goes its library's way over fifty steps and comes back from a checkpoint bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.executor.support import CPU, copies, make_run
from tests.support.processes import write_bundle
from tuiwiz.bundle.read import read_bundle
from tuiwiz.executor import checkpoint
from tuiwiz.executor.joined import Joined
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.optim import for_evaluation, make_optimizer, set_rate

BETAS, EPS, RATE, DECAY = (0.8, 0.95), 1e-6, 0.05, 0.1
FULL: dict[str, Any] = {"adapter__method": '"full"', "adapter__rank": "16", "adapter__alpha": "32.0"}


def settings(name: str, **more: str) -> dict[str, Any]:
    values = {"name": f'"{name}"', "weight_decay": str(DECAY), "learning_rate": str(RATE), **more}
    if name not in ("sgd", "adafactor"):
        values["betas"] = "[0.8, 0.95]"
    if name not in ("sgd", "adafactor", "lion"):
        values["epsilon"] = "1e-6"
    if name == "schedule_free_adamw":
        return {f"optimizer__{key}": value for key, value in values.items()} | {"schedule__kind": '"constant"'}
    return {f"optimizer__{key}": value for key, value in values.items()}


def _lamb(groups: Any) -> Any:
    from pytorch_optimizer import Lamb

    return Lamb(groups, lr=RATE, betas=BETAS, eps=EPS)


def _lion(groups: Any) -> Any:
    from pytorch_optimizer import Lion

    return Lion(groups, lr=RATE, betas=BETAS)


def _adafactor(groups: Any) -> Any:
    from transformers.optimization import Adafactor

    return Adafactor(groups, lr=RATE, scale_parameter=False, relative_step=False)


def _schedule_free(groups: Any) -> Any:
    from schedulefree import AdamWScheduleFree

    made = AdamWScheduleFree(groups, lr=RATE, betas=BETAS, eps=EPS)
    made.train()
    return made


def _muon(groups: Any) -> Any:
    matrix, vector = groups
    return Joined(
        [
            torch.optim.Muon([matrix], lr=RATE, momentum=0.9, nesterov=True, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([vector], lr=RATE, betas=BETAS, eps=EPS, fused=True),
        ]
    )


REFERENCES: dict[str, tuple[dict[str, str], Callable[[Any], Any]]] = {
    "adamw": ({}, lambda groups: torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPS)),
    "paged_adamw_32bit": ({}, lambda groups: torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPS)),
    "sgd": ({"momentum": "0.7"}, lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.7)),
    "sgd, Nesterov": (
        {"momentum": "0.7", "nesterov": "true"},
        lambda groups: torch.optim.SGD(groups, lr=RATE, momentum=0.7, nesterov=True),
    ),
    "lamb": ({}, _lamb),
    "lion": ({}, _lion),
    "adafactor": ({}, _adafactor),
    "schedule_free_adamw": ({}, _schedule_free),
    "muon": ({"momentum": "0.9", "nesterov": "true"}, _muon),
}


def problem() -> dict[str, nn.Parameter]:
    source = torch.Generator().manual_seed(3)
    return {
        "matrix": nn.Parameter(torch.randn(8, 6, generator=source)),
        "vector": nn.Parameter(torch.randn(6, generator=source)),
    }


def loss(weights: dict[str, nn.Parameter]) -> Tensor:
    return ((weights["matrix"] @ weights["vector"]).cos() + weights["matrix"].square().mean(1)).sum()


@pytest.mark.parametrize("case", REFERENCES)
def test_fifty_steps_are_the_librarys(tmp_path: Path, case: str) -> None:
    """A matrix (decayed) and a vector (not), with a changing rate; judged weights are compared on the way."""
    name = case.partition(",")[0]
    options, make = REFERENCES[case]
    whole = FULL if name == "muon" else {}
    bundle = read_bundle(write_bundle(tmp_path, rows=4, **settings(name, **options), **whole))
    ours, theirs = problem(), problem()
    groups = [
        {"params": [theirs["matrix"]], "weight_decay": DECAY},
        {"params": [theirs["vector"]], "weight_decay": 0.0},
    ]
    pairs = ((ours, make_optimizer(ours.items(), bundle, CPU)), (theirs, make(groups)))
    for step in range(50):
        for weights, optimizer in pairs:
            optimizer.zero_grad()
            loss(weights).backward()  # type: ignore[no-untyped-call]
            set_rate(optimizer, RATE * (1 - step / 60))
            optimizer.step()
        if step % 10 == 9:
            with for_evaluation(pairs[0][1]), for_evaluation(pairs[1][1]):
                for key in ours:
                    torch.testing.assert_close(ours[key], theirs[key], rtol=1e-5, atol=1e-6)
    start = problem()
    assert all(not torch.allclose(ours[key], start[key], atol=0.05) for key in ours)


KINDS = {
    "lamb": ("Lamb", {"exp_avg", "exp_avg_sq"}),
    "lion": ("Lion", {"exp_avg"}),
    "adafactor": ("Adafactor", {"exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq"}),
    "schedule_free_adamw": ("AdamWScheduleFree", {"z", "exp_avg_sq"}),
    "muon": ("Joined", {"momentum_buffer", "exp_avg", "exp_avg_sq"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_it_trains_a_model_and_goes_on_bit_for_bit(tmp_path: Path, tiny_model: Path, name: str) -> None:
    runs = [make_run(tmp_path / str(n), tiny_model, steps=6, **settings(name), **FULL) for n in range(2)]
    kind, tensors = KINDS[name]
    assert type(runs[0].optimizer).__name__ == kind
    for step in range(2):
        optimizer_step(runs[0], [4 * step + i for i in range(4)])
        runs[0].progress.step += 1
        with for_evaluation(runs[0].optimizer):
            pass
    held = {key for entries in runs[0].optimizer.state.values() for key, v in entries.items() if isinstance(v, Tensor)}
    assert tensors <= held
    path, _ = checkpoint.save(tmp_path / "saved", runs[0].weights, runs[0].optimizer, None, runs[0].progress)
    runs[1].progress = checkpoint.load(path, runs[1].weights, runs[1].optimizer, None)
    for run in runs:
        for step in range(2):
            optimizer_step(run, [8 + step, 9, 10, 11])
            run.progress.step += 1
    one, other = copies(runs[0]), copies(runs[1])
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_muon_moves_matrices_of_the_layers_and_adamw_the_rest(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **settings("muon"), **FULL)
    muon, adam = run.optimizer.parts
    names = {id(value): name for name, value in run.weights.items()}
    inner = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    outer = {names[id(p)] for group in adam.param_groups for p in group["params"]}
    assert inner | outer == set(run.weights) and not inner & outer
    assert all(".layers." in name and "norm" not in name for name in inner)
    assert any("embed_tokens" in name for name in outer) and any("norm" in name for name in outer)


def test_rates_of_lora_plus_are_pefts(tmp_path: Path, tiny_model: Path) -> None:
    from peft.optimizers import create_loraplus_optimizer

    run = make_run(
        tmp_path,
        tiny_model,
        adapter__variant='"loraplus"',
        adapter__loraplus_ratio="4.0",
        optimizer__learning_rate="1e-2",
        schedule__kind='"constant"',
        schedule__warmup="0",
        optimizer__clip_norm="0",
    )
    reference = make_run(tmp_path / "b", tiny_model, optimizer__learning_rate="1e-2")
    theirs = create_loraplus_optimizer(reference.model, torch.optim.AdamW, lr=1e-2, loraplus_lr_ratio=4.0)
    rates = {id(p): group["lr"] for group in theirs.param_groups for p in group["params"]}
    set_rate(run.optimizer, 1e-2)
    ours = {id(p): group["lr"] for group in run.optimizer.param_groups for p in group["params"]}
    for name in run.weights:
        assert ours[id(run.weights[name])] == rates[id(reference.weights[name])]
    assert set(ours.values()) == {1e-2, 4e-2}
    for _ in range(5):
        for weights, optimizer, model in (
            (run.weights, run.optimizer, run),
            (reference.weights, theirs, reference),
        ):
            torch.manual_seed(1)
            for index, value in enumerate(weights.values()):
                value.grad = torch.full_like(value, 0.01 * (index + 1))
            optimizer.step()
            assert model is not None
    one, other = copies(run), copies(reference)
    assert all(torch.allclose(one[key], other[key], rtol=1e-5) for key in one)
