"""The sentence of Fit stays on its line: what has no room behind it is told below."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.test_estimate import GPU, known_shape
from tests.memory.test_plan import bundle
from tuiwiz.memory.plan import Plan, plan
from tuiwiz.memory.verdict import Verdict
from tuiwiz.ui.screens.wizard.fit import first_within, verdict_line


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(bundle(), known_shape("smollm2-135m-instruct"), GPU, {"p50": 200, "p95": 300, "max": 400}, 7000)


@given(
    verdict=st.sampled_from(["fits", "tight", "no"]),
    total=st.integers(0, 2**44),
    usable=st.integers(2**28, 2**41),
    seconds=st.none() | st.floats(0, 1e8),
    kwh=st.none() | st.floats(0, 1e6),
    money=st.none() | st.floats(0, 1e7),
)
def test_no_sentence_is_wider_than_the_screen(
    planned: Plan,
    verdict: Verdict,
    total: int,
    usable: int,
    seconds: float | None,
    kwh: float | None,
    money: float | None,
) -> None:
    one = msgspec.structs.replace(
        planned,
        verdict=verdict,
        total_bytes=total,
        usable_bytes=usable,
        seconds=seconds,
        energy_kwh=kwh,
        money=money,
        currency="EUR",
    )
    line = verdict_line(one, 80)
    assert len(line.head + line.room + line.took + line.cost) <= 80
    said = line.took + line.cost + line.left
    assert ("about" in said) == (seconds is not None)
    assert ("kWh" in said) == (seconds is not None and kwh is not None)
    assert ("EUR" in said) == (seconds is not None and money is not None)


def test_what_is_said_of_the_data_is_shortened_word_by_word() -> None:
    assert first_within(10, "a model, 9 rows", "a model") == "a model"
    assert first_within(4, "a model, 9 rows", "a model") == "a model"
