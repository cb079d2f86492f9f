"""Chats that come as one text, XTuner's map functions, and templates whose prompt ends in a space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.support import PAIRS, lines
from tests.data.test_formats import example, turns
from tuiwiz.cli.main import main
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.preview import preview
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff
from tuiwiz.data.transcript import transcript, turns_in_text
from tuiwiz.data.turns import RowError
from tuiwiz.data.xtuner import COUNTERPARTS, Counterpart


@pytest.mark.parametrize("one", COUNTERPARTS, ids=lambda one: str(one.name))
def test_each_map_function_has_a_counterpart_that_works(tmp_path: Path, tiny_tokenizer: Path, one: Counterpart) -> None:
    path = lines(tmp_path / "a.jsonl", [one.row] * 3)
    found = sniff(path, mapping=one.mapping)
    assert found.format == one.format
    report = check(path, Settings(mapping=one.mapping), Renderer(tiny_tokenizer))
    assert (report.ok, report.usable_rows) == (True, 3)
    texts = "".join(segment.text for segment in preview(path, tiny_tokenizer, mapping=one.mapping, limit=1)[0].segments)
    wanted = one.row.get("context") or one.row.get("abstract") or next(iter(one.row.values()))
    if isinstance(wanted, str) and one.name not in {"llava", "llava_image_only", "msagent_react", "oasst1"}:
        assert wanted in texts


def test_all_twenty_map_functions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert len({one.name for one in COUNTERPARTS}) == 20
    assert main(["data", "formats"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {one.name} " in out for one in COUNTERPARTS)
    assert main(["data", "formats", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(len(format["xtuner"]) for format in found) == 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n\nHuman: What is 2+2?\nReally\n\nAssistant: Four.\n\nAs said: 4.",
            [("user", "What is 2+2?\nReally"), ("assistant", "Four.\n\nAs said: 4.")],
        ),
        ("### Human: Hi### Assistant: Hello!", [("user", "Hi"), ("assistant", "Hello!")]),
        ("### User: Hi\n### Assistant:\nHo", [("user", "Hi"), ("assistant", "Ho")]),
        ("Human: Hi\n\nAssistant:", [("user", "Hi")]),
        (
            "SYSTEM: Be kind.\n\nUSER: Hi\n\nASSISTANT: Ho",
            [("system", "Be kind."), ("user", "Hi"), ("assistant", "Ho")],
        ),
        ("Once upon a time", None),
        ("He said: Human: no", None),
        ("Humans: are here", None),
    ],
)
def test_transcripts(text: str, said: list[tuple[str, str]] | None) -> None:
    found = transcript(text)
    assert (None if found is None else [(turn["role"], turn["content"]) for turn in found]) == said


def test_written_out_lists_are_read_and_never_run(tmp_path: Path) -> None:
    assert turns_in_text("[{'from': 'human', 'value': \"it's\"}]") == [{"from": "human", "value": "it's"}]
    assert turns_in_text('[{"role": "user", "content": null}]') == [{"role": "user", "content": None}]
    target = tmp_path / "made"
    assert turns_in_text(f"[open({str(target)!r}, 'w')]") is None
    assert turns_in_text("[" * 100_000 + "]" * 100_000) is None
    assert not target.exists()


def test_preference_transcripts_share_their_prompt() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Bye\n\nAssistant:"
    found = example({"chosen": f"{start} Goodbye!", "rejected": f"{start} No."}, "preference")
    assert turns(found) == [("user", "Hi"), ("assistant", "Hello!"), ("user", "Bye"), ("assistant", "Goodbye!")]
    assert found.rejected == "No."
    row = {"prompt": start, "chosen": "Goodbye!", "rejected": "No."}
    assert turns(example(row, "preference"))[:3] == turns(found)[:3]


def test_transcripts_are_recognised_as_chats_but_stay_text_for_pretraining(tmp_path: Path) -> None:
    row = {"text": "### Human: Hi### Assistant: Hello!"}
    path = lines(tmp_path / "a.jsonl", [row] * 3)
    assert (sniff(path).format, sniff(path).mapping) == ("openai", {"messages": "text"})
    assert sniff(path, task="pretrain").format == "text"
    assert sniff(lines(tmp_path / "b.jsonl", [{"text": "Human rights"}, {"text": "a"}])).format == "text"


def test_turns_as_json_text_are_recognised_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'messages\n"[{""role"": ""user"", ""content"": ""Hi""}, {""role"": ""assistant"", ""content"": ""Ho""}]"\n'
    )
    assert sniff(path).format == "openai"


@pytest.mark.parametrize("first", [["a", "b"], "text", 7, None])
def test_a_row_of_another_kind_among_objects_is_named(tmp_path: Path, tiny_tokenizer: Path, first: Any) -> None:
    path = lines(tmp_path / "a.jsonl", [json.dumps(first), *PAIRS])
    report = check(path, Settings(), Renderer(tiny_tokenizer))
    assert (report.ok, report.rows, report.usable_rows) == (True, 31, 30)
    message = next(problem.message for problem in report.problems if problem.row == 1)
    assert "row 1 is left out: is " in message and ("a list" in message) == isinstance(first, list)


def test_a_list_with_a_named_mapping_is_no_row() -> None:
    with pytest.raises(RowError, match="is a list, but columns have names here"):
        example(["a", "b"], "prompt-completion", {"prompt": "prompt", "completion": "completion"})


def test_too_many_columns_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(f"{kind}{i}" for i in range(20_000)) for kind in "cv"))
    found = sniff(path)
    assert found.format == "none" and "20,000 columns" in found.problems[0].message


def test_a_prompt_that_ends_in_a_space_is_refused_with_the_reason(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"prompt": "is it a word", "completion": f"it is {i}"} for i in range(3)])
    template = tmp_path / "own.jinja"
    template.write_text(
        "{% for m in messages %}{{ 'Q: ' if m.role == 'user' else 'A: ' }}{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}"
    )
    report = check(path, Settings(), Renderer(tiny_tokenizer, template=str(template)))
    assert not report.ok
    assert "generation prompt ends in a space" in report.problems[0].message
    shown = preview(path, tiny_tokenizer, template=str(template), limit=1)[0]
    assert shown.problem is not None and "generation prompt ends in a space" in shown.problem.message
