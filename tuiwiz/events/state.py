"""The state of a run, derived and never written down: events, the executor's identity, its heartbeat, its exit."""

from __future__ import annotations

from typing import Literal

from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import is_alive, is_suspended, read_exit, read_process
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
    ended = read_exit(folder.exit)
    process = read_process(folder.pid)
    alive = is_alive(process) if process is not None else None
    if alive is False or (process is None and ended is not None):
        # The executor answers SIGTERM but for its first instants.
        return "stopped" if ended is not None and ended.signal == "SIGTERM" else "crashed"
    if alive is None:
        # Between a start and the executor's first word, the start itself is the last that was heard.
        heard = view.last_t if process is not None else max(view.last_t, _asked(folder))
        if now - heard > SILENCE_S:
            return "unknown"
    if alive and process is not None and is_suspended(process):
        return "paused"
    return _BY_STAGE.get(view.stage.name, "starting") if view.stage is not None else "starting"


def _asked(folder: RunFolder) -> float:
    """When the run was asked for, in seconds since the epoch; 0 when it never was."""
    try:
        return folder.job.stat().st_mtime
    except OSError:
        return 0.0
