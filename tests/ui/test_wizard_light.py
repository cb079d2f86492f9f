"""The wizard's own process stays light: what is heavy runs in children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import environment
from tests.support.wizard import bare_model, sums

WALK = """
import asyncio, sys
from pathlib import Path
from tests.support.wizard import on_step, settled, type_text, wizard_app

async def main():
    app = wizard_app(Path(sys.argv[1]))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for text, key, step in (
            ("", "enter", "data"), ("rows.jsonl", "enter", "model"), ("tiny", "enter", "hardware"),
            ("", "enter", "fit"), ("", "enter", "settings"), ("", "ctrl+n", "review"),
        ):
            await type_text(pilot, text)
            await settled(pilot)
            await pilot.press(key)
            await on_step(pilot, step)

asyncio.run(main())
heavy = {"torch", "numpy", "datasets", "pyarrow", "transformers", "peft", "tuiwiz.executor"}
sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else None)
"""


def test_a_walk_to_review_loads_no_heavy_library(tmp_path: Path, tiny_tokenizer: Path) -> None:
    sums(tmp_path / "rows.jsonl")
    bare_model(tmp_path / "tiny", tiny_tokenizer)
    done = subprocess.run(
        [sys.executable, "-c", WALK, str(tmp_path)],
        env=environment(COLUMNS=os.environ.get("COLUMNS", "80")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
