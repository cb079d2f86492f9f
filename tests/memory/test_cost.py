"""Energy, money, limits of time, and what rehearsals correct."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from tests.memory.test_estimate import CPU, known_shape
from tests.memory.test_plan import LENGTHS, bundle, planned
from tuiwiz.base.errors import UsageError
from tuiwiz.base.price import Price, own_price, parse_price
from tuiwiz.catalog.gpus import Device, find_device
from tuiwiz.memory.cost import budget_words
from tuiwiz.memory.plan import Plan, cost_words, plan

MIDNIGHT = datetime(2026, 1, 1)


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.30", Price(per_kwh=0.3)),
        ("0,30 EUR/kWh", Price(per_kwh=0.3, currency="EUR")),
        ("$2.49/h", Price(per_hour=2.49, currency="$")),
        ("2.49 USD / hour", Price(per_hour=2.49, currency="USD")),
    ],
)
def test_prices(text: str, price: Price) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize("text", ["", "cheap", "-1", "0.3/day", "1 2", "nan", "0.3 EUR/kWh/h"])
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(UsageError):
        parse_price(text)


def test_the_price_of_the_configuration(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("TUIWIZ_CONFIG", str(file))
    assert own_price() is None
    file.write_text('[energy]\nprice = "0.25 EUR/kWh"\n', encoding="utf-8")
    found = planned("qwen3-8b", "RTX 4090")
    assert found.money == pytest.approx(0.25 * (found.energy_kwh or 0)) and found.currency == "EUR"
    file.write_text("[energy]\nprice = [", encoding="utf-8")
    assert own_price() is None and planned("qwen3-8b", "RTX 4090").money is None


def priced(**values: Any) -> Plan:
    price = Price(per_hour=2.0, currency="USD")
    device = find_device("RTX 4090")
    return plan(bundle(**values), known_shape("qwen3-8b"), device, LENGTHS, 12_820, price=price, now=MIDNIGHT)


def test_energy_is_power_times_time_and_money_its_price() -> None:
    found = priced()
    assert found.seconds and found.watts and found.energy_kwh
    assert found.energy_kwh == pytest.approx(found.watts * found.seconds / 3.6e6)
    assert 400 < found.watts < 550
    assert found.money == pytest.approx(2 * found.seconds / 3600)
    assert "kWh" in cost_words(found) and "USD" in cost_words(found)
    assert found.tokens and found.tokens > 12_820 * LENGTHS["p50"]


def test_an_end_is_a_number_of_steps() -> None:
    whole = priced()
    assert whole.budget is None and whole.steps and whole.seconds
    hours = whole.seconds / 3600
    short = priced(schedule__max_hours=hours / 2).budget
    assert short is not None and not short.enough
    assert short.steps == pytest.approx(whole.steps / 2, rel=0.06)
    assert short.least <= short.steps <= short.most <= short.of == whole.steps
    assert f"schedule.steps = {short.steps}" in budget_words(short)
    assert priced(schedule__max_hours=10 * hours).budget.enough  # type: ignore[union-attr]
    clock = priced(schedule__stop_by="00:10", schedule__max_hours=99).budget
    assert clock is not None and clock.seconds == 600 and clock.by == "00:10"


def test_none_of_it_is_guessed_without_lengths() -> None:
    found = plan(bundle(), known_shape("qwen3-8b"), find_device("24"), None, None, now=MIDNIGHT)
    assert found.energy_kwh is None and found.money is None and found.budget is None and cost_words(found) == ""


def test_preference_tasks_read_every_row_once_more() -> None:
    def seconds(task: str) -> float:
        found = plan(bundle(task__kind=task, batch__micro=2), known_shape("qwen3-8b"), find_device("80"), LENGTHS, 1280)
        assert found.seconds
        return found.seconds

    assert seconds("dpo") > seconds("orpo") > 1.4 * seconds("instruct")
    # Strangers in every step, and both kinds of rows before the first.
    assert seconds("kto") > 1.4 * seconds("instruct")


MEASURED = {
    "shape": "smollm2-135m-instruct",
    "planned_on": "CPU",
    "method": "lora",
    "fixed_bytes": 300,
    "predicted_bytes": 1300,
    "peak_bytes": 1800,
    "predicted_seconds": 2.0,
    "seconds_per_step": 5.0,
    "adjustments": [],
}


def here(measured: list[dict[str, Any]], model: str = "smollm2-135m-instruct", device: Device = CPU) -> Plan:
    one = bundle(adapter__method="lora", data__max_length=512)
    return plan(one, known_shape(model), device, LENGTHS, 100, measured=measured)


def test_rehearsals_correct_what_is_planned_here() -> None:
    bare, found = here([]), here([MEASURED])
    fixed = bare.items["weights"]
    assert found.total_bytes - fixed == pytest.approx(1.5 * (bare.total_bytes - fixed))
    assert sum(found.items.values()) == found.total_bytes and found.items["weights"] == fixed
    assert found.seconds_per_step == pytest.approx(2.5 * (bare.seconds_per_step or 0))
    assert found.high_bytes - found.low_bytes < bare.high_bytes - bare.low_bytes
    assert "1 rehearsal" in found.corrected and "rehearsal" in found.why and bare.corrected == ""
    own = [[one.total_bytes for one in some.choices if one.method == "lora"] for some in (bare, found)]
    assert min(own[1]) > min(own[0])


def test_less_than_planned_is_taken_from_what_moves() -> None:
    card = find_device("24")
    less = [{**MEASURED, "peak_bytes": 800, "planned_on": card.name}]
    bare, found = here([], device=card), here(less, device=card)
    assert found.total_bytes < bare.total_bytes and min(found.items.values()) >= 0
    # On a processor three steps of one length show less than a run on many holds.
    assert here([{**MEASURED, "peak_bytes": 800}]).total_bytes == here([]).total_bytes


@pytest.mark.parametrize(
    "change",
    [
        {"planned_on": "RTX 4090"},
        {"method": "full"},
        {"peak_bytes": 100_000, "seconds_per_step": 900},
        {"fixed_bytes": None, "predicted_seconds": "soon"},
        {"shape": "another"},
    ],
)
def test_what_says_nothing_of_this_plan_changes_nothing(change: dict[str, Any]) -> None:
    assert msgspec.structs.asdict(here([{**MEASURED, **change}])) == msgspec.structs.asdict(here([]))


def test_several_other_models_say_something_too() -> None:
    found = here([{**MEASURED, "shape": name} for name in ("a", "b", "c")])
    assert "other models" in found.corrected and found.total_bytes > here([]).total_bytes
