"""From a bundle to rows: splits, over-long rows, duplicates, fingerprint, and refusals that name every bad row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.data.support import PAIRS, chat, lines
from tuiwiz.base.errors import InvalidError
from tuiwiz.data.prepare import prepare
from tuiwiz.data.render import Renderer
from tuiwiz.data.split import automatic_size, held_out
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Data, Validation
from tuiwiz.spec.model import Model
from tuiwiz.spec.task import Task


def bundle(
    train: str = "a.jsonl",
    *,
    task: str = "instruct",
    labels: str | None = None,
    validation: Validation | None = None,
    **data: Any,
) -> Bundle:
    return Bundle(
        task=msgspec.convert({"kind": task, "labels": labels}, Task),
        model=Model(source="none"),
        data=msgspec.convert({"train": train, **data}, Data),
        validation=validation or Validation(),
    )


def texts(prepared: Prepared, folder: Path) -> tuple[list[str], list[str]]:
    renderer = Renderer(folder)
    return (
        [renderer.decode(row.input_ids) for row in prepared.train],
        [renderer.decode(row.input_ids) for row in prepared.validation],
    )


def test_rows_are_encoded_split_and_profiled(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", PAIRS)
    seen: list[tuple[str, int, int]] = []
    found = prepare(bundle(), tmp_path, tiny_tokenizer, progress=lambda *what: seen.append(what))
    assert len(found.train) + len(found.validation) == 30
    assert len(found.validation) == automatic_size(30) == 6
    profile = found.profile
    assert (profile.rows, profile.usable_rows, profile.train_rows, profile.validation_rows) == (30, 30, 24, 6)
    assert profile.tokens == found.train.tokens + found.validation.tokens
    assert profile.supervised_tokens == found.train.supervised + found.validation.supervised
    assert profile.lengths.max == max(*found.train.lengths, *found.validation.lengths)
    assert seen[0][0] == "read" and seen[-1] == ("comparing", 30, 30)
    row = found.train[0]
    renderer = Renderer(tiny_tokenizer)
    assert renderer.decode(row.prompt_ids).endswith("<|im_start|>assistant\n")
    assert renderer.decode(row.answer_ids) == f"{PAIRS[row.row - 1]['completion']}<|im_end|>\n"
    assert row.supervised == len(row.answer_ids)


def test_the_split_follows_the_seed_and_never_straddles(tmp_path: Path, tiny_tokenizer: Path) -> None:
    same_prompt = [{"prompt": PAIRS[i]["prompt"], "completion": "Another answer."} for i in range(8)]
    lines(tmp_path / "a.jsonl", [*PAIRS, *PAIRS[8:12], *same_prompt])
    config = bundle(validation=Validation(fraction=0.3))
    one, two = prepare(config, tmp_path, tiny_tokenizer), prepare(config, tmp_path, tiny_tokenizer)
    assert [row.row for row in one.validation] == [row.row for row in two.validation]
    other = prepare(msgspec.structs.replace(config, seed=7), tmp_path, tiny_tokenizer)
    assert [row.row for row in one.validation] != [row.row for row in other.validation]
    for found in (one, other):
        prompts = {tuple(row.prompt_ids) for row in found.train}
        assert len(found.validation) > 5
        assert not prompts & {tuple(row.prompt_ids) for row in found.validation}
    assert one.profile.duplicates == 4


def test_tiny_sets_are_not_split_unless_asked(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", PAIRS[:2])
    found = prepare(bundle(), tmp_path, tiny_tokenizer)
    assert (len(found.train), len(found.validation)) == (2, 0)
    assert any("too few" in problem.message for problem in found.problems)
    asked = prepare(bundle(validation=Validation(fraction=0.1)), tmp_path, tiny_tokenizer)
    assert (len(asked.train), len(asked.validation)) == (1, 1)


@pytest.mark.parametrize(("rows", "size"), [(2, 0), (19, 0), (20, 4), (128, 25), (1500, 75), (100_000, 512)])
def test_automatic_sizes(rows: int, size: int) -> None:
    assert automatic_size(rows) == size


def test_held_out_leaves_at_least_one_row_and_only_takes_unique_ones() -> None:
    assert held_out([1, 1, 1], 2, 0) == set()
    assert held_out([1, 2, 2, 3], 5, 0) == {0, 3}
    assert len(held_out([1, 2], 2, 0)) == 1


def test_a_validation_file_loses_what_is_trained_on(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", PAIRS[:20])
    lines(tmp_path / "v.jsonl", PAIRS[15:])
    found = prepare(bundle(validation=Validation(path="v.jsonl")), tmp_path, tiny_tokenizer)
    assert (len(found.train), len(found.validation)) == (20, 10)
    assert any("5 validation rows share their prompt" in problem.message for problem in found.problems)
    capped = prepare(bundle(validation=Validation(path="v.jsonl", max_rows=3)), tmp_path, tiny_tokenizer)
    assert len(capped.validation) == 3
    lines(tmp_path / "v.jsonl", PAIRS[:5])
    with pytest.raises(InvalidError, match="also trained on"):
        prepare(bundle(validation=Validation(path="v.jsonl")), tmp_path, tiny_tokenizer)


def test_overlong_rows_are_dropped_or_cut_and_counted(tmp_path: Path, tiny_tokenizer: Path) -> None:
    long_answer = {"prompt": "Say a lot", "completion": "word " * 200}
    long_prompt = {"prompt": "word " * 200, "completion": "ok"}
    lines(tmp_path / "a.jsonl", [*PAIRS, long_answer, long_prompt])
    none = Validation(fraction=0.01)
    dropped = prepare(bundle(max_length=80, validation=none), tmp_path, tiny_tokenizer)
    assert dropped.profile.overlong == 2
    assert dropped.profile.train_rows + dropped.profile.validation_rows == 30
    assert any("2 rows are longer than 80 tokens: left out" in problem.message for problem in dropped.problems)
    cut = prepare(bundle(max_length=80, overlong="truncate", validation=none), tmp_path, tiny_tokenizer)
    assert cut.profile.train_rows + cut.profile.validation_rows == 31
    assert max(*cut.train.lengths, *cut.validation.lengths) == 80
    with pytest.raises(InvalidError, match="every row is longer than 5 tokens"):
        prepare(bundle(max_length=5), tmp_path, tiny_tokenizer)


def test_refusals_name_every_bad_row(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", [PAIRS[0], {"prompt": "a"}, "{broken", {"prompt": "b", "completion": None}])
    with pytest.raises(InvalidError, match="only 1 of 4 rows fit") as caught:
        prepare(bundle(), tmp_path, tiny_tokenizer)
    assert [(problem.row, problem.line) for problem in caught.value.problems[1:]] == [(2, 2), (3, 3), (4, 4)]
    assert all(problem.severity == "error" for problem in caught.value.problems)


def test_some_bad_rows_are_left_out_with_a_warning(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", [*PAIRS, {"prompt": "a"}])
    found = prepare(bundle(), tmp_path, tiny_tokenizer)
    assert (found.profile.rows, found.profile.usable_rows) == (31, 30)
    assert [(p.severity, p.row) for p in found.problems if p.row == 31] == [("warning", 31)]


@pytest.mark.parametrize(
    ("rows", "task", "words"),
    [
        ([{"text": "a b", "label": "x"}], "instruct", "does not fit the task instruct"),
        (PAIRS, "pretrain", "does not fit the task pretrain"),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], "chat", "does not fit the task chat"),
    ],
)
def test_a_set_for_another_task_is_refused(
    tmp_path: Path, tiny_tokenizer: Path, rows: list[dict[str, str]], task: str, words: str
) -> None:
    lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(InvalidError, match=words):
        prepare(bundle(task=task), tmp_path, tiny_tokenizer)


def test_running_text_becomes_full_blocks_without_losing_a_token(tmp_path: Path, tiny_tokenizer: Path) -> None:
    text = "\n".join(f"line {i} of the story\n" for i in range(400))
    (tmp_path / "a.txt").write_text(text)
    found = prepare(bundle("a.txt", task="pretrain", max_length=64), tmp_path, tiny_tokenizer)
    blocks = sorted([*found.train, *found.validation], key=lambda row: (len(row.input_ids) < 64, row.row))
    assert {len(row.input_ids) for row in blocks[:-1]} == {64}
    assert all(row.supervised == len(row.input_ids) for row in blocks)
    renderer = Renderer(tiny_tokenizer)
    assert renderer.tokens is not None
    assert found.profile.tokens == len(renderer.tokens.encode_fast([text.removesuffix(chr(10))])[0].ids)
    assert len(found.validation) > 0


def test_a_line_without_end_is_cut_between_words_and_loses_nothing(tmp_path: Path, tiny_tokenizer: Path) -> None:
    text = "short\n" + " ".join(f"word{i}" for i in range(40_000)) + "\nlast"
    (tmp_path / "a.txt").write_text(text)
    found = prepare(bundle("a.txt", task="pretrain", max_length=512), tmp_path, tiny_tokenizer, hold_out=False)
    renderer = Renderer(tiny_tokenizer)
    assert renderer.decode([id for row in found.train for id in row.input_ids]) == text


def test_the_fingerprint_follows_every_input_that_matters(tmp_path: Path, tiny_tokenizer: Path) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    first = prepare(bundle(), tmp_path, tiny_tokenizer)
    assert prepare(bundle(), tmp_path, tiny_tokenizer).fingerprint == first.fingerprint
    assert set(first.hashes) == {"train", "template", "tokenizer"}
    others = [
        prepare(bundle(max_length=1000), tmp_path, tiny_tokenizer).fingerprint,
        prepare(bundle(system="Be kind."), tmp_path, tiny_tokenizer).fingerprint,
        prepare(bundle(template="plain"), tmp_path, tiny_tokenizer).fingerprint,
        prepare(bundle(train_on="completion"), tmp_path, tiny_tokenizer).fingerprint,
    ]
    path.write_bytes(path.read_bytes().replace(b"It is 2.", b"It is 3."))
    others.append(prepare(bundle(), tmp_path, tiny_tokenizer).fingerprint)
    assert len({first.fingerprint, *others}) == 6


def test_oddities_are_counted_once_with_their_first_row(tmp_path: Path, tiny_tokenizer: Path) -> None:
    odd = [
        {"messages": chat("Who is {{name}}?", "I am {{name}}.")},
        {"messages": chat("a\x00b", "c")},
        {"messages": chat("caf\u00c3\u00a9", "ok")},
        {"messages": chat("<|im_end|>", "ok")},
        {"messages": [*chat("a", "b"), {"role": "user", "content": "bye"}]},
    ]
    good = [{"messages": chat(f"q{i}", "a")} for i in range(25)]
    lines(tmp_path / "a.jsonl", [*good, *odd, good[0]])
    found = prepare(bundle(task="chat"), tmp_path, tiny_tokenizer)
    messages = " / ".join(problem.message for problem in found.problems)
    for words in (
        "1 row holds a placeholder that was never filled in (first: row 26, {{name}})",
        "1 row holds control characters (first: row 27, U+0000)",
        "1 row looks damaged by a wrong encoding (first: row 28",
        "1 row spells a control token",
        "1 row ends with a turn that is not the assistant's",
        "1 row repeats an earlier row word for word (first: row 31, row 1)",
    ):
        assert words in messages


def test_rows_stay_compact_and_behave_like_a_sequence() -> None:
    rows = Rows()
    rows.append(3, [1, 2, 3, 4], b"\x00\x00\x01\x01")
    rows.append(5, [7], b"\x01")
    assert len(rows) == 2
    assert list(rows[0].input_ids) == [1, 2, 3, 4]
    assert rows[-1].row == 5
    assert (rows[0].answer_start, rows[0].prompt_ids, rows[0].answer_ids) == (2, [1, 2], [3, 4])
    assert [row.row for row in rows] == [3, 5]
    assert (rows.tokens, rows.supervised, list(rows.lengths)) == (5, 3, [4, 1])
    with pytest.raises(ValueError, match="4 tokens but 1 marks"):
        rows.append(1, [1, 2, 3, 4], b"\x00")


def test_answers_without_an_end_are_warned_about(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", PAIRS)
    (tmp_path / "endless.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    found = prepare(bundle(template="endless.jinja"), tmp_path, tiny_tokenizer)
    assert any("will not learn to stop" in problem.message for problem in found.problems)
    assert not any("to stop" in p.message for p in prepare(bundle(), tmp_path, tiny_tokenizer).problems)
