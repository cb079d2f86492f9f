"""What a run cost by the user's own price, `[energy]` of `config.toml`."""

from __future__ import annotations

from tuiwiz.base.price import Price
from tuiwiz.base.text import clean_line

CURRENCY_LETTERS = 4


def cost(price: Price | None, elapsed_s: float | None, energy_wh: float | None) -> float | None:
    """What so many seconds and watt hours cost; None where no price is known, or not what it is for."""
    if price is None or (price.per_hour is not None and elapsed_s is None):
        return None
    return price.of(None if energy_wh is None else energy_wh / 1000, (elapsed_s or 0.0) / 3600)


def cost_words(price: Price | None, amount: float | None, energy_wh: float | None) -> str:
    """`1.24 EUR`, or the energy where there is no price, or `-`."""
    if amount is not None:
        return f"{amount:,.2f} {clean_line(price.currency if price else '', CURRENCY_LETTERS)}".rstrip()
    if energy_wh is None:
        return "-"
    return f"{energy_wh:.0f} Wh" if energy_wh < 1000 else f"{energy_wh / 1000:.2f} kWh"
