"""Layout of the doctor's pane and of the compare screen, at both sizes, without colour and in ASCII."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support import streams
from tests.support.screenshot import run_app_for, settle
from tuiwiz.runs.compare import load
from tuiwiz.ui.app import TuiwizApp

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures are written with the oldest supported Python"
)
SIZES = [(80, 24), (120, 40)]
Compare = Callable[..., bool]


def compare_app(*, ascii: bool = False) -> TuiwizApp:
    """Two runs whose learning rates differ."""
    runs = [streams.finished_run(Path("runs/patient")), streams.failed_run(Path("runs/hasty"))]
    for run, rate in zip(runs, ("2e-4", "5e-4"), strict=True):
        text = streams.BUNDLE.replace("learning_rate = 2e-4", f"learning_rate = {rate}")
        run.bundle.write_text(text.replace("[optimizer]", "[schedule]\nepochs = 3\n\n[optimizer]"), encoding="utf-8")
    return TuiwizApp("compare", ascii=ascii, runs=load(runs))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["run", "failed"])
def test_doctor(snap_compare: Compare, kind: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await pilot.press("9")
        await settle(pilot)

    assert snap_compare(run_app_for(kind, Path("runs")), terminal_size=size, run_before=before)


async def wait(pilot: Pilot[int]) -> None:
    await settle(pilot)


@pytest.mark.parametrize("size", SIZES)
def test_compare(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(compare_app(), terminal_size=size, run_before=wait)


def test_compare_crosshair_over_time(snap_compare: Compare) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await pilot.press("m", "t", "x", *["left"] * 30)
        await settle(pilot)

    assert snap_compare(compare_app(), terminal_size=(80, 24), run_before=before)


def test_compare_in_ascii(snap_compare: Compare) -> None:
    assert snap_compare(compare_app(ascii=True), terminal_size=(80, 24), run_before=wait)


def test_compare_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(compare_app(), terminal_size=(80, 24), run_before=wait)
