"""Long runs are rehearsed before they start, once, unless that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_rehearsal import a_bundle
from tuiwiz.base.errors import DoesNotFitError
from tuiwiz.base.problems import Problem
from tuiwiz.catalog import measured
from tuiwiz.cli.main import main
from tuiwiz.rehearsal import ahead, take
from tuiwiz.rehearsal.due import rehearse_if_long


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []

    def stand_in(path: Path, sets: list[str]) -> tuple[None, list[Problem]]:
        found.append(path)
        return None, [Problem(message="out of memory", key="rehearsal.memory")]

    monkeypatch.setattr(take, "rehearsal", stand_in)
    return found


def test_a_short_run_is_not_rehearsed(tmp_path: Path, tiny_model: Path, rehearsed: list[Path]) -> None:
    rehearse_if_long(a_bundle(tmp_path, tiny_model) / "bundle.toml", [], print)
    assert not rehearsed


def test_a_long_run_is_and_does_not_start_where_it_does_not_fit(
    tmp_path: Path, tiny_model: Path, rehearsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = a_bundle(tmp_path, tiny_model) / "bundle.toml"
    monkeypatch.setattr(ahead, "LONG_S", 0.0)
    with pytest.raises(DoesNotFitError, match="out of memory"):
        rehearse_if_long(bundle, [], print)
    out = tmp_path / "never"
    assert main(["run", str(bundle), "--out", str(out), "--plain"]) == 4 and not out.exists()
    assert rehearsed == [bundle, bundle]


def test_it_is_not_rehearsed_twice(
    tmp_path: Path, tiny_model: Path, rehearsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuiwiz.bundle.digest import digest
    from tuiwiz.bundle.read import read_bundle

    bundle = a_bundle(tmp_path, tiny_model) / "bundle.toml"
    one: list[dict[str, Any]] = [{"digest": digest(read_bundle(bundle))}]
    monkeypatch.setattr(ahead, "LONG_S", 0.0)
    monkeypatch.setattr(measured, "kept", lambda: one)
    rehearse_if_long(bundle, [], print)
    assert not rehearsed
