"""Units, safe text, atomic files, hints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.base.errors import ExitCode, InvalidError, TuiwizError
from tuiwiz.base.files import sha256_file, write_atomic
from tuiwiz.base.problems import Problem, Problems, nearest
from tuiwiz.base.text import clean, clean_line
from tuiwiz.base.units import GIB, human_bytes, human_count, human_duration, human_number, parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24", 24 * GIB), ("24GiB", 24 * GIB), ("24 GB", 24 * 10**9), ("800 MiB", 800 * 2**20), ("1.5g", int(1.5 * GIB))],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "RTX 4090", "-3", "24 apples", "1e400", "nan"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert parse_bytes(text) is None


@given(st.floats(-1e300, 1e300) | st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_numbers_always_read_back_or_name_their_kind(value: float) -> None:
    shown = human_number(value)
    assert float(shown) == pytest.approx(value, rel=1e-2, nan_ok=True)


@given(st.floats(min_value=0, max_value=1e15))
def test_bytes_counts_and_durations_are_short(value: float) -> None:
    assert len(human_bytes(value)) <= 12
    assert len(human_count(value)) <= 14
    assert len(human_duration(value)) <= 20


@given(st.text())
def test_clean_text_holds_no_control_characters(text: str) -> None:
    cleaned = clean("\x1b[31m" + text + "\x1b]52;c;aGk=\x07")
    assert not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in cleaned)
    assert clean(cleaned) == cleaned


def test_sequences_vanish_whole_and_overrides_show() -> None:
    assert clean("a\x1b[1;31mred\x1b[0m\x1b]0;title\x07b") == "aredb"
    assert clean("pay \u202eevil") == "pay \ufffdevil"
    assert clean_line("one\ntwo\tthree", 9) == "one⏎two …"


def test_atomic_write_replaces_whole_files_and_leaves_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.toml"
    write_atomic(path, "first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["file.toml"]
    assert len(sha256_file(path)) == 64


def test_atomic_write_keeps_the_old_file_when_the_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_nearest_finds_by_whole_key_and_by_last_part() -> None:
    keys = ["optimizer.learning_rate", "adapter.rank", "schedule.warmup"]
    assert nearest("optimizer.learning_rte", keys) == "optimizer.learning_rate"
    assert nearest("learning_rate", keys) == "optimizer.learning_rate"
    assert nearest("zzz", keys) is None


def test_errors_carry_exit_codes_and_problems() -> None:
    error = InvalidError("bad", hint="mend it")
    assert (error.exit_code, error.problems[0].hint) == (ExitCode.INVALID, "mend it")
    codes = [cls.exit_code for cls in TuiwizError.__subclasses__()]
    assert sorted(codes) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_problems_know_what_refuses() -> None:
    problems = Problems()
    problems.warning("odd")
    assert problems.ok
    problems.add(Problem(message="wrong", path="a.toml", line=3))
    assert not problems.ok
    assert problems.errors[0].place() == "a.toml:3"
