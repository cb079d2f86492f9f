"""The events of a run: a tagged union, one JSON line each, told apart by `kind`.

`seq` counts from 0 over the whole file, `t` is seconds since the epoch, `step` counts finished optimizer steps.
Metrics are free: a reader shows those it does not know by their name. Names that others rely on: loss, grad_norm,
learning_rate, tokens, supervised_tokens, tokens_per_second, step_seconds, data_seconds, forward_seconds,
backward_seconds, optimizer_seconds, allocated_bytes, peak_bytes, epoch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import msgspec

VERSION = 1
Scalar = str | int | float | bool | None
if TYPE_CHECKING:
    Metrics = dict[str, float]
else:
    # JSON has no word for a loss that is not finite: it is written as null and read as nan. Counts stay whole numbers,
    # so that a line which is printed again is the line of the file.
    Metrics = dict[str, int | float | None]


class Base(msgspec.Struct, kw_only=True, tag_field="kind", frozen=True):
    """What every event carries. Every field is written, also where it has its default: others rely on the keys."""

    v: int = VERSION
    seq: int
    t: float


class RunStarted(Base, frozen=True, kw_only=True, tag="run_started"):
    """The first event of every attempt. Records of earlier attempts beyond `from_step` are void."""

    attempt: int
    from_step: int
    steps: int = 0
    name: str = ""
    digest: str = ""
    pid: int = 0
    host: str = ""
    version: str = ""
    method: str = ""
    task: str = ""
    model: str = ""
    rows: int = 0
    validation_rows: int = 0
    steps_per_epoch: int = 0
    effective: int = 0
    device: str = ""
    processes: int = 1
    """That share a step, each on a card of its own."""
    restored: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    """What is not as it was when the checkpoint was saved: because of it the rest is not the same bit for bit."""
    evaluation_steps: tuple[int, ...] = ()


class Stage(Base, frozen=True, kw_only=True, tag="stage"):
    """What is going on: `name` is one of loading, converting, tokenizing, rehearsing, training, paused, evaluating,
    sampling, saving, or another word. `done` and `total` where progress is known (0 of 0 where not)."""

    name: str
    done: int = 0
    total: int = 0
    note: str = ""


class Metric(Base, frozen=True, kw_only=True, tag="metric"):
    step: int
    metrics: Metrics

    def __post_init__(self) -> None:
        _null_is_nan(self.metrics)


class Eval(Base, frozen=True, kw_only=True, tag="eval"):
    step: int
    metrics: Metrics
    rows: int

    def __post_init__(self) -> None:
        _null_is_nan(self.metrics)


def _null_is_nan(metrics: Metrics) -> None:
    if None in metrics.values():
        metrics.update({name: math.nan for name, value in metrics.items() if value is None})


class Sample(Base, frozen=True, kw_only=True, tag="sample"):
    """One held-out prompt: what the base model said, what the model says now, what was expected."""

    step: int
    prompt: str
    base: str
    now: str
    expected: str = ""


class Checkpoint(Base, frozen=True, kw_only=True, tag="checkpoint"):
    step: int
    path: str
    bytes: int
    best: bool = False


class Memory(Base, frozen=True, kw_only=True, tag="memory"):
    """Predicted against actual, both in bytes by the items of `plan`."""

    predicted: dict[str, int]
    actual: dict[str, int]
    limiting: str = ""


class Resource(Base, frozen=True, kw_only=True, tag="resource"):
    """`gpus`: one dict a card (index, name, utilization_percent, used_bytes, total_bytes, temperature_c, power_w,
    power_limit_w, ...), a missing sensor left out; `host`: rss_bytes, available_bytes, total_bytes, cpu_percent,
    disk_free_bytes."""

    gpus: tuple[dict[str, Scalar], ...] = ()
    host: Metrics = {}


class Alert(Base, frozen=True, kw_only=True, tag="alert"):
    rule: str
    severity: Literal["info", "warning", "error"]
    message: str
    evidence: dict[str, Scalar] = {}


class Control(Base, frozen=True, kw_only=True, tag="control"):
    request: str
    answer: str


class Adjusted(Base, frozen=True, kw_only=True, tag="adjusted", rename={"from_": "from"}):
    """What the ladder or a request changed in the running run."""

    step: int
    key: str
    from_: Any = None
    to: Any = None
    reason: str = ""


class Log(Base, frozen=True, kw_only=True, tag="log"):
    level: Literal["debug", "info", "warning", "error"]
    message: str


class Heartbeat(Base, frozen=True, kw_only=True, tag="heartbeat"):
    step: int = 0


class Finished(Base, frozen=True, kw_only=True, tag="finished"):
    """`summary`: steps, best_step, best_loss, first_loss, last_loss, artifact (path in the run folder), elapsed_s,
    tokens, peak_bytes, tokens_per_second, skipped_steps, reason."""

    summary: dict[str, Any]


class Stopped(Base, frozen=True, kw_only=True, tag="stopped"):
    summary: dict[str, Any]


class Failed(Base, frozen=True, kw_only=True, tag="failed"):
    """`summary`: what Finished has, and message, hint, exit_code."""

    summary: dict[str, Any]


Event = (
    RunStarted
    | Stage
    | Metric
    | Eval
    | Sample
    | Checkpoint
    | Memory
    | Resource
    | Alert
    | Control
    | Adjusted
    | Log
    | Heartbeat
    | Finished
    | Stopped
    | Failed
)
