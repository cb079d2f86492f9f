"""Containers: what is read, with which row and line numbers, and what is refused with which words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.support import PAIRS, lines
from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.source import loads_numpy, open_source
from tuiwiz.data.types import Row


def read(path: Path) -> list[tuple[int, int, object]]:
    """Rows as (number, line, value); a Problem's message in place of a value."""
    return [
        (found.number, found.line, found.value)
        if isinstance(found, Row)
        else (found.row or 0, found.line or 0, found.message)
        for found in open_source(path).read()
    ]


def values(path: Path) -> list[object]:
    return [value for _, _, value in read(path)]


def refusal(path: Path) -> Problem:
    with pytest.raises(InvalidError) as caught:
        list(open_source(path).read())
    return caught.value.problems[0]


def test_json_lines_number_rows_and_lines_apart(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "one"}, "", "   ", {"text": "two"}])
    assert read(path) == [(1, 1, {"text": "one"}), (2, 4, {"text": "two"})]


def test_a_broken_line_costs_only_itself(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "one"}, '{"text": "tw', {"text": "three"}])
    found = read(path)
    assert [row[:2] for row in found] == [(1, 1), (2, 2), (3, 3)]
    assert "not valid JSON at column 10" in str(found[1][2])


def test_array_elements_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n  {"text":\n   "one"},\n\n  {"text": "two"}\n]\n', encoding="utf-8")
    assert read(path) == [(1, 2, {"text": "one"}), (2, 5, {"text": "two"})]


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ('[\n{"a": 1},\n{"a": 2},\n]', 4, 1, "comma before the closing bracket"),
        ('[\n{"a": 1}\n{"a": 2}]', 3, 1, "expected a comma"),
        ('[{"a": 1},\n{"a": tru}]', 2, 7, "Expecting value"),
        ('[{"a": 1}', 1, 10, "does not end"),
        ('[{"a": 1}] more', 1, 12, "more text after"),
    ],
)
def test_a_broken_array_is_refused_with_line_and_column(
    tmp_path: Path, text: str, line: int, column: int, word: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    problem = refusal(path)
    assert (problem.line, problem.column) == (line, column)
    assert word in problem.message


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=40)), max_size=4),
        min_size=1,
        max_size=12,
    ),
    indent=st.sampled_from([None, 1]),
)
def test_arrays_come_back_as_written_whatever_the_pieces(
    tmp_path: Path, rows: list[dict[str, object]], indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuiwiz.data.stream._CHUNK_BYTES", 7)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=False), encoding="utf-8")
    assert values(path) == rows


def test_objects_of_columns_of_splits_and_around_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"prompt": ["a", "b"], "completion": ["c", "d"]}))
    assert values(path) == [{"prompt": "a", "completion": "c"}, {"prompt": "b", "completion": "d"}]
    path.write_text(json.dumps({"test": [["x", "l"]], "train": [["y", "m"], ["z", "n"]]}))
    source = open_source(path)
    assert (source.split, source.splits) == ("train", {"test": 1, "train": 2})
    assert values(path) == [["y", "m"], ["z", "n"]]
    assert [row.value for row in open_source(path, split="test").read() if isinstance(row, Row)] == [["x", "l"]]
    path.write_text(json.dumps({"version": 1, "data": PAIRS[:2]}))
    assert values(path) == PAIRS[:2]
    path.write_text("\n".join(json.dumps(row, indent=2) for row in PAIRS[:2]))
    assert values(path) == PAIRS[:2]


def test_csv_with_quoted_line_breaks_and_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"a\r\nb",x\r\n\r\ntoo,many,cells\r\nshort\r\nc,y\r\n')
    assert read(path) == [
        (1, 2, {"text": "a\r\nb", "label": "x"}),
        (2, 5, "has 3 cells, but the header has 2"),
        (3, 6, "has 1 cell, but the header has 2"),
        (4, 7, {"text": "c", "label": "y"}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_sniffed(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"prompt{delimiter}completion\na{delimiter}b\n")
    assert values(path) == [{"prompt": "a", "completion": "b"}]


def test_gzip_zstd_and_truncated_gzip(tmp_path: Path) -> None:
    plain = lines(tmp_path / "a.jsonl", PAIRS).read_bytes()
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(plain))
    assert values(path) == PAIRS
    path.write_bytes(gzip.compress(plain * 50)[:-40])
    assert "breaks off after line" in refusal(path).message
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(pyarrow.Codec("zstd").compress(plain, asbytes=True))
    assert values(path) == PAIRS


def test_parquet_arrow_and_folders_of_shards(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist(PAIRS)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == PAIRS
    with pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert values(tmp_path / "a.arrow") == PAIRS
    folder = tmp_path / "set"
    folder.mkdir()
    lines(folder / "train-00001.jsonl", PAIRS[2:4])
    lines(folder / "train-00000.jsonl", PAIRS[:2])
    lines(folder / "test.jsonl", PAIRS[4:])
    assert [(number, value) for number, _, value in read(folder)] == list(enumerate(PAIRS[:4], 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("café\n".encode("latin-1"), ("byte 0xe9 at offset 3", "Latin-1")),
        ("ok\n“quoted”\n".encode("cp1252"), ("offset 3 (line 2)", "Windows-1252")),
        ("日本語のテキストです\n".encode("shift_jis"), ("offset 0", "Shift-JIS")),
        ("hello\n".encode("utf-16"), ("UTF-16", "offset 0")),
        ("hello there\n".encode("utf-16-le"), ("UTF-16", "offset 0")),
        (b"\x00" * 100, ("NUL bytes",)),
        (b"PK\x03\x04rest", ("zip archive",)),
        (b"", ("no rows", "empty")),
        (b"\n \n\n", ("no rows", "blank lines")),
    ],
)
def test_what_is_no_utf8_text_is_refused_by_name(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    problem = refusal(path)
    for word in words:
        assert word in problem.message


def test_rows_that_are_too_long_or_too_deep_are_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuiwiz.data.stream.LONGEST_LINE_BYTES", 1000)
    monkeypatch.setattr("tuiwiz.data.stream._CHUNK_BYTES", 100)
    deep = '{"text": ' + "[" * 450 + "]" * 450 + "}"
    path = lines(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "x" * 5000}, {"text": "two"}, deep])
    found = read(path)
    assert [row[:2] for row in found] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert "is longer than" in str(found[1][2])
    very_deep = tmp_path / "deep.jsonl"
    monkeypatch.undo()
    lines(very_deep, [{"text": "one"}, '{"text": ' + "[" * 200_000 + "]" * 200_000 + "}"])
    assert "nested too deeply" in str(read(very_deep)[1][2])


def test_missing_files_and_empty_folders(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.jsonl").message
    assert "no data files" in refusal(tmp_path).message


def test_what_would_load_numpy_is_known_without_loading_it(tmp_path: Path) -> None:
    assert not loads_numpy(lines(tmp_path / "a.jsonl", PAIRS))
    (tmp_path / "b").write_bytes(b"PAR1rest")
    assert loads_numpy(tmp_path / "b")
    assert loads_numpy(tmp_path)
