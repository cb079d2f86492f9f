"""Throughput of the data room: reading, mapping and row checks in MB/s of one core, near-duplicates apart, and
tokens/s end to end on all cores.

python tests/bench/data_speed.py TOKENIZER_FOLDER [FILE.jsonl] [--json]

One core's work is timed by the processor's clock, so that a busy machine does not count; tokens/s are by the wall clock
and need idle cores, which is why tokens per second of processor time are printed beside them.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tuiwiz.data.duplicates import NearDuplicates
from tuiwiz.data.examine import Examination
from tuiwiz.data.load import Loader, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source

LEAST = {"row_checks_mb_per_s": 20.0, "near_duplicates_mb_per_s": 0.0, "tokens_per_s": 1e6, "tokens_per_cpu_s": 0.5e6}
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
        size = path.stat().st_size / 1e6
        start = time.process_time()
        examination = Examination(open_source(path), found.format, found.mapping)
        texts = [example.messages[-1]["content"] for example in examination.examples()]
        checked = size / (time.process_time() - start)
        start, near = time.process_time(), NearDuplicates()
        for row, text in enumerate(texts, 1):
            near.add(row, text, row)
        near.groups()
        compared = sum(map(len, texts)) / 1e6 / (time.process_time() - start)
        wall, start = time.perf_counter(), time.process_time()
        loader = Loader(path, Settings(), renderer)
        deque(loader.rows(), maxlen=0)
        wall, used = time.perf_counter() - wall, time.process_time() - start
    tokens = loader.tally.tokens
    measured = {
        "row_checks_mb_per_s": round(checked, 1),
        "near_duplicates_mb_per_s": round(compared, 1),
        "tokens_per_s": round(tokens / wall),
        "tokens_per_cpu_s": round(tokens / used),
    }
    if "--json" in sys.argv:
        print(json.dumps(measured))
        return
    for name, value in measured.items():
        print(f"{name:<26} {value:>12,}   at least {LEAST[name]:>12,.0f}   {'ok' if value >= LEAST[name] else 'SLOW'}")


if __name__ == "__main__":
    main()
