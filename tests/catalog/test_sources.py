"""From `model.source` to files."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest

from tests.catalog.test_models import LLAMA
from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.catalog import embedded
from tuiwiz.catalog.gguf import read_gguf_shape
from tuiwiz.catalog.sources import fetch, locate


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def model(folder: Path, *, weights: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(msgspec.json.encode(LLAMA))
    if weights:
        (folder / "model.safetensors").write_bytes(b"x")
    return folder


def nothing(what: str, done: int, total: int) -> None:
    pass


def test_a_folder_relative_to_the_bundle(tmp_path: Path) -> None:
    folder = model(tmp_path / "mine")
    located = locate("mine", None, tmp_path)
    assert (located.kind, located.folder, located.has_weights) == ("folder", folder, True)
    assert fetch("mine", None, tmp_path, nothing) == folder


def test_a_revision_of_files_that_lie_here_is_refused(tmp_path: Path) -> None:
    model(tmp_path / "org/mine")
    with pytest.raises(InvalidError, match="commit or tag of a hub model") as caught:
        locate("org/mine", "v1", tmp_path)
    assert [(one.key, "hub id" in one.hint) for one in caught.value.problems] == [("model.revision", True)]
    with pytest.raises(InvalidError, match="tuiwiz brings"):
        locate(embedded.NAME, "v1", tmp_path)
    assert locate("org/other", "v1", tmp_path).revision == "v1"


def test_a_folder_without_weights_can_be_planned_but_not_trained(tmp_path: Path) -> None:
    model(tmp_path / "mine", weights=False)
    located = locate("mine", None, tmp_path)
    assert located.shape is not None and not located.has_weights and "safetensors" in located.note
    with pytest.raises(InvalidError, match="no weights"):
        fetch("mine", None, tmp_path, nothing)


def test_a_missing_shard_counts_as_no_weights(tmp_path: Path) -> None:
    folder = model(tmp_path / "mine", weights=False)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one.safetensors"}}')
    assert not locate("mine", None, tmp_path).has_weights
    (folder / "one.safetensors").write_bytes(b"x")
    assert locate("mine", None, tmp_path).has_weights


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidError, match=r"config\.json"):
        locate("empty", None, tmp_path)


def test_the_model_that_tuiwiz_brings(tmp_path: Path) -> None:
    located = locate(embedded.NAME, None, tmp_path)
    assert located.kind == "embedded" and located.shape is not None and not located.has_weights
    with pytest.raises(MachineLacksError) as caught:
        fetch(embedded.NAME, None, tmp_path, nothing)
    assert "models get" in caught.value.hint
    model(embedded.folder())
    assert fetch(embedded.NAME, None, tmp_path, nothing) == embedded.folder()


def test_a_known_name_and_a_hub_id_without_files(tmp_path: Path) -> None:
    located = locate("qwen3-8b", None, tmp_path)
    assert located.kind == "table" and located.shape is not None and "Apache-2.0" in located.note
    assert "agreement" in locate("meta-llama/Llama-3.1-8B-Instruct", None, tmp_path).note
    unknown = locate("someone/something", None, tmp_path)
    assert unknown.kind == "hub" and unknown.shape is None and unknown.note


def test_the_hubs_local_cache_is_used(tmp_path: Path) -> None:
    root = tmp_path / "hub" / "models--someone--something"
    folder = model(root / "snapshots" / "abc")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    located = locate("someone/something", None, tmp_path)
    assert (located.kind, located.folder, located.has_weights) == ("cached", folder, True)
    assert locate("someone/something", "abc", tmp_path).folder == folder
    assert locate("someone/something", "other", tmp_path).folder is None


def test_without_a_hub_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(MachineLacksError) as caught:
        fetch("someone/something", None, tmp_path, nothing)
    assert "someone/something" in caught.value.message and embedded.NAME in caught.value.hint


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("qwen3-8c", "qwen3-8b"),
        ("./nowhere", "config.json"),
        ("", "hub id"),
        ("a" * 400, "models list"),
        ("nul\0", "models list"),
        ("~nobody-here/x/y", "config.json"),
    ],
)
def test_what_is_nothing_is_refused_with_a_hint(tmp_path: Path, source: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        locate(source, None, tmp_path)
    assert word in caught.value.hint


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*, entries: int | None = None, tensors: tuple[str, ...] = ()) -> bytes:
    numbers = {
        "embedding_length": 576,
        "block_count": 30,
        "attention.head_count": 9,
        "attention.head_count_kv": 3,
        "feed_forward_length": 1536,
        "vocab_size": 49152,
    }
    body = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for key, value in numbers.items():
        body += text(f"llama.{key}") + struct.pack("<II", 4, value)
    count = len(numbers) + 1 if entries is None else entries
    for name in tensors:
        body += text(name) + struct.pack("<IQIQ", 1, 4, 0, 0)
    return struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), count) + body


def test_a_gguf_header_gives_the_shape(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    path.write_bytes(gguf())
    assert read_gguf_shape(path).parameters == 134_515_008
    path.write_bytes(gguf(tensors=("output.weight",)))
    assert not read_gguf_shape(path).tied
    located = locate("small.gguf", None, tmp_path)
    assert located.kind == "gguf" and located.shape is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GGUF",
        b"PK\x03\x04" + bytes(40),
        gguf()[:90],
        gguf(entries=2**60),
        struct.pack("<4sIQQ", b"GGUF", 9, 0, 0),
        struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2**50),
    ],
)
def test_a_damaged_gguf_is_refused_in_a_sentence(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    with pytest.raises(InvalidError):
        read_gguf_shape(path)
