"""Makes the demo's two files, always the same: `python -m tuiwiz.data.demo.generate`.

Each held-out row has a phrasing and at least one value that no training row has.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuiwiz.data.demo import EXAMPLES, HELD_OUT, SYSTEM, TRAIN
from tuiwiz.data.demo.intents import INTENTS, KINDS, Intent

SEED = 20_261
TRAIN_ROWS_EACH = 44
HELD_OUT_ROWS_EACH = 7


def rows(*, held_out: bool) -> list[dict[str, Any]]:
    """All rows of one file: chat messages, and intent, phrasing and values for whoever wants to check."""
    generator = random.Random(SEED + held_out)
    found = []
    for intent in INTENTS:
        each = HELD_OUT_ROWS_EACH if held_out else TRAIN_ROWS_EACH
        stream = _of_intent(intent, generator, held_out=held_out)
        seen: set[str] = set()
        while len(seen) < each:
            row = next(stream)
            request = row["messages"][1]["content"]
            if request not in seen:
                seen.add(request)
                found.append(row)
    generator.shuffle(found)
    return found


def _of_intent(intent: Intent, generator: random.Random, *, held_out: bool) -> Iterator[dict[str, Any]]:
    phrasings = intent.held_out_phrasings if held_out else intent.phrasings
    number = 0
    while True:
        phrasing = phrasings[number % len(phrasings)]
        number += 1
        new = generator.choice([slot for slot, kind in intent.slots.items() if KINDS[kind].held_out])
        values: dict[str, str | int] = {}
        for slot, kind in intent.slots.items():
            pool = KINDS[kind].train
            if held_out and KINDS[kind].held_out and (slot == new or generator.random() < 0.5):
                pool = KINDS[kind].held_out
            values[slot] = generator.choice(pool)
        request = _voiced(phrasing.format(**values), generator)
        answer = json.dumps({"action": intent.name, **values}, separators=(",", ":"))
        yield {
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": request},
                {"role": "assistant", "content": answer},
            ],
            "intent": intent.name,
            "phrasing": phrasing,
            "values": values,
        }


def _voiced(request: str, generator: random.Random) -> str:
    """People write with and without a capital and a full stop."""
    if generator.random() < 0.5:
        request = request[0].upper() + request[1:]
    if generator.random() < 0.3:
        request += "."
    return request


def write(train: Path = TRAIN, held_out: Path = HELD_OUT, examples: Path = EXAMPLES) -> None:
    trained = rows(held_out=False)
    first: dict[str, dict[str, Any]] = {}
    for row in trained:
        first.setdefault(row["intent"], row)
    for path, content in ((train, trained), (held_out, rows(held_out=True)), (examples, list(first.values()))):
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in content)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
