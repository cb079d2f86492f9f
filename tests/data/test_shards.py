"""Rows of a folder of files are named by their file and their number there, as in the file that a person opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import lines
from tuiwiz.base.errors import InvalidError
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.preview import preview

ANY = Settings(task="instruct", train_on="completion")


def pairs(first: int, count: int) -> list[Any]:
    return [{"prompt": f"What is {i} and {i * 7}?", "completion": f"It is {i}."} for i in range(first, first + count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards of 20 rows; in the second row 3 has no answer, row 4 is no JSON, 5 repeats row 1 of the first, 6 holds
    an address."""
    place = tmp_path / "set"
    place.mkdir()
    lines(place / "part-0.jsonl", pairs(0, 20))
    address = {"prompt": "Who?", "completion": "a.b@corp.org"}
    second = [*pairs(100, 2), {"prompt": "x"}, "{nothing", pairs(0, 1)[0], address, *pairs(200, 14)]
    lines(place / "part-1.jsonl", second)
    return place


def places(problems: Any) -> list[tuple[str, int | None, int | None]]:
    return [(Path(one.path).name, one.row, one.line) for one in problems if one.severity == "warning"]


def test_defects_name_file_and_row(folder: Path) -> None:
    found = check(folder, ANY).problems
    warnings = {one.message: one for one in found if one.severity == "warning"}
    assert places(found) == [
        ("part-1.jsonl", 3, 3),
        ("part-1.jsonl", 4, 4),
        ("part-1.jsonl", 6, 6),
        ("part-1.jsonl", 5, None),
    ]
    assert [message.partition(":")[0] for message in warnings][:2] == ["row 3 is left out", "row 4 is left out"]
    assert any("(first: row 6 of part-1.jsonl, a." in message for message in warnings)
    assert any("(first: row 5 of part-1.jsonl, row 1 of part-0.jsonl)" in message for message in warnings)


def test_a_folder_of_one_file_and_a_file_are_named_as_that_file(folder: Path) -> None:
    (folder / "part-0.jsonl").unlink()
    for path in (folder, folder / "part-1.jsonl"):
        found = check(path, ANY).problems
        assert places(found)[0] == ("part-1.jsonl", 3, 3)
        assert any("(first: row 6, a." in one.message for one in found)


def test_labels_and_validation_rows_name_their_shard(tmp_path: Path) -> None:
    for name, labels in (("train", "ab"), ("held", "abz")):
        place = tmp_path / name
        place.mkdir()
        for number in range(2):
            last = [{"text": f"{name} odd", "label": labels[-1]}] if number else []
            rows = [{"text": f"{name} {number} {i} {i * i}", "label": "ab"[i % 2]} for i in range(10)]
            lines(place / f"p{number}.jsonl", rows + last)
    found = check(tmp_path / "train", Settings(task="classify"), validation=tmp_path / "held").problems
    (unseen,) = [one for one in found if "never sees" in one.message]
    assert (Path(unseen.path).name, Path(unseen.path).parent.name, unseen.row) == ("p1.jsonl", "held", 11)


def test_a_refusal_names_the_rows_by_file(folder: Path) -> None:
    lines(folder / "part-1.jsonl", [{"prompt": "x"}] * 30)
    report = check(folder, ANY)
    assert not report.ok and {(Path(one.path).name, one.row) for one in report.problems[1:]} == {
        ("part-1.jsonl", row) for row in range(1, 31)
    }


def test_shown_rows_and_the_report_of_a_cleaned_copy_name_the_shard(folder: Path, tmp_path: Path) -> None:
    (bad,) = [one.problem for one in preview(folder, None, task="instruct", skip=22, limit=1)]
    assert bad is not None and (Path(bad.path).name, bad.row) == ("part-1.jsonl", 3)
    check(folder, ANY, fixed=tmp_path / "clean.jsonl")
    report = json.loads((tmp_path / "clean.report.json").read_text(encoding="utf-8"))
    changes = [(one["file"], one["row"], one["line"], one["what"]) for one in report["rows"]]
    assert ("part-1.jsonl", 5, 5, "repeats an earlier row: left out") in changes
    assert {file for file, *_ in changes} == {"part-1.jsonl"}


def test_a_file_that_cannot_be_read_on_is_named(folder: Path) -> None:
    (folder / "part-1.jsonl").write_bytes(b'{"prompt": "a", "completion": "\xff"}\n' * 3)
    try:
        problems = check(folder, ANY).problems
    except InvalidError as error:
        problems = list(error.problems)
    assert any(one.path.endswith("part-1.jsonl") for one in problems)
