"""Without colour, and without UTF-8: the terminal gets weight, reverse and plain letters only."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.screens import screen_text
from tests.support.screenshot import run_app_for, settle
from tuiwiz.ui.glyphs import ASCII, UNICODE, to_ascii, wants_ascii
from tuiwiz.ui.theme import MONO, start_theme


def test_no_color_picks_the_colourless_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert start_theme() == MONO.name
    monkeypatch.setenv("NO_COLOR", "")
    assert start_theme() != MONO.name


async def test_nothing_that_is_sent_carries_a_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = run_app_for("run", tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        sent = ansi_of(app)
    assert "training" in sent
    for sequence in re.findall("\x1b\\[([0-9;]*)m", sent):
        codes = [int(code) for code in sequence.split(";") if code]
        assert not any(30 <= code <= 38 or 40 <= code <= 48 or 90 <= code <= 107 for code in codes)


def ansi_of(app: Any) -> str:
    """The screen as escape sequences, after the application's colour filters."""
    console = Console(width=app.size.width, color_system="truecolor", force_terminal=True, no_color=False)
    out = []
    for strip in app.screen._compositor.render_strips():
        for line_filter in app._filters:
            strip = strip.apply_filter(line_filter, app.screen.background_colors[1])
        out.append(strip.render(console))
    return "\n".join(out)


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_ascii_by_environment(monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool) -> None:
    monkeypatch.setenv("TUIWIZ_ASCII", value)
    monkeypatch.setattr("sys.__stderr__", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert wants_ascii() is wanted
    assert wants_ascii(True) and not wants_ascii(False)


def test_ascii_where_the_terminal_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUIWIZ_ASCII", raising=False)
    monkeypatch.setattr("sys.__stderr__", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert wants_ascii()


def test_every_glyph_has_an_ascii_twin() -> None:
    for name in UNICODE.__dataclass_fields__:
        if name == "ascii":
            continue
        twin = getattr(ASCII, name)
        assert twin.isascii() and twin
    assert len(ASCII.spark) == len(UNICODE.spark)
    assert to_ascii("val 1.0 → 0.4 ◆ ünïcode") == "val 1.0 > 0.4 O ?n?code"


async def test_state_is_told_by_word_and_symbol(tmp_path: Path) -> None:
    for kind, said in (("run", "● training"), ("finished", "✓ finished"), ("failed", "✗ failed")):
        app = run_app_for(kind, tmp_path / kind)
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            assert said in screen_text(app)
