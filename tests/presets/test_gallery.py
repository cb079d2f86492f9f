"""The shipped presets give exactly the published values, and every value carries a reason."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tuiwiz.presets.bands import BAND_NAMES
from tuiwiz.presets.choose import choose, coverage
from tuiwiz.presets.find import all_presets, gallery_folder
from tuiwiz.presets.preset import Layer
from tuiwiz.presets.rate import LORA_RATE
from tuiwiz.presets.read import read_preset
from tuiwiz.presets.resolve import LEARNING_RATE, Resolved, resolve
from tuiwiz.presets.when import Context
from tuiwiz.spec.rules import available

NAMES = {
    "chat_sft": ("chat", "chat"),
    "instruct_small": ("instruct-small", "instruct"),
    "domain_cpt": ("pretrain", "pretrain"),
    "text_cls": ("classify", "classify"),
    "seq_task": ("sequence", "instruct"),
}
"""Names of the published table -> preset and task; the others are called the same."""
OPTIMIZERS = {"adamw_torch_fused": "adamw", "paged_adamw_8bit_or_zero3": "paged_adamw_8bit"}
METHODS = ("qlora", "lora", "full")


def published() -> list[dict[str, str]]:
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of(name: str, task: str, band: str, method: str) -> Resolved:
    known = all_presets().presets
    return resolve(known[name], Context(task=task, band=band, method=method, rows=3000, device="cuda"), known)


@pytest.mark.parametrize("row", published(), ids=lambda row: f"{row['task']}-{row['band']}-{row['method']}")
def test_every_row_is_as_published(row: dict[str, str]) -> None:
    name, task = NAMES.get(row["task"], (row["task"], row["task"]))
    resolved = of(name, task, row["band"], row["method"])
    why = resolved.why[LEARNING_RATE]
    assert (why.range, why.grade) == ((float(row["lr_lo"]), float(row["lr_hi"])), row["grade"])
    expected: dict[str, Any] = {
        LEARNING_RATE: float(row["lr"]),
        "schedule.kind": row["schedule"].removesuffix("_min10"),
        "schedule.warmup": float(row["warmup_ratio"]),
        "schedule.epochs": float(row["epochs"]),
        "batch.effective": int(row["eff_batch"]),
        "optimizer.name": OPTIMIZERS.get(row["optim"], row["optim"]),
        "optimizer.weight_decay": float(row["weight_decay"]),
        "optimizer.clip_norm": float(row["clip"]),
        "regularization.label_smoothing": float(row["label_smoothing"]),
        "regularization.neftune": float(row["neftune"]),
        "data.max_length": int(row["max_len"]),
        "data.packing": row["packing"] == "true",
        "evaluation.patience": int(row["patience"]),
        "adapter.rank": int(row["rank"]) if row["rank"] else None,
        "adapter.alpha": float(row["alpha"]) if row["alpha"] else None,
        "adapter.dropout": float(row["dropout"]) if row["dropout"] else None,
        "adapter.variant": {"true": "rslora", "false": "plain", "": None}[row["rslora"]],
        "quantization.type": "nf4" if row["method"] == "qlora" else None,
    }
    assert {key: resolved.values.get(key) for key in expected} == expected
    assert round(1 / resolved.values["evaluation.every"]) == int(row["evals_per_run"])
    ends_at_a_tenth = row["schedule"].endswith("min10") or row["task"] == "reward"
    assert resolved.values.get("schedule.min_ratio", 0.0) == (0.1 if ends_at_a_tenth else 0.0)


def test_the_gallery_covers_every_task_for_every_band_and_method() -> None:
    covered = coverage(all_presets().presets)
    have = {(one.task, one.band, one.method) for one in covered}
    wanted = {
        (str(task), band, str(method))
        for task in available("task.kind")
        for band in BAND_NAMES
        for method in available("adapter.method")
    }
    assert have == wanted
    keys = [(one.name, one.task, one.band, one.method) for one in covered]
    assert len(keys) == len(set(keys))
    assert all(one.grade in ("A", "B", "C") and Path(one.path).is_file() for one in covered)


def test_simpo_has_its_authors_settings_at_7b_and_says_that_the_rest_is_untested() -> None:
    assert of("simpo", "simpo", "M", "full").values[LEARNING_RATE] == 6e-7
    assert of("simpo", "simpo", "M", "full").grade == "A"
    grades = {of("simpo", "simpo", band, method).grade for band in BAND_NAMES for method in ("lora", "qlora")}
    assert grades == {"C"}


@pytest.mark.parametrize("band", BAND_NAMES)
def test_freezing_takes_the_values_of_all_weights_and_calls_them_untested(band: str) -> None:
    part, whole = of("chat", "chat", band, "freeze"), of("chat", "chat", band, "full")
    assert part.values == whole.values
    assert part.grade == "C"
    assert part.why[LEARNING_RATE].reason.endswith(whole.why[LEARNING_RATE].reason)
    assert part.why["batch.effective"] == whole.why["batch.effective"]


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


def test_every_reason_has_a_number_and_a_source_of_its_own() -> None:
    bare = [
        (name, key, why.reason)
        for name, layer in layers()
        for key, why in layer.why.items()
        if not re.search(r"\d", why.reason) or not re.search(r"\w{3}", why.source)
    ]
    assert not bare


def test_on_a_processor_paged_optimizers_become_plain_ones_with_the_reason() -> None:
    context = Context(task="instruct", band="M", method="qlora", rows=1000, device="cpu")
    resolved = choose(context)[0].resolved
    assert resolved.values["optimizer.name"] == "adamw"
    assert "CUDA" in resolved.why["optimizer.name"].reason
    assert [step.value for step in resolved.trail["optimizer.name"]] == ["adamw", "paged_adamw_8bit", "adamw"]


def test_rows_decide_between_the_instruct_presets_and_sequence_never_comes_first() -> None:
    def names(rows: int | None) -> list[str]:
        return [one.name for one in choose(Context(task="instruct", band="M", method="lora", rows=rows))]

    assert names(4999) == ["instruct-small", "sequence"]
    assert names(5000) == ["instruct", "sequence"]
    assert set(names(None)) == {"instruct-small", "instruct", "sequence"}


def test_reasons_of_a_choice_name_the_numbers() -> None:
    ranked = choose(Context(task="instruct", band="M", method="lora", rows=1425))[0]
    text = "; ".join(ranked.reasons)
    assert "4.5-10B" in text and "1,425" in text and "grade A" in text


def test_rates_reproduce_the_contract_at_32_rows() -> None:
    for band in BAND_NAMES:
        rate = of("chat", "chat", band, "lora").values[LEARNING_RATE]
        assert rate == pytest.approx(LORA_RATE[band] * math.sqrt(32 / 128))
