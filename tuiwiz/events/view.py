"""What is known of a run after folding its events: the model behind the live screen, plain lines and `runs show`."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tuiwiz.events import types
from tuiwiz.events.series import Series

LOG_LINES = 2000
"""Log entries that are kept; older ones stay in the file."""


@dataclass(slots=True)
class RunView:
    """Grows by `fold`. Steps are finished optimizer steps of the present attempt and of what it continued."""

    started: types.RunStarted | None = None
    stage: types.Stage | None = None
    stage_since: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each stage that is over, all attempts together."""
    step: int = 0
    steps: int = 0
    first_t: float = 0.0
    last_t: float = 0.0
    events: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest value of every metric."""
    series: dict[str, Series] = field(default_factory=dict)
    """Every metric over steps; `time` holds seconds since the epoch."""
    evals: list[types.Eval] = field(default_factory=list)
    checkpoints: list[types.Checkpoint] = field(default_factory=list)
    samples: list[types.Sample] = field(default_factory=list)
    alerts: list[types.Alert] = field(default_factory=list)
    controls: list[types.Control] = field(default_factory=list)
    adjusted: list[types.Adjusted] = field(default_factory=list)
    log: deque[types.Log] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    memory: types.Memory | None = None
    resource: types.Resource | None = None
    energy_wh: float | None = None
    """What the card of the run has taken so far, all attempts together; None where no power was measured."""
    unreadable: int = 0
    """Lines of the file that are no events this version can read."""
    closing: types.Finished | types.Stopped | types.Failed | None = None
    """The last event of the present attempt, None while it goes on."""

    @property
    def summary(self) -> dict[str, Any] | None:
        return self.closing.summary if self.closing is not None else None

    @property
    def name(self) -> str:
        return self.started.name if self.started is not None else ""

    @property
    def best_eval(self) -> types.Eval | None:
        """The evaluation with the lowest loss that is a number."""
        judged = [event for event in self.evals if math.isfinite(event.metrics.get("loss", math.nan))]
        return min(judged, key=lambda event: event.metrics["loss"], default=None)
