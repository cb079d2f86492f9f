"""Greedy answers of a batch are those of each prompt alone, and end where they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tuiwiz.data.tokens import Tokens
from tuiwiz.executor.generate import LEAST_SHARED, generate, stop_ids, until_stop

PREFIX = list(range(40, 40 + 2 * LEAST_SHARED))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """The tiny model, its weights scaled up so that greedy answers differ from prompt to prompt."""
    found = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="sdpa")
    with torch.no_grad():
        for name, value in found.named_parameters():
            if value.ndim == 2:
                value.mul_(6.0 if "embed" not in name else 2.0)
    return found.eval()


def by_hand(model: Any, prompt: list[int], count: int, stop: set[int]) -> list[int]:
    """Greedy decoding with no cache, no padding, no batch."""
    ids, answer = list(prompt), []
    for _ in range(count):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in stop:
            break
        ids.append(token)
        answer.append(token)
    return answer


@pytest.mark.parametrize("prefix", [[], PREFIX[: LEAST_SHARED - 1], PREFIX], ids=["none", "short", "shared"])
def test_a_batch_of_unlike_lengths_is_one_by_one(model: Any, prefix: list[int]) -> None:
    prompts = [[*prefix, *tail] for tail in ([7, 9, 30, 11, 200], [300], [5, 6], [17] * 9)]
    alone = [by_hand(model, prompt, 12, set()) for prompt in prompts]
    assert len({tuple(answer) for answer in alone}) > 1, "the check would say nothing"
    assert generate(model, prompts, max_new_tokens=12, stop_ids=()) == alone


def test_the_same_prompt_twice_and_one_that_begins_another(model: Any) -> None:
    prompts = [PREFIX, PREFIX, [*PREFIX, 3, 4, 5]]
    alone = [by_hand(model, prompt, 6, set()) for prompt in prompts]
    assert generate(model, prompts, max_new_tokens=6, stop_ids=()) == alone


def test_each_row_ends_before_its_own_stop_while_others_go_on(model: Any) -> None:
    """The stops are chosen so that half of the rows leave early, which takes them out of the batch."""
    prompts = [[*PREFIX, *tail] for tail in ([7, 9, 30], [300], [5, 6], [17] * 9)]
    free = [by_hand(model, prompt, 10, set()) for prompt in prompts]
    stop = {free[0][0], free[1][2]}
    wanted = [by_hand(model, prompt, 10, stop) for prompt in prompts]
    assert len({len(answer) for answer in wanted}) > 1
    told: list[tuple[int, int]] = []
    found = generate(
        model, prompts, max_new_tokens=10, stop_ids=stop, progress=lambda done, total: told.append((done, total))
    )
    assert found == wanted and not any(set(answer) & stop for answer in found)
    assert told[0] == (1, 10) and len(told) <= 10


def test_recomputing_is_switched_on_again(model: Any) -> None:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    try:
        assert generate(model, [[5, 6]], max_new_tokens=3, stop_ids=()) == [by_hand(model, [5, 6], 3, set())]
        assert model.is_gradient_checkpointing
    finally:
        model.gradient_checkpointing_disable()


def test_what_ends_an_answer_is_gathered_from_all_places(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 9}), encoding="utf-8")
    tokens = Tokens(tiny_model)
    assert stop_ids(tmp_path, tokens) == {7, 8, 9, tokens.eos_id}
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert stop_ids(tmp_path, tokens) == {7, 8, tokens.eos_id}
    assert until_stop([1, 2, 7, 3], {7}) == [1, 2] and until_stop([1], {7}) == [1]
