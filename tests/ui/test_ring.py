"""The live screen rings when its run ends or raises an alert, and stays quiet about what was over before it looked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import streams
from tests.support.screenshot import settle
from tuiwiz.base.text import terminal_notice
from tuiwiz.events import types
from tuiwiz.events.writer import EventWriter
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.run import RunScreen


async def test_it_rings_at_the_end_and_at_an_alert_but_not_for_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    run = streams.training_run(tmp_path / "run")
    app = TuiwizApp("run", run=run.path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, RunScreen) and app._driver is not None
        sent: list[str] = []
        monkeypatch.setattr(app._driver, "write", sent.append)

        def rung() -> list[str]:
            return [text.partition("\x1b]9;tuiwiz: ")[2].split()[-1] for text in sent if "\x1b]9;" in text]

        async def told(kind: type[types.Base], **fields: object) -> None:
            writer = EventWriter(run.events)
            writer.write(kind, **fields)
            writer.close()
            for _ in range(200):
                screen._follower.ask()
                await pilot.pause(0.01)
                if rung()[-1:] and len(rung()) > before:
                    return

        before = len(rung())
        assert before == 0, "what was there before is history"
        await told(types.Alert, rule="spike", severity="warning", message="the loss jumped")
        before = len(rung())
        await told(types.Failed, summary={"message": "over"})
        assert [word.rstrip("\x07") for word in rung()] == ["alert", "failed"]


async def test_a_run_that_was_over_does_not_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = streams.failed_run(tmp_path / "run")
    app = TuiwizApp("run", run=run.path)
    rung: list[str] = []
    monkeypatch.setattr(RunScreen, "ring", lambda self, what: rung.append(what))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.pause(0.5)
    assert rung == []


def test_a_notice_cannot_be_broken_out_of_and_passes_tmux() -> None:
    evil = terminal_notice("x\x07\x1b]52;c;ZXZpbA==\x07")
    assert evil.count("\x1b") == 1 and evil.endswith("\x07") and evil.count("\x07") == 2
    wrapped = terminal_notice("x", tmux=True)
    assert wrapped.startswith("\x07\x1bPtmux;\x1b\x1b]9;x") and wrapped.endswith("\x1b\\")
