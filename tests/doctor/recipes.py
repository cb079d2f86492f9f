"""What was recorded for the doctor: healthy runs, and runs spoiled on purpose, each with what is wrong with it.

`expect` names the rules of which at least one must say yes; empty for a healthy run. The train part is what thresholds
were chosen on. The test part is recorded after a commit has fixed them: tasks, optimizers, rows and settings in new
combinations. What was a test part before is in the train part; `w-short` was run again twice as long there, which won
0.013 nats: it counts as healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Recipe:
    """`model`: tiny (random), base (tiny after some pretraining), known (after training on the very rows),
    smol (SmolLM2-135M-Instruct), demo (the same, recorded by `tuiwiz demo`).
    `rows`: kind and count."""

    name: str
    part: Literal["train", "test"]
    expect: tuple[str, ...]
    model: str = "base"
    rows: tuple[str, int] = ("facts", 240)
    edits: dict[str, Any] = field(default_factory=dict)
    sabotage: str = ""


def _lora(rate: float = 5e-3, steps: int = 80, batch: int = 8, **more: Any) -> dict[str, Any]:
    return {
        "optimizer.learning_rate": rate,
        "schedule.steps": steps,
        "batch.effective": batch,
        "batch.micro": batch,
        "adapter.rank": 8,
        "validation.fraction": 0.15,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def _full(rate: float = 2e-3, **more: Any) -> dict[str, Any]:
    whole = _lora(rate, **more)
    del whole["adapter.rank"]
    return {**whole, "adapter.method": "full"}


def _smol(rate: float = 2e-3, steps: int = 36, batch: int = 4, **more: Any) -> dict[str, Any]:
    """A short run of the real model on two cores."""
    return _lora(
        rate, steps, batch, **{"model__dtype": None, "validation__fraction": 0.1, "evaluation__every": 0.25, **more}
    )


def _phased(*shares: float, **more: Any) -> dict[str, Any]:
    """Phases with these shares of the run, each at half the rate of the one before."""
    whole = _lora(5e-3, steps=90, **more)
    phases = [{"name": f"p{i}", "share": share, "learning_rate": 5e-3 / 2**i} for i, share in enumerate(shares)]
    del whole["schedule.steps"]
    return {**whole, "schedule.steps": None, "schedule.epochs": 3.0, "phases": phases}


def _head(rate: float, **more: Any) -> dict[str, Any]:
    return _lora(rate, **{"task__kind": "classify", "validation__fraction": 0.2, **more})


def _pairs(kind: str, rate: float, **more: Any) -> dict[str, Any]:
    return _lora(rate, **{"task__kind": kind, "steps": 60, **more})


def _text(rate: float, **more: Any) -> dict[str, Any]:
    return _full(rate, **{"task__kind": "pretrain", "data__train_on": "all", **more})


def _in_parts(rate: float, **more: Any) -> dict[str, Any]:
    """Steps of sixteen rows, four at a time."""
    return {**_lora(rate, batch=16, **more), "batch.micro": 4}


def _real(
    part: Literal["train", "test"],
    name: str,
    expect: tuple[str, ...],
    *,
    rows: tuple[str, int] = ("facts", 130),
    edits: dict[str, Any],
    sabotage: str = "",
) -> Recipe:
    """A stream with the real model, its rows cut at 96 tokens."""
    return Recipe(name, part, expect, "smol", rows, {**edits, "data.max_length": 96}, sabotage)


def _whole(rate: float, **more: Any) -> dict[str, Any]:
    """All weights of the real model."""
    found = _smol(rate, **more)
    del found["adapter.rank"]
    return {**found, "adapter.method": "full"}


TEXT: dict[str, Any] = {"task__kind": "pretrain", "data__train_on": "all"}
FOUR_BITS: dict[str, Any] = {"adapter__method": "qlora"}
UNWATCHED: dict[str, Any] = {"validation__fraction": 0.0}
DIVERGED = ("D1", "D2", "D3", "D4", "D5")
OVERFIT = ("D8", "D9", "D10")
UNDERFIT = ("D11", "D12", "D13")

TRAIN: tuple[Recipe, ...] = (
    Recipe("healthy-lora", "train", (), edits=_lora()),
    Recipe("healthy-lora-long", "train", (), rows=("facts", 500), edits=_lora(steps=200)),
    Recipe("healthy-full", "train", (), rows=("facts", 400), edits=_full(5e-4, steps=100)),
    Recipe("healthy-no-validation", "train", (), edits=_lora(validation__fraction=0.0)),
    Recipe("healthy-packing", "train", (), edits=_lora(data__packing=True)),
    Recipe("healthy-small-batch", "train", (), edits=_lora(3e-3, steps=120, batch=4)),
    Recipe("healthy-linear", "train", (), edits=_lora(schedule__kind="linear", schedule__warmup=0.1)),
    Recipe("healthy-constant", "train", (), edits=_lora(2e-3, steps=100, schedule__kind="constant")),
    Recipe("healthy-tight-clip", "train", (), edits=_lora(optimizer__clip_norm=0.3)),
    Recipe("healthy-short", "train", (), edits=_lora(8e-3, steps=40)),
    Recipe("healthy-resumed", "train", (), edits=_lora(), sabotage="resumed"),
    Recipe("healthy-text", "train", (), rows=("text", 200), edits=_lora(task__kind="pretrain", data__train_on="all")),
    Recipe("rate-x30-lora", "train", DIVERGED, edits=_lora(0.15)),
    Recipe("rate-x100-lora", "train", DIVERGED, edits=_lora(0.5, steps=60)),
    Recipe("rate-x30-full", "train", DIVERGED, rows=("facts", 400), edits=_full(0.06, steps=100)),
    Recipe("no-warm-up", "train", DIVERGED, edits=_full(0.03, steps=60, schedule__warmup=0)),
    Recipe("rate-x30-constant", "train", DIVERGED, edits=_lora(0.15, schedule__kind="constant")),
    Recipe("overflow", "train", ("D1",), edits=_lora(steps=60), sabotage="overflow"),
    Recipe("sgd-too-high", "train", DIVERGED, edits=_full(10.0, optimizer__name="sgd", optimizer__clip_norm=0.0)),
    Recipe("tiny-data-x20", "train", OVERFIT, rows=("noise", 40), edits=_full(3e-3, steps=100)),
    Recipe("tiny-data-x20-more", "train", OVERFIT, rows=("noise", 60), edits=_full(2e-3, steps=130)),
    Recipe("rate-too-low", "train", UNDERFIT, edits=_lora(5e-6)),
    Recipe("rate-too-low-full", "train", UNDERFIT, edits=_full(1e-6)),
    Recipe(
        "too-short",
        "train",
        UNDERFIT,
        model="tiny",
        rows=("facts", 400),
        edits=_full(1e-3, steps=60, schedule__kind="constant", schedule__warmup=0),
    ),
    Recipe("frozen-adapters", "train", ("D14",), edits=_lora(), sabotage="frozen"),
    Recipe("frozen-full", "train", ("D14",), edits=_full(), sabotage="frozen"),
    Recipe("masked-labels", "train", ("D17",), edits=_lora(), sabotage="masked"),
    Recipe("known-answers", "train", ("D16", "D30"), model="known", rows=("facts", 240), edits=_lora(1e-3)),
    Recipe("starved", "train", ("D22",), edits=_lora(steps=60), sabotage="starved"),
    Recipe("slowing-down", "train", ("D25",), edits=_lora(steps=80), sabotage="slowing"),
    Recipe("padding", "train", ("D23",), rows=("mixed", 240), edits=_lora(steps=40, data__max_length=512)),
    Recipe(
        "evaluates-all-the-time",
        "train",
        ("D26",),
        rows=("facts", 500),
        edits=_lora(steps=60, validation__fraction=0.5),
        sabotage="evaluates",
    ),
    Recipe("out-of-memory-early", "train", ("D19",), edits=_lora(), sabotage="oom-2"),
    Recipe("out-of-memory-late", "train", ("D20",), edits=_lora(), sabotage="oom-40"),
    Recipe("memory-leak", "train", ("D21",), edits=_lora(steps=150), sabotage="leak"),
    Recipe("resume-lost-weights", "train", ("D32",), edits=_lora(), sabotage="resumed-lost"),
    Recipe(
        "sorted-sources",
        "train",
        ("D29",),
        rows=("sources", 160),
        edits=_lora(3e-3, steps=120, batch=8),
        sabotage="unshuffled",
    ),
    Recipe("schedule-ends-early", "train", ("D7",), edits=_lora(), sabotage="rate-early"),
    Recipe("schedule-never-ends", "train", ("D7",), edits=_lora(), sabotage="rate-late"),
    Recipe("warm-up-eats-the-run", "train", ("D7",), edits=_lora(schedule__warmup=0.7)),
    Recipe(
        "loss-times-accumulation", "train", ("D15",), edits={**_lora(steps=40), "batch.micro": 2}, sabotage="scaled"
    ),
    Recipe("t-healthy-lora", "train", (), rows=("facts", 320), edits=_lora(4e-3, steps=110, batch=8)),
    Recipe("t-healthy-rank", "train", (), rows=("facts", 400), edits=_lora(3e-3, steps=90, adapter__rank=32)),
    Recipe("t-healthy-full", "train", (), rows=("facts", 450), edits=_full(8e-4, steps=120)),
    Recipe(
        "t-healthy-linear", "train", (), edits=_lora(6e-3, steps=70, schedule__kind="linear", schedule__warmup=0.06)
    ),
    Recipe("t-healthy-packed", "train", (), rows=("facts", 300), edits=_lora(4e-3, steps=80, data__packing=True)),
    Recipe("t-healthy-batch", "train", (), rows=("facts", 500), edits=_lora(6e-3, steps=60, batch=16)),
    Recipe("t-healthy-resumed", "train", (), rows=("facts", 300), edits=_lora(4e-3, steps=100), sabotage="resumed"),
    Recipe("t-healthy-no-validation", "train", (), edits=_lora(steps=60, validation__fraction=0.0)),
    Recipe("t-rate-x20", "train", DIVERGED, rows=("facts", 300), edits=_lora(0.1, steps=100)),
    Recipe("t-rate-x60", "train", DIVERGED, rows=("facts", 300), edits=_lora(0.3, steps=70, schedule__kind="linear")),
    Recipe("t-rate-full", "train", DIVERGED, rows=("facts", 350), edits=_full(0.1, steps=90, schedule__warmup=0.1)),
    Recipe("t-no-warm-up", "train", DIVERGED, rows=("facts", 300), edits=_full(0.05, steps=80, schedule__warmup=0)),
    Recipe("t-overflow", "train", ("D1",), rows=("facts", 300), edits=_full(1e-3, steps=50), sabotage="overflow"),
    Recipe("t-tiny-data", "train", OVERFIT, rows=("noise", 45), edits=_full(4e-3, steps=110)),
    Recipe("t-tiny-data-batch", "train", OVERFIT, rows=("noise", 36), edits=_full(3e-3, steps=140, batch=4)),
    Recipe("t-rate-too-low", "train", UNDERFIT, rows=("facts", 300), edits=_lora(1e-5, steps=90)),
    Recipe("t-rate-too-low-linear", "train", UNDERFIT, edits=_full(2e-6, steps=60, schedule__kind="linear")),
    Recipe("t-frozen", "train", ("D14",), rows=("facts", 350), edits=_lora(8e-3, steps=60), sabotage="frozen"),
    Recipe(
        "t-masked", "train", ("D17",), rows=("facts", 300), edits=_lora(3e-3, steps=60, batch=16), sabotage="masked"
    ),
    Recipe("t-starved", "train", ("D22",), rows=("facts", 300), edits=_full(1e-3, steps=50), sabotage="starved"),
    Recipe("t-slowing", "train", ("D25",), rows=("facts", 300), edits=_full(1e-3, steps=70), sabotage="slowing"),
    Recipe("smol-healthy", "train", (), model="smol", rows=("json", 180), edits=_smol(steps=45)),
    Recipe("healthy-classify", "train", (), rows=("labels", 300), edits=_head(5e-3)),
    Recipe("healthy-dpo", "train", (), rows=("pairs", 240), edits=_pairs("dpo", 3e-4)),
    Recipe("t-padding", "train", ("D23",), rows=("mixed", 300), edits=_lora(3e-3, steps=50, data__max_length=512)),
    Recipe("t-out-of-memory", "train", ("D19",), edits=_full(1e-3), sabotage="oom-1"),
    Recipe("t-out-of-memory-late", "train", ("D20",), edits=_full(1e-3), sabotage="oom-25"),
    Recipe("t-memory-leak", "train", ("D21",), edits=_full(1e-3, steps=130), sabotage="leak"),
    Recipe(
        "t-resume-lost",
        "train",
        ("D32",),
        rows=("facts", 300),
        edits=_full(3e-3, steps=60),
        model="tiny",
        sabotage="resumed-lost",
    ),
    Recipe(
        "t-sorted-sources",
        "train",
        ("D29",),
        rows=("sources", 200),
        edits=_full(1e-3, steps=110),
        sabotage="unshuffled",
    ),
    Recipe("t-schedule-early", "train", ("D7",), edits=_full(1e-3, schedule__kind="linear"), sabotage="rate-early"),
    Recipe("t-warm-up", "train", ("D7",), edits=_full(1e-3, steps=60, schedule__warmup=0.6)),
    Recipe("u-healthy-lora", "train", (), rows=("facts", 340), edits=_lora(5e-3, steps=90)),
    Recipe("u-healthy-rank", "train", (), rows=("facts", 420), edits=_lora(4e-3, steps=100, adapter__rank=16)),
    Recipe("u-healthy-full", "train", (), rows=("facts", 380), edits=_full(6e-4, steps=100)),
    Recipe(
        "u-healthy-linear", "train", (), edits=_lora(5e-3, steps=80, schedule__kind="linear", schedule__warmup=0.05)
    ),
    Recipe("u-healthy-packed", "train", (), rows=("facts", 360), edits=_lora(5e-3, steps=70, data__packing=True)),
    Recipe("u-healthy-batch", "train", (), rows=("facts", 500), edits=_lora(8e-3, steps=50, batch=16)),
    Recipe("u-healthy-resumed", "train", (), rows=("facts", 360), edits=_lora(5e-3, steps=80), sabotage="resumed"),
    Recipe(
        "u-healthy-text",
        "train",
        (),
        rows=("text", 150),
        edits=_lora(3e-3, steps=60, task__kind="pretrain", data__train_on="all"),
    ),
    Recipe("u-rate-x25", "train", DIVERGED, rows=("facts", 280), edits=_lora(0.12, steps=80)),
    Recipe("u-rate-x80", "train", DIVERGED, rows=("facts", 280), edits=_lora(0.4, steps=60, schedule__kind="constant")),
    Recipe("u-rate-full", "train", DIVERGED, rows=("facts", 330), edits=_full(0.08, steps=80, schedule__warmup=0.05)),
    Recipe("u-no-warm-up", "train", DIVERGED, rows=("facts", 280), edits=_full(0.04, steps=70, schedule__warmup=0)),
    Recipe("u-overflow", "train", ("D1",), rows=("facts", 280), edits=_lora(3e-3, steps=50), sabotage="overflow"),
    Recipe("u-tiny-data", "train", OVERFIT, rows=("noise", 48), edits=_full(3e-3, steps=120)),
    Recipe("u-tiny-data-batch", "train", OVERFIT, rows=("noise", 32), edits=_full(2e-3, steps=130, batch=4)),
    Recipe("u-rate-too-low", "train", UNDERFIT, rows=("facts", 280), edits=_lora(8e-6, steps=70)),
    Recipe("u-rate-too-low-full", "train", UNDERFIT, rows=("facts", 280), edits=_full(3e-6, steps=60)),
    Recipe("u-frozen", "train", ("D14",), rows=("facts", 280), edits=_full(2e-3, steps=50), sabotage="frozen"),
    Recipe("u-masked", "train", ("D17",), rows=("facts", 280), edits=_full(1e-3, steps=50), sabotage="masked"),
    Recipe(
        "u-starved", "train", ("D22",), rows=("facts", 280), edits=_lora(4e-3, steps=40, batch=4), sabotage="starved"
    ),
    Recipe("u-slowing", "train", ("D25",), rows=("facts", 280), edits=_lora(4e-3, steps=60), sabotage="slowing"),
    Recipe("v-healthy-lora", "train", (), rows=("facts", 310), edits=_lora(6e-3, steps=84)),
    Recipe("v-healthy-full", "train", (), rows=("facts", 420), edits=_full(7e-4, steps=90)),
    Recipe("v-healthy-one-row", "train", (), rows=("facts", 260), edits=_lora(1.5e-3, steps=130, batch=1)),
    Recipe("v-healthy-phases", "train", (), rows=("facts", 320), edits=_phased(0.3, 0.4, 0.3)),
    Recipe("v-healthy-classify", "train", (), rows=("labels", 260), edits=_head(6e-3)),
    Recipe("v-healthy-dpo", "train", (), rows=("pairs", 220), edits=_pairs("dpo", 2e-4)),
    Recipe("v-healthy-orpo", "train", (), rows=("pairs", 260), edits=_pairs("orpo", 3e-3)),
    Recipe("v-healthy-resumed", "train", (), rows=("facts", 330), edits=_lora(4e-3, steps=70), sabotage="resumed"),
    Recipe("v-healthy-plateau", "train", (), rows=("facts", 180), edits=_lora(4e-3, steps=240)),
    Recipe("v-healthy-short", "train", (), rows=("facts", 300), edits=_lora(6e-3, steps=30)),
    Recipe("v-rate-x30", "train", DIVERGED, rows=("facts", 320), edits=_lora(0.14, steps=90)),
    Recipe("v-rate-full", "train", DIVERGED, rows=("facts", 320), edits=_full(0.05, steps=70)),
    Recipe("v-no-warm-up", "train", DIVERGED, rows=("facts", 290), edits=_full(0.06, steps=60, schedule__warmup=0)),
    Recipe("v-overflow", "train", ("D1",), rows=("facts", 290), edits=_full(8e-4, steps=60), sabotage="overflow"),
    Recipe("v-tiny-data", "train", OVERFIT, rows=("noise", 44), edits=_full(3e-3, steps=110)),
    Recipe(
        "v-tiny-data-unwatched",
        "train",
        OVERFIT,
        rows=("noise", 32),
        edits=_full(4e-3, steps=120, validation__fraction=0.0),
    ),
    Recipe("v-masked", "train", ("D17",), rows=("facts", 290), edits=_lora(4e-3, steps=50), sabotage="masked"),
    Recipe("v-frozen", "train", ("D14",), rows=("facts", 290), edits=_lora(5e-3, steps=60), sabotage="frozen"),
    Recipe("v-rate-too-low", "train", UNDERFIT, rows=("facts", 290), edits=_lora(6e-6, steps=70)),
    Recipe("v-starved", "train", ("D22",), rows=("facts", 290), edits=_full(1e-3, steps=40), sabotage="starved"),
    Recipe(
        "v-resume-lost",
        "train",
        ("D32",),
        rows=("facts", 300),
        edits=_full(2e-3, steps=70),
        model="tiny",
        sabotage="resumed-lost",
    ),
    Recipe("v-constant-classifier", "train", ("D45", "D2", "D4", "D11"), rows=("labels", 260), edits=_head(0.4)),
    Recipe("v-smol-healthy", "train", (), model="smol", rows=("json", 150), edits=_smol(1.5e-3, steps=36)),
    Recipe("v-smol-rate-x30", "train", DIVERGED, model="smol", rows=("facts", 150), edits=_smol(0.06, steps=30)),
    Recipe(
        "v-smol-masked",
        "train",
        ("D17",),
        model="smol",
        rows=("facts", 150),
        edits=_smol(1e-3, steps=24),
        sabotage="masked",
    ),
    Recipe(
        "v-smol-frozen",
        "train",
        ("D14",),
        model="smol",
        rows=("facts", 150),
        edits=_smol(1e-3, steps=24),
        sabotage="frozen",
    ),
    Recipe(
        "v-smol-tiny-data",
        "train",
        OVERFIT,
        model="smol",
        rows=("noise", 20),
        edits=_smol(2e-3, steps=60, validation__fraction=0.25),
    ),
    Recipe("v-dpo-too-fast", "train", ("D35", "D36", "D2", "D4"), rows=("pairs", 220), edits=_pairs("dpo", 0.05)),
    Recipe("w-healthy-lora", "train", (), rows=("facts", 322), edits=_lora(5.5e-3, steps=91)),
    Recipe("w-healthy-full", "train", (), rows=("facts", 432), edits=_full(9e-4, steps=97)),
    Recipe("w-healthy-one-row", "train", (), rows=("facts", 272), edits=_lora(1.5e-3, steps=137, batch=1)),
    Recipe("w-healthy-phases", "train", (), rows=("facts", 332), edits=_phased(0.3, 0.4, 0.3)),
    Recipe("w-classify", "train", ("D12",), rows=("labels", 272), edits=_head(4e-3)),
    Recipe("w-healthy-dpo", "train", (), rows=("pairs", 232), edits=_pairs("dpo", 2e-4)),
    Recipe("w-healthy-orpo", "train", (), rows=("pairs", 272), edits=_pairs("orpo", 3e-3)),
    Recipe("w-healthy-resumed", "train", (), rows=("facts", 342), edits=_lora(4e-3, steps=77), sabotage="resumed"),
    Recipe("w-healthy-plateau", "train", (), rows=("facts", 192), edits=_lora(4e-3, steps=247)),
    Recipe("w-short", "train", (), rows=("facts", 312), edits=_lora(5.5e-3, steps=34)),
    Recipe("w-rate-x30", "train", DIVERGED, rows=("facts", 332), edits=_lora(0.17, steps=97)),
    Recipe("w-rate-full", "train", DIVERGED, rows=("facts", 332), edits=_full(0.07, steps=77)),
    Recipe("w-no-warm-up", "train", DIVERGED, rows=("facts", 302), edits=_full(0.06, steps=67, schedule__warmup=0)),
    Recipe("w-overflow", "train", ("D1",), rows=("facts", 302), edits=_full(8e-4, steps=67), sabotage="overflow"),
    Recipe("w-tiny-data", "train", OVERFIT, rows=("noise", 47), edits=_full(3e-3, steps=117)),
    Recipe(
        "w-tiny-data-unwatched",
        "train",
        OVERFIT,
        rows=("noise", 35),
        edits=_full(4e-3, steps=127, validation__fraction=0.0),
    ),
    Recipe("w-masked", "train", ("D17",), rows=("facts", 302), edits=_lora(4e-3, steps=57), sabotage="masked"),
    Recipe("w-frozen", "train", ("D14",), rows=("facts", 302), edits=_lora(5e-3, steps=67), sabotage="frozen"),
    Recipe("w-rate-too-low", "train", UNDERFIT, rows=("facts", 302), edits=_lora(6e-6, steps=77)),
    Recipe("w-starved", "train", ("D22",), rows=("facts", 302), edits=_full(1e-3, steps=44), sabotage="starved"),
    Recipe(
        "w-resume-lost",
        "train",
        ("D32",),
        rows=("facts", 312),
        edits=_full(2e-3, steps=77),
        model="tiny",
        sabotage="resumed-lost",
    ),
    Recipe("w-constant-classifier", "train", ("D45", "D2", "D4", "D11"), rows=("labels", 272), edits=_head(0.4)),
    Recipe("w-dpo-too-fast", "train", ("D35", "D36", "D2", "D4"), rows=("pairs", 232), edits=_pairs("dpo", 0.05)),
    Recipe("x-sgd-momentum", "train", DIVERGED, rows=("facts", 300), edits=_full(0.3, optimizer__name="sgd")),
    Recipe("x-muon", "train", (), rows=("facts", 300), edits=_full(2e-3, optimizer__name="muon")),
    Recipe("x-lion", "train", (), rows=("facts", 300), edits=_lora(1e-3, optimizer__name="lion")),
    Recipe("x-lion-x30", "train", DIVERGED, rows=("facts", 300), edits=_lora(3e-2, optimizer__name="lion")),
    Recipe("x-adafactor", "train", (), rows=("facts", 300), edits=_full(2e-3, optimizer__name="adafactor")),
    Recipe("x-plateau", "train", (), rows=("facts", 300), edits=_lora(schedule__kind="plateau")),
    Recipe("x-restarts", "train", (), rows=("facts", 300), edits=_lora(steps=90, schedule__kind="cosine_restarts")),
    Recipe("x-ten-steps", "train", (), rows=("facts", 300), edits=_lora(steps=10)),
    Recipe("x-dropout", "train", (), rows=("facts", 200), edits=_lora(steps=75, adapter__dropout=0.2, **UNWATCHED)),
    Recipe("x-half-precision", "train", (), rows=("facts", 300), edits=_full(1e-3, steps=150, model__dtype="bf16")),
    Recipe("x-classify-long", "train", (), rows=("labels", 400), edits=_head(5e-3, steps=200)),
    Recipe("x-reward", "train", (), rows=("pairs", 300), edits=_pairs("reward", 1e-3)),
    Recipe("x-reward-x200", "train", DIVERGED, rows=("pairs", 240), edits=_pairs("reward", 0.2)),
    Recipe("x-kto", "train", (), rows=("single", 300), edits=_pairs("kto", 5e-4)),
    Recipe("x-text-scratch", "train", (), model="tiny", rows=("text", 300), edits=_text(3e-3, steps=220, batch=16)),
    Recipe("x-scaled", "train", ("D15",), rows=("facts", 300), edits=_in_parts(3e-3, steps=40), sabotage="scaled"),
    Recipe("x-coins", "train", ("D8",), rows=("coins", 40), edits=_pairs("dpo", 5e-4, steps=120)),
    Recipe("x-low-classify", "train", UNDERFIT, rows=("labels", 260), edits=_head(1e-6)),
    Recipe("x-frozen", "train", ("D14",), rows=("facts", 200), edits=_lora(**UNWATCHED), sabotage="frozen"),
    Recipe("x-frozen-untold", "train", ("D14",), rows=("facts", 200), edits=_lora(**UNWATCHED), sabotage="untold"),
    Recipe("x-frozen-full", "train", ("D14",), rows=("facts", 160), edits=_full(**UNWATCHED), sabotage="untold"),
    Recipe(
        "x-frozen-dpo",
        "train",
        ("D14",),
        rows=("pairs", 240),
        edits=_pairs("dpo", 3e-4, **UNWATCHED),
        sabotage="untold",
    ),
    _real("train", "z-smol-lora", (), edits=_smol(8e-4, steps=30, adapter__rank=16)),
    _real("train", "z-smol-text", (), rows=("text", 120), edits=_smol(5e-4, steps=30, **TEXT)),
    _real("train", "z-smol-full", (), edits=_whole(5e-5, steps=25)),
    _real("train", "z-smol-dpo", (), rows=("pairs", 70), edits=_smol(5e-5, steps=25, task__kind="dpo")),
    _real("train", "z-smol-x60", DIVERGED, edits=_smol(0.05, steps=28)),
    _real("train", "z-smol-no-warm-up", DIVERGED, edits=_whole(2e-3, steps=25, schedule__warmup=0)),
    _real(
        "train",
        "z-smol-frozen",
        ("D14",),
        rows=("facts", 60),
        edits=_smol(1e-3, steps=12, **UNWATCHED),
        sabotage="frozen",
    ),
    _real("train", "z-smol-permuted", ("D16",), rows=("facts", 70), edits=_smol(5e-4, steps=12), sabotage="permuted"),
    _real("train", "z-smol-masked", ("D17",), rows=("facts", 70), edits=_whole(2e-5, steps=12), sabotage="masked"),
    Recipe(
        "z-lion", "train", (), rows=("facts", 330), edits=_lora(8e-4, steps=85, optimizer__name="lion", **FOUR_BITS)
    ),
    Recipe("z-muon-text", "train", (), rows=("text", 260), edits=_text(2e-3, steps=90, optimizer__name="muon")),
    Recipe("z-kto", "train", (), rows=("single", 330), edits=_pairs("kto", 8e-4, steps=70)),
    Recipe("z-reward", "train", (), rows=("pairs", 330), edits=_pairs("reward", 7e-4, steps=70)),
    Recipe("z-classify", "train", (), rows=("labels", 420), edits=_head(6e-3, steps=220)),
    Recipe("z-scratch", "train", (), model="tiny", rows=("facts", 480), edits=_full(2e-3, steps=260, batch=16)),
    Recipe("z-more-epochs", "train", (), rows=("facts", 210), edits=_lora(3e-3, steps=140, schedule__kind="linear")),
    Recipe("z-large-batch", "train", (), rows=("facts", 510), edits=_lora(7e-3, steps=55, batch=32)),
    Recipe("z-resumed-text", "train", (), rows=("text", 240), edits=_text(1e-3, steps=90), sabotage="resumed"),
    Recipe("z-adafactor-x30", "train", DIVERGED, rows=("facts", 330), edits=_full(0.06, optimizer__name="adafactor")),
    Recipe("z-dpo-x100", "train", (*DIVERGED, "D35", "D36"), rows=("pairs", 250), edits=_pairs("dpo", 0.03)),
    Recipe(
        "z-tiny-data-lion", "train", OVERFIT, rows=("noise", 42), edits=_full(1e-3, steps=120, optimizer__name="lion")
    ),
    Recipe(
        "z-masked", "train", ("D17",), rows=("facts", 310), edits=_lora(4e-3, steps=50, **FOUR_BITS), sabotage="masked"
    ),
    Recipe("z-starved", "train", ("D22",), rows=("text", 220), edits=_text(1e-3, steps=40), sabotage="starved"),
    Recipe(
        "z-overflow",
        "train",
        ("D1",),
        rows=("text", 220),
        edits=_text(1e-3, steps=50, **UNWATCHED),
        sabotage="overflow",
    ),
    Recipe("z-frozen-labels", "train", ("D14",), rows=("labels", 280), edits=_head(5e-3), sabotage="untold"),
    Recipe(
        "z-frozen-text",
        "train",
        ("D14",),
        rows=("text", 160),
        edits=_text(2e-3, steps=60, **UNWATCHED),
        sabotage="untold",
    ),
    Recipe(
        "z-memory-leak", "train", ("D21",), rows=("facts", 310), edits=_full(1e-3, steps=125, batch=4), sabotage="leak"
    ),
    Recipe("z-warm-up", "train", ("D7",), rows=("pairs", 260), edits=_pairs("orpo", 3e-3, schedule__warmup=0.65)),
    *(Recipe(f"demo-{number}", "train", (), model="demo") for number in range(1, 6)),
)

MISSED: tuple[Recipe, ...] = (Recipe("x-text-x30", "train", DIVERGED, rows=("text", 250), edits=_text(0.08, steps=70)),)
"""Spoiled, recorded for the train part, and seen by no rule: it learns on, only far less than it could."""


def _new(name: str, expect: tuple[str, ...], rows: tuple[str, int], edits: dict[str, Any], **more: Any) -> Recipe:
    """A stream of the test part with the small model."""
    return Recipe(name, "test", expect, more.pop("model", "base"), rows, edits, **more)


NUMBERS: dict[str, Any] = {"task__labels": "regression"}
PREFERRED_TOO_FAST = (*DIVERGED, "D35", "D36")

TEST: tuple[Recipe, ...] = (
    _real("test", "y-smol-lora", (), rows=("facts", 90), edits=_smol(1.5e-3, steps=12, evaluation__every=0.5)),
    _real("test", "y-smol-text", (), rows=("text", 70), edits=_smol(1e-3, steps=12, evaluation__every=0.5, **TEXT)),
    _real("test", "y-smol-dpo", (), rows=("pairs", 60), edits=_smol(8e-5, steps=12, task__kind="dpo")),
    _real("test", "y-smol-x80", DIVERGED, rows=("facts", 80), edits=_smol(0.08, steps=12)),
    _real(
        "test", "y-smol-permuted", ("D16",), rows=("text", 60), edits=_smol(5e-4, steps=12, **TEXT), sabotage="permuted"
    ),
    _real("test", "y-smol-frozen", ("D14",), rows=("facts", 80), edits=_whole(3e-5, steps=12), sabotage="frozen"),
    _new("y-one-cycle", (), ("facts", 350), _lora(5e-3, steps=88, schedule__kind="one_cycle")),
    _new("y-polynomial", (), ("facts", 290), _full(7e-4, steps=95, schedule__kind="polynomial", schedule__warmup=0.08)),
    _new("y-inverse-root", (), ("facts", 370), _lora(4e-3, steps=105, schedule__kind="inverse_sqrt", batch=4)),
    _new("y-stable-decay", (), ("text", 280), _text(1.2e-3, steps=100, schedule__kind="warmup_stable_decay")),
    _new("y-restarts", (), ("facts", 330), _full(6e-4, steps=110, schedule__kind="cosine_restarts")),
    _new("y-lamb", (), ("facts", 410), _full(2e-3, steps=75, optimizer__name="lamb", batch=16)),
    _new(
        "y-schedule-free",
        (),
        ("facts", 270),
        _lora(4e-3, optimizer__name="schedule_free_adamw", schedule__kind="constant"),
    ),
    _new("y-sgd-text", (), ("text", 250), _text(0.02, steps=130, optimizer__name="sgd")),
    _new("y-muon", (), ("facts", 380), _full(1e-3, steps=70, optimizer__name="muon", schedule__kind="linear")),
    _new("y-lion-text", (), ("text", 270), _text(2e-4, steps=110, optimizer__name="lion")),
    _new("y-dora", (), ("facts", 310), _lora(4e-3, steps=72, adapter__variant="dora", adapter__rank=4)),
    _new("y-rank-stable", (), ("facts", 340), _lora(2e-3, steps=82, adapter__variant="rslora", adapter__rank=16)),
    _new("y-fourteen-steps", (), ("facts", 500), _lora(6e-3, steps=14, batch=32)),
    _new("y-one-row", (), ("text", 230), _lora(1e-3, steps=170, batch=1, **TEXT)),
    _new("y-in-parts", (), ("facts", 450), _in_parts(5e-3, steps=64, schedule__kind="linear")),
    _new("y-packed-mixed", (), ("mixed", 380), _lora(4e-3, steps=80, data__packing=True, data__max_length=256)),
    _new("y-resumed", (), ("facts", 310), _full(8e-4, steps=84, schedule__kind="linear"), sabotage="resumed"),
    _new("y-resumed-dpo", (), ("pairs", 280), _pairs("dpo", 2e-4, steps=64), sabotage="resumed"),
    _new("y-two-phases", (), ("facts", 290), _phased(0.6, 0.4, batch=4)),
    _new("y-kto", (), ("single", 310), _pairs("kto", 4e-4, steps=80, schedule__kind="linear", batch=16)),
    _new("y-reward-full", (), ("pairs", 290), _full(3e-4, steps=55, task__kind="reward")),
    _new("y-orpo-full", (), ("pairs", 310), _full(8e-4, steps=75, task__kind="orpo")),
    _new("y-classes", (), ("labels", 450), _full(1e-3, steps=190, task__kind="classify", validation__fraction=0.2)),
    _new("y-numbers", (), ("numbers", 460), _head(5e-3, steps=210, **NUMBERS)),
    _new("y-unwatched", (), ("facts", 440), _lora(5e-3, steps=66, schedule__kind="constant", **UNWATCHED)),
    _new("y-four-bits", (), ("text", 240), _lora(3e-3, steps=85, **TEXT, **FOUR_BITS)),
    _new("y-text-x60", DIVERGED, ("text", 260), _lora(0.3, steps=70, **TEXT)),
    _new(
        "y-muon-x100", DIVERGED, ("facts", 310), _full(0.2, steps=70, optimizer__name="muon", schedule__kind="linear")
    ),
    _new("y-classes-x60", (*DIVERGED, "D11", "D45"), ("labels", 320), _head(0.3, schedule__kind="constant")),
    _new("y-kto-x80", PREFERRED_TOO_FAST, ("single", 280), _pairs("kto", 0.04)),
    _new("y-dpo-x60", PREFERRED_TOO_FAST, ("pairs", 270), _pairs("dpo", 0.02, steps=50, schedule__kind="linear")),
    _new("y-by-heart", OVERFIT, ("noise", 44), _full(2e-3, steps=140, schedule__kind="constant")),
    _new("y-by-heart-muon", OVERFIT, ("noise", 38), _full(3e-3, steps=110, optimizer__name="muon")),
    _new("y-too-low", UNDERFIT, ("text", 240), _text(1e-7, steps=70, schedule__kind="linear")),
    _new("y-too-short", UNDERFIT, ("facts", 430), _full(8e-4, steps=50, schedule__kind="linear"), model="tiny"),
    _new("y-frozen-pairs", ("D14",), ("pairs", 250), _pairs("orpo", 2e-3, steps=40), sabotage="untold"),
    _new("y-masked", ("D17",), ("mixed", 280), _full(8e-4, steps=40, data__max_length=256), sabotage="masked"),
    _new(
        "y-overflow", ("D1",), ("mixed", 280), _lora(4e-3, steps=50, data__max_length=256, batch=4), sabotage="overflow"
    ),
    _new("y-scaled", ("D15",), ("facts", 330), _in_parts(4e-3, steps=45, schedule__kind="linear"), sabotage="scaled"),
    _new("y-starved", ("D22",), ("facts", 270), _lora(3e-3, steps=60, adapter__variant="dora"), sabotage="starved"),
    _new("y-resume-lost", ("D32",), ("text", 270), _text(2e-3, steps=80), sabotage="resumed-lost"),
    _new("y-rate-early", ("D7",), ("text", 250), _text(1e-3, steps=60), sabotage="rate-early"),
)
