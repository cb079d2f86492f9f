"""The shipped presets give exactly the published values, and every value carries a reason."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from tuiwiz.presets.bands import BAND_NAMES
from tuiwiz.presets.choose import choose, coverage
from tuiwiz.presets.find import all_presets, gallery_folder
from tuiwiz.presets.preset import Layer
from tuiwiz.presets.read import read_preset
from tuiwiz.presets.resolve import Resolved
from tuiwiz.presets.when import Context

# (low, published, high, grade) of the learning rate, by band.
CHAT_ADAPTERS = {
    "XS": (1e-4, 3e-4, 1e-3, "B"),
    "S": (1e-4, 3e-4, 1e-3, "A"),
    "M": (1e-4, 2e-4, 5e-4, "A"),
    "L": (1e-4, 2e-4, 4e-4, "B"),
    "XL": (5e-5, 1e-4, 3e-4, "A"),
    "XXL": (5e-5, 1e-4, 2e-4, "A"),
}
CHAT_FULL = {
    "XS": (2e-5, 1e-4, 1e-3, "C"),
    "S": (1e-5, 2e-5, 3e-4, "B"),
    "M": (5e-6, 2e-5, 5e-5, "A"),
    "L": (5e-6, 1e-5, 2e-5, "B"),
    "XL": (4e-6, 5e-6, 4e-5, "A"),
    "XXL": (2e-6, 3e-6, 2e-5, "B"),
}
SMALL_ADAPTERS = {
    "XS": (7e-5, 2e-4, 5e-4, "C"),
    "S": (7e-5, 2e-4, 5e-4, "B"),
    "M": (7e-5, 1.5e-4, 3e-4, "A"),
    "L": (7e-5, 1.5e-4, 3e-4, "A"),
    "XL": (3e-5, 7e-5, 2e-4, "A"),
    "XXL": (3e-5, 7e-5, 1e-4, "A"),
}
SMALL_FULL = {
    "XS": (1e-5, 3e-5, 2e-4, "C"),
    "S": (5e-6, 1e-5, 5e-5, "B"),
    "M": (5e-6, 1e-5, 2e-5, "B"),
    "L": (5e-6, 1e-5, 2e-5, "C"),
    "XL": (4e-6, 5e-6, 4e-5, "B"),
    "XXL": (1e-6, 5e-6, 1e-5, "B"),
}
LARGE_BANDS = ("XL", "XXL")
METHODS = ("qlora", "lora", "full")
CASES = [(kind, band, method) for kind in ("chat", "many", "few") for band in BAND_NAMES for method in METHODS]


def best(kind: str, band: str, method: str) -> Resolved:
    task, rows = {"chat": ("chat", 1000), "many": ("instruct", 5000), "few": ("instruct", 4999)}[kind]
    context = Context(task=task, band=band, method=method, rows=rows, memory_bytes=24 << 30, device="cuda")
    return choose(context)[0].resolved


@pytest.mark.parametrize(("kind", "band", "method"), CASES)
def test_learning_rates_ranges_and_grades_are_the_published_ones(kind: str, band: str, method: str) -> None:
    resolved = best(kind, band, method)
    few, full = kind == "few", method == "full"
    table = (SMALL_FULL if full else SMALL_ADAPTERS) if few else (CHAT_FULL if full else CHAT_ADAPTERS)
    low, rate, high, grade = table[band]
    assert resolved.values["optimizer.learning_rate"] == pytest.approx(rate)
    assert resolved.why["optimizer.learning_rate"].range == pytest.approx((low, high))
    assert resolved.grade == grade


@pytest.mark.parametrize(("kind", "band", "method"), CASES)
def test_everything_else_is_as_published(kind: str, band: str, method: str) -> None:
    resolved = best(kind, band, method)
    few, full = kind == "few", method == "full"
    big = band not in ("XS", "S")
    expected = {
        "schedule.kind": "cosine",
        "schedule.warmup": 0.1 if few else 0.03,
        "schedule.epochs": (5 if full else 3) if few else 2,
        "batch.effective": (32 if full else 16) if few else (128 if full else 32),
        "adapter.rank": None if full else 16 if few else 32,
        "adapter.alpha": None if full else 32,
        "adapter.variant": None if full else "plain",
        "adapter.dropout": None if full else 0.0 if band in LARGE_BANDS else 0.05,
        "adapter.targets": None if full else "all-linear",
        "optimizer.weight_decay": 0.01 if few and full else 0.0,
        "optimizer.clip_norm": 0.3 if method == "qlora" else 1.0,
        "optimizer.name": "paged_adamw_8bit" if method == "qlora" or (full and big) else "adamw",
        "regularization.label_smoothing": 0,
        "regularization.neftune": 0,
        "data.max_length": 2048 if few else 4096,
        "data.packing": not few,
        "data.train_on": "completion" if few else "assistant",
        "evaluation.patience": 3,
        "quantization.type": "nf4" if method == "qlora" else None,
        "quantization.double": True if method == "qlora" else None,
    }
    assert {key: resolved.values.get(key) for key in expected} == expected
    assert round(1 / resolved.values["evaluation.every"]) == 12


def test_the_gallery_covers_chat_and_instruct_for_every_band_and_method() -> None:
    covered = coverage(all_presets().presets)
    for task in ("chat", "instruct"):
        for band in BAND_NAMES:
            for method in METHODS:
                assert any((one.task, one.band, one.method) == (task, band, method) for one in covered)
    keys = [(one.name, one.task, one.band, one.method) for one in covered]
    assert len(keys) == len(set(keys))
    assert all(one.grade in "ABC" and Path(one.path).is_file() for one in covered)


def layers() -> list[tuple[str, Layer]]:
    return [(p.name, layer) for p in all_presets().presets.values() for layer in (p.base, *p.cases)]


def test_every_file_is_valid_and_every_value_has_reason_source_and_grade() -> None:
    for path in sorted(gallery_folder().glob("*.toml")):
        preset, problems = read_preset(path)
        assert preset is not None and not list(problems), list(problems)
    for name, layer in layers():
        for key in layer.values:
            why = layer.why[key]
            assert why.reason and why.source and why.grade in ("A", "B", "C"), (name, key)


def test_no_sentence_serves_more_than_three_keys() -> None:
    counts = Counter(why.reason for _, layer in layers() for why in layer.why.values())
    assert max(counts.values()) <= 3


def test_on_a_processor_paged_optimizers_become_plain_ones_with_the_reason() -> None:
    context = Context(task="instruct", band="M", method="qlora", rows=1000, device="cpu")
    resolved = choose(context)[0].resolved
    assert resolved.values["optimizer.name"] == "adamw"
    assert "CUDA" in resolved.why["optimizer.name"].reason
    assert [step.value for step in resolved.trail["optimizer.name"]] == ["adamw", "paged_adamw_8bit", "adamw"]


def test_rows_decide_between_the_two_instruct_presets() -> None:
    def names(rows: int | None) -> list[str]:
        return [one.name for one in choose(Context(task="instruct", band="M", method="lora", rows=rows))]

    assert names(4999) == ["instruct-small"]
    assert names(5000) == ["instruct"]
    assert names(None) == ["instruct-small", "instruct"]


def test_reasons_of_a_choice_name_the_numbers() -> None:
    ranked = choose(Context(task="instruct", band="M", method="lora", rows=1425))[0]
    text = "; ".join(ranked.reasons)
    assert "4.5-10B" in text and "1,425" in text and "grade A" in text


def test_rates_reproduce_the_contract_at_32_rows() -> None:
    from tuiwiz.presets.rate import LORA_RATE

    for band, (_, rate, _, _) in CHAT_ADAPTERS.items():
        assert rate == pytest.approx(LORA_RATE[band] * math.sqrt(32 / 128))
