"""What must hold after any fault: the run goes on, and ends to the last bit as the one that nothing disturbed."""

from __future__ import annotations

import time

from tests.faults.conftest import SETTINGS, Executor, Server, Whole
from tests.support.processes import eventually
from tests.support.training import make_run
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import checkpoint
from tuiwiz.runs.folder import take_up
from tuiwiz.runs.registry import info

SERIES = ("loss", "grad_norm", "learning_rate", "tokens", "supervised_tokens")
TRUTH_S = 30.0
"""Within so many seconds a screen must say what is the case."""


def fresh(whole: Whole, name: str, **changes: object) -> RunFolder:
    """The same run as the undisturbed one, in a folder of its own."""
    return make_run(whole.base, whole.model, name, **{**SETTINGS, **changes})


def step_of(run: RunFolder) -> int:
    return view_of(run).step


def bits(run: RunFolder, name: str) -> dict[float, str]:
    """A folded series to the last bit."""
    series = view_of(run).series[name]
    return {x: float(y).hex() for x, y in zip(series.x, series.y, strict=True)}


def assert_state(run: RunFolder, state: str) -> None:
    """What a screen says is the case, at the latest after `TRUTH_S`."""
    eventually(lambda: info(run).state == state, within_s=TRUTH_S)


def resume(server: Server, run: RunFolder) -> Executor:
    """What `tuiwiz resume` does, without a command's start."""
    ready = take_up(run)
    assert ready.resume and not ready.done
    return server.start(run)


def assert_same(run: RunFolder, whole: Whole, *, recorded_from: int = 0) -> None:
    """The run is finished and cannot be told from the undisturbed one; `recorded_from`: earlier records are lost."""
    shown = info(run)
    assert (shown.state, shown.step) == ("finished", info(whole.run).step)
    for name in SERIES:
        expected = {x: y for x, y in bits(whole.run, name).items() if x > recorded_from}
        assert {x: y for x, y in bits(run, name).items() if x > recorded_from} == expected, name
    if not recorded_from:
        losses = [{event.step: event.metrics["loss"].hex() for event in view_of(one).evals} for one in (run, whole.run)]
        assert losses[0] == losses[1]
    last = info(whole.run).step
    for path in ("adapter/adapter_model.safetensors", *(f"checkpoints/step-{last}/{name}" for name in _STATES)):
        assert (run.path / path).read_bytes() == (whole.run.path / path).read_bytes(), path
    assert not list(run.checkpoints.glob(".*.tmp")) and not list(run.path.glob(".*.tmp"))


_STATES = (checkpoint.WEIGHTS, checkpoint.OPTIMIZER)


def lost_steps(run: RunFolder, before: int) -> int:
    """Steps that were done and have to be done again: those since the newest usable checkpoint."""
    newest, _ = checkpoint.newest_valid(run.checkpoints)
    return before - (int(newest.name.removeprefix(checkpoint.PREFIX)) if newest is not None else 0)


def until_step(run: RunFolder, step: int, executor: Executor) -> None:
    """Wait until the run has done `step` steps."""
    end = time.monotonic() + 60
    while step_of(run) < step:
        assert executor.poll() is None and time.monotonic() < end
        time.sleep(0.005)
