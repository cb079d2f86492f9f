"""The steps of the wizard and what each still needs, in words. The same for the screen and for any other front end."""

from __future__ import annotations

from typing import Literal, get_args

from tuiwiz.wizard.answers import Answers, Composed

Step = Literal["task", "data", "model", "hardware", "fit", "settings", "review"]
STEPS: tuple[Step, ...] = get_args(Step)

TITLES: dict[Step, str] = {
    "task": "Task",
    "data": "Data",
    "model": "Model",
    "hardware": "Hardware",
    "fit": "Fit",
    "settings": "Settings",
    "review": "Review",
}


def after(step: Step) -> Step:
    """The next step; the last one stays."""
    return STEPS[min(len(STEPS) - 1, STEPS.index(step) + 1)]


def before(step: Step) -> Step:
    """The step before; the first one stays."""
    return STEPS[max(0, STEPS.index(step) - 1)]


def missing(step: Step, answers: Answers, composed: Composed | None) -> str:
    """What must be answered before the step can be left forwards; empty when it can."""
    if step == "task" and not answers.task:
        return "choose what the model is to learn"
    if step == "data" and not answers.data:
        return "name the file with the training data"
    if step == "model" and not answers.model:
        return "name a model folder, a hub id, or a size such as 1B"
    if step in ("fit", "settings") and composed is None:
        return "the answers so far make no run yet"
    return ""


def reachable(step: Step, answers: Answers, composed: Composed | None) -> bool:
    """Whether every step before `step` has what it needs."""
    return not any(missing(one, answers, composed) for one in STEPS[: STEPS.index(step)])
