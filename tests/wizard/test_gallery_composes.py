"""Every preset of the gallery makes a bundle that the rules accept, for every size and method."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.wizard.known import SHAPES, facts, planner
from tuiwiz.presets.choose import coverage
from tuiwiz.presets.find import all_presets
from tuiwiz.spec.keys import flatten
from tuiwiz.wizard.compose import Answers, compose


@pytest.fixture(autouse=True, scope="module")
def round_numbers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuiwiz.wizard.compose.plan_of", planner)
        yield


@pytest.mark.parametrize("name", sorted({one.name for one in coverage(all_presets().presets)}))
def test_a_preset_composes_wherever_it_has_a_rate(name: str) -> None:
    covered = [one for one in coverage(all_presets().presets, only=name) if one.band in SHAPES]
    assert covered
    for one in covered:
        answers = Answers(task=one.task, model=SHAPES[one.band].name, data="t.jsonl", method=one.method, preset=name)
        composed = compose(answers, facts(SHAPES[one.band]))
        errors = [problem.message for problem in composed.problems if problem.severity == "error"]
        assert not errors, (one.task, one.band, one.method, errors)
        assert composed.origin["optimizer.learning_rate"] == f"preset {name}"


@pytest.mark.parametrize(("labels", "metric"), [("single", "macro_f1"), ("multi", "macro_f1"), ("regression", "loss")])
def test_a_metric_that_the_labels_do_not_have_gives_way_to_the_loss(labels: str, metric: str) -> None:
    answers = Answers(task="classify", model="qwen3-8b", data="t.jsonl", sets={"task.labels": labels})
    composed = compose(answers, facts())
    assert flatten(composed.bundle)["evaluation.metric"] == metric
    mine = msgspec.structs.replace(answers, sets={"task.labels": labels, "evaluation.metric": "accuracy"})
    assert flatten(compose(mine, facts()).bundle)["evaluation.metric"] == "accuracy"
