"""What the keys of trackers change: files and calls, never the run."""

from __future__ import annotations

import sys
import types as modules
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from tests.executor.desk import FRACTION, Desk, Seen, shows
from tuiwiz.events import types


def read_back(run: Seen) -> dict[str, dict[int, float]]:
    """Tag -> step -> value, by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run.folder.path / "tensorboard"))
    reader.Reload()
    return {tag: {one.step: one.value for one in reader.Scalars(tag)} for tag in reader.Tags()["scalars"]}


@shows("tracking.tensorboard")
def _tracking_tensorboard(desk: Desk) -> None:
    run = desk.run(**FRACTION)
    found = read_back(run)
    assert list(found["train/loss"].values()) == pytest.approx(run.metric("loss"), rel=1e-6)
    assert set(found["eval/loss"]) == {event.step for event in run.of(types.Eval)} and "train/learning_rate" in found
    assert not (desk.run(tracking__tensorboard=False).folder.path / "tensorboard").exists()


class Calls(modules.ModuleType):
    """A tracker's library that only remembers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.options: dict[str, Any] = {}
        self.steps: list[int] = []
        self.names: set[str] = set()
        self.ended = False
        self.summary: dict[str, Any] = {}

    def Settings(self, **options: Any) -> dict[str, Any]:
        return options

    def init(self, **options: Any) -> Calls:
        self.options = options
        return self

    def log(self, numbers: dict[str, float], step: int) -> None:
        self.steps.append(step)
        self.names |= set(numbers)

    def finish(self) -> None:
        self.ended = True


def _watched(desk: Desk, name: str) -> Calls:
    library = Calls(name)
    desk.patch.setitem(sys.modules, name, library)
    for variable in ("WANDB_API_KEY", "WANDB_MODE"):
        desk.patch.delenv(variable, raising=False)
    wanted: dict[str, Any] = {f"tracking__{name}": True, **FRACTION}
    run = desk.run(**wanted)
    assert library.ended and set(library.steps) == {0, 1, 2, 3, 4}
    assert {"train/loss", "eval/loss"} <= library.names
    assert library.options["name"] == run.folder.path.name
    return library


@shows("tracking.wandb")
def _tracking_wandb(desk: Desk) -> None:
    library = _watched(desk, "wandb")
    assert library.options["mode"] == "offline", "without a key nobody is asked for one"
    assert library.summary["steps"] == 4


@shows("tracking.trackio")
def _tracking_trackio(desk: Desk) -> None:
    _watched(desk, "trackio")


@shows("tracking.mlflow")
def _tracking_mlflow(desk: Desk) -> None:
    library = MlflowCalls("mlflow")
    desk.patch.setitem(sys.modules, "mlflow", library)
    desk.patch.setitem(sys.modules, "mlflow.entities", library.entities)
    desk.run(tracking__mlflow=True)
    assert library.steps and library.ended and library.options["optimizer.learning_rate"] == "0.001"


class MlflowCalls(Calls):
    entities: Any = modules.SimpleNamespace(Param=lambda *parts: parts, Metric=lambda *parts: parts)

    def MlflowClient(self, tracking_uri: str) -> MlflowCalls:
        assert tracking_uri.startswith("sqlite:///")
        return self

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return "1"

    def create_run(self, experiment: str, run_name: str) -> Any:
        return modules.SimpleNamespace(info=modules.SimpleNamespace(run_id="7"))

    def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
        self.options |= dict(params)
        for name, value, _, step in metrics:
            self.log({name: value}, step)

    def set_tag(self, run: str, name: str, value: str) -> None:
        self.summary[name] = value

    def set_terminated(self, run: str) -> None:
        self.ended = True
