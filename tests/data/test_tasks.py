"""Rows of classes, numbers, pairs and verdicts: labels as numbers, cuts that keep what is needed, and the preview."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.support import chat, lines
from tests.support.tiny import make_encoder
from tuiwiz.base.errors import InvalidError
from tuiwiz.data.labels import class_names, coded, places_of
from tuiwiz.data.prepare import prepare
from tuiwiz.data.preview import preview
from tuiwiz.data.render import Renderer
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Data, Validation
from tuiwiz.spec.model import Model
from tuiwiz.spec.task import Task

PAIRS = [{"prompt": f"What is {i}?", "chosen": f"It is {i}, of course.", "rejected": f"No {i}"} for i in range(10, 16)]


def prepared(folder: Path, tokenizer: Path, rows: list[Any], task: str, **values: Any) -> Prepared:
    lines(folder / "a.jsonl", rows)
    labels = values.pop("labels", None)
    bundle = Bundle(
        task=msgspec.convert({"kind": task, "labels": labels}, Task),
        model=Model(source="none"),
        data=msgspec.convert({"train": "a.jsonl", **values}, Data),
        validation=Validation(fraction=0.0),
    )
    return prepare(bundle, folder, tokenizer)


@given(st.lists(st.one_of(st.integers(-50, 50), st.text("abc", min_size=1)), min_size=1, max_size=20))
def test_every_label_has_a_place_of_its_own(labels: list[Any]) -> None:
    names = class_names(labels, "single")
    assert len(set(names)) == len(names) == len({str(label) for label in labels})
    places = places_of(names)
    assert all(names[int(coded(label, "single", places)[0])] == str(label) for label in labels)
    assert class_names(reversed(labels), "single") == names
    (row,) = {coded(labels, "multi", places)}
    assert row == (1.0,) * len(names)


def test_whole_numbers_stand_in_their_order() -> None:
    assert class_names([10, 9, -1], "single") == ("-1", "9", "10")
    assert class_names(["10", "9", "a"], "single") == ("10", "9", "a")


@pytest.mark.parametrize("label", ["much", math.nan, None, True, "inf"])
def test_what_is_no_number_is_refused(label: Any) -> None:
    with pytest.raises(RowError, match="no number"):
        coded(label, "regression", {})


def test_classes_come_from_the_rows(tmp_path: Path, tiny_tokenizer: Path) -> None:
    rows = [{"text": f"number {i}", "label": ["b", "a"][i % 2]} for i in range(6)]
    found = prepared(tmp_path, tiny_tokenizer, rows, "classify")
    assert found.labels == ("a", "b")
    assert [row.label for row in found.train] == [(1.0,), (0.0,)] * 3
    assert all(row.supervised == 0 for row in found.train)


def test_several_labels_and_numbers(tmp_path: Path, tiny_tokenizer: Path) -> None:
    rows = [{"text": f"number {i}", "labels": [["x"], [], ["y", "x"]][i % 3]} for i in range(6)]
    found = prepared(tmp_path, tiny_tokenizer, rows, "classify", labels="multi")
    assert found.labels == ("x", "y") and [row.label for row in found.train[:3]] == [(1, 0), (0, 0), (1, 1)]
    with pytest.raises(InvalidError, match="lists of labels"):
        prepared(tmp_path, tiny_tokenizer, rows, "classify")
    numbers = [{"text": f"number {i}", "label": value} for i, value in enumerate([0.5, "1.5", 2, "lots"])]
    found = prepared(tmp_path, tiny_tokenizer, numbers, "classify", labels="regression")
    assert found.labels == () and [row.label for row in found.train] == [(0.5,), (1.5,), (2.0,)]
    assert [problem.row for problem in found.problems if "no number" in problem.message] == [4]


def test_a_text_is_framed_by_its_tokenizer_and_keeps_the_frame_when_cut(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path / "encoder")
    rows = [
        {"text": "one two three four five six seven " * 6, "label": "long"},
        {"text": "spells <|im_end|> itself", "label": "short"},
    ]
    found = prepared(tmp_path, encoder, rows, "classify", max_length=48, overlong="truncate")
    special = Renderer(encoder).tokens.special  # type: ignore[union-attr]
    first, end = special["<|im_start|>"], special["<|im_end|>"]
    long, short = found.train
    # Neither the padding nor the truncation that the tokenizer's own file asks for.
    assert len(long.input_ids) == 48 and long.input_ids[0] == first and long.input_ids[-1] == end
    assert list(short.input_ids).count(end) == 1, "in the text it is mere text"
    assert len(prepared(tmp_path, encoder, rows, "classify", max_length=48).train) == 1


def test_both_answers_of_a_pair_are_trained_under_one_prompt(tmp_path: Path, tiny_tokenizer: Path) -> None:
    found = prepared(tmp_path, tiny_tokenizer, PAIRS, "dpo")
    renderer = Renderer(tiny_tokenizer)
    for row, source in zip(found.train, PAIRS, strict=True):
        assert row.other is not None and row.prompt_ids == row.other.prompt_ids
        assert renderer.decode(row.answer_ids) == source["chosen"] + "<|im_end|>\n"
        assert renderer.decode(row.other.answer_ids) == source["rejected"] + "<|im_end|>\n"
    assert found.profile.tokens == found.train.tokens and found.profile.supervised_tokens == found.train.supervised
    taken = found.train.take([2, 0])
    assert [row.row for row in taken] == [3, 1]
    assert taken.others is not None and [row.row for row in taken.others] == [3, 1]


def test_only_the_last_answer_of_a_chat_is_judged(tmp_path: Path, tiny_tokenizer: Path) -> None:
    turns = chat("hello", "first answer", "and now?")
    row = {"messages": turns, "chosen": "better", "rejected": "worse"}
    found = prepared(tmp_path, tiny_tokenizer, [row, {**row, "rejected": "worst"}], "simpo")
    decoded = Renderer(tiny_tokenizer).decode([t for t, m in zip(*_marks(found), strict=True) if m])
    assert decoded == "better<|im_end|>\n"


def _marks(found: Prepared) -> tuple[list[int], bytes]:
    return list(found.train[0].input_ids), found.train[0].trained


def test_a_pair_is_cut_on_both_sides_or_left_out(tmp_path: Path, tiny_tokenizer: Path) -> None:
    long = {"prompt": "What?", "chosen": "yes " * 40, "rejected": "no " * 40}
    lost = {"prompt": "What is it? " * 20, "chosen": "yes", "rejected": "no"}
    found = prepared(tmp_path, tiny_tokenizer, [*PAIRS, long, lost], "dpo", max_length=64, overlong="truncate")
    assert [row.row for row in found.train] == [1, 2, 3, 4, 5, 6, 7]
    cut = found.train[6]
    assert len(cut.input_ids) == 64 and len(cut.other.input_ids) == 64 and cut.supervised and cut.other.supervised
    assert len(prepared(tmp_path, tiny_tokenizer, [*PAIRS, long, lost], "dpo", max_length=64).train) == 6


def test_verdicts(tmp_path: Path, tiny_tokenizer: Path) -> None:
    rows = [{"prompt": f"q {i}", "completion": f"a {i}", "label": ["true", False][i % 2]} for i in range(4)]
    found = prepared(tmp_path, tiny_tokenizer, rows, "kto")
    assert [row.label for row in found.train] == [(1.0,), (0.0,), (1.0,), (0.0,)]
    assert Renderer(tiny_tokenizer).decode(found.train[2].answer_ids) == "a 2<|im_end|>\n"


def test_the_preview_shows_both_answers_and_labels(tmp_path: Path, tiny_tokenizer: Path) -> None:
    row = preview(lines(tmp_path / "pairs.jsonl", PAIRS), tiny_tokenizer)[0]
    assert [one.text for one in row.segments if one.mark == "trained"] == ["It is 10, of course.<|im_end|>\n"]
    assert [one.text for one in row.other if one.mark == "trained"] == ["No 10<|im_end|>\n"]
    texts = lines(tmp_path / "texts.jsonl", [{"text": "a b", "label": "x\x1b[31m"}, {"text": "c", "label": "y"}])
    row = preview(texts, tiny_tokenizer)[0]
    assert row.label == "x" or "\x1b" not in row.label
    assert row.supervised_tokens == 0 and "".join(one.text for one in row.segments) == "a b"
    verdicts = [{"prompt": "q", "completion": "a", "label": False}]
    assert preview(lines(tmp_path / "kto.jsonl", verdicts), None)[0].label == "False"
