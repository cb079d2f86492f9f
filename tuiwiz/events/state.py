"""The state of a run, derived and never written down: events, the executor's identity, its heartbeat, its exit."""

from __future__ import annotations

from typing import Literal

from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import is_alive, read_exit, read_process
from tuiwiz.events.view import RunView

State = Literal[
    "starting",
    "rehearsing",
    "training",
    "paused",
    "evaluating",
    "saving",
    "finished",
    "stopped",
    "failed",
    "crashed",
    "unknown",
]

SILENCE_S = 30.0
"""Without an event for so long (a heartbeat comes every 5 s) a run on another machine is not known to live."""

_BY_STAGE: dict[str, State] = {
    "rehearsing": "rehearsing",
    "training": "training",
    "paused": "paused",
    "evaluating": "evaluating",
    "sampling": "evaluating",
    "saving": "saving",
}
LIVE: tuple[State, ...] = ("starting", "rehearsing", "training", "paused", "evaluating", "saving")


def state(view: RunView, folder: RunFolder, now: float) -> State:
    """What the run is doing at `now` (seconds since the epoch)."""
    match view.closing:
        case types.Finished():
            return "finished"
        case types.Stopped():
            return "stopped"
        case types.Failed():
            return "failed"
    process = read_process(folder.pid)
    alive = is_alive(process) if process is not None else None
    if alive is False:
        return "crashed"
    if process is None and read_exit(folder.exit) is not None:
        return "crashed"
    if alive is None and view.events and now - view.last_t > SILENCE_S:
        return "unknown"
    if alive is None and not view.events and process is None:
        return "unknown" if not folder.job.exists() else "starting"
    return _BY_STAGE.get(view.stage.name, "starting") if view.stage is not None else "starting"
