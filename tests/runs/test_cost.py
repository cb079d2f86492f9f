"""What a run cost, by prices of the user's own and by the power that was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView
from tuiwiz.runs.cost import Prices, cost, cost_words, prices


def readings(*powers: float, every: float = 10.0) -> list[types.Event]:
    return [
        types.Resource(seq=at, t=100.0 + at * every, gpus=({"index": 0, "used_bytes": 5, "power_w": power},))
        for at, power in enumerate(powers)
    ]


def test_energy_is_power_times_time_of_the_card_in_use() -> None:
    view = fold(RunView(), readings(360.0, 360.0, 360.0))
    assert view.energy_wh == pytest.approx(2.0)
    idle: dict[str, types.Scalar] = {"index": 1, "used_bytes": 1, "power_w": 9000.0}
    busy: dict[str, types.Scalar] = {"index": 0, "used_bytes": 5, "power_w": 360.0}
    view = fold(RunView(), [types.Resource(seq=n, t=10.0 * n, gpus=(idle, busy)) for n in range(3)])
    assert view.energy_wh == pytest.approx(2.0)


def test_a_pause_takes_nothing_and_no_sensor_is_no_energy() -> None:
    assert fold(RunView(), readings(360.0, 360.0, every=3600.0)).energy_wh == 0.0
    assert fold(RunView(), [types.Resource(seq=0, t=1.0)]).energy_wh is None


def test_prices_come_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setenv("TUIWIZ_CONFIG", str(config))
    assert prices() == Prices()
    config.write_text('[price]\nkwh = 0.3\nhour = 1.2\ncurrency = "EUR"\n', encoding="utf-8")
    assert prices() == Prices(kwh=0.3, hour=1.2, currency="EUR")
    config.write_text("[price]\nkwh = -1\n", encoding="utf-8")
    assert prices() == Prices()
    config.write_text("[price\n", encoding="utf-8")
    assert prices() == Prices()


def test_hours_and_energy_add_up() -> None:
    paid = Prices(kwh=0.5, hour=2.0, currency="EUR")
    assert cost(paid, 1800.0, 3000.0) == pytest.approx(2.5)
    assert cost(paid, 1800.0, None) == pytest.approx(1.0)
    assert cost(Prices(), 1800.0, 3000.0) is None
    assert cost_words(paid, 2.5, 3000.0) == "2.50 EUR"
    assert cost_words(Prices(), None, 3000.0) == "3.00 kWh" and cost_words(Prices(), None, None) == "-"
