"""`[data]` and `[validation]`: which rows, how they become tokens, which of them are held out."""

from __future__ import annotations

from typing import Literal

from tuiwiz.spec.section import Section

DataFormat = Literal[
    "auto",
    "openai",
    "sharegpt",
    "alpaca",
    "prompt-completion",
    "text",
    "classification",
    "multi-label",
    "preference",
    "kto",
    "reward",
]
Overlong = Literal["drop", "truncate", "split"]
Balance = Literal["none", "up", "down"]
TrainOn = Literal["assistant", "completion", "all"]


class WeightedPath(Section, frozen=True, kw_only=True):
    """One of several training sets; `weight` is its share of the mix, relative to the others.

    Left out everywhere, every row of every set comes once an epoch. Given, the first set comes whole and the others as
    their weights ask beside it: `[{path = "mine.jsonl", weight = 9}, {path = "general.jsonl", weight = 1}]` replays a
    tenth of general rows against forgetting.
    """

    path: str
    weight: float | None = None


class Data(Section, frozen=True, kw_only=True):
    train: str | tuple[WeightedPath, ...]
    format: DataFormat = "auto"
    mapping: dict[str, str] = {}
    template: str = "model"
    system: str | None = None
    max_length: int = 2048
    overlong: Overlong = "drop"
    balance: Balance = "none"
    packing: bool = False
    train_on: TrainOn = "assistant"


class Validation(Section, frozen=True, kw_only=True):
    path: str | None = None
    fraction: float | None = None
    max_rows: int | None = None
