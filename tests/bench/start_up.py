"""Cold start of commands and of the first screen: median of five, in milliseconds.

python tests/bench/start_up.py [--json]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

FIRST_PAINT = (
    "import time, sys\n"
    "from tuiwiz.ui.app import TuiwizApp\n"
    "app = TuiwizApp()\n"
    "app.call_after_refresh(app.exit)\n"
    "app.run(headless=True)\n"
)
ROOM = "import sys, time; t = time.perf_counter(); import {0}; print((time.perf_counter() - t) * 1000)"
LIMITS_MS = {
    "tuiwiz --version": 150,
    "tuiwiz presets list": 300,
    "tuiwiz plan": 400,
    "first screen": 600,
    "import tuiwiz.spec.bundle": 100,
    "import tuiwiz.bundle.read": 100,
    "import tuiwiz.presets.choose": 100,
    "import tuiwiz.memory.search": 100,
}


def wall_ms(command: list[str], times: int = 5) -> float:
    """Median wall time of a whole process."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def import_ms(module: str) -> float:
    """Median time of one import, the interpreter's own start left out."""
    command = [sys.executable, "-c", ROOM.format(module)]
    return statistics.median(float(subprocess.check_output(command)) for _ in range(5))


def main() -> None:
    os.environ["TUIWIZ_HOME"] = tempfile.mkdtemp()
    tuiwiz = [sys.executable, "-m", "tuiwiz"]
    plan = [*tuiwiz, "plan", "--model", "qwen3-8b", "--task", "instruct", "--gpu", "RTX 4090"]
    rows = {
        "tuiwiz --version": wall_ms([*tuiwiz, "--version"]),
        "tuiwiz presets list": wall_ms([*tuiwiz, "presets", "list"]),
        "tuiwiz plan": wall_ms(plan),
        "first screen": wall_ms([sys.executable, "-c", FIRST_PAINT]),
    }
    for name in LIMITS_MS:
        if name.startswith("import "):
            rows[name] = import_ms(name.removeprefix("import "))
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for name, taken in rows.items():
        verdict = "ok" if taken <= LIMITS_MS[name] else "SLOW"
        print(f"{name:<30} {taken:7.0f} ms   limit {LIMITS_MS[name]:4d} ms   {verdict}")


if __name__ == "__main__":
    main()
