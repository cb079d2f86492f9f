"""Recorded studies for screens: trials as run folders with events, without a trained model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tests.support.processes import write_bundle
from tests.support.streams import T0, Recorder
from tuiwiz.bundle.change import change
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle as text_of
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.tune.rows import Row
from tuiwiz.tune.space import RANK, RATE, Dimension
from tuiwiz.tune.study import Budget, Question, StudyFolder, create

STEPS = 60


def recorded(place: Path, method: Any = "bayes", *, trials: int = 9, budget: int = 12) -> StudyFolder:
    """A search over rate and rank: one trial is pruned, one diverged, the last one runs."""
    bundle = read_bundle(write_bundle(place / "given", place / "model", rows=20))
    folder = StudyFolder(place / "sums-search")
    space = (Dimension(key=RATE, low=1e-4, high=1e-2, log=True), Dimension(key=RANK, values=(4, 8, 16, 32)))
    question = Question(
        method=method,
        digest=digest(bundle),
        folder=str(place / "given"),
        metric="loss",
        seed=1,
        steps=STEPS,
        over=space,
        budget=Budget(trials=budget),
    )
    create(folder, question, bundle)
    rows = []
    for number in range(trials):
        edits = {RATE: float(f"{1e-4 * 100 ** (number * 5 % trials / trials):.3e}"), RANK: (4, 8, 16, 32)[number % 4]}
        state: Any = {trials - 1: "running", 2: "pruned", 4: "infeasible"}.get(number, "finished")
        score = 1.2 + (math.log10(edits[RATE]) + 3) ** 2 / 4 + 0.01 * number
        step = STEPS if state == "finished" else 30 if state == "pruned" else 17
        row = Row(
            number=number,
            state=state,
            edits=edits,
            label="preset" if number == 0 else "",
            stage="start",
            score=score if state in ("finished", "pruned") else None,
            step=0 if state == "running" else step,
            steps=STEPS,
            seconds=0.0 if state == "running" else 0.8 * step,
            tokens=100 * step,
            reason="the loss is not finite" if state == "infeasible" else "",
            run=f"trials/{number:04d}",
        )
        rows.append(row)
        _record(RunFolder(folder.run(number)), text_of(change(bundle, edits)), row, step, score)
    folder.write_rows(rows)
    return folder


def _record(run: RunFolder, bundle: str, row: Row, step: int, score: float) -> None:
    run.path.mkdir(parents=True)
    run.bundle.write_text(bundle, encoding="utf-8")
    told = Recorder(T0)
    told.add(types.RunStarted, attempt=1, from_step=0, steps=STEPS, name="sums", rows=18, validation_rows=2)
    told.add(types.Stage, name="training")
    for at in range(step + 1):
        told.now += 0.8
        value = score + (3.4 - score) * math.exp(-at / 14)
        if at:
            loss = value + 0.05 * math.sin(at * 2.1)
            told.add(types.Metric, step=at, metrics={"loss": loss, "grad_norm": 0.4, "step_seconds": 0.8})
        if at % 15 == 0:
            told.add(types.Eval, step=at, rows=2, metrics={"loss": value})
    summary = {"step": step, "steps": STEPS, "best_step": step, "best_loss": score, "best_score": score}
    if row.state == "finished":
        told.add(types.Finished, summary={**summary, "reason": "finished"})
    elif row.state == "pruned":
        told.add(types.Stopped, summary={**summary, "reason": "asked by request"})
    elif row.state == "infeasible":
        told.add(types.Failed, summary={**summary, "message": row.reason, "exit_code": 6})
    run.events.write_bytes(told.text())
