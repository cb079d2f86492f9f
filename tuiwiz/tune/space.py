"""What a study varies: each dimension is a bundle key with a list of values or a range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.base.units import human_number
from tuiwiz.bundle.change import change, parse_value
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import all_keys

RATE = "optimizer.learning_rate"
RANK = "adapter.rank"
BATCH = "batch.effective"
STEPS = "schedule.steps"
FIXED = ("name", "seed", "schedule.epochs", "schedule.steps", "task.kind", "model.source", "evaluation.metric")
"""Keys that no search may vary: another task, model or length is another question, and the seed is no setting."""
DIGITS = 4


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """`values` in the order given, or the range from `low` to `high`; `log`: drawn evenly in the logarithm."""

    key: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False

    @property
    def words(self) -> str:
        if self.values:
            return f"{self.key} {', '.join(shown(value) for value in self.values)}"
        return f"{self.key} {shown(self.low)} to {shown(self.high)}"

    def at(self, share: float) -> Any:
        """The value at `share` of the way, 0 <= share < 1."""
        if self.values:
            return self.values[min(len(self.values) - 1, int(share * len(self.values)))]
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        if self.whole:
            return min(int(high), int(low) + int(share * (int(high) - int(low) + 1)))
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        return rounded(value)

    def holds(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        return isinstance(value, int | float) and float(self.low or 0.0) <= value <= float(self.high or 0.0)


def parse_over(bundle: Bundle, texts: Iterable[str]) -> tuple[Dimension, ...]:
    """Dimensions as typed: `key=a,b,c` or `key=low..high`.

    Raises:
        UsageError: an unknown key, no values, a range that is empty or inverted, a key twice, one that may not vary.
        InvalidError: a value that the bundle cannot have.
    """
    found: dict[str, Dimension] = {}
    for text in texts:
        key = text.partition("=")[0].strip()
        if key not in all_keys() or key in ("format", "phases"):
            close = nearest(key, all_keys())
            raise UsageError(f"there is no key {key!r} to vary", hint=f"did you mean {close}?" if close else "")
        if key in FIXED:
            raise UsageError(f"{key} cannot be searched: it is no setting of the same run", hint="leave it out")
        if key in found:
            raise UsageError(f"{key} is given twice", hint="name its values once: --over key=a,b,c")
        found[key] = _dimension(bundle, key, text.partition("=")[2].strip())
    return tuple(found.values())


def _dimension(bundle: Bundle, key: str, text: str) -> Dimension:
    if not text:
        raise UsageError(f"--over {key} has no values", hint=f"write --over {key}=a,b,c or --over {key}=low..high")
    if ".." in text and not text.startswith(("[", '"', "'")):
        return _range(bundle, key, text)
    values = tuple(dict.fromkeys(_value(part) for part in _split(text)))
    for value in values:
        _try(bundle, key, value)
    return Dimension(key=key, values=values)


def _range(bundle: Bundle, key: str, text: str) -> Dimension:
    ends = [parse_value(end) for end in text.split("..", 1)]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends):
        raise UsageError(f"--over {key}={text} is no range of numbers", hint=f"write --over {key}=low..high")
    low, high = ends
    if low >= high:
        what = "is empty" if low == high else "is inverted"
        raise UsageError(
            f"the range {shown(low)}..{shown(high)} of {key} {what}", hint="the smaller number comes first"
        )
    for end in (low, high):
        _try(bundle, key, end)
    whole = isinstance(low, int) and isinstance(high, int)
    return Dimension(key=key, low=low, high=high, whole=whole, log=low > 0 and (key == RATE or high / low >= 30))


def _try(bundle: Bundle, key: str, value: Any) -> None:
    try:
        change(bundle, {key: value})
    except InvalidError as error:
        raise InvalidError(
            f"{key} = {shown(value)} cannot be tried: {error.message}", hint=error.hint, problems=error.problems
        ) from error


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets or quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _value(text: str) -> Any:
    value = parse_value(text)
    return tuple(value) if isinstance(value, list) else value


def edits_of(params: Mapping[str, Any], base: Bundle, dimensions: Sequence[Dimension]) -> dict[str, Any]:
    """Bundle edits for drawn values. Where batch and rate are both drawn, the rate is that of the base's batch and
    grows with the square root of the batch, so that the two are not searched against each other."""
    from tuiwiz.presets.rate import batch_factor

    edits = {one.key: params[one.key] for one in dimensions}
    if RATE in edits and BATCH in edits:
        edits[RATE] = rounded(edits[RATE] * batch_factor(int(edits[BATCH]), base.batch.effective))
    return same_rows(edits, base)


def same_rows(edits: Mapping[str, Any], base: Bundle) -> dict[str, Any]:
    """The edits, with so many steps that a trial with another batch sees as many rows as all others."""
    if BATCH not in edits or base.schedule.steps is None or edits[BATCH] == base.batch.effective:
        return dict(edits)
    return {**edits, STEPS: max(1, round(base.schedule.steps * base.batch.effective / int(edits[BATCH])))}


def rounded(value: float) -> float:
    """Four significant digits: more would claim a precision that no search has."""
    return float(f"{value:.{DIGITS - 1}e}")


def shown(value: Any) -> str:
    if isinstance(value, float):
        return human_number(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
