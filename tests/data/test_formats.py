"""Formats: what rows are taken for, how each kind of row becomes turns, and why rows are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import chat, lines
from tuiwiz.data.formats import FORMATS
from tuiwiz.data.mapping import mapper
from tuiwiz.data.sniff import sniff
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example, Row


def example(row: Any, format: str, mapping: dict[str, str] | None = None, system: str | None = None) -> Example:
    return mapper(format, mapping or {key: key for key in row}, system=system)(Row(1, 1, row))


def turns(found: Example) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in found.messages]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_every_listed_example_is_recognised_as_its_format(tmp_path: Path, format: Any) -> None:
    path = lines(tmp_path / "a.jsonl", [format.example] * 3)
    found = sniff(path, format="reward" if format.name == "reward" else "auto")
    assert found.format == format.name
    mapper(found.format, found.mapping)(Row(1, 1, json.loads(format.example)))


@pytest.mark.parametrize(
    ("row", "format", "mapping"),
    [
        ({"question": "a", "answer": "b"}, "prompt-completion", {"prompt": "question", "completion": "answer"}),
        (
            {"Prompt": "a", "Response": "b", "id": 7},
            "prompt-completion",
            {"prompt": "Prompt", "completion": "Response"},
        ),
        ({"instruction": "a", "response": "b"}, "alpaca", {"instruction": "instruction", "output": "response"}),
        ({"conversation": [{"role": "user", "content": "a"}]}, "openai", {"messages": "conversation"}),
        ({"messages": [{"from": "human", "value": "a"}]}, "sharegpt", {"messages": "messages"}),
        (
            {"prompt": chat("a"), "completion": chat("a", "b")[1:]},
            "openai",
            {"prompt": "prompt", "completion": "completion"},
        ),
        ({"text": "a", "url": "u"}, "text", {"text": "text"}),
        ({"text": "a", "label": 3}, "classification", {"text": "text", "label": "label"}),
        (["a", "b"], "classification", {"text": "0", "label": "1"}),
        ({"text": "a", "labels": ["x", "y"]}, "multi-label", {"text": "text", "label": "labels"}),
        ({"messages": chat("a", "b"), "label": True}, "kto", {"messages": "messages", "label": "label"}),
        ({"question": "a", "chosen": "b", "rejected": "c"}, "preference", None),
    ],
)
def test_columns_and_values_decide(tmp_path: Path, row: Any, format: str, mapping: dict[str, str] | None) -> None:
    found = sniff(lines(tmp_path / "a.jsonl", [row, row]))
    assert found.format == format
    assert mapping is None or found.mapping == mapping


def test_unknown_columns_are_named_with_what_was_expected(tmp_path: Path) -> None:
    found = sniff(lines(tmp_path / "a.jsonl", [{"frage": "a", "nested": [{"output": "b"}]}]))
    assert found.format == "none"
    problem = found.problems[0]
    assert "frage, nested" in problem.message
    assert "prompt + completion" in problem.hint
    assert "nested.0.output" in problem.hint


def test_a_missing_header_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review 1,no\nreview 2,yes\nreview 3,no\n")
    found = sniff(path)
    assert found.format == "none"
    assert "header line is missing" in found.problems[0].message


def test_a_given_mapping_is_checked_and_reaches_into_rows(tmp_path: Path) -> None:
    row = {"title": "T", "body": "B", "answers": [{"text": "A"}]}
    path = lines(tmp_path / "a.jsonl", [row])
    mapping = {"prompt": "{title}\\n{body}", "completion": "answers.0.text"}
    found = sniff(path, mapping=mapping)
    assert (found.format, found.mapping) == ("prompt-completion", mapping)
    assert turns(example(row, found.format, found.mapping)) == [("user", "T\nB"), ("assistant", "A")]
    wrong = sniff(path, mapping={"prompt": "titel", "completion": "body"})
    assert wrong.format == "none"
    assert "did you mean title?" in wrong.problems[0].hint
    unknown = sniff(path, mapping={"promt": "title", "completion": "body"})
    assert "did you mean prompt?" in unknown.problems[0].hint


def test_alpaca_input_history_and_system() -> None:
    row = {"instruction": "I", "input": "X", "output": "O", "history": [["q", "a"]], "system": "S"}
    assert turns(example(row, "alpaca")) == [
        ("system", "S"),
        ("user", "q"),
        ("assistant", "a"),
        ("user", "I\nX"),
        ("assistant", "O"),
    ]
    assert turns(example({"instruction": "I", "input": None, "output": "O"}, "alpaca"))[0] == ("user", "I")


def test_sharegpt_roles_and_tool_calls() -> None:
    call = '{"name": "add", "arguments": {"a": 1}}'
    row = {
        "conversations": [
            {"from": "human", "value": "1+1?"},
            {"from": "function_call", "value": call},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "Two."},
        ],
        "tools": '[{"name": "add"}]',
    }
    found = example(row, "sharegpt", {"messages": "conversations", "tools": "tools"})
    assert [role for role, _ in turns(found)] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1}}
    assert found.tools == [{"name": "add"}]


def test_openai_parts_weights_and_system_prompt() -> None:
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "x", "weight": 0},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "y"},
        ]
    }
    found = example(row, "openai", system="Be brief.")
    assert turns(found)[:2] == [("system", "Be brief."), ("user", "ab")]
    assert found.untrained == (2,)


def test_roles_can_be_named_by_the_mapping() -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]}
    with pytest.raises(RowError, match="unknown role 'bot'") as caught:
        example(row, "openai")
    assert "role.bot" in caught.value.hint
    mapping = {"messages": "messages", "role.bot": "assistant"}
    assert turns(example(row, "openai", mapping))[1] == ("assistant", "b")


@pytest.mark.parametrize(
    ("row", "format", "words"),
    [
        ({"prompt": "a"}, "prompt-completion", "has no `completion`"),
        ({"prompt": "a", "completion": None}, "prompt-completion", "`completion` is null"),
        ({"prompt": "a", "completion": 42}, "prompt-completion", "a number (42), not text"),
        ({"prompt": "a", "completion": "  "}, "prompt-completion", "`completion` is empty"),
        ({"prompt": "a", "completion": "\ud83d"}, "prompt-completion", "half of a surrogate pair"),
        ({"messages": chat("a")}, "openai", "no assistant turn: nothing to learn from"),
        ({"messages": []}, "openai", "has no turns"),
        ({"messages": "hi"}, "openai", "is text, not a list of turns"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "openai", "is empty"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "openai", "part of type image_url"),
        ({"prompt": "a", "chosen": "b", "rejected": "b "}, "preference", "chosen and rejected are the same"),
        ({"messages": chat("a", "b"), "label": "maybe"}, "kto", "neither true nor false"),
        ({"text": "a", "label": ""}, "classification", "`label` is empty"),
        (None, "prompt-completion", "is not an object but null"),
    ],
)
def test_bad_rows_say_why(row: Any, format: str, words: str) -> None:
    mapping = {"prompt": "prompt", "completion": "completion"} if row is None or "completion" not in row else None
    if format != "prompt-completion":
        mapping = None
    with pytest.raises(RowError) as caught:
        example(row, format, mapping)
    assert words in caught.value.message
