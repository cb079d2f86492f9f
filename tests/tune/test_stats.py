"""Verdicts on simulated ablations: how often a null factor is called a difference, and a real one is found."""

from __future__ import annotations

import math
import random

import pytest

from tuiwiz.tune.stats import decide, pairs_needed, smallest_effect, t_quantile


def studies(effect: float, pairs: int, seed: int, count: int = 100) -> list[str]:
    """Verdicts of simulated studies with paired differences around `effect` sigma."""
    stream = random.Random(seed)
    return [decide([stream.gauss(effect, 1.0) for _ in range(pairs)], margin=0.1).verdict for _ in range(count)]


@pytest.mark.parametrize("pairs", [3, 5, 8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_null_factor_is_seldom_called_a_difference(pairs: int, seed: int) -> None:
    assert studies(0.0, pairs, seed).count("differs") <= 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_effect_of_two_sigma_is_found_with_five_pairs(seed: int) -> None:
    assert studies(2.0, 5, seed).count("differs") >= 80


def test_a_null_factor_is_called_a_difference_at_the_stated_rate() -> None:
    share = studies(0.0, 5, 7, count=4000).count("differs") / 4000
    assert share == pytest.approx(0.05, abs=0.012)


def test_an_effect_at_the_margin_is_seldom_called_none() -> None:
    stream = random.Random(5)
    called = [decide([stream.gauss(0.5, 0.5) for _ in range(8)], margin=0.5).verdict for _ in range(2000)]
    assert called.count("no difference") / 2000 < 0.065


def test_the_three_verdicts() -> None:
    assert decide([1.0, 1.1, 0.9, 1.05], margin=0.1).verdict == "differs"
    assert decide([0.01, -0.02, 0.0, 0.01], margin=0.1).verdict == "no difference"
    open_ = decide([0.5, -0.4, 0.6, 0.1], margin=0.1)
    assert open_.verdict == "cannot tell" and open_.more and open_.interval[0] < 0 < open_.interval[1]
    assert decide([0.5, 0.5, 0.5], margin=0.1).verdict == "differs"
    assert decide([0.0, 0.0], margin=0.0).verdict == "no difference"


def test_as_many_more_pairs_as_are_asked_for_decide_when_spread_and_mean_stay() -> None:
    more = pairs_needed(0.2, 1.0, 0.0, 5)
    assert more is not None
    n = 5 + more
    assert t_quantile(0.975, n - 1) / math.sqrt(n) < 0.2
    assert t_quantile(0.975, n - 2) / math.sqrt(n - 1) >= 0.2
    assert pairs_needed(0.001, 1.0, 0.0, 5) is None


def test_too_few_or_broken_differences_are_refused() -> None:
    for given in ([], [1.0], [1.0, math.nan], [math.inf, 0.0]):
        with pytest.raises(ValueError):
            decide(given, 0.1)


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [
        (0.975, 1, 12.7062047),
        (0.975, 2, 4.3026527),
        (0.975, 4, 2.7764451),
        (0.95, 7, 1.8945786),
    ],
)
def test_quantiles_are_those_of_the_tables(p: float, freedom: int, value: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_the_smallest_effect_is_found_four_times_out_of_five(pairs: int) -> None:
    found = studies(smallest_effect(pairs), pairs, 11, count=1500).count("differs") / 1500
    assert 0.7 < found < 0.92
