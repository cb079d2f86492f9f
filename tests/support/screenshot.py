"""Pictures of screens, made from recorded runs: `python -m tests.support.screenshot [KIND OUT.svg 80x24 KEY...]`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from textual.pilot import Pilot

from tests.support import streams
from tuiwiz.events.folder import RunFolder
from tuiwiz.ui.app import TuiwizApp

MAKERS: dict[str, Callable[[Path], RunFolder]] = {
    "run": streams.training_run,
    "finished": streams.finished_run,
    "failed": streams.failed_run,
}


async def picture(app: TuiwizApp, size: tuple[int, int], keys: Sequence[str] = ()) -> str:
    """The SVG of `app` at `size` after `keys`, once the screen has nothing left to read."""
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press(*keys)
        await pilot.pause()
        return app.export_screenshot(title="tuiwiz")


async def settle(pilot: Pilot[int]) -> None:
    """Wait until a run screen has read its whole file, and until all of it is drawn."""
    ready = getattr(pilot.app.screen, "caught_up", None)
    if ready is not None:
        await asyncio.wait_for(ready.wait(), 20)
    # Twice: a first layout asks for a second drawing, now that widths are known.
    await pilot.pause()
    await pilot.pause()


def run_app_for(kind: str, folder: Path, *, ascii: bool = False) -> TuiwizApp:
    """The run screen on a recorded run under the recorder's clock."""
    run = MAKERS[kind](folder / "gsm8k-qwen3-8b")
    ascii = ascii or os.environ.get("TUIWIZ_ASCII", "") == "1"
    return TuiwizApp("run", ascii=ascii, run=run, clock=lambda: streams.T0 + 760.0)


README_PICTURE = Path(__file__).parent.parent / "pictures" / "run.svg"
"""The picture that README.md shows: `python -m tests.support.screenshot` writes it anew."""


def main(kind: str = "run", out: str = str(README_PICTURE), size: str = "120x40", *keys: str) -> None:
    """Write one picture. The time zone and colours do not follow the machine."""
    os.environ["TZ"] = "UTC"
    for name in ("NO_COLOR", "TUIWIZ_THEME"):
        os.environ.pop(name, None)
    width, _, height = size.partition("x")
    with tempfile.TemporaryDirectory() as folder:
        svg = asyncio.run(picture(run_app_for(kind, Path(folder)), (int(width), int(height)), keys))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
