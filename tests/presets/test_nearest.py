"""Measured settings: how far they are, when they come first, and what becomes of their rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.bundle.convert import to_bundle
from tuiwiz.presets.choose import choose
from tuiwiz.presets.find import all_presets
from tuiwiz.presets.from_run import differing
from tuiwiz.presets.nearest import NEAR, distance, nearest_result, words
from tuiwiz.presets.preset import Layer, Preset, Result, Why
from tuiwiz.presets.rate import SHORT_FACTOR, Setting, derive
from tuiwiz.presets.when import Context, When
from tuiwiz.spec.keys import unflatten

SIZES = st.integers(1, 10**12)


def measured(name: str, **result: Any) -> Preset:
    values = {"optimizer.learning_rate": 3e-4, "batch.effective": 8}
    layer = Layer(
        when=When(task=("chat",), band=("XS", "S", "M"), method=("lora",)),
        values=values,
        why={key: Why(reason="measured", source="me", grade="B") for key in values},
    )
    return Preset(name=name, path=Path(f"{name}.toml"), base=layer, results=(Result(model="m", **result),))


def context(**more: Any) -> Context:
    fields: dict[str, Any] = {"parameters": 1e9, "rows": 1000, "longest": 512} | more
    return Context(task="chat", method="lora", band="S", **fields)


@given(SIZES, SIZES, SIZES)
def test_the_same_is_no_distance_and_a_doubling_is_one(parameters: int, rows: int, length: int) -> None:
    one = Result(model="m", parameters=parameters, rows=rows, max_length=length)
    here = context(parameters=float(parameters), rows=rows, longest=length)
    assert distance(one, here) == 0
    assert distance(one, context(parameters=float(parameters), rows=2 * rows, longest=length)) == pytest.approx(1)
    assert distance(one, context(parameters=4.0 * parameters, rows=rows, longest=2 * length)) == pytest.approx(2.5)


def test_near_ones_come_first_the_nearest_before_and_far_ones_last() -> None:
    near = measured("near", parameters=10**9, rows=1000, max_length=512, value=0.4)
    nearer = measured("beyond", parameters=10**9, rows=2000, max_length=512, value=0.3)
    far = measured("far", parameters=10**9, rows=10**7, max_length=512, value=0.1)
    known = {**all_presets().presets, "far": far, "beyond": nearer, "near": near}
    ranked = [one.name for one in choose(context(), known)]
    assert ranked == ["near", "beyond", "chat", "far"]
    reasons = " ".join(choose(context(), known)[1].reasons)
    assert "measured with m with 2,000 rows" in reasons and "0.5 times the rows" in reasons


def test_a_run_counts_for_a_preset_whose_settings_it_had() -> None:
    preset = measured("a")
    values: dict[str, Any] = {"task.kind": "chat", "adapter.method": "lora", "model.source": "m"}
    values |= {"data.train": "x.jsonl", "optimizer.learning_rate": 3e-4, "batch.effective": 8, "data.max_length": 96}

    def differs(parameters: int = 10**9, **changed: Any) -> list[str]:
        bundle, problems = to_bundle(unflatten(values | {key.replace("_X_", "."): v for key, v in changed.items()}))
        assert bundle is not None, list(problems)
        return differing(preset, bundle, Result(model="m", parameters=parameters, rows=10))

    assert differs() == [] and differs(data_X_max_length=512) == []
    assert differs(batch_X_effective=4, optimizer_X_learning_rate=1e-4) == [
        "optimizer.learning_rate",
        "batch.effective",
    ]
    assert differs(task_X_kind="instruct") == ["when"] and differs(parameters=70 * 10**9) == ["when"]


def test_the_nearest_of_several_results_speaks_for_a_preset() -> None:
    preset = measured("a", parameters=10**9, rows=10**6, max_length=512, first=2.0, value=0.5)
    other = Result(model="other", parameters=2 * 10**9, rows=1000, max_length=512, hardware="L4", first=1.5, value=0.4)
    both = Preset(name="a", path=preset.path, base=preset.base, results=(*preset.results, other))
    found = nearest_result(both, context())
    assert found is not None and found.result is other and found.near
    assert found.distance == pytest.approx(1) and found.distance < NEAR
    text = words(found, context())
    assert "loss 1.5 -> 0.4" in text and "on L4" in text and "a model 0.5 times as large" in text
    assert nearest_result(all_presets().presets["chat"], context()) is None


@pytest.mark.parametrize(
    ("measured_steps", "steps", "factor"),
    [(None, 500, 1.0), (None, 50, SHORT_FACTOR), (50, 50, 1.0), (50, 500, 1 / SHORT_FACTOR), (500, 50, SHORT_FACTOR)],
)
def test_a_rate_that_was_measured_over_few_steps_is_not_raised_again(
    measured_steps: int | None, steps: int, factor: float
) -> None:
    same = Setting(batch=16, alpha=32)
    assert derive(2e-4, same, same, steps, measured_steps).value == pytest.approx(2e-4 * factor, rel=1e-3)
    doubled = Setting(batch=16, alpha=64)
    assert derive(2e-4, same, doubled, 500, 500).value == pytest.approx(1e-4)
    assert math.isclose(derive(2e-4, same, Setting(batch=64, alpha=32), 500).value, 4e-4)
