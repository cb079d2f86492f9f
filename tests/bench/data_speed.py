"""Throughput of the data room: reading, mapping and row checks in MB/s on one core, tokens/s on all.

python tests/bench/data_speed.py TOKENIZER_FOLDER [FILE.jsonl] [--json]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tuiwiz.data.examine import Examination
from tuiwiz.data.load import Loader, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source

LEAST = {"row_checks_mb_per_s": 20.0, "tokens_per_s": 1e6}
COMMON = "the of and to in is that for it as with was on be at by this have from or one had not but what all were"
WORDS = COMMON.split()


def sample(folder: Path, rows: int = 40_000) -> Path:
    """A file of made-up questions and answers of about 100 words each."""
    draw = random.Random(0)
    path = folder / "sample.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            row = {"question": " ".join(draw.choices(WORDS, k=40)), "answer": " ".join(draw.choices(WORDS, k=60))}
            file.write(json.dumps(row) + "\n")
    return path


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    renderer = Renderer(Path(words[0]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(words[1]) if len(words) > 1 else sample(Path(folder))
        found = sniff(path)
        start = time.perf_counter()
        deque(Examination(open_source(path), found.format, found.mapping).examples(), maxlen=0)
        checked = path.stat().st_size / 1e6 / (time.perf_counter() - start)
        start = time.perf_counter()
        loader = Loader(path, Settings(), renderer)
        deque(loader.rows(), maxlen=0)
        tokens = loader.tally.tokens / (time.perf_counter() - start)
    measured = {"row_checks_mb_per_s": round(checked, 1), "tokens_per_s": round(tokens)}
    if "--json" in sys.argv:
        print(json.dumps(measured))
        return
    for name, value in measured.items():
        print(f"{name:<22} {value:>12,}   at least {LEAST[name]:>12,.0f}   {'ok' if value >= LEAST[name] else 'SLOW'}")


if __name__ == "__main__":
    main()
