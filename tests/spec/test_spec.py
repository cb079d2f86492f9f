"""Fields, keys, rules and the arithmetic that follows from them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.spec import derive
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.fields import FIELDS, choices
from tuiwiz.spec.keys import all_keys, default_of, flatten, type_of, unflatten
from tuiwiz.spec.rules import AVAILABLE, available, check
from tuiwiz.spec.schema import explain_key, json_schema

SMALL: dict[str, Any] = {
    "task.kind": "instruct",
    "model.source": "m",
    "data.train": "d.jsonl",
    "schedule.epochs": 1.0,
}


def bundle(**changes: Any) -> Bundle:
    flat = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return msgspec.convert(unflatten(flat), Bundle)


def messages(**changes: Any) -> str:
    return " | ".join(f"{p.key}: {p.message}" for p in check(bundle(**changes)) if p.severity == "error")


def test_every_key_has_a_field_and_every_field_a_key() -> None:
    assert list(FIELDS) == list(all_keys()) or set(FIELDS) == set(all_keys())


def test_defaults_lie_inside_their_own_bounds() -> None:
    for key, field in FIELDS.items():
        default = default_of(key)
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert not field.out_of_bounds(default), key


def test_flat_and_nested_forms_agree() -> None:
    one = bundle(optimizer__betas=[0.9, 0.95])
    assert msgspec.convert(unflatten(flatten(one)), Bundle) == one


def test_the_small_bundle_has_no_problems() -> None:
    assert messages() == ""


def test_settings_without_behaviour_are_refused_and_never_ignored() -> None:
    others: dict[str, Any] = {
        "task.labels": "multi",
        "batch.processes": 2,
        "evaluation.metric": "rouge",
        "launch.nodes": 2,
        "objective.loss": "ipo",
    }
    for key, allowed in AVAILABLE.items():
        if choices(key):
            value = next((choice for choice in choices(key) if choice not in allowed), None)
            if value is None:
                continue
        elif allowed[0] is False:
            value = True
        else:
            value = others.get(key, 0.5)
        found = check(bundle(**{key: value}))
        assert any(p.key == key and p.severity == "error" and p.hint for p in found), key


def test_available_choices_are_those_that_run() -> None:
    assert available("adapter.method") == ("qlora", "lora", "full", "freeze")
    assert available("data.train_on") == ("assistant", "completion", "all")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule.steps": 10}, "both set"),
        ({"schedule.epochs": None}, "no length"),
        ({"schedule.epochs": None, "schedule.steps": 50, "schedule.warmup": 100}, "longer than the run"),
        ({"batch.micro": 32}, "exceeds the effective batch"),
        ({"batch.micro": 4, "batch.accumulation": 3}, "= 12, but"),
        ({"validation.path": "v", "validation.fraction": 0.1}, "both set"),
        ({"evaluation.patience": 10}, "patience of 10"),
        ({"adapter.method": "full", "adapter.rank": 8}, "no meaning"),
        ({"adapter.method": "lora", "quantization.double": False}, "no meaning"),
        ({"adapter.targets": "some"}, "no known set"),
        ({"adapter.targets": []}, "nothing would be trained"),
        ({"optimizer.momentum": 0.9}, "no meaning"),
        ({"optimizer.name": "sgd", "optimizer.betas": [0.9, 0.95]}, "no meaning"),
        ({"optimizer.betas": [0.9, 1.0]}, "outside 0..1"),
        ({"schedule.kind": "constant", "schedule.min_ratio": 0.1}, "no meaning"),
        ({"data.train": []}, "empty list"),
        ({"task.kind": "pretrain"}, "would not"),
        ({"task.labels": "multi"}, "no meaning for the task"),
        ({"objective.beta": 0.2}, "no meaning for the task"),
        ({"task.kind": "simpo", "objective.lambda": 0.2}, "no meaning for the task simpo"),
        ({"task.kind": "dpo", "objective.label_smoothing": 0.2}, "robust loss only"),
        ({"task.kind": "dpo", "data.train_on": "all"}, "judges answers"),
        ({"task.kind": "dpo", "data.packing": True}, "tell apart"),
        ({"task.kind": "classify", "data.packing": True}, "tell apart"),
        ({"task.kind": "classify", "data.train_on": "all"}, "no meaning when labels"),
        ({"task.kind": "classify", "evaluation.metric": "rougeL"}, "no metric 'rougeL'"),
        ({"task.kind": "classify", "task.labels": "regression", "evaluation.metric": "accuracy"}, "no metric"),
        ({"evaluation.metric": "rouge"}, "no metric 'rouge'"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], expected: str) -> None:
    assert expected in messages(**changes)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 100_000))
def test_warmup_is_inside_the_run(ratio: float, total: int) -> None:
    steps = derive.warmup_steps(ratio, total)
    assert 0 <= steps <= total
    if 0 < ratio <= 0.1:
        assert steps <= total // 10 or steps == 0


def test_warmup_examples() -> None:
    assert derive.warmup_steps(0.03, 267) == 8
    assert derive.warmup_steps(0.03, 40) == 4
    assert derive.warmup_steps(0.03, 100) == 5
    assert derive.warmup_steps(0.2, 100) == 20
    assert derive.warmup_steps(30, 100) == 30
    assert derive.warmup_steps(0, 100) == 0


@given(st.integers(1, 10_000), st.integers(1, 512), st.integers(1, 5))
def test_whole_epochs_have_whole_steps(rows: int, effective: int, epochs: int) -> None:
    assert derive.total_steps(rows, effective, epochs, None) == epochs * math.ceil(rows / effective)
    assert derive.total_steps(rows, effective, None, 7) == 7


def test_cadence_is_steps_or_a_share() -> None:
    assert derive.cadence(0.1, 250) == 25
    assert derive.cadence(10, 250) == 10
    assert derive.cadence(0.001, 10) == 1


def test_the_schema_describes_every_key() -> None:
    schema = json_schema()
    for key in all_keys():
        if "." in key:
            section, name = key.split(".", 1)
            assert schema["$defs"][section.capitalize()]["properties"][name]["description"]
    assert explain_key("adapter.alpha")["too high"]


@pytest.mark.parametrize("key", all_keys())
def test_every_key_is_explained_to_the_end(key: str) -> None:
    """Meaning and source of each; unit, a bound and both ends of a number; when each word of a choice is a good one."""
    facts = explain_key(key)
    assert facts["meaning"] and facts["source"]
    kind = str(type_of(key))
    number = ("int" in kind or "float" in kind) and not any(word in kind for word in ("tuple", "dict", "Literal"))
    if number:
        assert facts["unit"] and facts["bounds"] and facts["too low"] and facts["too high"], facts
    told = [line.partition(":")[0] for line in facts["when"]]
    if choices(key) and key != "launch.strategy":
        assert set(told) == {str(word) for word in available(key)}
    if "bool" in kind:
        assert set(told) == {"true", "false"}


def test_a_set_that_would_be_repeated_without_end_is_refused() -> None:
    mix = [{"path": "a.jsonl", "weight": 1e-9}, {"path": "b.jsonl", "weight": 1.0}]
    assert any("10,000 times" in problem.message for problem in check(bundle(data__train=mix)))
    mix[0]["weight"] = 0.01
    assert not [problem for problem in check(bundle(data__train=mix)) if problem.key == "data.train"]
