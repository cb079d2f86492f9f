"""The walls between rooms, seen from a fresh interpreter, and the size of files."""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import tuiwiz

ROOT = Path(tuiwiz.__file__).parent
HEAVY = ("torch", "numpy", "transformers", "datasets", "pyarrow", "optuna", "peft", "bitsandbytes", "accelerate")
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "base": (*HEAVY, "textual", "rich", "typer"),
    "spec": (*HEAVY, "textual", "rich", "typer"),
    "bundle": (*HEAVY, "textual", "rich", "typer"),
    "events": (*HEAVY, "textual", "rich", "typer"),
    "catalog": (*HEAVY, "textual"),
    "memory": (*HEAVY, "textual"),
    "data": (*HEAVY, "textual"),
    "presets": (*HEAVY, "textual"),
    "wizard": (*HEAVY, "textual"),
    "runs": (*HEAVY, "textual"),
    "doctor": (*HEAVY, "textual"),
    "publish": (*HEAVY, "textual"),
    "tune": (*HEAVY, "textual"),
    "rehearsal": (*HEAVY, "textual"),
    "ui": HEAVY,
    "cli": (*HEAVY, "textual"),
}
DATA_TABLES = {"spec/fields.py", "spec/explanations.py", "catalog/models.py", "catalog/gpus.py", "data/demo/intents.py"}
LONGEST = 300


def modules_of(room: str) -> list[str]:
    folder = ROOT / room
    found = [f"tuiwiz.{room}"]
    found += [info.name for info in pkgutil.walk_packages([str(folder)], prefix=f"tuiwiz.{room}.")]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_loads_nothing_that_it_must_not(room: str) -> None:
    names = modules_of(room)
    code = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(','.join(m for m in {FORBIDDEN[room]!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_nobody_but_the_executor_names_it_in_an_import() -> None:
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] != "executor":
            text = path.read_text(encoding="utf-8")
            assert "import tuiwiz.executor" not in text and "from tuiwiz.executor" not in text, path


def test_files_stay_short_enough_to_read() -> None:
    sizes = {}
    for path in ROOT.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").count("\n")
        name = path.relative_to(ROOT).as_posix()
        if lines > 5 and name not in DATA_TABLES:
            sizes[name] = lines
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST} == {}
    assert statistics.median(sizes.values()) <= 160


def test_every_command_module_registers_its_commands() -> None:
    import typer

    from tuiwiz.cli.main import COMMANDS

    app = typer.Typer()
    for module in dict.fromkeys(COMMANDS.values()):
        importlib.import_module(f"tuiwiz.cli.{module}").register(app)
    names = {info.name for info in app.registered_commands} | {info.name for info in app.registered_groups}
    assert names == set(COMMANDS)


def test_one_place_says_how_threads_wait() -> None:
    """A measurement that sets half of it measures another program than the one that users run."""
    place = ROOT / "base" / "waiting.py"
    bench = ROOT.parent / "tests" / "bench"
    own = [
        path
        for path in (*ROOT.rglob("*.py"), *bench.glob("*.py"))
        if path != place and ("OMP_WAIT_POLICY" in (text := path.read_text(encoding="utf-8")) or "SPINCOUNT" in text)
    ]
    assert own == []
