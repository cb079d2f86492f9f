"""`tuiwiz check --rehearse`: the worst batch, really taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.training import make_run, write_rows
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog.measured import kept
from tuiwiz.cli.main import main
from tuiwiz.rehearsal.take import hardest_phase
from tuiwiz.spec.adapter import Adapter
from tuiwiz.spec.optimizer import Phase


def rehearse(base: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", str(base / "bundle.toml"), "--rehearse", "--json", *more])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def a_bundle(tmp_path: Path, model: Path, **changes: Any) -> Path:
    write_rows(tmp_path / "held.jsonl", 5, start=100)
    folder = make_run(tmp_path, model, validation__path="held.jsonl", evaluation__samples=1, **changes)
    (tmp_path / "bundle.toml").write_bytes(folder.bundle.read_bytes())
    return tmp_path


def test_it_measures_the_longest_rows_and_keeps_the_measurement(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = a_bundle(tmp_path, tiny_model)
    before = len(kept())
    code, found = rehearse(base, capsys)
    assert code == 0 and found["ok"]
    figures = found["rehearsal"]
    assert figures["peak_bytes"] > 100e6 and figures["seconds_per_step"] > 0 and figures["checkpoint_bytes"] > 0
    assert figures["adjustments"] == []
    longest = max(len(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines())
    assert 20 < figures["longest"] < longest
    assert len(kept()) == before + 1 and kept()[-1]["peak_bytes"] == figures["peak_bytes"]
    assert any(one["key"] == "rehearsal" and "steps of the longest rows" in one["message"] for one in found["problems"])
    assert not list(tmp_path.rglob("rehearsal-*"))


def test_a_bundle_with_errors_is_not_rehearsed(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = rehearse(a_bundle(tmp_path, tiny_model, data__train="none.jsonl"), capsys)
    assert code == 3 and "rehearsal" not in found


def test_a_failed_rehearsal_says_why(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = a_bundle(tmp_path, tiny_model, optimizer__learning_rate=1e-3)
    weights = tiny_model.parent / "broken"
    code, found = rehearse(base, capsys, "--set", f"model.source={weights}")
    assert code == 3 and not found["ok"]


def test_of_phases_that_train_different_parts_the_hardest_is_rehearsed(tmp_path: Path, tiny_model: Path) -> None:
    base = a_bundle(tmp_path, tiny_model)
    parts = ("norms", "layers[-1:]", None, "all")
    phases = tuple(Phase(name=f"p{number}", share=0.25, trainable=part) for number, part in enumerate(parts))
    whole = msgspec.structs.replace(read_bundle(base / "bundle.toml"), adapter=Adapter(method="full"), phases=phases)
    found = hardest_phase(whole, base)
    assert [(one.name, one.share) for one in found.phases] == [("p2", 1.0)]
    same = msgspec.structs.replace(found, phases=())
    assert hardest_phase(same, base) == same
