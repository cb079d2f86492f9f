"""Layout of the study screen, at both sizes and in ASCII."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support.screenshot import settle
from tests.support.streams import T0
from tests.support.studies import recorded
from tuiwiz.ui.app import TuiwizApp

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures are written with the oldest supported Python"
)
SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]


def app(*, ascii: bool = False) -> TuiwizApp:
    return TuiwizApp("study", ascii=ascii, study=recorded(Path.cwd()).path, clock=lambda: T0 + 400)


async def lines(pilot: Pilot[int]) -> None:
    await settle(pilot)


async def curves(pilot: Pilot[int]) -> None:
    await settle(pilot)
    await pilot.press("2")
    await settle(pilot)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", [lines, curves])
def test_study(snap_compare: Compare, picture: Callable[..., object], size: tuple[int, int]) -> None:
    assert snap_compare(app(), terminal_size=size, run_before=picture)


def test_study_in_ascii(snap_compare: Compare) -> None:
    assert snap_compare(app(ascii=True), terminal_size=(80, 24), run_before=lines)
