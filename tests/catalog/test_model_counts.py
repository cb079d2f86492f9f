"""The table's counts against transformers' own classes, without weights, and against what publishers state."""

from __future__ import annotations

import re

import pytest

from tuiwiz.catalog.models import Known, all_models, find

SOURCE = re.compile(r"(huggingface\.co/)?[\w.-]+/[\w.-]+@[0-9a-f]{7,40}:[^@#\s]+(#[\w.-]+)?")
STATED = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>B|M| GB|)")
UNITS = {"B": 1e9, "M": 1e6, " GB": 1e9, "": 1.0}
ONE_OF_EACH_KIND = (
    "smollm2-135m-instruct",
    "qwen2.5-0.5b-instruct",
    "qwen3-0.6b",
    "gemma-3-270m-it",
    "gemma-2-2b-it",
    "phi-4-mini-instruct",
    "olmo-2-0425-1b-instruct",
    "glm-4-9b-chat-hf",
    "internlm3-8b-instruct",
    "granite-3.1-1b-a400m-instruct",
    "qwen1.5-moe-a2.7b-chat",
)


def range_of(stated: str) -> tuple[float, float]:
    """The counts that a statement may stand for, rounded or cut at its last digit that is no filling zero.

    A file of so many gigabytes holds half as many 16-bit weights, and a header of some kilobytes.
    """
    match = STATED.fullmatch(stated)
    assert match is not None, stated
    number, unit = match["number"], UNITS[match["unit"]]
    digits = number.partition(".")
    if digits[1]:
        step = unit / 10 ** len(digits[2])
    else:
        step = unit * 10 ** (len(number) - len(number.rstrip("0"))) if match["unit"] else 1.0
    weights = 2 if match["unit"] == " GB" else 1
    value = float(number) * unit
    return (value - step / 2) / weights, (value + (step / 2 if weights == 2 else step)) / weights


def instantiated(known: Known) -> int:
    """Elements of the model that transformers builds of the row on the meta device; a tied head counts once."""
    import torch
    from transformers import AutoModelForCausalLM

    from tuiwiz.executor.simulation.configs import config_of

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config_of(known.shape))
    model.tie_weights()
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("known", all_models(), ids=lambda known: known.name)
def test_each_row_names_where_it_was_read_and_agrees_with_its_publisher(known: Known) -> None:
    assert SOURCE.fullmatch(known.source), known.source
    assert SOURCE.fullmatch(known.stated_source), known.stated_source
    low, high = range_of(known.stated)
    assert low <= known.shape.parameters < high, (known.stated, known.shape.parameters)
    assert known.shape.exact


@pytest.mark.parametrize(
    ("stated", "count", "agrees"),
    [
        ("7.61B", 7_615_616_512, True),
        ("14.7B", 14_770_033_664, True),  # cut, not rounded
        ("32.5B", 32_763_876_352, False),
        ("7.3B", 7_248_023_552, False),
        ("360M", 361_821_120, True),
        ("70B", 68_976_648_192, True),
        ("14.5 GB", 7_248_023_552, True),
        ("14.5 GB", 7_200_000_000, False),
        ("999885952", 999_885_952, True),
        ("999885952", 999_885_953, False),
    ],
)
def test_a_statement_stands_for_the_counts_that_it_rounds(stated: str, count: int, agrees: bool) -> None:
    low, high = range_of(stated)
    assert (low <= count < high) is agrees


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_transformers_builds_as_many_parameters(name: str) -> None:
    known = find(name)
    assert known is not None
    assert instantiated(known) == known.shape.parameters


def test_every_architecture_of_the_table_is_built_in_the_fast_tests() -> None:
    mixtures = {"mixtral", "qwen3_moe"}  # large ones: built in the long test
    like_llama = {"mistral", "smollm3", "gemma"}
    built = {known.shape.architecture for known in map(find, ONE_OF_EACH_KIND) if known is not None}
    assert {known.shape.architecture for known in all_models()} <= built | mixtures | like_llama


@pytest.mark.long
@pytest.mark.parametrize("known", all_models(), ids=lambda known: known.name)
def test_transformers_builds_as_many_parameters_of_every_row(known: Known) -> None:
    assert instantiated(known) == known.shape.parameters
