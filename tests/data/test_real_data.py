"""Every real and every broken file, with the reaction that its description asks for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.data.test_masks import smollm2
from tuiwiz.data.check import Report, check
from tuiwiz.data.load import Settings
from tuiwiz.data.mapping import mapper
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source
from tuiwiz.data.types import Row

pytestmark = pytest.mark.real_data


def report(folder: Path, name: str, tokenizer: Path) -> Report:
    return check(folder / name, Settings(), Renderer(tokenizer))


ALPACA = {"instruction": "instruction", "input": "input", "output": "output"}


@pytest.mark.parametrize(
    ("name", "format", "rows", "mapping"),
    [
        ("alpaca-en/alpaca_en_demo.json", "alpaca", 999, ALPACA),
        ("banking77/train.csv", "classification", 10_003, {"text": "text", "label": "category"}),
        ("banking77/test.csv", "classification", 3_080, {"text": "text", "label": "category"}),
        ("chat-openai/conversations.jsonl", "openai", 128, {"messages": "messages"}),
        ("clinc150-small/data_small.json", "classification", 7_500, {"text": "0", "label": "1"}),
        ("gsm8k/train.jsonl", "prompt-completion", 1_500, {"prompt": "question", "completion": "answer"}),
        ("gsm8k/test.jsonl", "prompt-completion", 300, {"prompt": "question", "completion": "answer"}),
        (
            "humaneval/HumanEval.jsonl.gz",
            "prompt-completion",
            164,
            {"prompt": "prompt", "completion": "canonical_solution"},
        ),
        ("identity/identity.json", "alpaca", 91, ALPACA),
        ("kto-en/kto_en_demo.json", "kto", 300, {"messages": "messages", "label": "label"}),
        (
            "preference-en/dpo_en_demo.json",
            "preference",
            300,
            {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        ),
        (
            "preference-flat/train.jsonl",
            "preference",
            114,
            {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
        ),
        ("sharegpt-en/dummy_conversation.json", "sharegpt", 500, {"messages": "conversations"}),
        ("tinyshakespeare/input.txt", "text", 40_000, {}),
        (
            "toolcall-en/glaive_toolcall_en_demo.json",
            "sharegpt",
            300,
            {"messages": "conversations", "tools": "tools"},
        ),
        ("web-text/c4_demo.jsonl", "text", 293, {"text": "text"}),
    ],
)
def test_real_sets(
    real_data: Path, tiny_tokenizer: Path, name: str, format: str, rows: int, mapping: dict[str, str]
) -> None:
    found = report(real_data, name, tiny_tokenizer)
    assert (found.ok, found.format, found.rows, found.usable_rows) == (True, format, rows, rows)
    assert found.mapping == mapping
    assert found.tokens > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("identity/identity.json", "85 rows hold a placeholder that was never filled in"),
        ("identity/identity.json", "languages, roughly: Chinese 82 %, English 18 %"),
        ("sharegpt-en/dummy_conversation.json", "rows say nearly the same as another"),
        ("toolcall-en/glaive_toolcall_en_demo.json", "rows have tool turns"),
        ("toolcall-en/glaive_toolcall_en_demo.json", "38 rows repeat an earlier row"),
        ("preference-en/dpo_en_demo.json", "1 row looks damaged by a wrong encoding"),
        (
            "gsm8k/train.jsonl",
            "75 rows would be held out for validation; a share measured on them is known to ±11 points",
        ),
    ],
)
def test_what_is_odd_about_real_sets(real_data: Path, tiny_tokenizer: Path, name: str, words: str) -> None:
    assert any(words in problem.message for problem in report(real_data, name, tiny_tokenizer).problems)


def test_a_classification_set_with_its_test_file(real_data: Path, tiny_tokenizer: Path) -> None:
    folder = real_data / "banking77"
    found = check(folder / "train.csv", Settings(), Renderer(tiny_tokenizer), validation=folder / "test.csv")
    messages = [problem.message for problem in found.problems]
    assert any("validation: 3,080 of 3,080 rows can be used" in message for message in messages)
    assert not any("never sees" in message or "misspelt" in message for message in messages)


def test_an_unknown_nested_format_is_refused_with_a_reason(real_data: Path, tiny_tokenizer: Path) -> None:
    found = report(real_data, "seed-tasks/seed_tasks.jsonl", tiny_tokenizer)
    assert (found.ok, found.format, found.rows) == (False, "none", 175)
    assert "instances" in found.problems[0].message
    assert "instances.0.output" in found.problems[0].hint


@pytest.mark.parametrize(
    ("name", "rows", "usable", "bad_lines"),
    [
        ("blank-lines-between.jsonl", 3, 3, []),
        ("broken-line.jsonl", 3, 2, [2]),
        ("missing-output.jsonl", 10, 8, [3, 6]),
        ("empty-output.jsonl", 10, 8, [2, 5]),
        ("null-and-number.jsonl", 10, 8, [1, 4]),
        ("duplicate-rows.jsonl", 12, 12, []),
        ("ragged.csv", 4, 2, [3, 4]),
        ("same-chosen-rejected.jsonl", 6, 4, [1, 2]),
    ],
)
def test_broken_rows_are_left_out(
    real_data: Path, tiny_tokenizer: Path, name: str, rows: int, usable: int, bad_lines: list[int]
) -> None:
    found = report(real_data, f"malformed/{name}", tiny_tokenizer)
    assert (found.ok, found.rows, found.usable_rows) == (True, rows, usable)
    assert [problem.line for problem in found.problems if "is left out" in problem.message] == bad_lines
    if name.startswith("duplicate"):
        assert any(problem.message.startswith("7 rows repeat") for problem in found.problems)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.jsonl", "no rows"),
        ("only-blank-lines.jsonl", "no rows"),
        ("trailing-comma.json", "line 5 column 1"),
        ("not-json.jsonl", "line 1 is not JSON"),
        ("rows-are-strings.jsonl", "rows are not objects"),
        ("mixed-schema.jsonl", "only 1 of 3 rows"),
        ("no-assistant.jsonl", "nothing to learn from"),
        ("unknown-role.jsonl", "unknown role 'bot'"),
        ("header-only.csv", "no rows"),
        ("no-header.csv", "header line is missing"),
        ("one-class.csv", "at least two classes"),
        ("latin1.txt", "offset 3"),
    ],
)
def test_refused_files(real_data: Path, tiny_tokenizer: Path, name: str, words: str) -> None:
    found = report(real_data, f"malformed/{name}", tiny_tokenizer)
    assert not found.ok
    assert words in found.problems[0].message


@pytest.mark.parametrize(
    "name", ["gsm8k/train.jsonl", "alpaca-en/alpaca_en_demo.json", "sharegpt-en/dummy_conversation.json"]
)
def test_completion_masks_are_those_of_trl_on_500_rows(real_data: Path, tiny_tokenizer: Path, name: str) -> None:
    """TRL's rule for prompt and completion: what the whole chat has beyond the prompt with its generation prompt."""
    transformers = pytest.importorskip("transformers")
    folder = smollm2() or tiny_tokenizer
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    renderer = Renderer(folder)
    found = sniff(real_data / name)
    to_example = mapper(found.format, found.mapping)
    rows = [row for row in islice(open_source(real_data / name).read(), 500) if isinstance(row, Row)]
    examples = [to_example(row) for row in rows]
    rendered = [renderer.render(example, "completion") for example in examples]
    encoded = renderer.encode(rendered)
    assert renderer.verify(rendered, encoded) == [None] * len(rows)
    for example, row in zip(examples, encoded, strict=True):
        prompt = reference.apply_chat_template(example.messages[:-1], tokenize=True, add_generation_prompt=True)
        whole = reference.apply_chat_template(example.messages, tokenize=True)
        assert row.ids == whole["input_ids"]
        start = len(prompt["input_ids"])
        assert row.trained == bytes(start) + b"\x01" * (len(row.ids) - start)


@pytest.mark.parametrize(
    "name", ["gsm8k/train.jsonl", "chat-openai/conversations.jsonl", "sharegpt-en/dummy_conversation.json"]
)
def test_assistant_masks_are_those_of_trl_on_500_rows(
    real_data: Path, tiny_tokenizer: Path, tmp_path: Path, name: str
) -> None:
    """TRL's `assistant_only_loss`: tokens inside the generation blocks of its training templates."""
    trl = pytest.importorskip("trl")
    transformers = pytest.importorskip("transformers")
    templates = Path(trl.__file__).parent / "chat_templates"
    folder = smollm2() or tiny_tokenizer
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    training = (templates / "qwen3_instruct_2507_training.jinja").read_text(encoding="utf-8")
    plain = templates / "qwen3_instruct_2507.jinja"
    renderer = Renderer(folder, template=str(plain))
    found = sniff(real_data / name)
    to_example = mapper(found.format, found.mapping)
    rows = [row for row in islice(open_source(real_data / name).read(), 500) if isinstance(row, Row)]
    examples = [to_example(row) for row in rows]
    rendered = [renderer.render(example, "assistant") for example in examples]
    encoded = renderer.encode(rendered)
    assert renderer.verify(rendered, encoded) == [None] * len(rows)
    for example, row in zip(examples, encoded, strict=True):
        expected = reference.apply_chat_template(
            example.messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, chat_template=training
        )
        assert row.ids == expected["input_ids"]
        assert list(row.trained) == expected["assistant_masks"]
