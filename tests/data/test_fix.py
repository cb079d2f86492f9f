"""`data check --fix`: what the cleaned copy holds, what its report says, and what is never written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import PAIRS, lines
from tuiwiz.cli.main import main


def fix(path: Path, out: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    code = main(["data", "check", str(path), "--fix", "-o", str(out), "--model", str(tokenizer), "--json"])
    return code, json.loads(capsys.readouterr().out)


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_bad_and_repeated_rows_go_and_the_rest_is_mended_in_place(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [
        {"prompt": "caf\u00c3\u00a9?", "completion": "y\x00es", "id": 7, "extra": {"mail": ["a.b@corp.org"]}},
        {"prompt": "key", "completion": "ghp_" + "x" * 36},
        {"prompt": "no answer"},
        "{broken",
        PAIRS[0],
        {"prompt": "half", "completion": "\ud83d"},
    ]
    path = lines(tmp_path / "a.jsonl", [*PAIRS[:8], *odd])
    code, found = fix(path, tmp_path / "clean.jsonl", tiny_tokenizer, capsys)
    assert code == 0
    kept = rows_of(tmp_path / "clean.jsonl")
    assert kept[:8] == PAIRS[:8]
    assert kept[8:] == [
        {"prompt": "café?", "completion": "yes", "id": 7, "extra": {"mail": ["[e-mail]"]}},
        {"prompt": "key", "completion": "[secret]"},
    ]
    report = json.loads((tmp_path / "clean.report.json").read_text())
    assert report == found["fix"]
    assert (report["rows_in"], report["rows_out"]) == (14, 10)
    assert report["changes"] == {
        "control characters removed": 1,
        "e-mail address masked": 1,
        "wrong encoding undone": 1,
        "secret masked": 1,
        "cannot be used: left out": 2,
        "cannot be read: left out": 1,
        "repeats an earlier row: left out": 1,
    }
    assert {"row": 13, "line": 13, "what": "repeats an earlier row: left out"} in report["rows"]
    code, again = fix(tmp_path / "clean.jsonl", tmp_path / "again.jsonl", tiny_tokenizer, capsys)
    assert again["fix"]["changes"] == {} and rows_of(tmp_path / "again.jsonl") == kept


def test_labels_are_respelt_and_csv_becomes_json_lines(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"text {i},{'lost' if i % 2 else 'found'}\n" for i in range(40))
    path.write_text(f"text,label\n{rows}one,Lost\ntwo,FOUND.\n")
    assert fix(path, tmp_path / "clean.jsonl", tiny_tokenizer, capsys)[0] == 0
    kept = rows_of(tmp_path / "clean.jsonl")
    assert [row["label"] for row in kept[-2:]] == ["lost", "found"]
    assert len(kept) == 42


def test_pairs_in_lists_and_running_text_keep_their_shape(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [[f"a {i}", "x"] for i in range(9)] + [["b \x07", "y"], ["c", "y"]]
    path = lines(tmp_path / "pairs.jsonl", pairs)
    assert fix(path, tmp_path / "clean.jsonl", tiny_tokenizer, capsys)[0] == 0
    assert rows_of(tmp_path / "clean.jsonl") == [*pairs[:9], ["b ", "y"], ["c", "y"]]
    text = tmp_path / "a.txt"
    text.write_text("one\none\n\ntwo \x07three\n")
    assert fix(text, tmp_path / "clean.txt", tiny_tokenizer, capsys)[0] == 0
    assert (tmp_path / "clean.txt").read_text() == "one\none\n\ntwo three\n"


def test_nothing_is_written_over_and_refused_sets_have_no_copy(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    before = path.read_bytes()
    base = ["data", "check", str(path), "--model", str(tiny_tokenizer)]
    assert main([*base, "--fix", "-o", str(path)]) == 2
    assert main([*base, "--fix"]) == 2
    assert main([*base, "-o", str(tmp_path / "b.jsonl")]) == 2
    assert main([*base, "--fix", "-o", str(tmp_path / "no" / "b.jsonl")]) == 2
    assert path.read_bytes() == before
    bad = lines(tmp_path / "bad.jsonl", [{"x": 1}])
    capsys.readouterr()
    code, found = fix(bad, tmp_path / "b.jsonl", tiny_tokenizer, capsys)
    assert (code, found["fix"]) == (3, None)
    assert not (tmp_path / "b.jsonl").exists()
