"""Work that the wizard wants done and cannot do itself: read a model, measure a file, simulate a
step. A screen carries it out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.places import expanded
from tuiwiz.base.problems import Problem
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.data.check import Report
from tuiwiz.memory.plan import Simulation
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.simulation import job_arguments, read_results
from tuiwiz.wizard.facts import DataFacts, facts_of


class ReadDevice(msgspec.Struct, frozen=True, tag=True):
    """`device_facts(gpu)`: quick, but it asks a driver."""

    gpu: str | None


class ReadModel(msgspec.Struct, frozen=True, tag=True):
    """`model_facts(source, revision, folder)`."""

    source: str
    revision: str | None
    folder: str


class CheckData(msgspec.Struct, frozen=True, tag=True):
    """The whole file, in a child process: it can be large, and some formats load numpy."""

    path: str
    task: str
    model: str
    sets: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """What to run; its standard output is read by `read_report`."""
        words = [sys.executable, "-m", "tuiwiz", "data", "check", self.path, "--json"]
        if self.task:
            words += ["--task", self.task]
        if self.model:
            words += ["--model", self.model]
        # Lengths are wanted as they are; the limit is decided afterwards.
        for item in ("data.max_length=1048576", *self.sets):
            words += ["--set", item]
        return words


class SimulateMemory(msgspec.Struct, frozen=True, tag=True):
    """`settings` of one model on one device, simulated by the executor's job of that name in a scratch folder.

    `folder` holds the model's own configuration, None where only its shape is known.
    """

    shape: ModelShape
    device: Device
    settings: tuple[Setting, ...]
    folder: str | None = None

    def arguments(self) -> dict[str, Any]:
        """What the executor's job takes."""
        return job_arguments(self.settings, self.shape, Path(self.folder) if self.folder else None)

    def read(self, answer: Mapping[str, Any]) -> tuple[Simulation, ...]:
        """What its `result.json` says of each setting."""
        return tuple(read_results(answer["results"], self.settings, self.shape, self.device))


Job = ReadDevice | ReadModel | CheckData | SimulateMemory


class DataReport(msgspec.Struct, frozen=True):
    """A measured file: `facts` is None where it was refused."""

    facts: DataFacts | None
    problems: tuple[Problem, ...]


def read_report(output: bytes) -> DataReport:
    """The answer of a `CheckData` child."""
    try:
        report = msgspec.json.decode(output, type=Report, strict=False)
    except msgspec.MsgspecError:
        try:
            refused = msgspec.json.decode(output, type=_Refused)
        except msgspec.MsgspecError:
            return DataReport(
                None, (Problem(message="the data could not be checked", hint="`tuiwiz data check` says why"),)
            )
        return DataReport(None, tuple(refused.problems))
    return DataReport(facts_of(report) if report.ok else None, tuple(report.problems))


class _Refused(msgspec.Struct):
    problems: list[Problem]


def absolute(path: str, folder: Path) -> Path:
    """A path as the user wrote it, seen from the folder in which the wizard was started."""
    return folder / expanded(path)
