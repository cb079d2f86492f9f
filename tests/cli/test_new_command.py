"""`tuiwiz new`: from a task, a model and data to a bundle file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.wizard.known import GPU, SHAPES, planner
from tuiwiz.bundle.read import read_bundle
from tuiwiz.cli.main import main
from tuiwiz.presets.find import forget
from tuiwiz.wizard.facts import ModelFacts


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """A card and a model that do not depend on this machine; the data is really read and counted."""
    forget()

    def model(source: str, revision: str | None, folder: Path) -> ModelFacts:
        return ModelFacts(shape=SHAPES["M"], folder=tiny_tokenizer, chosen=source != "8B")

    monkeypatch.setattr("tuiwiz.wizard.facts.model_facts", model)
    monkeypatch.setattr("tuiwiz.wizard.facts.device_facts", lambda gpu: GPU)
    monkeypatch.setattr("tuiwiz.wizard.compose.plan_of", planner)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    rows = [{"question": f"What is {i} plus {i}?", "answer": f"It is {2 * i}."} for i in range(300)]
    (work / "data" / "sums.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    monkeypatch.chdir(work)
    return work


ARGUMENTS = ("new", "--task", "instruct", "--model", "qwen3-8b", "--data", "data/sums.jsonl")


def test_it_writes_a_bundle_that_reads_back(known_machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "-o", "out/b.toml"]) == 0
    bundle = read_bundle(known_machine / "out" / "b.toml")
    assert bundle.data.train == "../data/sums.jsonl"
    assert bundle.task.kind == "instruct" and bundle.adapter.method == "qlora"
    assert bundle.batch.effective == 8 and bundle.batch.micro == 8
    assert bundle.name == "sums-qwen3-8b"
    assert bundle.lock is not None
    digest = hashlib.sha256((known_machine / "data" / "sums.jsonl").read_bytes()).hexdigest()
    assert bundle.lock.data == {"../data/sums.jsonl": digest}
    assert bundle.lock.rows == {"../data/sums.jsonl": 300}
    assert len(bundle.lock.tokenizer) == len(bundle.lock.template) == 64
    out = capsys.readouterr().out
    for part in ("fits", "102 steps of 8 rows", "warm-up", "out/b.toml", "tuiwiz run out/b.toml"):
        assert part in out
    text = (known_machine / "out" / "b.toml").read_text()
    assert "preset instruct-small" in text and "planner" in text


def test_json_is_one_line_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--set", "schedule.epochs=2", "--set", "adapter.alpha=16", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    assert found["ok"] and found["ready"] and found["preset"] == "instruct-small"
    assert found["values"]["schedule.epochs"] == 2
    assert found["origin"]["schedule.epochs"] == "user"
    assert "alpha 32 / 16" in found["why"]["optimizer.learning_rate"]
    assert found["path"] == "bundle.toml"


def test_two_writes_are_the_same_bytes() -> None:
    for name in ("a.toml", "b.toml"):
        assert main([*ARGUMENTS, "-o", name]) == 0
    assert Path("a.toml").read_bytes() == Path("b.toml").read_bytes()


def test_it_does_not_overwrite_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bundle.toml").write_text("mine")
    assert main(list(ARGUMENTS)) == 2
    assert Path("bundle.toml").read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--force"]) == 0
    assert Path("bundle.toml").read_text() != "mine"


@pytest.mark.parametrize(
    ("extra", "code", "hint"),
    [
        (("--task", "instruckt"), 2, "instruct"),
        (("--method", "qlorra"), 2, "qlora"),
        (("--task", "dpo"), 3, "does not fit the task dpo"),
        (("--preset", "chatt"), 2, "chat"),
        (("--set", "optimizer.learning_rat=1"), 2, "optimizer.learning_rate"),
        (("--set", "optimizer.learning_rate=fast"), 3, "number"),
        (("--set", "adapter.rank=0"), 3, "at least 1"),
        (("--data", "gone.jsonl"), 3, "gone.jsonl"),
        (("-o", "data"), 2, "folder"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], code: int, hint: str
) -> None:
    assert main([*ARGUMENTS, *extra]) == code
    printed = capsys.readouterr()
    assert hint in printed.err + printed.out
    assert "Traceback" not in printed.err
    assert not Path("bundle.toml").exists()


def test_bad_rows_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.jsonl").write_text("[1, 2\n" * 3)
    assert main([*ARGUMENTS, "--data", "bad.jsonl", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False and found["problems"]


def test_a_size_writes_a_bundle_that_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--model", "8B"]) == 0
    printed = capsys.readouterr()
    assert "choose a model" in printed.out and "only a size" in printed.err


def test_a_validation_file(known_machine: Path) -> None:
    rows = [{"question": f"Say {i}!", "answer": str(i)} for i in range(40)]
    (known_machine / "held.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert main([*ARGUMENTS, "--validation", "held.jsonl"]) == 0
    bundle = read_bundle(known_machine / "bundle.toml")
    assert (bundle.validation.path, bundle.validation.fraction) == ("held.jsonl", None)
    assert bundle.lock is not None and bundle.lock.rows["held.jsonl"] == 40
