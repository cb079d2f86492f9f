"""TensorBoard files in the run folder, Weights & Biases, trackio, MLflow. Each imports its library late."""

from __future__ import annotations

import importlib.util
import netrc
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.executor.tracking.feed import Numbers, Tracker
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten

WANDB_WAIT_S = 20
MLFLOW_PARAMS = 100
"""Parameters that a batch may hold."""


class TensorBoard:
    """`tensorboard/` in the run folder, written by TensorBoard's own writer and without torch's wrapper."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))

    def log(self, numbers: Numbers, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def close(self, summary: Mapping[str, Any]) -> None:
        self._writer.close()


class Wandb:
    """Weights & Biases; without a key or a network a folder `wandb/` in the run folder, for `wandb sync` later."""

    name = "wandb"

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        # Read when the library is imported: it would ask at the terminal otherwise.
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        options: dict[str, Any] = {
            "project": "tuiwiz",
            "name": folder.name,
            "dir": str(folder),
            "config": flatten(bundle),
            "settings": wandb.Settings(init_timeout=WANDB_WAIT_S, console="off", x_disable_stats=True),
        }
        mode: Any = wandb_mode()
        try:
            self._run = wandb.init(mode=mode, **options)
        except Exception:
            if mode == "offline":
                raise
            self._run = wandb.init(mode="offline", **options)

    def log(self, numbers: Numbers, step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self, summary: Mapping[str, Any]) -> None:
        for name, value in summary.items():
            self._run.summary[name] = value
        self._run.finish()


def wandb_mode() -> str:
    """`online` only with a key, so that nobody is ever asked for one."""
    if wanted := os.environ.get("WANDB_MODE"):
        return wanted
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    try:
        known = netrc.netrc().authenticators("api.wandb.ai")
    except (OSError, netrc.NetrcParseError):
        known = None
    return "online" if known else "offline"


class Trackio:
    name = "trackio"

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        import trackio

        self._library = trackio
        trackio.init(project="tuiwiz", name=folder.name, config=flatten(bundle))

    def log(self, numbers: Numbers, step: int) -> None:
        self._library.log(dict(numbers), step=step)

    def close(self, summary: Mapping[str, Any]) -> None:
        self._library.finish()


class MLflow:
    """MLflow at MLFLOW_TRACKING_URI, else in `mlruns/` of the run folder."""

    name = "MLflow"

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        import mlflow
        import mlflow.entities

        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name("tuiwiz")
        experiment = found.experiment_id if found is not None else self._client.create_experiment("tuiwiz")
        self._run = self._client.create_run(experiment, run_name=folder.name).info.run_id
        params = [mlflow.entities.Param(key, str(value)[:500]) for key, value in flatten(bundle).items()]
        self._metric = mlflow.entities.Metric
        # One transaction each: single ones take longer than a step.
        self._client.log_batch(self._run, params=params[:MLFLOW_PARAMS])

    def log(self, numbers: Numbers, step: int) -> None:
        now = int(1000 * time.time())
        metrics = [self._metric(name, value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, summary: Mapping[str, Any]) -> None:
        for name, value in summary.items():
            self._client.set_tag(self._run, name, str(value))
        self._client.set_terminated(self._run)


PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow"}
"""Key in `[tracking]` -> package."""


def openers(bundle: Bundle, folder: Path) -> list[tuple[str, Callable[[], Tracker]]]:
    """What opens each tracker that the bundle asks for; TensorBoard only where it is installed.

    Raises:
        MachineLacksError: a tracker is asked for and not installed.
    """
    tracking = bundle.tracking
    found: list[tuple[str, Callable[[], Tracker]]] = []
    if tracking.tensorboard and importlib.util.find_spec("tensorboard") is not None:
        found.append(("TensorBoard", lambda: TensorBoard(folder / "tensorboard")))
    makers: dict[str, Callable[[], Tracker]] = {
        "wandb": lambda: Wandb(folder, bundle),
        "trackio": lambda: Trackio(folder, bundle),
        "mlflow": lambda: MLflow(folder, bundle),
    }
    for name, make in makers.items():
        if not getattr(tracking, name):
            continue
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise MachineLacksError(
                f"tracking.{name}: {PACKAGES[name]} is not installed",
                hint=f'pip install "tuiwiz[{name}]", or remove tracking.{name}',
            )
        found.append((name, make))
    return found
