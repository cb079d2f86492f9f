"""From a run to a preset, to another person, and back to the same bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.training import write_rows
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.cli.main import main
from tuiwiz.cli.presets_share import shared_name
from tuiwiz.presets.find import forget
from tuiwiz.spec.keys import flatten


def document(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int = 0) -> Any:
    assert main([*map(str, argv), "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.long
def test_run_to_preset_to_another_home_gives_the_same_bundle(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget()
    write_rows(tmp_path / "rows.jsonl", 24)
    asked: list[str | Path] = [
        "--task",
        "instruct",
        "--model",
        tiny_model,
        "--data",
        tmp_path / "rows.jsonl",
        "--method",
        "lora",
    ]
    sets = ["--set", "schedule.epochs=1.0", "--set", "adapter.alpha=8.0", "--set", "data.max_length=160"]
    sets += ["--set", "batch.effective=8", "--set", "adapter.rank=4", "--set", "evaluation.samples=0"]
    document(capsys, "new", *asked, *sets, "-o", tmp_path / "one.toml", "--name", "small")
    document(capsys, "run", tmp_path / "one.toml", "--out", tmp_path / "done")
    made = document(capsys, "presets", "from-run", tmp_path / "done")
    assert made["name"] == "small" and made["result"]["steps"] == 3
    assert made["result"]["value"] < made["result"]["first"]
    exported = document(capsys, "presets", "export", "small", "-o", tmp_path / "small.toml")
    assert exported["digest"] == made["digest"]
    assert str(tmp_path) not in (tmp_path / "small.toml").read_text(encoding="utf-8"), "paths tell of people"

    monkeypatch.setenv("TUIWIZ_HOME", str(tmp_path / "another"))
    forget()
    added = document(capsys, "presets", "add", tmp_path / "small.toml", "--yes")["added"]
    assert added[0]["digest"] == made["digest"]
    again = document(capsys, "new", *asked, "-o", tmp_path / "two.toml")
    assert again["preset"] == "small", "the nearest proven settings come first"
    # Another's run of the same preset counts for it, and comes back to its author as a further result.
    document(capsys, "run", tmp_path / "two.toml", "--out", tmp_path / "theirs", "--set", "seed=7")
    assert document(capsys, "presets", "from-run", tmp_path / "theirs", "--into", "small")["results"] == 2
    shared = document(capsys, "presets", "export", "small", "-o", tmp_path / "both.toml")
    assert shared["digest"] == made["digest"]
    document(capsys, "new", *asked, "-o", tmp_path / "three.toml", "--set", "adapter.dropout=0.0")
    document(capsys, "run", tmp_path / "three.toml", "--out", tmp_path / "other")
    assert main(["presets", "from-run", str(tmp_path / "other"), "--into", "small"]) == 2
    assert "adapter.dropout" in capsys.readouterr().err
    one, two = read_bundle(tmp_path / "one.toml"), read_bundle(tmp_path / "two.toml")
    before, after = flatten(one), flatten(two)
    differs = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert set(differs) <= {"name"}, differs
    assert digest(one) == digest(two)


def test_nothing_is_stored_unread_and_everything_is_shown(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget()
    (tmp_path / "p.toml").write_text('name = "p"\nextends = "chat"\n# \u202ehello [red]\n')
    assert main(["presets", "add", str(tmp_path / "p.toml")]) == 2
    shown = capsys.readouterr()
    assert "hello [red]" in shown.out and "\u202e" not in shown.out and "--yes" in shown.err
    assert not (own_home / "presets" / "p.toml").exists()
    assert main(["presets", "add", str(tmp_path / "p.toml"), "--yes"]) == 0
    assert main(["presets", "update", "--yes"]) == 0
    assert "nothing has changed" in capsys.readouterr().out
    (tmp_path / "p.toml").write_text('name = "p"\nextends = "chat"\n[schedule]\nepochs = 3.0\n')
    assert main(["presets", "update", "p", "--yes"]) == 0
    assert "schedule.epochs" in capsys.readouterr().out
    assert main(["presets", "remove", "p"]) == 0
    assert main(["presets", "remove", "p"]) == 2


@pytest.mark.parametrize(
    ("model", "told"),
    [("owner/name", "owner/name"), ("/home/me/models/tiny", "tiny"), ("./tiny", "tiny"), ("~/tiny", "tiny"),
     ("a/b/tiny", "tiny"), ("smollm2-135m-instruct", "smollm2-135m-instruct")],
)  # fmt: skip
def test_a_shared_preset_names_no_folder(model: str, told: str) -> None:
    assert shared_name(model) == told


def test_only_finished_runs_become_presets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.support.streams import training_run

    forget()
    run = training_run(tmp_path / "run")
    assert main(["presets", "from-run", str(run.path)]) in (2, 3)
    assert "finished" in capsys.readouterr().err


def test_why_offers_what_the_guide_says_beside_the_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "presets", "why", "schedule.warmup", "--preset", "chat", "--rows", "1000")
    assert [one["value"] for one in found["alternatives"]] == [1000.0, 2000.0]
    assert "64 steps" in found["alternatives"][0]["comment"] and not found["alternatives"][0]["usable"]
