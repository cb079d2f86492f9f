"""Plans of bundles: verdicts, choices, and what they say when nothing fits."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.memory.test_estimate import CPU, known_shape
from tuiwiz.catalog.gpus import find_device
from tuiwiz.memory.estimate import ITEMS, estimate
from tuiwiz.memory.plan import Plan, plan, time_words
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.verdict import verdict
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import unflatten

LENGTHS = {"p50": 200, "p95": 412, "max": 611}


def bundle(**values: Any) -> Bundle:
    keys = {name.replace("__", "."): value for name, value in values.items()}
    flat = {"task.kind": "instruct", "model.source": "x", "data.train": "x.jsonl", **keys}
    return msgspec.convert(unflatten(flat), Bundle)


def planned(model: str, card: str, lengths: dict[str, int] | None = LENGTHS, **values: Any) -> Plan:
    return plan(bundle(**values), known_shape(model), find_device(card), lengths, 1282)


def test_qlora_of_eight_billion_fits_a_4090() -> None:
    found = planned("qwen3-8b", "RTX 4090", batch__micro=2)
    assert found.verdict == "fits" and found.fits
    assert tuple(found.items) == ITEMS and sum(found.items.values()) == found.total_bytes
    assert found.steps == 81 and found.seconds_per_step is not None and time_words(found).startswith("about")


def test_choices_keep_the_effective_batch_and_come_fastest_first() -> None:
    found = planned("qwen3-8b", "RTX 4090", batch__effective=12)
    own = [choice for choice in found.choices if choice.method == "qlora"]
    assert {choice.micro_batch for choice in own} == {1, 2, 3, 4, 6, 12}
    assert all(choice.micro_batch * choice.accumulation == 12 for choice in found.choices)
    assert all(choice.max_length == 2048 for choice in own)
    fitting = [choice for choice in found.choices if choice.fits]
    assert found.choices[: len(fitting)] == tuple(fitting)
    speeds = [choice.tokens_per_second or 0 for choice in fitting]
    # Within eight per cent the one that needs less comes first.
    assert all(later <= earlier / 0.92 for earlier, later in pairwise(speeds)) and speeds[-1] > 0
    assert all(choice.tokens_per_second is None for choice in found.choices if not choice.fits)


def test_the_other_methods_are_offered_too() -> None:
    found = planned("llama-3.2-1b-instruct", "A100 80GB")
    assert {choice.method for choice in found.choices} == {"qlora", "lora", "full"}


def test_shorter_rows_are_tried_where_the_length_does_not_fit() -> None:
    found = planned("qwen3-8b", "8", None, data__max_length=8192)
    own = {choice.max_length for choice in found.choices if choice.method == "qlora"}
    assert 8192 in own and min(own) < 8192


def test_an_impossible_wish_names_the_nearest_thing_that_fits() -> None:
    tight = planned("qwen3-8b", "RTX 4090", batch__micro=16)
    assert tight.verdict == "no" and not tight.fits and "fits" in tight.next_step
    hopeless = planned("llama-3.1-70b-instruct", "8")
    assert hopeless.verdict == "no" and "smaller model" in hopeless.next_step
    assert not any(choice.fits for choice in hopeless.choices)


def test_short_rows_are_not_planned_at_the_limit() -> None:
    assert planned("qwen3-8b", "24", LENGTHS).total_bytes < planned("qwen3-8b", "24", None).total_bytes


def test_without_lengths_there_is_no_time_and_a_reason() -> None:
    found = planned("qwen3-8b", "24", None)
    assert found.seconds_per_step is None and "lengths" in found.why and time_words(found) == ""


def test_a_processor_is_planned_too() -> None:
    found = plan(bundle(data__max_length=512), known_shape("smollm2-135m-instruct"), CPU, LENGTHS, 100)
    assert found.items["context"] > 0 and found.verdict in ("fits", "tight")


@pytest.mark.parametrize(("size", "word"), [(95, "fits"), (96, "tight"), (100, "tight"), (101, "no")])
def test_three_zones(size: int, word: str) -> None:
    assert verdict(size, 100) == word


def test_a_large_search_is_fast() -> None:
    started = time.perf_counter()
    planned("llama-3.1-70b-instruct", "8", None, batch__effective=64, data__max_length=8192)
    assert time.perf_counter() - started < 0.05


def test_precision_follows_the_executor() -> None:
    old = planned("llama-3.2-1b-instruct", "T4")
    assert any("bf16" in note for note in old.notes)
    half = planned("llama-3.2-1b-instruct", "T4", model__dtype="fp16")
    assert half.total_bytes < old.total_bytes


def test_gibibytes_are_not_spent_on_a_few_per_cent_of_speed() -> None:
    found = plan(bundle(data__max_length=512), known_shape("smollm2-135m-instruct"), CPU, LENGTHS, 100)
    own = [choice for choice in found.choices if choice.method == "qlora" and choice.fits]
    rivals = [
        one for one in own if (one.tokens_per_second or 0) >= 0.92 * max(two.tokens_per_second or 0 for two in own)
    ]
    assert own[0].total_bytes == min(one.total_bytes for one in rivals)


def test_accumulation_decides_the_micro_batch_where_it_is_left_open() -> None:
    four = planned("qwen3-8b", "24", batch__effective=16, batch__accumulation=4)
    assert four.total_bytes == planned("qwen3-8b", "24", batch__effective=16, batch__micro=4).total_bytes
    assert four.total_bytes < planned("qwen3-8b", "24", batch__effective=16, batch__accumulation=2).total_bytes


def test_old_cards_build_the_scores_of_grouped_heads() -> None:
    half = {"model__dtype": "fp16", "batch__micro": 1}
    old, new = (
        planned("llama-3.2-1b-instruct", card, {"p50": 4096, "p95": 4096, "max": 4096}, **half, data__max_length=4096)
        for card in ("T4", "RTX 4080")
    )
    assert old.items["activations"] > 1.5 * new.items["activations"]
    assert old.usable_bytes == pytest.approx(14.74 * 2**30, rel=0.002)


def phased(*trainable: str | None, method: str = "full") -> Bundle:
    stages = [{"name": f"p{number}", "steps": 10, "trainable": parts} for number, parts in enumerate(trainable)]
    stages = [{key: value for key, value in one.items() if value is not None} for one in stages]
    return bundle(adapter__method=method, adapter__rank=256, phases=stages)


def test_the_phase_that_takes_most_is_planned_for_and_named() -> None:
    shape, card = known_shape("qwen3-8b"), find_device("A100 80GB")
    whole, parts, mixed = (
        plan(one, shape, card, LENGTHS, 1000, measured=())
        for one in (phased(None, None), phased("head", "layers[-4:]"), phased("head", None, "norms"))
    )
    assert "phase" not in whole.limiting
    assert 'in phase "p1"' in parts.limiting and 'in phase "p1"' in mixed.limiting
    assert parts.total_bytes < 0.6 * whole.total_bytes == pytest.approx(0.6 * mixed.total_bytes)
    assert sum(parts.items.values()) == parts.total_bytes
    assert any("phases" in note for note in parts.notes) and not any("phases" in note for note in whole.notes)
    # The rows of the table are of the same phases.
    assert min(one.total_bytes for one in parts.choices if one.method == "full") < whole.items["optimizer"] * 2


def test_adapters_in_phases_are_planned_by_what_each_phase_trains() -> None:
    shape, card = known_shape("qwen3-8b"), find_device("A100 80GB")
    whole, halves, beside = (
        plan(phased(*words, method="lora"), shape, card, LENGTHS, 1000, measured=())
        for words in ((None, None), ("layers[:18]", "layers[18:]"), ("embeddings", "layers[18:]"))
    )
    # Half the states; the backward pass of the first phase reaches all layers, that of the second every other one.
    assert halves.items["adapter"] == whole.items["adapter"]
    assert 2 * halves.items["optimizer"] == pytest.approx(whole.items["optimizer"])
    assert halves.items["activations"] == whole.items["activations"] and 'in phase "p0"' in halves.limiting
    upper = plan(phased("layers[18:]", method="lora"), shape, card, LENGTHS, 1000, measured=())
    assert upper.items["activations"] == pytest.approx(whole.items["activations"] / 2, rel=0.05)
    # What is trained beside adapters is not known here: planned for as if all were.
    assert beside.total_bytes == whole.total_bytes
    assert min(one.total_bytes for one in halves.choices if one.method == "lora") < whole.total_bytes


def test_phases_of_frozen_models_are_held_as_all_of_them_need() -> None:
    shape = known_shape("qwen3-8b")
    run = Setting(method="freeze", trainable=("layers[-4:]",), length=512)
    part = msgspec.structs.replace(run, phase=("layers[-1:]",))
    of_run, of_part = (estimate(shape, one, find_device("80")) for one in (run, part))
    assert of_run.items["weights"] == of_part.items["weights"]
    assert of_part.items["optimizer"] == pytest.approx(of_run.items["optimizer"] / 4)
