"""Gathering facts: paths as the bundle writes them, data measured as it is, lengths without a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuiwiz.wizard.answers import Answers
from tuiwiz.wizard.facts import data_facts, relative_to


def rows(path: Path, count: int, words: int = 3) -> None:
    lines = [json.dumps({"prompt": f"Number {i}", "completion": "word " * words + str(i)}) for i in range(count)]
    path.write_text("\n".join(lines), encoding="utf-8")


def test_paths_become_relative_to_the_bundles_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "m").mkdir(parents=True)
    typed = Answers(data="a/train.jsonl", validation=str(tmp_path / "b" / "v.jsonl"), model="models/m")
    answers = relative_to(typed, tmp_path / "out" / "deep")
    assert (answers.data, answers.validation) == ("../../a/train.jsonl", "../../b/v.jsonl")
    assert answers.model == "../../models/m"
    assert relative_to(Answers(model="org/Model-8B"), tmp_path).model == "org/Model-8B"
    absolute = str(tmp_path / "models" / "m")
    assert relative_to(Answers(model=absolute), tmp_path / "out").model == absolute


def test_measures_rows_and_lengths_beyond_any_preset(tmp_path: Path, tiny_tokenizer: Path) -> None:
    rows(tmp_path / "t.jsonl", 30)
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"prompt": "long", "completion": "many words " * 3000}))
    rows(tmp_path / "v.jsonl", 7, words=9)
    found, _ = data_facts(Answers(task="instruct", data="t.jsonl", validation="v.jsonl"), tmp_path, tiny_tokenizer)
    assert found is not None
    assert found.rows == 31 and found.validation_rows == 7
    assert found.longest > 5000 > found.p95 >= found.p50 > 0
    assert 0 < found.supervised_tokens < found.tokens
    assert found.format == "prompt-completion"


def test_data_that_cannot_be_used_is_a_problem_with_its_place(tmp_path: Path, tiny_tokenizer: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for name in ("empty.jsonl", "gone.jsonl"):
        found, problems = data_facts(Answers(task="chat", data=name), tmp_path, tiny_tokenizer)
        assert found is None
        assert any(problem.severity == "error" and name in problem.path for problem in problems)
