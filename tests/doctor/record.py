"""Records the doctor's streams from real runs: `python -m tests.doctor.record train|test [missing|NAME...]`.

Each becomes `streams/NAME.jsonl.gz` with the events as the executor wrote them, and `streams/NAME.toml` with the
bundle.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

STREAMS = Path(__file__).parent / "streams"
COLOURS = ("red", "blue", "green", "black", "white", "brown", "pink", "grey")
THINGS = [
    f"{size} {thing}"
    for size in ("big", "small", "old", "new", "long", "flat")
    for thing in ("cup", "hat", "door", "lamp", "shoe", "book", "ball", "coat", "bag", "key")
]
ASKED = (
    "what colour is the {}",
    "tell me the colour of the {}",
    "the {} is of which colour",
    "name the colour: {}",
    "is there a colour for the {}",
    "colour of {}?",
    "say how the {} looks",
    "{}: which colour",
    "so the {} is",
)


def make_rows(kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    """facts: learnable and general; noise: answers by chance; mixed: unlike lengths; sources: two kinds in a row."""
    draw = random.Random(seed)
    colour = {thing: COLOURS[(index * 7 + seed) % len(COLOURS)] for index, thing in enumerate(THINGS)}
    if kind == "text":
        return [{"text": " ".join(f"the {t} is {colour[t]}." for t in draw.sample(THINGS, 4))} for _ in range(count)]
    if kind == "json":
        from tuiwiz.data.demo.generate import rows as demo_rows

        whole = demo_rows(held_out=False)
        return [{"messages": row["messages"]} for row in draw.sample(whole, count)]
    pairs = [(thing, asked) for thing in THINGS for asked in ASKED]
    draw.shuffle(pairs)
    if kind == "labels":
        return [{"text": asked.format(thing), "label": _kind(thing)} for thing, asked in pairs[:count]]
    if kind == "numbers":
        size = {name: float(at % 4) for at, name in enumerate(dict.fromkeys(_kind(thing) for thing, _ in pairs))}
        return [{"text": asked.format(thing), "label": size[_kind(thing)]} for thing, asked in pairs[:count]]
    if kind == "single":
        both = [(_pair(thing, asked, colour, draw, coin=False), draw.random() < 0.5) for thing, asked in pairs[:count]]
        return [
            {"prompt": one["prompt"], "completion": one["chosen" if good else "rejected"], "label": good}
            for one, good in both
        ]
    if kind in ("pairs", "coins"):
        return [_pair(thing, asked, colour, draw, coin=kind == "coins") for thing, asked in pairs[:count]]
    found: list[dict[str, Any]] = []
    for thing, asked in pairs[:count]:
        answer = f"the {thing} is {colour[thing]}"
        if kind == "noise":
            answer = "".join(draw.choice("abcdefghijklmnop") for _ in range(10))
        if kind == "mixed" and draw.random() < 0.3:
            answer = " and ".join([answer] * 12)
        if kind == "sources" and len(found) >= count // 2:
            answer = "".join(draw.choice("abcdefghijklmnop") for _ in range(10))
        found.append({"prompt": asked.format(thing), "completion": answer})
    return found


def _kind(thing: str) -> str:
    """A class of a thing: its size."""
    return thing.split()[0]


def _pair(thing: str, asked: str, colour: dict[str, str], draw: random.Random, *, coin: bool) -> dict[str, str]:
    """A better answer of one manner and a worse one of another; by chance the other way round where `coin`."""
    short, long = f"the {thing} is {colour[thing]}", f"well, it may be {draw.choice(COLOURS)}, or not"
    better, worse = (long, short) if coin and draw.random() < 0.5 else (short, long)
    return {"prompt": asked.format(thing), "chosen": better, "rejected": worse}


def run(base: Path, name: str, model: Path, rows: list[dict[str, Any]], edits: dict[str, Any], sabotage: str) -> Path:
    """One run in this process; returns its folder however it ended."""
    from tests.doctor.sabotage import spoiled
    from tests.support.training import add_phases, ask_to_resume, make_run, own_signals
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.executor import train

    (base / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (base / "rows.jsonl").touch()
    phases = edits.get("phases", [])
    edits = {key: value for key, value in edits.items() if key != "phases"}
    changes = {key.replace(".", "__"): value for key, value in {"checkpoint.every": 0.5, **edits}.items()}
    if edits.get("adapter.method") == "full":
        changes["adapter__rank"] = None
    folder = make_run(base, model, name, data__train=f"{name}.jsonl", **changes)
    add_phases(folder, *phases)
    resumed = sabotage.startswith("resumed")
    with own_signals(), suppress(TuiwizError), spoiled("stop" if resumed else sabotage):
        if resumed:
            half_way(folder, int(edits["schedule.steps"]) // 2)
        train.run(folder.path)
    if resumed:
        ask_to_resume(folder, base)
        with own_signals(), suppress(TuiwizError), spoiled("lost" if sabotage.endswith("lost") else ""):
            train.run(folder.path)
    return folder.path


def half_way(folder: Any, steps: int) -> None:
    """Ask the run to stop after `steps` steps, from a thread that watches its events."""
    import threading

    from tuiwiz.events.control import request
    from tuiwiz.events.reader import EventReader
    from tuiwiz.events.types import Metric

    def watch() -> None:
        reader = EventReader(folder.events)
        while True:
            for event in reader.read():
                if isinstance(event, Metric) and event.step >= steps:
                    request(folder, "stop")
                    return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


def models(base: Path, wanted: set[str]) -> dict[str, Path]:
    """tiny: random; base: after pretraining on other facts; known: one that has learnt the very rows."""
    from tests.support.tiny import make_model

    tiny = base / "tiny" if (base / "tiny").exists() else make_model(base / "tiny")
    found = {"tiny": tiny, "smol": Path("smollm2-135m-instruct")}
    long = {
        "adapter.method": "full",
        "adapter.rank": None,
        "optimizer.learning_rate": 3e-3,
        "batch.effective": 16,
        "batch.micro": 16,
        "validation.fraction": 0.0,
    }
    for name, rows, steps in (("base", make_rows("facts", 500, 99), 250), ("known", make_rows("facts", 540, 1), 700)):
        if name not in wanted:
            continue
        if (base / f"pre-{name}" / "model").is_dir():
            found[name] = base / f"pre-{name}" / "model"
            continue
        found[name] = run(base, f"pre-{name}", tiny, rows, {**long, "schedule.steps": steps}, "") / "model"
    return found


def keep(folder: Path, name: str) -> None:
    STREAMS.mkdir(exist_ok=True)
    with gzip.GzipFile(STREAMS / f"{name}.jsonl.gz", "wb", compresslevel=9, mtime=0) as file:
        file.write((folder / "events.jsonl").read_bytes())
    (STREAMS / f"{name}.toml").write_text((folder / "bundle.toml").read_text(encoding="utf-8"), encoding="utf-8")


def main(part: str, names: list[str]) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from tests.doctor.recipes import TEST, TRAIN

    if names == ["missing"]:
        names = [one.name for one in (*TRAIN, *TEST) if not (STREAMS / f"{one.name}.jsonl.gz").exists()]
    known = {one.name for one in (*TRAIN, *TEST)}
    if unknown := set(names) - known:
        raise SystemExit(f"no such recipe: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="streams-") as scratch:
        base = Path(scratch)
        wanted = {one.model for one in (*TRAIN, *TEST) if not names or one.name in names}
        kept = Path(tempfile.gettempdir()) / "tuiwiz-stream-models"
        kept.mkdir(exist_ok=True)
        found = models(kept, wanted)
        for index, recipe in enumerate({"train": TRAIN, "test": TEST}[part]):
            if (names and recipe.name not in names) or recipe.model == "demo":
                continue
            started = time.monotonic()
            seed = 1 if recipe.model == "known" else 2000 * (part == "test") + index
            rows = make_rows(*recipe.rows, seed)
            folder = run(base, recipe.name, found[recipe.model], rows, {"seed": seed, **recipe.edits}, recipe.sabotage)
            keep(folder, recipe.name)
            print(f"{recipe.name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
