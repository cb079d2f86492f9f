"""A bug in a screen: one sentence and a file, no traceback over the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import streams
from tuiwiz.base import places
from tuiwiz.base.errors import InternalError
from tuiwiz.ui import app as app_room
from tuiwiz.ui.app import TuiwizApp, run_app
from tuiwiz.ui.screens.run import RunScreen


def test_a_broken_screen_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: RunScreen) -> None:
        raise ValueError("something odd")

    def headless(self: TuiwizApp) -> int | None:
        return original(self, headless=True, size=(80, 24))

    original = TuiwizApp.run
    monkeypatch.setattr(RunScreen, "redraw", broken)
    monkeypatch.setattr(app_room.TuiwizApp, "run", headless)
    run = streams.training_run(tmp_path / "run")
    with pytest.raises(InternalError) as caught:
        run_app("run", run=run)
    assert "runs go on" in caught.value.message
    log = places.logs() / app_room.FAILURE_LOG
    assert str(log) in caught.value.hint
    assert "something odd" in log.read_text(encoding="utf-8")
    assert "Traceback" not in "".join(capfd.readouterr())
