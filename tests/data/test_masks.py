"""Rendering and loss masks, judged by transformers and TRL, which the code itself never uses."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.support import chat
from tests.support.tiny import make_tokenizer
from tuiwiz.data.render import Renderer
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example

TEXTS = [
    "Hi there",
    "Two plus two?",
    "It is é😀",
    "Four.\n\nReally",
    "  spaced ",
    "\nline",
    "x",
    "def f():\n    return 1\n",
]
DEFAULT_SYSTEM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CLOSES_DIFFERENTLY = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}<|endoftext|>{% endif %}"
)
DROPS_REASONING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1].lstrip() }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def with_template(folder: Path, template: str | None) -> Path:
    make_tokenizer(folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config.pop("chat_template")
    if template is not None:
        config["chat_template"] = template
    file.write_text(json.dumps(config))
    return folder


def chats(count: int, seed: int = 0) -> list[list[dict[str, str]]]:
    draw = random.Random(seed)
    return [
        chat(*draw.choices(TEXTS, k=2 * draw.randint(1, 3)), system=draw.choice(["", "Be kind."])) for _ in range(count)
    ]


def trained_text(renderer: Renderer, messages: list[dict[str, Any]], train_on: str = "assistant") -> str:
    rendered = renderer.render(Example(1, 1, messages), train_on)
    row = renderer.encode([rendered])[0]
    assert renderer.verify([rendered], [row]) == [None]
    return renderer.decode([id for id, mark in zip(row.ids, row.trained, strict=True) if mark])


@pytest.fixture(scope="module")
def renderer(tiny_tokenizer: Path) -> Renderer:
    return Renderer(tiny_tokenizer)


@pytest.mark.parametrize(
    "template", [DEFAULT_SYSTEM, CLOSES_DIFFERENTLY, DROPS_REASONING], ids=["system", "end", "think"]
)
def test_ids_are_those_of_transformers(tmp_path: Path, template: str) -> None:
    transformers = pytest.importorskip("transformers")
    folder = with_template(tmp_path, template)
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Renderer(folder)
    for messages in chats(30):
        assert ours.ids(messages) == reference.apply_chat_template(messages, tokenize=True)["input_ids"]
        prompt = reference.apply_chat_template(messages[:-1], tokenize=True, add_generation_prompt=True)["input_ids"]
        assert ours.ids(messages[:-1], prompt=True) == prompt


def smollm2() -> Path | None:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "tuiwiz" / "models" / "smollm2-135m-instruct"
    return folder if (folder / "tokenizer.json").is_file() else None


@pytest.mark.skipif(smollm2() is None, reason="SmolLM2 is not in the cache")
def test_ids_of_smollm2_are_those_of_transformers_and_it_brings_its_own_system_turn() -> None:
    transformers = pytest.importorskip("transformers")
    folder = smollm2()
    assert folder is not None
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Renderer(folder)
    for messages in chats(40, seed=1):
        assert ours.ids(messages) == reference.apply_chat_template(messages, tokenize=True)["input_ids"]
    assert ours.text(chat("Hi", "Ho")).startswith("<|im_start|>system\n")


@pytest.mark.parametrize("name", ["llama3", "gemma3", "phi3", "qwen3_instruct_2507", "lfm2", "cohere"])
def test_masks_are_those_of_trl(tmp_path: Path, name: str) -> None:
    trl = pytest.importorskip("trl")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer

    templates = Path(trl.__file__).parent / "chat_templates"
    folder = with_template(tmp_path, (templates / f"{name}.jinja").read_text(encoding="utf-8"))
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.add_special_tokens(["<|eot_id|>", "<end_of_turn>", "<|end|>", "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>"])
    backend.save(str(folder / "tokenizer.json"))
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    training = (templates / f"{name}_training.jinja").read_text(encoding="utf-8")
    ours = Renderer(folder)
    for messages in chats(20, seed=2):
        expected = reference.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, chat_template=training
        )
        rendered = ours.render(Example(1, 1, [dict(message) for message in messages]))
        row = ours.encode([rendered])[0]
        assert row.ids == expected["input_ids"]
        assert list(row.trained) == expected["assistant_masks"], ours.decode(row.ids)
        assert ours.verify([rendered], [row]) == [None]


def test_what_is_trained_by_train_on(renderer: Renderer) -> None:
    messages = chat("a", "one", "b", "two", system="s")
    assert trained_text(renderer, messages) == "one<|im_end|>\ntwo<|im_end|>\n"
    assert trained_text(renderer, messages, "completion") == "two<|im_end|>\n"
    assert trained_text(renderer, messages, "all") == renderer.text(messages)


def test_the_end_of_turn_is_trained_even_where_it_is_the_pad_token(renderer: Renderer) -> None:
    assert renderer.tokens is not None
    row = renderer.encode([renderer.render(Example(1, 1, chat("a", "b")))])[0]
    assert renderer.tokens.config["pad_token"] == "<|im_end|>"
    ends = [i for i, id in enumerate(row.ids) if id == renderer.tokens.special["<|im_end|>"]]
    assert [row.trained[i] for i in ends] == [0, 1]


def test_untrained_turns_are_context(renderer: Renderer) -> None:
    rendered = renderer.render(Example(1, 1, chat("a", "one", "b", "two"), untrained=(1,)))
    assert [rendered.text[start:end] for start, end in rendered.spans] == ["two<|im_end|>\n"]
    with pytest.raises(RowError, match="nothing to learn from"):
        renderer.render(Example(1, 1, chat("a", "one"), untrained=(1,)))


def test_templates_that_drop_reasoning_or_close_chats_differently(tmp_path: Path) -> None:
    messages = chat("a", "<think>\nhm\n</think>\n\none", "b", "<think>\nso\n</think>\n\ntwo")
    drops = Renderer(with_template(tmp_path / "drops", DROPS_REASONING))
    assert trained_text(drops, messages) == "one<|im_end|>\n<think>\nso\n</think>\n\ntwo<|im_end|>\n"
    closes = Renderer(with_template(tmp_path / "closes", CLOSES_DIFFERENTLY))
    assert trained_text(closes, chat("a", " one", "b", "two")) == "one<|im_end|>\ntwo<|im_end|>\n<|endoftext|>"


def test_base_models_get_a_stated_template_that_ends_answers(tmp_path: Path) -> None:
    base = Renderer(with_template(tmp_path, None))
    assert base.template.name == "instruction"
    assert base.text(chat("Say hi", "hi")) == "### Instruction:\nSay hi\n\n### Response:\nhi<|im_end|>"
    assert trained_text(base, chat("Say hi", "hi", "again", "ho")) == "hi<|im_end|>ho<|im_end|>"


def test_control_tokens_spelled_in_text_stay_text(renderer: Renderer) -> None:
    assert renderer.tokens is not None
    end = renderer.tokens.special["<|im_end|>"]
    messages = chat("say <|im_end|> now", "<|im_end|><|im_start|> ok")
    rendered = renderer.render(Example(1, 1, messages))
    row = renderer.encode([rendered])[0]
    assert row.ids.count(end) == 2
    assert row.ids.count(renderer.tokens.special["<|im_start|>"]) == 2
    assert renderer.decode(row.ids) == renderer.text(messages)
    assert trained_text(renderer, messages) == "<|im_end|><|im_start|> ok<|im_end|>\n"
    assert renderer.ids(messages) == row.ids


def test_a_wrong_mask_is_found_by_the_second_method(renderer: Renderer) -> None:
    rendered = renderer.render(Example(1, 1, chat("What is two plus two?", "It is four.")))
    row = renderer.encode([rendered])[0]
    first = row.trained.index(1)
    for change in ("early", "late", "none", "split"):
        trained = bytearray(row.trained)
        if change == "early":
            trained[first - 6] = 1
        elif change == "late":
            trained[first] = 0
        elif change == "none":
            trained = bytearray(len(trained))
        else:
            trained[first + 2] = 0
        wrong = type(row)(row.row, row.ids, trained)
        assert renderer.verify([rendered], [wrong]) != [None], change


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\ufdd0\ufdd1"), max_size=30),
        min_size=2,
        max_size=6,
    )
)
def test_any_text_keeps_its_bytes_and_its_mask(renderer: Renderer, contents: list[str]) -> None:
    messages = chat(*(content or "x" for content in contents))
    if messages[-1]["role"] == "user":
        messages.pop()
    rendered = renderer.render(Example(1, 1, messages))
    row = renderer.encode([rendered])[0]
    assert renderer.decode(row.ids) == rendered.text
    assert renderer.verify([rendered], [row]) == [None]


def test_a_template_that_refuses_a_row_is_quoted(tmp_path: Path) -> None:
    refuses = Renderer(with_template(tmp_path, "{{ raise_exception('roles must alternate') }}"))
    with pytest.raises(RowError, match="roles must alternate"):
        refuses.render(Example(1, 1, chat("a", "b")))


@pytest.mark.parametrize("template", [DEFAULT_SYSTEM, CLOSES_DIFFERENTLY, DROPS_REASONING, None])
@pytest.mark.parametrize("train_on", ["assistant", "completion", "all"])
def test_marks_by_control_tokens_are_those_by_offsets(tmp_path: Path, template: str | None, train_on: str) -> None:
    renderer = Renderer(with_template(tmp_path, template))
    draw = random.Random(0)
    odd = [*TEXTS, "<|im_end|>", "assistant\n", "\n\n", "\n", " ", "<", "<|im_start|>assistant\nHi"]
    rows = []
    for number in range(1, 120):
        example = Example(number, number, chat(*draw.choices(odd, k=draw.choice((2, 4)))))
        try:
            rows.append(renderer.render(example, train_on))
        except RowError:
            continue
    quick, exact = renderer.encode(rows), renderer._by_offsets(rows)
    assert len(rows) > 60
    assert [(row.ids, row.trained) for row in quick] == [(row.ids, row.trained) for row in exact]


def test_plain_rows_are_marked_without_offsets_where_the_template_writes_control_tokens(tmp_path: Path) -> None:
    for name, template in (("own", DEFAULT_SYSTEM), ("none", None)):
        renderer = Renderer(with_template(tmp_path / name, template))
        for _ in range(2):
            renderer.encode([renderer.render(Example(n, n, chat(f"What is {n}?", f"It is {n}."))) for n in range(9)])
        assert (renderer._marker is not None) == (template is not None)
