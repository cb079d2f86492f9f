"""The table of models and shapes read from configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tuiwiz.base.errors import InvalidError
from tuiwiz.catalog.config import read_shape, shape_of
from tuiwiz.catalog.models import all_models, find, of_size
from tuiwiz.presets.bands import BAND_NAMES, band_of


def test_the_table_covers_every_band() -> None:
    assert len(all_models()) >= 60
    assert all(known.name == known.hub.partition("/")[2].lower() for known in all_models())
    assert {band_of(known.shape.parameters) for known in all_models()} == set(BAND_NAMES)
    assert len({known.name for known in all_models()}) == len(all_models())


def test_models_are_found_by_name_and_hub_id_in_any_case() -> None:
    found = find("QWEN3-8b")
    assert found is not None and found is find("qwen/qwen3-8b")
    assert find("qwen9-8b") is None


def test_a_size_lists_what_is_here_first_and_then_the_nearest() -> None:
    near = of_size(8e9, lambda known: known.name == "mistral-7b-instruct-v0.3")
    assert near[0].name == "mistral-7b-instruct-v0.3"
    assert all(6e9 <= known.shape.parameters <= 10.7e9 for known in near)
    assert not near[1].gated
    assert of_size(5e12, lambda known: False) == []


LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


def test_a_configuration_gives_the_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(LLAMA))
    shape = read_shape(tmp_path)
    assert (shape.parameters, shape.head_dim, shape.name) == (134_515_008, 64, tmp_path.name)
    # q 576+576, k and v 576+192, o 576+576, gate and up 576+1536, down 1536+576.
    assert shape.parameters_per_rank() == 30 * (2 * 1152 + 2 * 768 + 3 * 2112)
    assert shape.parameters_per_rank(("q_proj", "v_proj")) == 30 * (1152 + 768)


def test_a_vision_model_gives_its_language_models_shape() -> None:
    text = {**LLAMA, "model_type": "gemma3_text", "head_dim": 256}
    shape = shape_of({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 9}}, "x")
    assert shape.hidden == 576 and shape.architecture == "gemma3_text"


def test_experts_are_counted_all_but_used_few() -> None:
    shape = shape_of({**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}, "x")
    assert shape.linear_parameters > 3 * shape.active_parameters / 2
    assert shape.parameters_per_rank() > 7 * 30 * 3 * 2112


def test_an_unknown_architecture_is_guessed_and_says_so() -> None:
    shape = shape_of({**LLAMA, "model_type": "brandnew"}, "x")
    assert not shape.exact and shape.parameters == 134_515_008


@pytest.mark.parametrize(
    "text",
    [b"{", b"[]", b'{"model_type": "llama"}', b'{"hidden_size": -4}', b'{"hidden_size": "many"}', b"\xff\xfe"],
)
def test_a_bad_configuration_is_refused_in_a_sentence(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(InvalidError):
        read_shape(tmp_path)


def test_a_folder_without_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"config\.json"):
        read_shape(tmp_path)
