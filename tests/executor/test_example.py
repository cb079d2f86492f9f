"""The shipped example of phases trains what it says, on a tiny encoder in place of its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.executor.desk import Desk
from tests.executor.test_phases import moved, weights_by_step
from tests.executor.test_tasks import labelled
from tests.support.tiny import make_encoder
from tuiwiz.events import types

EXAMPLE = Path(__file__).parents[2] / "presets" / "examples" / "probe-then-tune.toml"


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, tiny_model, monkeypatch)


def test_a_head_is_trained_first_then_everything_then_the_last_layers(desk: Desk) -> None:
    encoder = make_encoder(desk.base / "encoder", layers=4)
    rows = [labelled(index) for index in range(128)]
    (desk.base / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    folder = desk.prepare()
    text = EXAMPLE.read_text(encoding="utf-8")
    changes = {
        "all-minilm-l6-v2": str(encoder),
        "train.csv": "train.jsonl",
        "effective = 32": "effective = 8",
        "patience = 4": "",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    folder.bundle.write_text(text, encoding="utf-8")
    found = weights_by_step(desk)
    run = desk.run(folder=folder)
    starts = _starts(run)
    assert len(starts) == 2 and starts[0] < starts[1]
    probe = moved(found[0], found[starts[0]])
    tune = moved(found[starts[0]], found[starts[1]])
    refine = moved(found[starts[1]], found[-1])
    assert probe == {name for name in run.first if name.startswith("classifier")}
    assert tune >= {name for name in run.first if ".layer." in name and "weight" in name}
    assert refine == {name for name in run.first if ".layer.3." in name or name.startswith("classifier")}
    evaluations = [event.metrics for event in run.of(types.Eval)]
    assert evaluations[-1]["loss"] < evaluations[0]["loss"]


def _starts(run: Any) -> list[int]:
    """Steps after which the rate jumped: the phases' borders."""
    rates = run.metric("learning_rate")
    hot = [index for index, rate in enumerate(rates) if rate == pytest.approx(1e-3)]
    peak = max(rates[hot[-1] + 1 :])
    assert peak <= 5e-5
    progress = run.trainer.progress
    return [hot[-1] + 1, progress.phase_start]
