"""What the user pays for a run's time: by the kilowatt-hour or by the hour, set once in `config.toml` or for one plan.

[energy]
price = "0.30 EUR/kWh"      # or "2.49 USD/h" for a rented card
"""

from __future__ import annotations

import re
import tomllib

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import UsageError
from tuiwiz.base.text import clean_line

_PRICE = re.compile(
    r"(?P<sign>[^\d\s.,/-]*)\s*(?P<amount>\d+(?:[.,]\d+)?)\s*(?P<unit>[^\d\s/]*)\s*(?:/\s*(?P<per>\w+))?"
)
_PER_KWH, _PER_HOUR = ("kwh",), ("h", "hr", "hour")


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two is set. `currency` as the user wrote it, maybe empty."""

    per_kwh: float | None = None
    per_hour: float | None = None
    currency: str = ""

    def of(self, kwh: float | None, hours: float) -> float | None:
        """What so much energy and time cost; None where the energy would be needed and is not known."""
        if self.per_hour is not None:
            return self.per_hour * hours
        return self.per_kwh * kwh if self.per_kwh is not None and kwh is not None else None


def parse_price(text: str) -> Price:
    """`0.30`, `0.30 EUR/kWh`, `$2.49/h`; without a unit of time it is for a kilowatt-hour.

    Raises:
        UsageError: it is none of these.
    """
    found = _PRICE.fullmatch(clean_line(text).strip())
    per = (found["per"] or "kwh").lower() if found else ""
    if found is None or per not in (*_PER_KWH, *_PER_HOUR):
        raise UsageError(f"{clean_line(text)!r} is no price", hint='such as "0.30 EUR/kWh", or "2.49 USD/h" for a card')
    amount, currency = float(found["amount"].replace(",", ".")), found["sign"] or found["unit"]
    if per in _PER_KWH:
        return Price(per_kwh=amount, currency=currency)
    return Price(per_hour=amount, currency=currency)


def own_price() -> Price | None:
    """The price in `config.toml`; None where there is none, or none that can be read."""
    try:
        config = tomllib.loads(places.config_file().read_text(encoding="utf-8"))
        return parse_price(str(config["energy"]["price"]))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, UsageError):
        return None
