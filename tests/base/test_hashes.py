"""Hashes are remembered as long as the file is the same, and never longer."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tuiwiz.base import hashes
from tuiwiz.base.hashes import cached_sha256


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tuiwiz" / "hashes.json"


def test_the_second_time_the_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert cached_sha256(path) == hashlib.sha256(b"one").hexdigest()
    monkeypatch.setattr(hashes, "sha256_file", lambda path: pytest.fail("read again"))
    assert cached_sha256(path) == hashlib.sha256(b"one").hexdigest()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = cached_sha256(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert cached_sha256(path) == hashlib.sha256(b"two").hexdigest() != first


def test_a_broken_cache_is_only_a_cache(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("{broken")
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert cached_sha256(path) == hashlib.sha256(b"one").hexdigest()


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.parent.mkdir(parents=True)
    own_cache.parent.write_text("a file where the folder should be")
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert cached_sha256(path) == hashlib.sha256(b"one").hexdigest()
