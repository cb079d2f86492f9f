"""Memory of `data check` against rows: peak resident bytes of a check of N and of 4 N rows, and the growth a row.

python tests/bench/data_memory.py TOKENIZER_FOLDER [ROWS] [--json]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

MOST_BYTES_A_ROW = 32
_CHECK = """
import resource, sys
from pathlib import Path
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.render import Renderer
report = check(Path(sys.argv[1]), Settings(), Renderer(Path(sys.argv[2])))
assert report.ok, report.problems[:3]
print(report.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def write(path: Path, rows: int) -> Path:
    """Made-up rows, all different, a tenth of them twice."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            row = {"prompt": f"What comes after {i - i // 10} here?", "completion": f"After it comes {i * i % 9973}."}
            file.write(json.dumps(row) + "\n")
    return path


def peak(path: Path, tokenizer: str) -> tuple[int, int]:
    """Rows and peak resident bytes of a check in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(path), tokenizer], capture_output=True, text=True, check=True
    )
    rows, found = done.stdout.split()
    return int(rows), int(found)


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    rows = int(words[1]) if len(words) > 1 else 250_000
    with tempfile.TemporaryDirectory() as folder:
        few, low = peak(write(Path(folder) / "few.jsonl", rows), words[0])
        many, high = peak(write(Path(folder) / "many.jsonl", 4 * rows), words[0])
    growth = round((high - low) / (many - few), 1)
    measured = {"rows": [few, many], "peak_bytes": [low, high], "bytes_a_row": growth}
    if "--json" in sys.argv:
        print(json.dumps(measured))
        return
    verdict = "ok" if growth <= MOST_BYTES_A_ROW else "TOO MUCH"
    print(f"{few:,} rows {low / 1e6:,.0f} MB, {many:,} rows {high / 1e6:,.0f} MB")
    print(f"growth {growth} bytes a row, at most {MOST_BYTES_A_ROW}   {verdict}")


if __name__ == "__main__":
    main()
