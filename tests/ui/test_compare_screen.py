"""Runs beside each other: on the screen and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import streams
from tests.support.screens import screen_text
from tuiwiz.base.errors import UsageError
from tuiwiz.cli.main import main
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.compare import HELD_OUT, Loaded, compare, load, metrics_of
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.compare import CompareScreen
from tuiwiz.ui.widgets.chart import Chart


@pytest.fixture
def two(tmp_path: Path) -> list[RunFolder]:
    runs = [streams.finished_run(tmp_path / "one"), streams.failed_run(tmp_path / "two")]
    for run, rate in zip(runs, ("2e-4", "5e-4"), strict=True):
        text = streams.BUNDLE.replace("learning_rate = 2e-4", f"learning_rate = {rate}")
        run.bundle.write_text(text.replace("[optimizer]", "[schedule]\nepochs = 3\n\n[optimizer]"), encoding="utf-8")
    return runs


def test_what_differs_explains_and_curves_are_aligned(two: list[RunFolder]) -> None:
    loaded = load(two)
    found = compare(loaded, "loss", "step")
    assert [(one.key, one.values) for one in found.differences] == [("optimizer.learning_rate", (2e-4, 5e-4))]
    assert found.curves[0][0][0] == 1.0 and found.curves[0][-1][0] == 267.0
    by_time = compare(loaded, "loss", "time")
    assert by_time.curves[0][0][0] == 0.0 and by_time.curves[0][-1][0] == pytest.approx(16.7, abs=0.3)
    by_tokens = compare(loaded, "loss", "tokens")
    assert by_tokens.curves[1][-1][0] == 92 * 21_200
    assert metrics_of(loaded)[:2] == [HELD_OUT, "loss"]
    assert compare(loaded, HELD_OUT, "step").curves[1][0] == (0.0, 1.684)


def test_what_cannot_be_compared_is_refused(two: list[RunFolder]) -> None:
    for folders in ([two[0]], [two[0]] * 2, two * 5):
        with pytest.raises(UsageError):
            load(folders)
    with pytest.raises(UsageError, match="no run has the metric"):
        compare(load(two), "bliss", "step")


def test_the_command_prints_table_curves_and_differences(
    two: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *(str(run.path) for run in two)]) == 0
    text = capsys.readouterr().out
    assert "0.4618" in text and "optimizer.learning_rate" in text and "A  one" in text
    assert main(["compare", *(str(run.path) for run in two), "--json", "--align", "time"]) == 0
    assert len(json.loads(capsys.readouterr().out)["compared"]["curves"]) == 2


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)])
async def test_the_screen_overlays_and_tells(two: list[RunFolder], size: tuple[int, int]) -> None:
    app = TuiwizApp("compare", runs=load(two))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.pause()
        text = screen_text(app)
        assert ("held out" in text and " A  " in text and "optimizer.learning_rate" in text) or size == (60, 16)
        chart = app.screen.query_one(Chart)
        assert [letter for letter, _ in chart.data.overlay] == ["A", "B"]
        await pilot.press("m", "t", "x")
        await pilot.pause()
        names = [name for name, _ in chart.read_out()]
        assert names == ["minutes", "A", "B"]
        await pilot.press("L", "plus", "left", "f", "escape")
        await pilot.pause()
        assert chart.cross is None


def test_a_run_without_a_metric_has_no_curve(two: list[RunFolder]) -> None:
    loaded: list[Loaded] = load(two)
    loaded[1].view.series.pop("grad_norm")
    assert compare(loaded, "grad_norm", "step").curves[1] == ()


async def test_marked_runs_of_the_home_screen_are_compared(
    two: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = [*two, streams.training_run(tmp_path / "three")]
    monkeypatch.setattr("tuiwiz.runs.registry.folders", lambda: three)
    app = TuiwizApp("home", clock=lambda: streams.T0 + 2000)
    async with app.run_test(size=(100, 30)) as pilot:
        for _ in range(500):
            await pilot.pause(0.01)
            if getattr(app.screen, "loaded", False):
                break
        await pilot.press("G", "space", "k", "k", "space", "c")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        assert {run.info.name for run in app.screen.runs} == {"two", "three"}
        await pilot.press("escape")
        await pilot.pause()
        assert "+" in screen_text(app)
