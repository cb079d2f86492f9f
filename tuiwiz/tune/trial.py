"""Runs one trial as an ordinary run: prepared, launched and followed like any other, and ended early when asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tuiwiz.base.errors import ExitCode, StoppedError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events.control import request
from tuiwiz.events.fold import fold, view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import is_alive, read_process
from tuiwiz.events.reader import EventReader
from tuiwiz.events.view import RunView
from tuiwiz.runs.folder import prepare, take_up
from tuiwiz.runs.host import Alone, Executor
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.task import FALLING
from tuiwiz.tune.rows import Row, RowState

POLL_S = 0.2
OUT_OF_MEMORY = "out of memory"
TAKES = 3
"""Times that a trial is begun whose executor is killed."""
LEAVING_S = 120.0
"""How long a run whose worker died may take to save and leave."""


def run_trial(
    bundle: Path, out: Path, base: Path, report: Callable[[float, int], bool], *, host: Executor | None = None
) -> Row:
    """Train `bundle` in the run folder `out`, or go on there; returns what came out.

    `report(score, step)` is called after every evaluation; where it is true the run is ended early, as pruned. A row
    whose state is `running` was stopped on request. `host` executes what can share a process with other runs. An
    executor that is killed is started again from the run's last checkpoint.
    """
    folder = RunFolder(out)
    given = read_bundle(bundle)
    metric = given.evaluation.metric
    executor = host if host is not None and shares(given) else Alone()
    began = time.monotonic()
    for take in range(1, TAKES + 1):
        _wait_until_left(folder)
        ready = take_up(folder) if folder.bundle.is_file() else prepare(bundle, out=out, base=base)
        if ready.done:
            return outcome(folder, metric, int(ExitCode.DONE), pruned=False)
        code, pruned = _follow(folder, executor, metric, report)
        if take == TAKES or code != ExitCode.RUN_FAILED or view_of(folder).closing is not None:
            break
    found = outcome(folder, metric, code, pruned=pruned)
    # Starting the process is no stage of the run, and what a budget of hours pays for all the same.
    return msgspec.structs.replace(found, seconds=max(found.seconds, time.monotonic() - began))


def _follow(
    folder: RunFolder, executor: Executor, metric: str, report: Callable[[float, int], bool]
) -> tuple[int, bool]:
    """Execute a prepared run; returns its exit code, and whether it was ended early."""
    executor.begin(folder)
    view, reader = RunView(), EventReader(folder.events)
    told, pruned = 0, False
    try:
        while True:
            code = executor.poll()
            while events := reader.read(10_000):
                fold(view, events)
            for event in view.evals[told:]:
                value = event.metrics.get(metric, math.nan)
                # Before the first step all trials are the same.
                if event.step and report(value, event.step) and not pruned and event.step < view.steps:
                    pruned = True
                    request(folder, "stop")
            told = len(view.evals)
            if code is not None:
                return code, pruned
            time.sleep(POLL_S)
    except BaseException:
        executor.stop()
        raise


def shares(bundle: Bundle) -> bool:
    """Whether a run leaves its process as it was: compilers and replaced kernels do not, nor do clients of trackers."""
    tracking = bundle.tracking
    clients = tracking.wandb or tracking.trackio or tracking.mlflow
    return not (bundle.memory.liger or bundle.memory.compile or clients)


def outcome(folder: RunFolder, metric: str, code: int, *, pruned: bool) -> Row:
    """What a run that is over says as a trial."""
    view = view_of(folder)
    summary = view.summary or {}
    scored = [(event.metrics.get(metric, math.nan), event.step) for event in view.evals if event.step]
    finite = [one for one in scored if math.isfinite(one[0])]
    best = min(finite, key=lambda one: one[0] * (1 if metric in FALLING else -1), default=None)
    state = _state(code, pruned=pruned, scored=best is not None, told=view.closing is not None)
    reason = str(summary.get("message") or "") if state in ("infeasible", "failed") else ""
    if code == ExitCode.DOES_NOT_FIT:
        reason = f"{OUT_OF_MEMORY}: {reason}"
    if state == "failed" and not reason:
        reason = "nothing was held out" if code == ExitCode.DONE else f"the run ended with exit code {code}"
    return Row(
        number=0,
        state=state,
        score=None if best is None else best[0],
        best_step=None if best is None else best[1],
        step=view.step,
        steps=view.steps,
        seconds=max(0.0, sum(view.stage_seconds.values()) or view.last_t - view.first_t),
        tokens=int(view.metrics.get("tokens") or 0),
        peak_bytes=int(summary["peak_bytes"]) if summary.get("peak_bytes") else None,
        reason=reason,
    )


def _state(code: int, *, pruned: bool, scored: bool, told: bool) -> RowState:
    """`told`: the run itself said how it ended; one that was killed says nothing of its setting."""
    if code == ExitCode.RUN_FAILED and not told:
        return "failed"
    match code:
        case ExitCode.DONE:
            return "finished" if scored else "failed"
        case ExitCode.STOPPED:
            return "pruned" if pruned else "running"
        case ExitCode.RUN_FAILED | ExitCode.DOES_NOT_FIT:
            return "infeasible"
    return "failed"


def _wait_until_left(folder: RunFolder) -> None:
    """A run whose worker was killed stops by itself: it saves first, and only then can it be taken up."""
    end = time.monotonic() + LEAVING_S
    while (process := read_process(folder.pid)) is not None and is_alive(process):
        if time.monotonic() > end:
            raise StoppedError(
                f"the run in {folder.path} is still being executed by process {process.pid}",
                hint="`tuiwiz stop` ends it; then name the study once more",
            )
        time.sleep(POLL_S)
