"""The doctor on recorded real runs: what it finds, what it leaves alone, and that looking at a run in pieces is the
same as looking at it at once."""

from __future__ import annotations

import pytest

from tests.doctor.judged import TABLE, case_of, events_of, judged, right, scores, table
from tests.doctor.recipes import TEST, TRAIN, Recipe
from tuiwiz.bundle.change import change
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.examine import diagnose, wrong
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView

LEAST_RECALL = 0.9
MOST_FALSE_ALARMS = 0.05


def test_recall_on_streams_that_no_threshold_has_seen() -> None:
    hit, spoiled, _, healthy = scores(TEST)
    assert spoiled >= 12 and healthy >= 20
    assert hit / spoiled >= LEAST_RECALL


def test_false_alarms_on_streams_that_no_threshold_has_seen() -> None:
    """Rules stay as they were when the test part was recorded; a next part, recorded after a change, decides anew."""
    *_, alarm, healthy = scores(TEST)
    assert alarm / healthy <= MOST_FALSE_ALARMS


def test_the_table_is_of_today() -> None:
    """`python -m tests.doctor.judged table` writes it anew."""
    assert TABLE.read_text(encoding="utf-8") == table()


@pytest.mark.parametrize("recipe", TRAIN, ids=lambda recipe: recipe.name)
def test_streams_that_thresholds_were_chosen_on(recipe: Recipe) -> None:
    assert right(recipe, judged(recipe)), [one.id for one in wrong(judged(recipe))]


@pytest.mark.parametrize("recipe", [one for one in (*TRAIN, *TEST) if one.expect], ids=lambda recipe: recipe.name)
def test_a_proposed_change_makes_a_valid_bundle(recipe: Recipe) -> None:
    case = case_of(recipe.name)
    assert case.bundle is not None
    for one in wrong(diagnose(case)):
        assert one.change or one.advice
        if one.change:
            changed = change(case.bundle, one.change, by=f"doctor {one.id}")
            assert set(one.change) <= set(changed.origin) | {key for key, value in one.change.items() if value is None}


@pytest.mark.parametrize("name", ["healthy-lora", "rate-x30-lora", "healthy-resumed"])
def test_a_run_that_is_looked_at_while_it_grows_ends_in_the_same_findings(name: str) -> None:
    whole = case_of(name)
    view = RunView()
    events = events_of(name)
    for start in range(0, len(events), 37):
        fold(view, events[start : start + 37])
        diagnose(Case(view, whole.bundle))
    assert diagnose(Case(view, whole.bundle)) == diagnose(whole)


def test_healthy_runs_raise_hardly_an_alarm_on_the_way() -> None:
    """Looked at every ten events, as the live screen does."""
    healthy = [one for one in (*TRAIN, *TEST) if not one.expect]
    alarmed = {recipe.name: found for recipe in healthy if (found := _alarms_on_the_way(recipe))}
    assert len(alarmed) / len(healthy) <= MOST_FALSE_ALARMS, alarmed


def _alarms_on_the_way(recipe: Recipe) -> list[tuple[int, str]]:
    bundle = case_of(recipe.name).bundle
    view = RunView()
    found: list[tuple[int, str]] = []
    for event in events_of(recipe.name):
        fold(view, [event])
        if event.seq % 10 == 0:
            # How fast the machine was while recording is not the run's merit or fault.
            faults = [one for one in wrong(diagnose(Case(view, bundle))) if one.family != "speed"]
            found += [(view.step, one.id) for one in faults]
    return found
