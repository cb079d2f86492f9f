"""Which trials each method wants, what it concludes, and which spaces are refused."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.processes import write_bundle
from tuiwiz.base.errors import InvalidError, TuiwizError, UsageError
from tuiwiz.bundle.change import change
from tuiwiz.bundle.read import read_bundle
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.ablate import Ablate, parse_factors
from tuiwiz.tune.bayes import Bayes, default_space, halton, outside, wider
from tuiwiz.tune.grid import Grid
from tuiwiz.tune.lr import band, band_of_sweep, conclude, sweep_words
from tuiwiz.tune.measure import (
    affordable,
    decides,
    once_seconds,
    proxy_steps,
    refuse_too_little,
    trial_seconds,
    within,
)
from tuiwiz.tune.rows import Proposal, Row
from tuiwiz.tune.space import BATCH, RANK, RATE, Dimension, edits_of, parse_over
from tuiwiz.tune.start import check_budget, trial_base
from tuiwiz.tune.study import Budget, Measured

MEASURED = Measured(load_s=5, step_s=0.5, tokens_per_step=100, rows=4000, validation_rows=40, full_steps=3000)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(write_bundle(tmp_path, tmp_path / "model", rows=20, regularization__label_smoothing="0.1"))


def done(proposals: list[Proposal], score: Any, start: int = 0) -> list[Row]:
    return [
        Row(number=start + i, state="finished", edits=one.edits, stage=one.stage, score=score(one.edits), seconds=10)
        for i, one in enumerate(proposals)
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("adapter.rnak=1,2", "there is no key"),
        ("adapter.rank", "no values"),
        ("adapter.rank=", "no values"),
        ("optimizer.learning_rate=1e-3..1e-4", "inverted"),
        ("optimizer.learning_rate=1e-3..1e-3", "empty"),
        ("optimizer.learning_rate=a..b", "no range"),
        ("optimizer.learning_rate=1e-4..inf", "no range"),
        ("adapter.rank=8,-4", "cannot be tried"),
        ("schedule.kind=cosine,wobbly", "cannot be tried"),
        ("seed=1,2", "cannot be searched"),
        ("schedule.epochs=1,2,3", "cannot be searched"),
    ],
)
def test_a_space_that_cannot_be_is_refused_in_one_sentence(bundle: Bundle, text: str, word: str) -> None:
    with pytest.raises((UsageError, InvalidError)) as caught:
        parse_over(bundle, [text])
    assert word in caught.value.message and caught.value.exit_code in (2, 3)


def test_a_space_is_read_as_typed(bundle: Bundle) -> None:
    rank, kind, rate = parse_over(
        bundle, ["adapter.rank=8, 16,8", "schedule.kind=cosine,linear", "optimizer.learning_rate=1e-5..1e-3"]
    )
    assert rank.values == (8, 16) and kind.values == ("cosine", "linear")
    assert (rate.low, rate.high, rate.log) == (1e-5, 1e-3, True)
    with pytest.raises(UsageError, match="twice"):
        parse_over(bundle, ["adapter.rank=8", "adapter.rank=16"])


@given(st.floats(1e-6, 1e-2), st.floats(1.5, 1e4), st.floats(0, 0.999999))
def test_a_range_gives_only_values_inside(low: float, ratio: float, share: float) -> None:
    one = Dimension(key=RATE, low=low, high=low * ratio, log=True)
    assert low * 0.999 <= one.at(share) <= low * ratio * 1.001
    whole = Dimension(key=RANK, low=4, high=9, whole=True)
    assert whole.at(share) in range(4, 10)


def test_batch_and_rate_are_tied(bundle: Bundle) -> None:
    space = (Dimension(key=RATE, low=1e-5, high=1e-3, log=True), Dimension(key=BATCH, values=(4, 16)))
    assert edits_of({RATE: 1e-4, BATCH: 4}, bundle, space)[RATE] == 1e-4
    assert edits_of({RATE: 1e-4, BATCH: 16}, bundle, space)[RATE] == pytest.approx(2e-4)


def test_another_batch_sees_as_many_rows(bundle: Bundle) -> None:
    base = trial_base(bundle, 60)
    wanted = Grid(base, parse_over(base, ["batch.effective=2,4,8"])).propose([])
    assert wanted is not None
    assert [one.edits.get("schedule.steps", 60) * one.edits[BATCH] for one in wanted] == [240, 240, 240]
    arm = Ablate(base, parse_factors(base, ["batch.effective=8"]), seeds=2).propose([])
    assert arm is not None and [one.edits.get("schedule.steps") for one in arm] == [None, 30, None, 30]


def test_the_micro_batch_of_all_trials_is_the_measured_one_where_the_bundle_leaves_it_open(bundle: Bundle) -> None:
    free = change(bundle, {"batch.micro": None})
    assert trial_base(free, 60, 3).batch.micro == 3 and trial_base(free, 60, 99).batch.micro == 4
    assert trial_base(free, 60).batch.micro is None and trial_base(bundle, 60, 3).batch.micro == 2


def test_a_sweep_says_how_long_it_takes_and_what_it_can_decide(bundle: Bundle) -> None:
    seconds, words = sweep_words(MEASURED, 1e-6, 1e-2, 120)
    assert seconds == 65 and "1 min 05 s" in words[0] and "factor of 1.08" in words[1] and "ceiling" in words[1]
    assert band_of_sweep(bundle, None, 1e-3, 40) == (1e-6, 1e-3)
    for low, high, steps in ((1e-2, 1e-3, 40), (1e-3, 1e-3, 40), (0.0, None, 40), (None, float("inf"), 40)):
        with pytest.raises(UsageError, match="the band"):
            band_of_sweep(bundle, low, high, steps)
    for steps in (0, 19, 10**6):
        with pytest.raises(UsageError, match="steps"):
            band_of_sweep(bundle, None, None, steps)


def test_a_grid_of_given_values_is_their_product(bundle: Bundle) -> None:
    grid = Grid(bundle, parse_over(bundle, ["adapter.rank=8,16", "adapter.dropout=0.0,0.1,0.2"]))
    wanted = grid.propose([])
    assert wanted is not None and len(wanted) == grid.least == 6
    rows = done(wanted, lambda edits: edits[RANK] - edits["adapter.dropout"])
    assert grid.propose(rows) is None
    assert "adapter.dropout is the largest" in grid.edge(rows)
    assert grid.onward(rows) == ["adapter.rank=8", "adapter.dropout=0.2,0.3,0.4"]


@pytest.mark.parametrize(
    ("over", "best", "onward"),
    [
        ("optimizer.learning_rate=1e-4,3e-4,9e-4", 9e-4, ["optimizer.learning_rate=9e-4,0.0027,0.0081"]),
        ("optimizer.learning_rate=1e-4,3e-4,9e-4", 1e-4, ["optimizer.learning_rate=1e-4,3.333e-5,1.111e-5"]),
        ("optimizer.learning_rate=1e-4,3e-4,9e-4", 3e-4, []),
        ("adapter.rank=4,8,16", 16, ["adapter.rank=16,32,64"]),
        ("adapter.rank=1,2,4", 1, []),
        ("adapter.dropout=0.0,0.1,0.2", 0.0, []),
        ("adapter.dropout=0.0,0.4,0.8", 0.8, []),
        ("batch.effective=8,4,2", 2, []),
    ],
)
def test_a_given_grid_says_how_to_go_on_beyond_its_edge(
    bundle: Bundle, over: str, best: float, onward: list[str]
) -> None:
    key = over.partition("=")[0]
    grid = Grid(bundle, parse_over(bundle, [over]))
    rows = done(grid.propose([]) or [], lambda edits: abs(edits[key] - best))
    assert grid.onward(rows) == onward
    assert bool(grid.edge(rows)) == (best != 3e-4)
    for word in onward:
        assert next(iter(parse_over(bundle, [word]))).values[0] == best


def test_a_grid_in_which_nothing_can_be_trained_goes_down_and_gives_up(bundle: Bundle) -> None:
    grid, rows = Grid(bundle), list[Row]()
    while wanted := grid.propose(rows):
        rows += [
            Row(number=len(rows) + i, state="infeasible", edits=one.edits, stage=one.stage)
            for i, one in enumerate(wanted)
        ]
    assert len(rows) == 6 and min(row.edits[RATE] for row in rows) < bundle.optimizer.learning_rate / 50


def test_more_trials_search_more_and_never_beyond_the_evidence_without_a_word(bundle: Bundle) -> None:
    ranges = {RATE: (5e-4, 2e-3), RANK: (8.0, 64.0)}
    assert [one.key for one in default_space(bundle, ranges, 6)] == [RATE]
    assert [one.key for one in default_space(bundle, ranges, 12)] == [RATE, RANK]
    large = default_space(bundle, ranges, 30)
    assert {BATCH, "adapter.dropout"} <= {one.key for one in large}
    assert (large[0].low, large[0].high) == (5e-4, 2e-3)
    # The bundle's own rank of 4 is kept in the space, and that is said.
    assert large[1].values == (4, 8, 16, 32, 64)
    assert len(wider(large, ranges)) == 1 and "adapter.rank" in wider(large, ranges)[0]


def test_a_search_starts_with_the_preset_and_the_grids_best(bundle: Bundle) -> None:
    space = default_space(bundle, {}, 12)
    search = Bayes(bundle, space, trials=12, first=[{RATE: 2e-3, RANK: 16}])
    start = search.propose([])
    assert start is not None and len(start) == search.start == 6
    assert start[0].edits == {RATE: 1e-3, RANK: 4} and start[1].edits == {RATE: 2e-3, RANK: 16}
    assert all(search._inside(one.params or {}) for one in start)


def test_a_search_stops_when_nothing_is_gained(bundle: Bundle) -> None:
    search = Bayes(bundle, default_space(bundle, {}, 40), trials=40)
    rows = [Row(number=i, state="finished", edits={RATE: i}, score=3 - 0.1 * i) for i in range(30)]
    assert search.no_gain(rows) == ""
    flat = [Row(number=i, state="finished", edits={RATE: i}, score=2 + 0.1 * (i < 5)) for i in range(30)]
    assert "gained less" in search.no_gain(flat)


def test_the_quasi_random_start_spreads_evenly() -> None:
    points = sorted(halton(number, 2) for number in range(1, 16))
    assert points == [number / 16 for number in range(1, 16)]


def test_an_ablation_pairs_seeds_and_finds_what_matters(bundle: Bundle) -> None:
    arms = parse_factors(bundle, ["label_smoothing", "adapter.rank=8"])
    rules = Ablate(bundle, arms, seeds=5)
    wanted = rules.propose([])
    assert wanted is not None and len(wanted) == rules.least == 15
    assert [one.label for one in wanted[:3]] == ["baseline", "label_smoothing", "adapter.rank=8"]
    assert len({one.edits["seed"] for one in wanted[:3]}) == 1
    stream = random.Random(3)
    noise = {seed: stream.gauss(0, 0.1) for seed in rules.seeds}

    def score(edits: dict[str, Any]) -> float:
        effect = 0.05 if "regularization.label_smoothing" in edits else 0.0
        return 2 + noise[edits["seed"]] + effect + stream.gauss(0, 0.001)

    rows = done(wanted, score)
    assert rules.propose(rows) is None
    smoothing, rank = rules.judge(rows, margin=0.01)
    assert smoothing.decided is not None and smoothing.decided.verdict == "differs" and smoothing.better is False
    assert rank.decided is not None and rank.decided.verdict == "no difference"
    # Half the study: only whole pairs are judged.
    assert all(one.pairs == 2 for one in rules.judge(rows[:7], margin=0.01)[1:])
    more = Ablate(bundle, arms, seeds=7).propose(rows)
    assert more is not None and len(more) == 6


def test_an_ablation_tunes_each_arms_rate_if_asked(bundle: Bundle) -> None:
    rules = Ablate(bundle, parse_factors(bundle, ["label_smoothing"]), seeds=3, retune=True)
    rates = rules.propose([])
    assert rates is not None and len(rates) == 6

    def score(edits: dict[str, Any]) -> float:
        wanted = 3e-3 if "regularization.label_smoothing" in edits else 1e-3
        return abs(float(edits[RATE]) - wanted)

    rows = done(rates, score)
    pairs = rules.propose(rows)
    assert pairs is not None and len(pairs) + len(rates) == rules.least == 10
    assert {one.edits[RATE] for one in pairs if one.label == "label_smoothing"} == {3e-3}
    assert {one.edits[RATE] for one in pairs if one.label == "baseline"} == {1e-3}


@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ([], "no factor"),
        (["dropuot"], "no factor 'dropuot'"),
        (["dropout"], "changes nothing"),
        (["label_smoothing", "label_smoothing"], "twice"),
        (["data:rows.jsonl"], "only training set"),
        (["data:other.jsonl"], "no training set"),
        (["adapter.rank=8,16"], "more than one"),
        (["adapter.rank=-1"], "cannot be tried"),
    ],
)
def test_factors_that_cannot_be_are_refused(bundle: Bundle, factors: list[str], word: str) -> None:
    with pytest.raises(TuiwizError) as caught:
        parse_factors(bundle, factors)
    assert word in caught.value.message and caught.value.exit_code in (2, 3)


@pytest.mark.parametrize("budget", [{"trials": 0}, {"hours": 0.0}, {"tokens": -1}, {"hours": float("nan")}])
def test_a_budget_of_nothing_is_refused(budget: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="runs nothing"):
        check_budget(Budget(**budget))
    with pytest.raises(UsageError, match="no time"):
        check_budget(Budget(until="soon"))


def test_the_forecast_is_load_steps_and_evaluations_and_too_little_is_an_answer(bundle: Bundle) -> None:
    assert proxy_steps(MEASURED, 4) == 150 and proxy_steps(MEASURED, 64) == 60
    base = trial_base(bundle, 150)
    assert base.schedule.steps == 150 and base.schedule.epochs is None
    # 150 steps of 0.5 s, 5 evaluations of 40 rows at 0.4 of a step's 4 rows; of the 5 s to load, what recurs.
    assert trial_seconds(MEASURED, base, 150) == pytest.approx(75 + 5 * 2 + 0.1 * 5, abs=0.01)
    assert once_seconds(MEASURED) == pytest.approx(0.9 * 5)
    # Compiled layers stay in a process: each trial has its own.
    compiled = change(base, {"memory.compile": True})
    assert trial_seconds(MEASURED, compiled, 150) == pytest.approx(75 + 5 * 2 + 5, abs=0.01)
    assert (
        affordable(12, 60, Budget(hours=0.1), once_s=30) == 5 and affordable(12, 60, Budget(trials=8), once_s=30) == 8
    )
    half = within(Budget(until="08:00"), datetime(2030, 1, 1, 7, 30))
    assert half.hours == pytest.approx(0.5) and affordable(99, 60, half, once_s=0) == 30
    refuse_too_little("grid", 5, 60, Budget(hours=1))
    with pytest.raises(UsageError, match="too little for this question"):
        refuse_too_little("grid", 5, 60, Budget(hours=0.01))
    with pytest.raises(UsageError, match="needs at least 15"):
        refuse_too_little("ablate", 15, 60, Budget(trials=6))
    assert "5 pairs" in decides("ablate", 15, 3) and "importances need 30" in decides("bayes", 12)


def swept(divergence: float | None) -> dict[str, Any]:
    return {
        "rates": [1e-6, 1e-2], "losses": [2.0, None], "smoothed": [2.0, None], "divergence": divergence,
        "steepest": None, "ended": "divergence", "rows": 64, "restored": True,
    }  # fmt: skip


def test_a_range_test_caps_the_rate_and_says_when_the_two_disagree(bundle: Bundle) -> None:
    fine = conclude(bundle, swept(2e-2))
    assert (fine.ceiling, fine.suggested, fine.agrees) == (2e-3, 1e-3, True) and "stays" in fine.verdict
    above = conclude(bundle, swept(8e-3))
    assert (above.ceiling, above.suggested, above.agrees) == (8e-4, 8e-4, False) and "a little" in above.verdict
    far = conclude(bundle, swept(1e-3))
    assert far.suggested == 1e-4 and "data and precision first" in far.verdict
    none = conclude(bundle, swept(None))
    assert none.ceiling is None and none.suggested == 1e-3 and "nothing diverged" in none.verdict
    assert band(bundle) == (1e-6, 1e-2)


def test_what_an_earlier_study_tried_beyond_the_space_is_named(bundle: Bundle) -> None:
    space = parse_over(bundle, [f"{RATE}=1e-4..5e-4", "adapter.rank=8,16"])
    assert outside(bundle, space, {RATE: 2e-4, "adapter.rank": 16}) == {}
    assert outside(bundle, space, {RATE: 6e-4, "adapter.rank": 64}) == {RATE: 6e-4, "adapter.rank": 64}
