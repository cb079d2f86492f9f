"""What a run cost, by prices of the user's own and by the power that was measured."""

from __future__ import annotations

import pytest

from tuiwiz.base.price import parse_price
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView
from tuiwiz.runs.cost import cost, cost_words

Reading = dict[str, str | int | float | bool | None]


def readings(*powers: float, every: float = 10.0) -> list[types.Event]:
    return [
        types.Resource(seq=at, t=100.0 + at * every, gpus=({"index": 0, "used_bytes": 5, "power_w": power},))
        for at, power in enumerate(powers)
    ]


def test_energy_is_power_times_time_of_the_card_in_use() -> None:
    view = fold(RunView(), readings(360.0, 360.0, 360.0))
    assert view.energy_wh == pytest.approx(2.0)
    idle: Reading = {"index": 1, "used_bytes": 1, "power_w": 9000.0}
    busy: Reading = {"index": 0, "used_bytes": 5, "power_w": 360.0}
    view = fold(RunView(), [types.Resource(seq=n, t=10.0 * n, gpus=(idle, busy)) for n in range(3)])
    assert view.energy_wh == pytest.approx(2.0)
    begun = types.RunStarted(seq=0, t=0.0, attempt=1, from_step=0, processes=2)
    gpus = (idle, busy, {**busy, "index": 2, "power_w": 180.0})
    view = fold(RunView(), [begun, *(types.Resource(seq=n + 1, t=10.0 * n, gpus=gpus) for n in range(3))])
    assert view.energy_wh == pytest.approx(3.0), "a card for each process"


def test_a_pause_takes_nothing_and_no_sensor_is_no_energy() -> None:
    assert fold(RunView(), readings(360.0, 360.0, every=3600.0)).energy_wh == 0.0
    assert fold(RunView(), [types.Resource(seq=0, t=1.0)]).energy_wh is None


def test_a_price_is_for_hours_or_for_energy() -> None:
    by_hour, by_energy = parse_price("2 EUR/h"), parse_price("0.5 EUR/kWh")
    assert cost(by_hour, 1800.0, None) == pytest.approx(1.0)
    assert cost(by_hour, None, 3000.0) is None
    assert cost(by_energy, 1800.0, 3000.0) == pytest.approx(1.5)
    assert cost(by_energy, 1800.0, None) is None and cost(None, 1800.0, 3000.0) is None
    assert cost_words(by_energy, 2.5, 3000.0) == "2.50 EUR"
    assert cost_words(None, None, 3000.0) == "3.00 kWh" and cost_words(None, None, None) == "-"
