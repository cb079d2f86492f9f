"""Each schedule is its library's over fifty steps, and the plateau is torch's over fifty evaluations."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler
from transformers import optimization as hf

from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.verdict import lower_on_plateau
from tuiwiz.spec.fields import choices
from tuiwiz.spec.optimizer import Schedule
from tuiwiz.spec.rates import rate_factor

STEPS, WARMUP = 50, 6
REFERENCES: dict[str, tuple[Schedule, Callable[[Any], Any]]] = {
    "constant": (Schedule(kind="constant"), lambda o: hf.get_constant_schedule_with_warmup(o, WARMUP)),
    "linear": (Schedule(kind="linear"), lambda o: hf.get_linear_schedule_with_warmup(o, WARMUP, STEPS)),
    "cosine": (
        Schedule(kind="cosine", min_ratio=0.1),
        lambda o: hf.get_cosine_with_min_lr_schedule_with_warmup(o, WARMUP, STEPS, min_lr_rate=0.1),
    ),
    "cosine_restarts": (
        Schedule(kind="cosine_restarts", cycles=4),
        lambda o: hf.get_cosine_with_hard_restarts_schedule_with_warmup(o, WARMUP, STEPS, num_cycles=4),
    ),
    "inverse_sqrt": (Schedule(kind="inverse_sqrt"), lambda o: hf.get_inverse_sqrt_schedule(o, WARMUP)),
    "polynomial": (
        Schedule(kind="polynomial", power=3.0, min_ratio=0.2),
        lambda o: hf.get_polynomial_decay_schedule_with_warmup(o, WARMUP, STEPS, lr_end=0.2, power=3.0),
    ),
    "warmup_stable_decay": (
        Schedule(kind="warmup_stable_decay", decay=0.3, min_ratio=0.05),
        lambda o: hf.get_wsd_schedule(o, WARMUP, 15, STEPS, decay_type="1-sqrt", min_lr_ratio=0.05),
    ),
    "one_cycle": (
        Schedule(kind="one_cycle", min_ratio=0.02),
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, STEPS, pct_start=WARMUP / STEPS, cycle_momentum=False, final_div_factor=0.04 / 0.02
        ),
    ),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_the_rate_is_the_librarys_over_fifty_steps(kind: str) -> None:
    """But for the linear warm-up, which starts above zero here, so that no step is spent on nothing."""
    schedule, make = REFERENCES[kind]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    theirs = []
    for _ in range(STEPS):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = [rate_factor(step, STEPS, msgspec.structs.replace(schedule, warmup=float(WARMUP))) for step in range(STEPS)]
    first = 0 if kind == "one_cycle" else WARMUP
    assert ours[first:] == pytest.approx(theirs[first:], abs=1e-9)
    if first:
        assert ours[:first] == pytest.approx([(step + 1) / (WARMUP + 1) for step in range(WARMUP)])
    assert len({round(value, 6) for value in ours}) > (1 if kind == "constant" else 10)


def test_the_plateau_is_torchs_over_fifty_evaluations() -> None:
    schedule = Schedule(kind="plateau", plateau_factor=0.3, plateau_patience=3, min_ratio=0.01)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=3, threshold=0.02, min_lr=0.01)
    progress, source = Progress(), random.Random(5)
    rates = set()
    for step in range(50):
        loss = 2 * math.exp(-step / 8) + 0.3 * source.random()
        reference.step(loss)
        lower_on_plateau(progress, loss, schedule, 0.02)
        assert progress.rate_scale == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        rates.add(progress.rate_scale)
    assert len(rates) >= 4, "the rate fell several times"


KINDS = st.sampled_from([str(kind) for kind in choices("schedule.kind")])


@given(KINDS, st.integers(1, 400), st.floats(0, 40), st.floats(0, 1), st.integers(1, 9), st.floats(0.01, 30))
def test_no_schedule_leaves_its_bounds(
    kind: Any, total: int, warmup: float, least: float, cycles: int, decay: float
) -> None:
    schedule = Schedule(kind=kind, warmup=warmup, min_ratio=least, cycles=cycles, decay=decay)
    for step in range(total + 1):
        assert 0 <= rate_factor(step, total, schedule) <= 1 + 1e-12
