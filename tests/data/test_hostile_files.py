"""Files that are not what their name says, are broken, or come in shapes that only some tools write: a clear word or a
clean preview, and never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import PAIRS, chat, lines
from tuiwiz.base.errors import InvalidError
from tuiwiz.base.text import CONTROL
from tuiwiz.cli.main import main
from tuiwiz.data import read_object
from tuiwiz.data.check import Report, check
from tuiwiz.data.load import Settings
from tuiwiz.data.mapping import mapper
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source
from tuiwiz.data.types import Example, Row

TEXT = "".join(json.dumps(row) + "\n" for row in PAIRS)
CSV = "prompt,completion\n" + "".join(f"a{i},b{i}\n" for i in range(25))


def report(path: Path, tokenizer: Path | None = None) -> Report:
    return check(path, Settings(), Renderer(tokenizer))


def tar(name: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT.encode()))
    return target.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "a.tar": (tar("a.jsonl"), "is a tar archive"),
    "a.tar.gz": (gzip.compress(tar("a.jsonl")), "is a tar archive"),
    "twice.jsonl.gz": (gzip.compress(gzip.compress(TEXT.encode())), "is compressed twice"),
    "lfs.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS pointer"),
    "lfs.parquet": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS pointer"),
    "page.jsonl": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
    "page.csv": (b"\n<html><body>404</body></html>", "is a web page"),
    "old-mac.csv": (CSV.replace("\n", "\r").encode(), "CR alone"),
    "old-mac.jsonl": (TEXT.replace("\n", "\r").encode(), "CR alone"),
    "noise.jsonl": (bytes(range(256)) * 20, "is binary data"),
    "picture.txt": (b"\x89PNG\r\n\x1a\n" + bytes(range(200, 256)) * 20, "is a picture"),
    "gbk.jsonl": ('{"prompt":"你好世界","completion":"是的，没错"}\n'.encode("gb18030") * 9, "GB18030"),
    "koi8.txt": ("Привет, мир, как дела\n".encode("koi8-r") * 9, "KOI8-R"),
    "cp1251.txt": ("Привет, мир, как дела\n".encode("cp1251") * 9, "Windows-1251"),
    "korean.txt": ("안녕하세요 세계, 잘 지내요\n".encode("euc_kr") * 9, "EUC-KR"),
    "cesu.jsonl": (TEXT.encode() + b'{"prompt":"\xed\xa0\xbd","completion":"x"}\n', "CESU-8"),
    "huge.json": (b'[{"prompt":"' + b"x" * (17 << 20) + b'","completion":"b"}]', "line 1 is longer than 8 MiB"),
    "keys.json": (json.dumps({f"c{i}": [1, 2] for i in range(20_000)}).encode(), "more than 10,000 keys"),
    "pandas.json": (json.dumps({c: {str(i): "x" for i in range(5)} for c in "ab"}).encode(), "an object of objects"),
    "unclosed.json": (b'{"train": [{"prompt": "a", "completion": "b"}', "the array does not end"),
    "colon.json": (b'{"train" [1]}', "expected a colon"),
    "no-labels.jsonl": (b"".join(b'{"text":"t%d","labels":[]}\n' % i for i in range(25)), "no row has a label"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_data_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    data, words = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    found = report(tmp_path / name)
    assert not found.ok and words in found.problems[0].message


READ: dict[str, tuple[str, int]] = {
    "array.jsonl": (json.dumps(PAIRS, indent=1), 30),
    "array-on-one-line.jsonl": (json.dumps(PAIRS), 30),
    "pretty.jsonl": ("\n".join(json.dumps(row, indent=2) for row in PAIRS), 30),
    "comma.tsv": (CSV, 25),
    "named-separator.csv": ("sep=;\n" + CSV.replace(",", ";"), 25),
    "trailing-commas.csv": (CSV.replace("\n", ",,\n"), 25),
    "kto-numbers.jsonl": ("".join(json.dumps({**row, "label": i % 2}) + "\n" for i, row in enumerate(PAIRS)), 30),
    "rows-under-a-key.json": (json.dumps({"version": 1, "rows": PAIRS}), 30),
    "columns.json": (json.dumps({key: [row[key] for row in PAIRS] for key in PAIRS[0]}), 30),
    "splits.json": (json.dumps({"test": PAIRS[:3], "train": PAIRS}, indent=1), 30),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_data_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    text, rows = READ[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = report(tmp_path / name)
    assert (found.ok, found.usable_rows) == (True, rows), found.problems
    assert found.format == ("kto" if name.startswith("kto") else "prompt-completion")


def test_rows_of_a_split_are_read_one_by_one_and_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": [*PAIRS, 7], "test": PAIRS[:2]}, indent=1), encoding="utf-8")
    source = open_source(path)
    assert (source.container, source.split, source.splits, source.loaded) == (
        "json-splits",
        "train",
        {"train": 31, "test": 2},
        None,
    )
    (bad,) = [p for p in report(path).problems if "left out" in p.message]
    assert (bad.row, bad.line) == (31, 123)


def test_a_large_object_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_object, "LOOKED_AT_CHARACTERS", 1000)
    rows, tests = [PAIRS[i % 30] for i in range(500)], [{"prompt": "t", "completion": "u"}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": rows, "test": tests}), encoding="utf-8")
    source = open_source(path)
    assert (source.split, source.splits) == ("train", {}) and sum(1 for _ in source.read()) == 500
    path.write_text(json.dumps({"test": rows, "train": tests}), encoding="utf-8")
    with pytest.raises(InvalidError, match="hold test and no training rows"):
        open_source(path)
    path.write_text(json.dumps({"prompt": ["a"] * 500, "completion": ["b"] * 500}), encoding="utf-8")
    with pytest.raises(InvalidError, match="too large to be turned into rows"):
        open_source(path)


def shards(folder: Path, numbers: list[int], total: int) -> Path:
    folder.mkdir()
    for number in numbers:
        lines(folder / f"train-{number:05}-of-{total:05}.jsonl", PAIRS[10 * number : 10 * number + 10])
    return folder


def test_a_missing_shard_is_told(tmp_path: Path) -> None:
    assert report(shards(tmp_path / "whole", [0, 1, 2], 3)).usable_rows == 30
    (first,) = report(shards(tmp_path / "some", [0, 2], 3)).problems
    assert "2 of 3 shards of train-*.jsonl are here; missing: 1" in first.message
    saved = shards(tmp_path / "saved", [0, 1, 2], 3)
    names = [{"filename": file.name} for file in saved.iterdir()] + [{"filename": "data-9.arrow"}]
    (saved / "state.json").write_text(json.dumps({"_data_files": names}), encoding="utf-8")
    assert "data-9.arrow, which state.json names, is missing" in report(saved).problems[0].message


def test_a_quote_that_is_never_closed_swallows_nothing_silently(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV + 'x,"never closed\n' + "a,b\n" * 50, encoding="utf-8")
    found = report(path)
    (bad,) = [p for p in found.problems if "left out" in p.message]
    assert "never closed: it takes in the lines up to 77" in bad.message and bad.line == 27


def of(row: dict[str, Any], tmp_path: Path, *, task: str = "") -> tuple[str, Example]:
    path = lines(tmp_path / "one.jsonl", [row] * 3)
    found = sniff(path, task=task)
    return found.format, mapper(found.format, found.mapping)(Row(1, 1, row))


def test_a_whole_chat_beside_a_column_of_turns_is_not_doubled(tmp_path: Path) -> None:
    """As UltraFeedback has it: `messages` repeats the chosen chat."""
    row = {"prompt": "q", "chosen": chat("q", "good"), "rejected": chat("q", "bad"), "messages": chat("q", "good")}
    form, example = of(row, tmp_path)
    assert (form, [turn["content"] for turn in example.messages], example.rejected) == (
        "preference",
        ["q", "good"],
        "bad",
    )


def test_one_odd_label_does_not_hide_the_others(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": "ab"[i % 2] if i != 3 else ["a"]} for i in range(25)]
    found = report(lines(tmp_path / "a.jsonl", rows))
    assert (found.format, found.usable_rows, found.classes) == ("classification", 24, 2)


def deep(open_: str, middle: str, close: str, times: int) -> str:
    return open_ * times + middle + close * times


HOSTILE: dict[str, Callable[[], str | bytes]] = {
    "deep.json": lambda: deep("[", "", "]", 200_000),
    "deep-objects.json": lambda: deep('{"a":', "1", "}", 100_000),
    "deep-row.jsonl": lambda: TEXT + '{"prompt":' + deep("[", "", "]", 100_000) + ',"completion":"x"}\n',
    "deep-parts.jsonl": lambda: ('{"messages":' + deep('[{"role":"user","content":', '"x"', "}]", 300) + "}\n") * 9,
    "half.jsonl": lambda: TEXT + '{"prompt":"\\ud83d","completion":"\\udc00"}\n',
    "half-name.jsonl": lambda: '{"prom\\ud83dpt":"a","completion":"b"}\n' * 9,
    "nul.csv": lambda: CSV + "a\0,b\0\n",
    "nul.txt": lambda: "some text\0 here\n" * 50,
    "terminal.jsonl": lambda: json.dumps({"prompt": "\x1b]0;x\x07\x1b[2J[bold]\u202e[/]", "completion": "\x9b1m"}) * 1,
    "terminal-names.jsonl": lambda: json.dumps({"\x1b[31mpr[bold]": "x", "[/]c\x1b[2J": "y"}),
    "numbers.jsonl": lambda: '{"text":"x","label":' + "9" * 5000 + '}\n{"text":"y","label":1}\n',
    "not-a-number.jsonl": lambda: '{"text":NaN,"label":Infinity}\n{"text":"x","label":-Infinity}\n' * 9,
    "mixed.jsonl": lambda: TEXT + '[1]\n"s"\n5\nnull\ntrue\n{}\n{"messages":[]}\n{"text":{"a":[]}}\n',
    "cut.jsonl.gz": lambda: gzip.compress((TEXT * 99).encode())[:-40],
    "garbage.jsonl.gz": lambda: gzip.compress(TEXT.encode()) + b"garbage",
    "cut.parquet": lambda: b"PAR1" + bytes(500),
    "no-object.json": lambda: '{"error":"not found"}',
    "turns.jsonl": lambda: '{"messages":[{"role":1,"content":2},5,null,{"content":[{"type":"text"},7]}]}\n' * 9,
    "brace.json": lambda: "{",
    "python.jsonl": lambda: "{'prompt': 'a', 'completion': None}\n" * 9,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_neither_check_nor_show_breaks_the_screen(
    tmp_path: Path, tiny_tokenizer: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = HOSTILE[name]()
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    for command in ("check", "show"):
        code = main(["data", command, str(path), "--model", str(tiny_tokenizer)])
        out = "".join(capsys.readouterr())
        assert code in (0, 3) and out and "Traceback" not in out
        assert not CONTROL.search(out), out
