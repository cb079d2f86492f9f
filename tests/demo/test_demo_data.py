"""The demo's data set is what it claims to be: reproducible, apart, and new in phrasing and value where held out."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest

from tuiwiz.data.demo import EXAMPLES, HELD_OUT, TRAIN
from tuiwiz.data.demo.generate import write
from tuiwiz.data.demo.intents import INTENTS

MOST_ALIKE = 0.8
"""Share of words, in order, that a held-out phrasing may have in common with any phrasing of the training rows."""


def alike(first: tuple[str, ...], second: tuple[str, ...]) -> float:
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def text(row: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in row["messages"])


def test_the_shipped_files_are_what_the_generator_makes(tmp_path: Path) -> None:
    write(tmp_path / "train", tmp_path / "held", tmp_path / "examples")
    assert (tmp_path / "train").read_bytes() == TRAIN.read_bytes()
    assert (tmp_path / "held").read_bytes() == HELD_OUT.read_bytes()
    assert (tmp_path / "examples").read_bytes() == EXAMPLES.read_bytes()


def test_size_and_number_of_intents() -> None:
    train, held_out = rows(TRAIN), rows(HELD_OUT)
    assert len(train) >= 600 and len(held_out) >= 100
    assert len({row["intent"] for row in train}) == len({row["intent"] for row in held_out}) == len(INTENTS) >= 12
    assert not {text(row) for row in train} & {text(row) for row in held_out}
    assert len({text(row) for row in train}) == len(train)


def test_every_held_out_row_has_a_phrasing_that_training_never_shows() -> None:
    known = {row["phrasing"] for row in rows(TRAIN)}
    assert not known & {row["phrasing"] for row in rows(HELD_OUT)}
    # Nor is a held-out phrasing a trained one in other clothes.
    plain = {tuple(re.findall(r"\w+", phrasing.lower())) for phrasing in known}
    for phrasing in {row["phrasing"] for row in rows(HELD_OUT)}:
        words = tuple(re.findall(r"\w+", phrasing.lower()))
        nearest = max(plain, key=lambda other: alike(words, other))
        assert alike(words, nearest) <= MOST_ALIKE, (phrasing, nearest)


def test_every_held_out_row_has_a_value_that_no_training_text_holds() -> None:
    corpus = "\n".join(text(row) for row in rows(TRAIN))

    def is_new(value: object) -> bool:
        return re.search(rf"(?<![\w:]){re.escape(str(value))}(?![\w:])", corpus, re.IGNORECASE) is None

    for row in rows(HELD_OUT):
        assert any(is_new(value) for value in row["values"].values()), row


@pytest.mark.parametrize("path", [TRAIN, HELD_OUT])
def test_the_answer_is_json_made_of_the_request(path: Path) -> None:
    for row in rows(path):
        request, answer = row["messages"][1]["content"], json.loads(row["messages"][2]["content"])
        assert answer == {"action": row["intent"], **row["values"]}
        assert all(str(value).lower() in request.lower() for value in row["values"].values())
        assert row["messages"][2]["content"] == json.dumps(answer, separators=(",", ":"))
