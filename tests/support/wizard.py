"""Walking the wizard as a user does: keys, waiting for what the screen waits for, small model folders and files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from textual.pilot import Pilot

from tests.support.screens import screen_text
from tuiwiz.bundle.change import parse_set
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.render import Renderer
from tuiwiz.spec.data import WeightedPath
from tuiwiz.ui.app import TuiwizApp
from tuiwiz.ui.screens.wizard.screen import WizardScreen
from tuiwiz.wizard.facts import NO_LIMIT, TRAIN_ON
from tuiwiz.wizard.jobs import CheckData, DataReport, read_report
from tuiwiz.wizard.steps import Step

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}


def bare_model(folder: Path, tokenizer: Path) -> Path:
    """A model folder with configuration and tokenizer but no weights; made without torch."""
    shutil.copytree(tokenizer, folder)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def sums(path: Path, rows: int = 60) -> Path:
    """A small file of questions and answers."""
    lines = (json.dumps({"question": f"What is {n} plus {n}?", "answer": f"It is {2 * n}."}) for n in range(rows))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def count_here(job: CheckData) -> DataReport:
    """What the child of a `CheckData` would answer, without its start."""
    settings = Settings(task=job.task, train_on=TRAIN_ON.get(job.task, "assistant"), max_length=NO_LIMIT)
    mix = dict(map(parse_set, job.sets)).get("data.train") or []
    sets = msgspec.convert(mix, tuple[WeightedPath, ...])
    report = check(Path(job.path), settings, Renderer(Path(job.model) if job.model else None), sets=sets)
    return read_report(msgspec.json.encode(report))


def wizard_of(pilot: Pilot[int]) -> WizardScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, WizardScreen))


async def until(pilot: Pilot[int], question: Callable[[], object], *, within_s: float = 40.0) -> None:
    """Let the app run until `question` is true."""
    end = time.monotonic() + within_s
    while not question():
        assert time.monotonic() < end, f"never came true: {question}\n{screen_text(pilot.app)}"
        await pilot.pause(0.01)
    await pilot.pause()


async def settled(pilot: Pilot[int]) -> WizardScreen:
    """Wait until the wizard knows all that it wants to know, and has drawn it."""
    screen = wizard_of(pilot)
    await pilot.pause()
    await until(pilot, lambda: not screen.busy)
    await pilot.pause()
    return screen


async def on_step(pilot: Pilot[int], step: Step) -> WizardScreen:
    """Wait until the wizard shows `step` with everything known."""
    await until(pilot, lambda: wizard_of(pilot).step == step)
    return await settled(pilot)


async def type_text(pilot: Pilot[int], text: str) -> None:
    """Type `text` into what has the focus."""
    await pilot.press(
        *[{" ": "space", ".": "full_stop", "/": "slash", "-": "minus", "_": "underscore"}.get(c, c) for c in text]
    )


def wizard_app(folder: Path, **kw: object) -> TuiwizApp:
    return TuiwizApp("wizard", ascii=bool(kw.pop("ascii", False)), folder=folder, **kw)
