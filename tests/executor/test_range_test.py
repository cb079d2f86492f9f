"""The learning-rate sweep: what it moves it puts back, and where it says that training diverges."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.support import copies, make_run
from tuiwiz.executor import checkpoint
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.range_test import fingerprint, judge, loss_before, micro_set, sweep

FULL: dict[str, Any] = {"adapter__method": '"full"', "adapter__rank": "16", "adapter__alpha": "32.0"}


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_sweep_leaves_weights_optimizer_and_random_streams_bit_identical(
    tmp_path: Path, tiny_model: Path, method: str, steps_before: int
) -> None:
    more: dict[str, Any] = {"adapter__dropout": "0.1"} if method == "lora" else FULL
    run = make_run(tmp_path, tiny_model, **more)
    for number in range(steps_before):
        optimizer_step(run, [number, number + 1])
    weights, state = copies(run), fingerprint(run)
    optimizer = copy.deepcopy(run.optimizer.state_dict())
    streams, progress = checkpoint.random_streams(), copy.deepcopy(run.progress)
    found = sweep(run, 1e-5, 10.0, 30)
    assert len(found.rates) >= 11 and max(found.losses) > min(found.losses)
    assert all(torch.equal(value, weights[name]) for name, value in run.weights.items())
    assert repr(run.optimizer.state_dict()) == repr(optimizer)
    assert checkpoint.random_streams() == streams and run.progress == progress
    assert fingerprint(run) == state
    assert all(value.grad is None for value in run.weights.values())


def test_training_after_a_sweep_is_training_without_one(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = make_run(tmp_path / "a", tiny_model, adapter__dropout="0.1")
    expected = [optimizer_step(plain, [number, number + 1])["loss"] for number in range(3)]
    swept = make_run(tmp_path / "b", tiny_model, adapter__dropout="0.1")
    sweep(swept, 1e-5, 1.0, 15)
    assert [optimizer_step(swept, [number, number + 1])["loss"] for number in range(3)] == expected


def test_a_sweep_finds_where_training_diverges(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **FULL)
    found = sweep(run, 1e-4, 100.0, 60)
    assert found.divergence is not None and 1e-3 < found.divergence < 100
    assert found.ended in ("divergence", "a loss that is not finite")
    assert found.rates == sorted(found.rates) and found.rates[0] == pytest.approx(1e-4)


def test_a_rate_of_next_to_nothing_draws_a_flat_line_whatever_the_rows(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, batch__effective="1", batch__micro="1")
    alone = [loss_before(run, batch) for batch in micro_set(len(run.train_rows), 1)]
    assert max(alone) - min(alone) > 0.05
    found = sweep(run, 1e-12, 1e-11, 20)
    assert max(found.losses) - min(found.losses) < 1e-3
    assert found.losses[0] == pytest.approx(sum(alone[:20]) / len(alone[:20]), abs=1e-3)
    assert found.divergence is None


@pytest.mark.parametrize(
    ("rows", "effective", "count", "size"), [(1000, 4, 16, 4), (10, 4, 2, 4), (3, 8, 1, 3), (500, 128, 1, 64)]
)
def test_the_small_set_is_cut_into_batches_that_do_not_overlap(
    rows: int, effective: int, count: int, size: int
) -> None:
    batches = micro_set(rows, effective)
    assert len(batches) == count and {len(batch) for batch in batches} == {size}
    assert len({index for batch in batches for index in batch}) == count * size <= min(rows, 64)


def test_a_rise_from_next_to_nothing_is_no_divergence() -> None:
    rates = [10.0**-number for number in range(30, 0, -1)]
    learnt = [max(0.01, 2 - 0.2 * number) for number in range(20)] + [0.02] * 10
    assert judge(rates, learnt, learnt, "end of the band").divergence is None
    lost = learnt[:20] + [1.0] * 10
    assert judge(rates, lost, lost, "divergence").divergence == rates[20]


def test_a_curve_is_judged_by_its_smoothed_loss() -> None:
    rates = [10.0**-number for number in range(30, 0, -1)]
    falling = [3 - 0.05 * number for number in range(30)]
    found = judge(rates, falling, falling, "end of the band")
    assert found.divergence is None and found.steepest in rates
    rising = [*falling[:20], *(value * 1.3 for value in falling[20:])]
    assert judge(rates, rising, rising, "divergence").divergence == rates[20]
    broken = [*falling[:20], math.nan]
    assert judge(rates[:21], broken, broken, "").divergence == rates[20]
