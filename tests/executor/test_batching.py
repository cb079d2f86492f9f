"""Rows of a step as micro-batches, the head on supervised positions only, and runs that look at themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.training import curve, events_of, make_run, of_kind, run_here
from tuiwiz.base.files import sha256_file
from tuiwiz.data.types import Rows
from tuiwiz.events.types import Eval
from tuiwiz.executor import loop
from tuiwiz.executor.batching import Order, collate, lay_out
from tuiwiz.executor.objectives.causal import CausalObjective

CPU = torch.device("cpu")


def rows_of(lengths: list[int], seed: int = 0) -> Rows:
    """Random rows; about half of the tokens of each are labels, never the first alone."""
    source = random.Random(seed)
    rows = Rows()
    for number, length in enumerate(lengths, 1):
        trained = bytes([0, *(source.random() < 0.5 for _ in range(length - 2)), 1])
        rows.append(number, [source.randrange(3, 500) for _ in range(length)], trained)
    return rows


@given(st.lists(st.integers(2, 60), min_size=1, max_size=30), st.integers(1, 300), st.booleans(), st.booleans())
def test_a_token_budget_is_kept_with_its_padding_and_no_row_is_lost(
    lengths: list[int], tokens: int, packing: bool, pairs: bool
) -> None:
    rows = rows_of(lengths)
    if pairs:
        rows.others = rows_of(lengths)
    found = lay_out(rows, range(len(lengths)), 1, packing=packing and not pairs, tokens=tokens)
    assert sorted(i for batch in found for sequence in batch for i in sequence) == list(range(len(lengths)))
    for batch in found:
        width = max(sum(lengths[i] for i in sequence) for sequence in batch)
        assert len(batch) == 1 or width * len(batch) * (2 if pairs else 1) <= tokens


@pytest.fixture
def model(tiny_model: Path) -> Iterator[Any]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="sdpa")
    model.train()
    yield model


def step_of(
    model: Any, rows: Rows, micro: int, *, packing: bool, fused: bool = True
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one optimizer step over all rows."""
    objective = CausalObjective(model, fused=fused)
    batches = [collate(rows, sequences, CPU) for sequences in lay_out(rows, range(len(rows)), micro, packing=packing)]
    supervised = sum(batch.supervised for batch in batches)
    model.zero_grad()
    total = 0.0
    for batch in batches:
        loss = objective(batch).total / supervised
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total, {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
    }


def assert_same(one: tuple[float, dict[str, torch.Tensor]], other: tuple[float, dict[str, torch.Tensor]]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    assert one[1].keys() == other[1].keys()
    for name in one[1]:
        difference = torch.linalg.vector_norm(one[1][name] - other[1][name])
        assert difference <= 5e-5 * torch.linalg.vector_norm(other[1][name]), name
    flat = [torch.cat([gradient.flatten() for gradient in found.values()]) for found in (one[1], other[1])]
    assert torch.linalg.vector_norm(flat[0] - flat[1]) <= 1e-5 * torch.linalg.vector_norm(flat[1])


def test_the_loss_in_chunks_equals_the_plain_loss(model: Any) -> None:
    rows = rows_of([700, 300, 12])
    assert sum(row.supervised for row in rows) > 256
    assert_same(step_of(model, rows, 2, packing=False), step_of(model, rows, 2, packing=False, fused=False))


def test_logits_of_all_positions_are_never_built(model: Any) -> None:
    rows = rows_of([700, 600])
    seen: list[int] = []
    linear = nn.functional.linear

    def watching(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if weight.shape[0] == model.config.vocab_size:
            seen.append(states.shape[0])
        return linear(states, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "linear", watching)
        step_of(model, rows, 2, packing=False)
    assert seen and max(seen) <= 256 and sum(seen) == sum(row.supervised for row in rows)


@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=12), micro=st.integers(1, 12), packing=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_layout_holds_every_row_once(lengths: list[int], micro: int, packing: bool) -> None:
    rows = rows_of(lengths)
    layout = lay_out(rows, range(len(rows)), micro, packing=packing)
    assert sorted(index for batch in layout for sequence in batch for index in sequence) == list(range(len(rows)))
    assert all(len(batch) <= micro for batch in layout)
    for sequence in (sequence for batch in layout for sequence in batch):
        assert sum(lengths[index] for index in sequence) <= max(lengths)
    batches = [collate(rows, batch, CPU) for batch in layout]
    assert sum(batch.tokens for batch in batches) == sum(lengths)
    assert sum(batch.supervised for batch in batches) == sum(sum(row.trained[1:]) for row in rows)


@given(rows=st.integers(1, 50), effective=st.integers(1, 16), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_the_order_is_a_pure_function_and_an_epoch_sees_each_row_once(rows: int, effective: int, seed: int) -> None:
    order = Order(rows, effective, seed)
    epoch = [order.step(index) for index in range(order.per_epoch)]
    assert sorted(index for step in epoch for index in step) == list(range(rows))
    later = [order.step(index) for index in range(order.per_epoch, 2 * order.per_epoch)]
    assert Order(rows, effective, seed).step(2 * order.per_epoch - 1) == later[-1]


@pytest.mark.parametrize("method", ["qlora", "lora"])
def test_evaluation_in_between_changes_nothing_bit_for_bit(tmp_path: Path, tiny_model: Path, method: str) -> None:
    common: dict[str, Any] = {
        "adapter__method": method,
        "model__dtype": "auto",
        "adapter__dropout": 0.1,
        "schedule__steps": 6,
        "validation__path": "held.jsonl",
    }
    (tmp_path / "held.jsonl").write_text('{"prompt": "What is two?", "completion": "It is two."}\n', encoding="utf-8")
    often = make_run(tmp_path, tiny_model, "often", **common, evaluation__every=1, evaluation__samples=1)
    never = make_run(tmp_path, tiny_model, "never", **common)
    run_here(often)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_evaluate", lambda run: False)
        run_here(never)
    assert [event.step for event in of_kind(events_of(often), Eval)] == list(range(7))
    assert not of_kind(events_of(never), Eval)
    assert curve(events_of(often)) == curve(events_of(never))
    weights = "step-6/weights.safetensors"
    assert sha256_file(often.checkpoints / weights) == sha256_file(never.checkpoints / weights)


def logits_by_row(model: Any, rows: Rows, *, packing: bool) -> dict[int, torch.Tensor]:
    """Logits of each row, cut out of the batches that it was laid out in."""
    found: dict[int, torch.Tensor] = {}
    for sequences in lay_out(rows, range(len(rows)), 4, packing=packing):
        batch = collate(rows, sequences, CPU)
        with torch.no_grad():
            logits = model(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False).logits
        for line, sequence in enumerate(sequences):
            start = 0
            for index in sequence:
                found[index] = logits[line, start : start + rows.lengths[index]]
                start += rows.lengths[index]
    return found


def test_packed_documents_do_not_see_each_other(model: Any) -> None:
    rows = rows_of([40, 9, 12, 17, 3, 22, 5, 30])
    packed, apart = (logits_by_row(model, rows, packing=packing) for packing in (True, False))
    assert any(len(sequence) > 2 for batch in lay_out(rows, range(8), 4, packing=True) for sequence in batch)
    for index, logits in apart.items():
        alone = model(input_ids=torch.tensor([list(rows[index].input_ids)]), use_cache=False).logits[0]
        assert torch.allclose(logits, alone, atol=2e-6) and torch.allclose(packed[index], alone, atol=2e-6), index


@pytest.mark.long
def test_the_way_changes_nothing_on_the_embedded_model() -> None:
    from transformers import AutoModelForCausalLM

    from tuiwiz.catalog import embedded

    if not embedded.is_ready():
        pytest.skip("the embedded model is not on this machine: tuiwiz models get")
    real = AutoModelForCausalLM.from_pretrained(embedded.folder(), dtype=torch.float32, attn_implementation="sdpa")
    real.train()
    rows = rows_of([96, 40, 55, 71])
    whole = step_of(real, rows, 4, packing=False)
    for micro, packing, fused in (
        (2, False, True),
        (1, False, True),
        (4, True, True),
        (1, True, True),
        (4, False, False),
    ):
        assert_same(step_of(real, rows, micro, packing=packing, fused=fused), whole)
