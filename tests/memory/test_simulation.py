"""The closed form against one training step of the real model classes, simulated: a library that comes to need other
memory fails here. Shallow models, as all layers are alike."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.memory.test_estimate import GPU, known_shape
from tuiwiz.executor.simulation.allocator import CachingAllocator
from tuiwiz.executor.simulation.configs import config_of
from tuiwiz.executor.simulation.simulate import Simulated, simulate
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, PEFT_KBIT_LOOP, PEFT_LOOP, TRAINER, Stack

LAYERS = 3
MODELS = ("smollm2-135m-instruct", "llama-3.2-1b-instruct", "qwen3-8b", "gemma-2-2b-it", "mistral-7b-instruct-v0.3")
METHODS = ("qlora", "lora", "full")
SIZES = ((512, 8), (1024, 2), (4096, 1))
OPTIMIZERS = ("adamw", "adamw_8bit")
MIB = 1 << 20


def pair(model: str, stack: Stack = OURS, *, layers: int = LAYERS, **values: Any) -> tuple[int, Simulated]:
    """Closed form and simulation of a shallow model, allocated bytes."""
    shape = msgspec.structs.replace(known_shape(model), layers=layers)
    setting = Setting(**{"attention": "flash", **values})
    return estimate(shape, setting, GPU, stack).allocated_bytes, simulate(config_of(shape), setting, stack)


def error(model: str, stack: Stack = OURS, **values: Any) -> float:
    closed, found = pair(model, stack, **values)
    return closed / found.allocated_bytes - 1


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("smollm2-135m-instruct", {"method": "qlora", "length": 1024, "micro": 2}),
        ("smollm2-135m-instruct", {"method": "lora", "length": 4096, "checkpointing": True}),
        ("smollm2-135m-instruct", {"method": "full", "length": 512, "micro": 4}),
        ("smollm2-135m-instruct", {"method": "full", "length": 512, "micro": 4, "checkpointing": True}),
        ("qwen3-8b", {"method": "lora", "length": 1024, "optimizer": "adamw_8bit"}),
        ("gemma-2-2b-it", {"method": "qlora", "length": 1024, "supervised": 0.3}),
        ("qwen3-8b", {"method": "freeze", "trainable": ("layers[-1:]",), "length": 512, "micro": 2}),
        ("smollm2-135m-instruct", {"method": "freeze", "trainable": ("layers[:1]",), "checkpointing": True}),
        ("smollm2-135m-instruct", {"method": "freeze", "trainable": ("embeddings",), "length": 512}),
        # Phases of a run whose other phases train more, and hold it in fp32.
        ("qwen3-8b", {"method": "full", "phase": ("head",), "length": 512, "micro": 2}),
        ("qwen3-8b", {"method": "full", "phase": ("layers[-1:]",), "length": 512, "micro": 2}),
        ("smollm2-135m-instruct", {"method": "full", "phase": ("layers[:1]",), "length": 512, "micro": 2}),
        ("smollm2-135m-instruct", {"method": "full", "phase": ("layers[-2:]", "norms"), "checkpointing": True}),
        ("smollm2-135m-instruct", {"method": "freeze", "trainable": ("layers[-2:]",), "phase": ("layers[-1:]",)}),
        # Adapters in phases: gradients, states and kept activations of what trains then.
        ("qwen3-8b", {"method": "lora", "phase": ("layers[-1:]",), "rank": 256, "length": 512, "accumulation": 2}),
        ("smollm2-135m-instruct", {"method": "qlora", "phase": ("layers[1:2]",), "length": 512, "micro": 2}),
        ("smollm2-135m-instruct", {"method": "lora", "phase": ("*lora_B*",), "rank": 256, "checkpointing": True}),
    ],
)
def test_the_closed_form_is_what_the_executor_allocates(model: str, values: dict[str, Any]) -> None:
    assert error(model, **values) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("stack", [PEFT_LOOP, TRAINER], ids=lambda stack: stack.name)
def test_the_stacks_of_other_programs(stack: Stack) -> None:
    assert error("llama-3.2-1b-instruct", stack, method="lora", length=1024, micro=2, checkpointing=True) == (
        pytest.approx(0, abs=0.05)
    )
    closed, found = pair("smollm2-135m-instruct", PEFT_KBIT_LOOP, method="qlora", length=512, checkpointing=True)
    assert closed / found.allocated_bytes == pytest.approx(1, abs=0.05)


def test_our_loss_needs_a_fraction_of_what_whole_logits_need() -> None:
    values: dict[str, Any] = {"method": "lora", "length": 2048, "micro": 2, "checkpointing": True}
    ours, theirs = (pair("llama-3.2-1b-instruct", stack, **values)[1] for stack in (OURS, PEFT_LOOP))
    assert ours.allocated_bytes < 0.5 * theirs.allocated_bytes
    assert ours.trained == theirs.trained


def test_a_mixture_of_experts_can_be_simulated() -> None:
    shape = msgspec.structs.replace(known_shape("qwen3-30b-a3b"), layers=1)
    setting = Setting(method="lora", length=512, attention="flash")
    found = simulate(config_of(shape), setting)
    assert found.allocated_bytes > 2 * shape.parameters
    assert found.reserved_bytes >= found.allocated_bytes


def test_gradients_of_the_first_micro_batch_wait_for_the_second() -> None:
    one, two = (pair("smollm2-135m-instruct", method="full", length=256, accumulation=count)[1] for count in (1, 2))
    assert two.moments["forward"] - one.moments["forward"] >= 4 * one.trained * 0.9


def test_segments_are_taken_split_and_joined_as_the_allocator_does() -> None:
    plain = CachingAllocator(expandable=False)
    plain.allocate(1, 3 * MIB)
    assert plain.reserved == 20 * MIB
    plain.allocate(2, 16 * MIB)
    assert plain.reserved == 20 * MIB
    plain.allocate(3, 100 * MIB + 1)
    # The last MiB of the first segment is not worth a split.
    assert plain.reserved == (20 + 102) * MIB and plain.allocated == (20 + 100) * MIB + 512
    plain.release(1)
    plain.release(2)
    plain.allocate(4, 20 * MIB)
    assert plain.reserved == 122 * MIB
    plain.release(3)
    plain.empty_cache()
    assert plain.reserved == 20 * MIB and plain.peak_reserved == 122 * MIB


@pytest.mark.parametrize("expandable", [False, True])
def test_an_allocator_never_holds_less_than_it_gave(expandable: bool) -> None:
    chance, allocator = random.Random(7), CachingAllocator(expandable=expandable)
    live: dict[int, int] = {}
    for key in range(3000):
        if live and chance.random() < 0.5:
            gone = chance.choice(list(live))
            del live[gone]
            allocator.release(gone)
        else:
            live[key] = int(2 ** chance.uniform(5, 26))
            allocator.allocate(key, live[key])
        assert allocator.reserved >= allocator.allocated >= sum(live.values())
    for key in list(live):
        allocator.release(key)
    assert allocator.allocated == 0
    allocator.empty_cache()
    assert allocator.reserved == 0


def grid() -> Iterator[tuple[str, dict[str, Any]]]:
    for model, method, (length, micro), checkpointing, optimizer in itertools.product(
        MODELS, METHODS, SIZES, (False, True), OPTIMIZERS
    ):
        values = {"method": method, "length": length, "micro": micro, "checkpointing": checkpointing}
        yield model, {**values, "optimizer": optimizer}


@pytest.mark.long
def test_the_closed_form_on_a_hundred_and_eighty_combinations() -> None:
    errors = {f"{model} {values}": error(model, layers=8, **values) for model, values in grid()}
    sizes = sorted(abs(one) for one in errors.values())
    worst = max(errors, key=lambda name: abs(errors[name]))
    assert len(sizes) >= 160
    assert statistics.median(sizes) <= 0.01, worst
    assert sizes[int(0.9 * len(sizes))] <= 0.04, (worst, errors[worst])


@pytest.mark.parametrize("optimizer", ["sgd", "lion", "lamb", "adafactor", "muon", "schedule_free_adamw"])
def test_states_and_steps_of_every_optimizer(optimizer: str) -> None:
    """The libraries' own optimizers take their step on tensors without content."""
    values: dict[str, Any] = {"length": 64, "optimizer": optimizer}
    assert error("smollm2-135m-instruct", method="full", **values) == pytest.approx(0, abs=0.02)
    assert error("smollm2-135m-instruct", method="lora", **values) == pytest.approx(0, abs=0.02)
