"""Why a value is what it is, in words: the chain from the published value to the one that is used."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.base.units import human_number
from tuiwiz.presets.choose import GRADE_WORDS
from tuiwiz.presets.preset import Why
from tuiwiz.presets.rate import Setting
from tuiwiz.presets.resolve import LEARNING_RATE, Resolved, Step
from tuiwiz.spec.fields import FIELDS


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one preset in one context. `chain` goes from the first layer that set it to the deciding one."""

    key: str
    value: Any
    label: str
    formula: str
    reason: str
    source: str
    grade: str
    grade_means: str
    range: tuple[float, float] | None
    below: str
    beyond: str
    chain: tuple[Step, ...]


def explain(resolved: Resolved, key: str) -> Explanation | None:
    """Everything known about `key`; None where the preset leaves it alone."""
    if key not in resolved.values:
        return None
    why, field = resolved.why[key], FIELDS[key]
    return Explanation(
        key=key,
        value=resolved.values[key],
        label=field.label,
        formula=_formula(resolved) if key == LEARNING_RATE else "",
        reason=why.reason,
        source=why.source,
        grade=why.grade,
        grade_means=GRADE_WORDS[why.grade],
        range=why.range,
        below=field.too_low,
        beyond=field.too_high,
        chain=resolved.trail[key],
    )


def why_words(why: Why) -> str:
    """`reason (source). Evidence covers 1e-4 to 5e-4. Grade A`."""
    parts = [f"{why.reason} ({why.source})" if why.source else why.reason]
    if why.range is not None:
        parts.append(f"Evidence covers {range_words(why.range)}")
    if why.grade:
        parts.append(f"Grade {why.grade}" + (f": {GRADE_WORDS['C']}" if why.grade == "C" else ""))
    return ". ".join(part for part in parts if part)


def range_words(bounds: tuple[float, float]) -> str:
    return f"{human_number(bounds[0])} to {human_number(bounds[1])}"


def reference(resolved: Resolved) -> Setting | None:
    """What the preset's learning rate was published for."""
    batch = resolved.values.get("batch.effective")
    if batch is None:
        return None
    alpha = resolved.values.get("adapter.alpha") if resolved.context.method in ("lora", "qlora") else None
    return Setting(batch=int(batch), alpha=None if alpha is None else float(alpha))


def _formula(resolved: Resolved) -> str:
    setting = reference(resolved)
    if setting is None:
        return ""
    rate = human_number(float(resolved.values[LEARNING_RATE]))
    if setting.alpha is None:
        return f"LR = {rate} x sqrt(B / {setting.batch}), at most x2 upwards and not beyond 512 rows"
    return (
        f"LR = {rate} x ({setting.alpha:g} / alpha) x sqrt(B / {setting.batch}) x 1.5 under 100 steps; "
        "rank does not matter; rsLoRA: alpha x sqrt(rank); batch at most x2 upwards and not beyond 512 rows"
    )


def explanation_lines(found: Explanation) -> list[str]:
    """An explanation for a terminal."""
    lines = [f"{found.key} = {_plain(found.value)}    {found.label}"]
    rows = [("formula", found.formula), ("because", found.reason), ("source", found.source)]
    rows.append(("grade", f"{found.grade}: {found.grade_means}" if found.grade else ""))
    if found.range is not None:
        rows.append(("range", range_words(found.range)))
    rows += [("below it", found.below if found.range else ""), ("beyond it", found.beyond if found.range else "")]
    lines += [f"  {name:<10} {text}" for name, text in rows if text]
    lines.append("  decided by")
    for step in found.chain:
        place = f"{step.preset}, line {step.line}" if step.line else step.preset
        lines.append(f"    {place}, {step.condition}: {_plain(step.value)}")
    return lines


def _plain(value: Any) -> str:
    return human_number(value) if isinstance(value, float) else msgspec.json.encode(value).decode()
