"""What a run cost: its hours and its energy by the user's own prices, from `[price]` of `config.toml`."""

from __future__ import annotations

import tomllib

import msgspec

from tuiwiz.base import places
from tuiwiz.base.text import clean_line

CURRENCY_LETTERS = 4


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kwh`: of a kilowatt hour; `hour`: of an hour of the machine; both in `currency`, 0 where nobody pays."""

    kwh: float = 0.0
    hour: float = 0.0
    currency: str = ""


def prices() -> Prices:
    """What the user configured; nothing where it cannot be read."""
    try:
        config = tomllib.loads(places.config_file().read_text(encoding="utf-8"))
        found = msgspec.convert(config.get("price", {}), Prices)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError):
        return Prices()
    return found if min(found.kwh, found.hour) >= 0 else Prices()


def cost(given: Prices, elapsed_s: float | None, energy_wh: float | None) -> float | None:
    """What so many seconds and watt hours cost; None where no price that applies is known."""
    parts = []
    if given.hour and elapsed_s is not None:
        parts.append(given.hour * elapsed_s / 3600)
    if given.kwh and energy_wh is not None:
        parts.append(given.kwh * energy_wh / 1000)
    return sum(parts) if parts else None


def cost_words(given: Prices, amount: float | None, energy_wh: float | None) -> str:
    """`1.24 EUR`, or the energy where there is no price, or `-`."""
    if amount is not None:
        return f"{amount:,.2f} {clean_line(given.currency, CURRENCY_LETTERS)}".rstrip()
    if energy_wh is None:
        return "-"
    return f"{energy_wh:.0f} Wh" if energy_wh < 1000 else f"{energy_wh / 1000:.2f} kWh"
