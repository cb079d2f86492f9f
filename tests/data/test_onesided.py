"""Rows that all say the same teach no difference: told by the check and before training, over all sets together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.data.support import lines
from tuiwiz.base.errors import InvalidError
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Data, Validation
from tuiwiz.spec.model import Model
from tuiwiz.spec.task import Task


def verdicts(good: int, bad: int, first: int = 0) -> list[Any]:
    said = [True] * good + [False] * bad
    return [{"prompt": f"Say {i}", "completion": f"It is {i}.", "label": one} for i, one in enumerate(said, first)]


def texts(labels: list[Any], first: int = 0) -> list[Any]:
    return [{"text": f"text {i} of {i * 7}", "label": label} for i, label in enumerate(labels, first)]


def trained(folder: Path, tokenizer: Path, sets: list[list[Any]], task: str, **values: Any) -> Prepared:
    names = [lines(folder / f"{number}.jsonl", rows).name for number, rows in enumerate(sets)]
    bundle = Bundle(
        task=msgspec.convert({"kind": task, "labels": values.pop("labels", None)}, Task),
        model=Model(source="none"),
        data=msgspec.convert(
            {"train": names[0] if len(names) == 1 else [{"path": name} for name in names], **values}, Data
        ),
        validation=Validation(fraction=0.0),
    )
    return prepare(bundle, folder, tokenizer)


@pytest.mark.parametrize(
    ("rows", "task", "labels", "words"),
    [
        (verdicts(30, 0), "kto", None, "all rows are judged good"),
        (verdicts(0, 30), "kto", None, "all rows are judged bad"),
        (texts(["a"] * 30), "classify", None, "at least two classes are needed, all rows are 'a'"),
        (texts([["a", "b"], ["b", "a"]] * 10), "classify", "multi", r"every row has the same labels \(a, b\)"),
        (texts([[]] * 20), "classify", "multi", "no row has a label"),
        (texts([2.5] * 20), "classify", "regression", "every row has the number 2.5"),
    ],
)
def test_it_is_refused_by_the_check_and_before_training(
    tmp_path: Path, tiny_tokenizer: Path, rows: list[Any], task: str, labels: str | None, words: str
) -> None:
    with pytest.raises(InvalidError, match=words):
        trained(tmp_path, tiny_tokenizer, [rows], task, labels=labels)
    report = check(tmp_path / "0.jsonl", Settings(task=task, labels=labels))
    assert not report.ok and re.search(words, report.problems[0].message)
    # One row that says something else is a difference.
    other: dict[str | None, Any] = {"multi": ["c"], "regression": 3.0, None: "b"}
    more = verdicts(1, 1, 100) if task == "kto" else texts([other[labels]], 100)
    assert len(trained(tmp_path, tiny_tokenizer, [rows + more], task, labels=labels).train) == len(rows + more)


def test_several_sets_are_judged_together(tmp_path: Path, tiny_tokenizer: Path) -> None:
    found = trained(tmp_path, tiny_tokenizer, [verdicts(20, 0), verdicts(0, 20, 50)], "kto")
    assert len(found.train) == 40 and not [one for one in found.problems if one.severity != "info"]
    assert trained(tmp_path, tiny_tokenizer, [texts(["a"] * 20), texts(["b"] * 20, 50)], "classify").labels == (
        "a",
        "b",
    )
    with pytest.raises(InvalidError, match="all rows are judged good"):
        trained(tmp_path, tiny_tokenizer, [verdicts(20, 0), verdicts(20, 0, 50)], "kto")
    with pytest.raises(InvalidError, match="all rows are 'a'"):
        trained(tmp_path, tiny_tokenizer, [texts(["a"] * 20), texts(["a"] * 20, 50)], "classify")


@pytest.mark.parametrize(("good", "bad", "weight"), [(30, 3, "undesirable_weight"), (3, 30, "desirable_weight")])
def test_verdicts_of_very_unequal_number_are_told(
    tmp_path: Path, tiny_tokenizer: Path, good: int, bad: int, weight: str
) -> None:
    for sets in ([verdicts(good, bad)], [verdicts(good, 0), verdicts(0, bad, 100)]):
        found = trained(tmp_path, tiny_tokenizer, sets, "kto").problems
        (told,) = [one for one in found if one.severity == "warning"]
        assert f"{good} rows are judged good, {bad} bad" in told.message and f"objective.{weight}" in told.hint
    assert not [
        one for one in trained(tmp_path, tiny_tokenizer, [verdicts(27, 3)], "kto").problems if one.severity == "warning"
    ]


def test_held_out_verdicts_must_differ_and_held_out_numbers_need_not(tmp_path: Path) -> None:
    kto, good = lines(tmp_path / "a.jsonl", verdicts(9, 9)), lines(tmp_path / "b.jsonl", verdicts(9, 0, 90))
    report = check(kto, Settings(task="kto"), validation=good)
    assert [(one.message[:23], one.path) for one in report.problems if one.severity == "error"] == [
        ("all rows are judged goo", str(good))
    ]
    numbers = lines(tmp_path / "c.jsonl", texts([1.5, 2.5] * 9))
    same = lines(tmp_path / "d.jsonl", texts([1.5, 1.5], 90))
    assert check(numbers, Settings(task="classify", labels="regression"), validation=same).ok


@pytest.mark.parametrize("task", ["dpo", "reward", "simpo", "orpo"])
def test_answers_that_differ_only_beyond_the_cut_are_no_pair(tmp_path: Path, tiny_tokenizer: Path, task: str) -> None:
    same = "and so on " * 60
    pairs = [{"prompt": f"Q {i}", "chosen": f"{same}yes", "rejected": f"{same}no"} for i in range(4)]
    told = [{"prompt": f"Q {i}", "chosen": "yes", "rejected": "no"} for i in range(4, 24)]
    found = trained(tmp_path, tiny_tokenizer, [pairs + told], task, max_length=64, overlong="truncate")
    assert len(found.train) == found.profile.usable_rows == len(told)
    left_out = [one for one in found.problems if "the same in the first 64 tokens" in one.message]
    assert [one.row for one in left_out] == [1, 2, 3, 4] and "data.max_length" in left_out[0].hint
    with pytest.raises(InvalidError, match="none of 4 rows can be used: chosen and rejected are the same in the first"):
        trained(tmp_path, tiny_tokenizer, [pairs], task, max_length=64, overlong="truncate")
