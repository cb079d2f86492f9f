"""The learning-rate contract."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.presets.rank import least_rank, rank_for
from tuiwiz.presets.rate import LORA_RATE, Setting, batch_factor, derive, effective_alpha, full_rate

REFERENCE = Setting(batch=32, alpha=32.0, rank=32)
alphas = st.floats(min_value=0.5, max_value=4096)
batches = st.integers(min_value=1, max_value=100_000)
ranks = st.integers(min_value=1, max_value=1024)
EXACT = 1e-3
"""Derived rates have four digits."""


def test_published_examples() -> None:
    assert derive(2e-4, REFERENCE, REFERENCE).value == 2e-4
    assert derive(2e-4, REFERENCE, Setting(batch=32, alpha=16.0)).value == pytest.approx(4e-4)
    assert derive(2e-4, REFERENCE, Setting(batch=128, alpha=32.0)).value == pytest.approx(4e-4)
    # QLoRA's 2e-4 at alpha 16 and 16 rows is 2.8e-4 at alpha 32 and 128 rows.
    qlora = Setting(batch=16, alpha=16.0)
    assert derive(2e-4, qlora, Setting(batch=128, alpha=32.0)).value == pytest.approx(2e-4, rel=EXACT)
    assert derive(1e-4, Setting(batch=16, alpha=32.0), Setting(batch=32, alpha=32.0)).value == pytest.approx(1.414e-4)


@given(alphas, batches, ranks, ranks)
def test_rank_never_changes_the_rate_of_plain_lora(alpha: float, batch: int, rank: int, other: int) -> None:
    first = derive(2e-4, REFERENCE, Setting(batch=batch, alpha=alpha, rank=rank))
    assert first == derive(2e-4, REFERENCE, Setting(batch=batch, alpha=alpha, rank=other))


@given(alphas, batches)
def test_rate_times_alpha_is_constant(alpha: float, batch: int) -> None:
    rate = derive(2e-4, REFERENCE, Setting(batch=batch, alpha=alpha)).value
    same_alpha = derive(2e-4, REFERENCE, Setting(batch=batch, alpha=32.0)).value
    assert rate * alpha == pytest.approx(same_alpha * 32, rel=2 * EXACT)


@given(alphas, ranks)
def test_rslora_counts_alpha_times_sqrt_rank(alpha: float, rank: int) -> None:
    scaled = derive(2e-4, REFERENCE, Setting(batch=32, alpha=alpha, rank=rank, variant="rslora")).value
    assert scaled == pytest.approx(2e-4 * 32 / (alpha * math.sqrt(rank)), rel=EXACT)
    assert effective_alpha(32.0, 128, "rslora") == pytest.approx(362, abs=0.1)


@given(batches, batches, st.sampled_from([16, 32, 64, 128]))
def test_the_batch_factor_grows_to_two_and_stops_at_512_rows(one: int, other: int, reference: int) -> None:
    small, large = sorted((one, other))
    assert batch_factor(small, reference) <= batch_factor(large, reference) <= 2
    assert batch_factor(max(large, 512), reference) == batch_factor(512, reference)
    if large <= min(4 * reference, 512):
        assert batch_factor(large, reference) == pytest.approx(math.sqrt(large / reference))


def test_a_published_batch_beyond_512_keeps_its_rate() -> None:
    assert batch_factor(1024, 1024) == 1
    assert batch_factor(2048, 1024) == 1


@given(st.integers(min_value=1, max_value=1000), alphas)
def test_short_runs_of_adapters_go_faster_full_weights_do_not(steps: int, alpha: float) -> None:
    adapters = derive(1e-4, REFERENCE, Setting(batch=32, alpha=alpha), steps).value
    long = derive(1e-4, REFERENCE, Setting(batch=32, alpha=alpha), 100).value
    assert adapters == pytest.approx(long * (1.5 if steps < 100 else 1.0), rel=2 * EXACT)
    full = Setting(batch=128)
    assert derive(2e-5, full, full, steps).value == 2e-5


def test_more_steps_by_a_smaller_batch_are_no_longer_run() -> None:
    small = derive(1e-4, REFERENCE, Setting(batch=8, alpha=32.0), 200)
    assert small.words == "1e-4 x 0.5 (sqrt(batch 8 / 32)) x 1.5 (only 50 steps of 32 rows) = 7.5e-5"
    assert derive(1e-4, REFERENCE, Setting(batch=8, alpha=32.0), 400).value == 5e-5
    # A large batch leaves few steps, and those count.
    assert "only 50 steps)" in derive(1e-4, REFERENCE, Setting(batch=128, alpha=32.0), 50).words


def test_short_runs_on_labels_go_faster_still() -> None:
    labels = Setting(batch=8, alpha=32.0, labels=True)
    assert derive(4e-4, REFERENCE, labels, 114).words == (
        "4e-4 x 0.5 (sqrt(batch 8 / 32)) x 3 (only 29 steps of 32 rows, one label a row) = 6e-4"
    )
    assert derive(4e-4, REFERENCE, labels, 500).value == 2e-4
    assert derive(6e-4, labels, labels, 500, 50).value == 2e-4


def test_the_words_are_the_arithmetic() -> None:
    rate = derive(1.5e-4, Setting(batch=16, alpha=32.0), Setting(batch=64, alpha=16.0), 81)
    assert rate.words == "1.5e-4 x 2 (alpha 32 / 16) x 2 (sqrt(batch 64 / 16)) x 1.5 (only 81 steps) = 9e-4"
    assert derive(1e-4, REFERENCE, REFERENCE, 500).words == ""
    capped = derive(1e-4, REFERENCE, Setting(batch=4096, alpha=32.0), 500)
    assert capped.words == "1e-4 x 2 (sqrt(batch 4096 / 32) capped) = 2e-4"


def test_full_weights_take_a_tenth_where_nothing_is_published() -> None:
    assert full_rate("M", 128) == pytest.approx(4e-5)
    assert full_rate("XL", 32) == pytest.approx(1e-5)
    assert set(LORA_RATE) == {"XS", "S", "M", "L", "XL", "XXL"}


def test_rank_from_data() -> None:
    # Adapter parameters of one unit of rank of Llama-3.2-1B and Llama-3.1-8B.
    assert [least_rank(tokens, 704_512) for tokens in (10_000_000, 100_000_000)] == [15, 142]
    assert least_rank(10_000_000, 2_621_440) == 4
    assert least_rank(0, 704_512) == 1
    assert rank_for(16, 15) == 16
    assert rank_for(16, 39) == 64
    assert rank_for(32, 1420) == 256


@given(st.integers(min_value=1, max_value=512), st.integers(min_value=1, max_value=10**6))
def test_rank_is_never_below_the_published_one_and_holds_the_data_up_to_the_limit(published: int, least: int) -> None:
    rank = rank_for(published, least)
    assert rank >= published
    assert rank >= min(least, 256)
