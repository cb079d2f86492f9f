"""A running wizard: drafts, their history, what is known, and what is wanted next. No terminal, no process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.places import expanded
from tuiwiz.base.problems import Problem
from tuiwiz.wizard import steps
from tuiwiz.wizard.answers import Answers, Composed
from tuiwiz.wizard.draft import Draft, History
from tuiwiz.wizard.facts import Facts, ModelFacts
from tuiwiz.wizard.jobs import CheckData, DataReport, Job, ReadDevice, ReadModel, SimulateMemory
from tuiwiz.wizard.planning import setting_of_choice
from tuiwiz.wizard.steps import Step

if TYPE_CHECKING:
    from tuiwiz.catalog.gpus import Device
    from tuiwiz.memory.plan import Simulation
    from tuiwiz.memory.search import Choice

_OF_DATA = ("data.format", "data.mapping", "data.system", "data.train_on", "data.template")
"""Edits that change what a row becomes: the file is measured again."""


class Session:
    """`folder` is where relative paths that the user types start."""

    def __init__(self, folder: Path, draft: Draft | None = None) -> None:
        self.folder = folder
        self.history = History(draft)
        self._results: dict[Job, Any] = {}
        self._asked: SimulateMemory | None = None
        self._composed: tuple[Any, Composed | None, tuple[Problem, ...]] | None = None
        # A draft of another day may lie behind what it can reach.
        self.go(self.draft.step)

    @property
    def draft(self) -> Draft:
        return self.history.draft

    def answer(self, **changes: Any) -> None:
        self.history.put(self.draft.answered(**changes))

    def edit(self, key: str, value: Any) -> None:
        self.history.put(self.draft.edited(key, value))

    def reset(self, key: str) -> None:
        self.history.put(self.draft.reset(key))

    def put_output(self, output: str) -> None:
        """Where the bundle is to be written; no change that undo would take back."""
        self.history.put(msgspec.structs.replace(self.draft, output=output))

    def go(self, step: Step) -> str:
        """Move to a step; returns what is missing on the way, and then stops there."""
        for one in steps.STEPS[: steps.STEPS.index(step)]:
            lacking = self.lacking(one)
            if lacking:
                self.history.put(msgspec.structs.replace(self.draft, step=one))
                return lacking
        self.history.put(msgspec.structs.replace(self.draft, step=step))
        return ""

    def lacking(self, step: Step) -> str:
        """Why the step cannot be left forwards: nothing is answered yet, or the answer was looked at and refused."""
        error: TuiwizError | None = None
        if step == "model":
            error = self.error(self.model_job())
        elif step == "hardware":
            error = self.error(self.device_job())
        elif step == "data" and self.data is not None and self.data.facts is None:
            return "this file cannot be used: the reasons are above"
        if error is not None:
            return f"{error.message}; {error.hint}" if error.hint else error.message
        return steps.missing(step, self.draft.answers, self.composed)

    def undo(self) -> bool:
        """Take back the last change of answers; the step stays where it is, as far as it can still be reached."""
        return self._moved(self.history.undo())

    def redo(self) -> bool:
        return self._moved(self.history.redo())

    def _moved(self, moved: bool) -> bool:
        if moved:
            self.go(self.draft.step)
        return moved

    # What is wanted and what came of it.

    def device_job(self) -> ReadDevice:
        return ReadDevice(self.draft.answers.gpu)

    def model_job(self) -> ReadModel | None:
        answers = self.draft.answers
        return ReadModel(answers.model, answers.revision, str(self.folder)) if answers.model else None

    def data_job(self, path: str | None = None) -> CheckData | None:
        answers = self.draft.answers
        name = path or answers.data
        if not name:
            return None
        mix = () if path else answers.mix
        edits = tuple(
            f"{key}={_toml(value)}"
            for key, value in sorted(answers.sets.items())
            if key in _OF_DATA and value is not None
        )
        model = self.model
        known = str(model.folder) if model is not None and model.folder is not None else ""
        if len(mix) > 1:
            whole = [msgspec.structs.replace(one, path=str(self.folder / expanded(one.path))) for one in mix]
            edits += (f"data.train={_toml(Answers().with_mix(whole).train)}",)
        return CheckData(str(self.folder / expanded(name)), answers.task, known, edits)

    def wanted(self) -> list[Job]:
        """Jobs whose results are not there yet, in the order in which they help."""
        jobs: list[Job | None] = [self.device_job(), self.model_job(), self.data_job()]
        if self.draft.answers.validation:
            jobs.append(self.data_job(self.draft.answers.validation))
        jobs.append(self._asked)
        return [job for job in jobs if job is not None and job not in self._results]

    # What a simulation says of the rows of Fit.

    def verify(self, choices: Sequence[Choice]) -> bool:
        """Want these rows simulated; False while model, device or plan are unknown."""
        composed, facts = self.composed, self.facts
        if composed is None or facts.shape is None or facts.device is None:
            return False
        settings = (setting_of_choice(composed.bundle, facts, choice) for choice in choices)
        folder = self.model.folder if self.model is not None else None
        self._asked = SimulateMemory(
            facts.shape,
            facts.device,
            tuple(one for one in settings if one is not None),
            str(folder) if folder is not None else None,
        )
        return bool(self._asked.settings)

    @property
    def verifying(self) -> bool:
        return self._asked is not None and self._asked not in self._results

    def simulated(self, choice: Choice) -> Simulation | None:
        """What was simulated for a row as it is now; None where nothing was."""
        composed, asked = self.composed, self._asked
        found = self.result(asked)
        if composed is None or asked is None or not isinstance(found, tuple):
            return None
        if (asked.shape, asked.device) != (self.facts.shape, self.facts.device):
            return None
        setting = setting_of_choice(composed.bundle, self.facts, choice)
        return next((one for wanted, one in zip(asked.settings, found, strict=True) if wanted == setting), None)

    @property
    def simulation_error(self) -> TuiwizError | None:
        return self.error(self._asked)

    def take(self, job: Job, result: Any) -> None:
        """A job's result: facts, or the TuiwizError that it met."""
        self._results[job] = result
        self._composed = None

    def result(self, job: Job | None) -> Any:
        return self._results.get(job) if job is not None else None

    # What is known.

    @property
    def device(self) -> Device | None:
        found: Device | None = _unless_error(self.result(self.device_job()))
        return found

    @property
    def model(self) -> ModelFacts | None:
        found: ModelFacts | None = _unless_error(self.result(self.model_job()))
        return found

    @property
    def data(self) -> DataReport | None:
        found: DataReport | None = _unless_error(self.result(self.data_job()))
        return found

    def error(self, job: Job | None) -> TuiwizError | None:
        found = self.result(job)
        return found if isinstance(found, TuiwizError) else None

    @property
    def facts(self) -> Facts:
        model, report = self.model, self.data
        data = report.facts if report is not None else None
        other = self.result(self.data_job(self.draft.answers.validation)) if self.draft.answers.validation else None
        if data is not None and isinstance(other, DataReport) and other.facts is not None:
            data = msgspec.structs.replace(data, validation_rows=other.facts.rows)
        return Facts(
            shape=model.shape if model is not None else None,
            model_chosen=model.chosen if model is not None else True,
            device=self.device,
            data=data,
        )

    @property
    def composed(self) -> Composed | None:
        """The bundle that the answers make; None while there is no task, or where they contradict a preset."""
        return self._compose()[0]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong: a model or device that cannot be, rows that cannot be used, and what `compose` says."""
        found: list[Problem] = []
        for job in (self.model_job(), self.device_job(), self.data_job()):
            error = self.error(job)
            found += error.problems if error is not None else ()
        if self.data is not None and self.data.facts is None:
            found += [one for one in self.data.problems if one.severity == "error"]
        return (*found, *self._compose()[1])

    def with_value(self, key: str, value: Any) -> Composed | None:
        """What the bundle would be with another value of one key; nothing is changed."""
        from tuiwiz.wizard.compose import compose

        try:
            return compose(self.draft.edited(key, value).answers, self.facts)
        except TuiwizError:
            return None

    def _compose(self) -> tuple[Composed | None, tuple[Problem, ...]]:
        key = (self.draft.answers, tuple(self._results))
        if self._composed is not None and self._composed[0] == key:
            return self._composed[1], self._composed[2]
        composed: Composed | None = None
        problems: tuple[Problem, ...] = ()
        if self.draft.answers.task:
            from tuiwiz.wizard.compose import compose

            try:
                composed = compose(self.draft.answers, self.facts)
                problems = composed.problems
            except TuiwizError as error:
                problems = error.problems
        self._composed = (key, composed, problems)
        return composed, problems


def _unless_error(found: Any) -> Any:
    return None if isinstance(found, TuiwizError) else found


def _toml(value: Any) -> str:
    import tomli_w

    if isinstance(value, dict):
        inner = ", ".join(f"{tomli_w.dumps({key: item}).rstrip()}" for key, item in value.items())
        return "{" + inner + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return tomli_w.dumps({"x": value}).rstrip().removeprefix("x = ")
