"""Models of which only the number of parameters is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.memory.test_estimate import known_shape
from tuiwiz.base.errors import InvalidError
from tuiwiz.catalog.config import read_shape
from tuiwiz.catalog.gpus import find_device
from tuiwiz.catalog.guess import guessed_shape, parameters_in_name
from tuiwiz.catalog.sources import locate
from tuiwiz.memory.estimate import estimate
from tuiwiz.memory.setting import Setting


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("acme/Foo-7B", 7e9),
        ("acme/foo_350m-chat", 350e6),
        ("acme/Bar-1.5B-v2", 1.5e9),
        ("acme/7b-things/Foo", None),
        ("acme/Foo-8x7B", None),
        ("acme/gpt2", None),
        ("acme/Foo-32bit", None),
        ("acme/Foo-999999B", None),
    ],
)
def test_sizes_in_names(name: str, count: float | None) -> None:
    assert parameters_in_name(name) == count


@pytest.mark.parametrize("count", [2e6, 90e6, 1.3e9, 7e9, 40e9, 700e9])
def test_a_guess_has_the_count_and_a_wide_band(count: float) -> None:
    shape = guessed_shape(count, "some")
    assert shape.parameters == pytest.approx(count, rel=0.05) or count < 1e7
    assert shape.guessed and not shape.exact
    found = estimate(shape, Setting(method="lora"), find_device("80"))
    known = estimate(known_shape("qwen3-8b"), Setting(method="lora"), find_device("80"))
    wide, narrow = (
        (one.high_bytes - one.low_bytes) / (one.total_bytes - one.items["weights"]) for one in (found, known)
    )
    assert wide > 4 * narrow


def a_folder(path: Path, config: dict[str, object], elements: int) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [elements // 100, 100]}})
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
    return path


def test_a_strange_architecture_is_planned_by_its_files(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "strange", {"model_type": "rwkv9", "d_state": 16}, 1_400_000_000)
    shape = read_shape(folder)
    assert shape.guessed and shape.architecture == "rwkv9" and shape.parameters == pytest.approx(1.4e9, rel=0.02)


def test_a_broken_configuration_of_a_known_one_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="hidden_size"):
        read_shape(a_folder(tmp_path / "broken", {"model_type": "llama"}, 1_000_000))


def test_a_strange_one_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "rwkv9"}', encoding="utf-8")
    with pytest.raises(InvalidError):
        read_shape(tmp_path)


def test_a_hub_id_with_a_size_is_planned_and_said_to_be_a_guess(tmp_path: Path) -> None:
    found = locate("acme/Foo-7B", None, tmp_path)
    assert found.shape is not None and found.shape.guessed and "guess" in found.note
    assert locate("acme/Foo", None, tmp_path).shape is None
