"""Answers that a stranger meets at the keyboard: a place that cannot be written, "no", a misspelt command, figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.support.streams import T0, finished_run
from tuiwiz.cli.main import main
from tuiwiz.runs.names import run_root


def test_a_bundle_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, tiny_tokenizer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"question": "What is 2 + 2?", "answer": "4"}\n' * 40)
    # Not even root can make a file below a file, nor a folder there.
    (tmp_path / "file").touch()
    code = main(["new", "--task", "instruct", "--model", "1B", "--data", "rows.jsonl", "-o", "file/b.toml"])
    told = capsys.readouterr().err
    assert code == 8 and "file/b.toml cannot be written" in told and "-o" in told


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, and a terminal to be asked at."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return finished_run(run_root() / "20260101-000000-one-aaaaaa", steps=3).path


def _abort(*_: object, **__: object) -> bool:
    raise typer.Abort


@pytest.mark.parametrize(("answer", "code"), [(lambda *_, **__: False, 0), (_abort, 130)])
def test_a_run_is_kept_when_the_question_is_answered_with_no_or_ctrl_c(
    run: Path, answer: Callable[..., bool], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typer, "confirm", answer)
    assert main(["runs", "remove", "one", "--for-good"]) == code
    assert (run / "bundle.toml").is_file()


def test_a_misspelt_command_gets_one_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu"]) == 2
    told = capsys.readouterr().err
    assert "`tuiwiz run`" in told and told.lower().count("did you mean") == 1


def test_a_run_is_shown_in_figures_for_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", "one"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["started"].startswith("2025-10-") and str(T0) not in told["started"]
    assert "." not in told["tokens_per_second"]
