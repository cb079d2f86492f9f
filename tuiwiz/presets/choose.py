"""Which presets speak of a task, a model and its data, the most fitting first, with the reasons in words."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tuiwiz.base.units import gib
from tuiwiz.presets.bands import BAND_NAMES, band_words
from tuiwiz.presets.find import all_presets
from tuiwiz.presets.nearest import nearest_result
from tuiwiz.presets.nearest import words as nearest_words
from tuiwiz.presets.preset import Preset
from tuiwiz.presets.resolve import Resolved, condition_of, resolve
from tuiwiz.presets.when import Context, When, holds, words
from tuiwiz.spec.rules import available

GRADE_WORDS = {
    "A": "tuned or released at this size and method",
    "B": "a vendor's example, or evidence from a neighbouring size or method",
    "C": "extrapolated: untested, try the learning-rate sweep",
    "": "no grade",
}


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A preset that may be used, and why it stands where it stands."""

    name: str
    grade: str
    reasons: tuple[str, ...]
    resolved: Resolved


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """One (task, band, method) that a preset covers; `grade` is that of its learning rate."""

    name: str
    task: str
    band: str
    method: str
    grade: str
    path: str
    when: str


def choose(context: Context, known: dict[str, Preset] | None = None) -> list[Ranked]:
    """Presets for `context`, best first: those that surely apply; of them those measured on something near, the nearest
    first; then the more special, the better graded, shipped; last those measured on something far."""
    presets = all_presets().presets if known is None else known
    found = []
    for preset in presets.values():
        when = condition_of(preset, presets)
        fits = holds(when, context)
        if fits is False:
            continue
        resolved = resolve(preset, context, presets)
        if not resolved.covers and context.band is not None:
            continue
        if context.band is None and not _speaks(preset, when, presets):
            continue
        proven = nearest_result(preset, context)
        near = (1, 0.0) if proven is None else (0 if proven.near else 2, proven.distance)
        order = (
            fits is not True,
            near,
            -when.count,
            resolved.grade or "Z",
            not preset.shipped,
            _smallest(when),
            preset.name,
        )
        found.append((order, _ranked(preset, when, resolved, context)))
    return [ranked for _, ranked in sorted(found, key=lambda pair: pair[0])]


def coverage(known: dict[str, Preset], only: str = "") -> list[Covered]:
    """Every (task, band, method) of every preset, or of one, that has a learning rate for it."""
    presets = [preset for preset in known.values() if only in ("", preset.name)]
    return [one for preset in presets for one in _covered(preset, condition_of(preset, known), known)]


def _covered(preset: Preset, when: When, presets: dict[str, Preset]) -> Iterator[Covered]:
    rows = int(when.rows[0].low) if when.rows else None
    memory = int(when.memory[0].low) if when.memory else None
    for task in when.task or [str(kind) for kind in available("task.kind")]:
        for band in when.band or BAND_NAMES:
            for method in when.method or [str(one) for one in available("adapter.method")]:
                context = Context(task=task, band=band, method=method, rows=rows, memory_bytes=memory)
                resolved = resolve(preset, context, presets)
                if resolved.covers:
                    limits = words(When(rows=when.rows, memory=when.memory)) if when.rows or when.memory else ""
                    yield Covered(
                        name=preset.name,
                        task=task,
                        band=band,
                        method=method,
                        grade=resolved.grade,
                        path=str(preset.path),
                        when=limits,
                    )


def _speaks(preset: Preset, when: When, presets: dict[str, Preset]) -> bool:
    """Without a model: whether the preset covers any band."""
    return any(True for _ in _covered(preset, when, presets))


def _smallest(when: When) -> float:
    return min((one.low for one in when.rows), default=0.0)


def _ranked(preset: Preset, when: When, resolved: Resolved, context: Context) -> Ranked:
    reasons = [f"made for {' and '.join(when.task)}" if when.task else "for any task"]
    if context.band is not None:
        reasons.append(f"has settings for {context.method} on models of {band_words(context.band)}")
    if when.rows:
        limit = words(When(rows=when.rows))
        have = f"you have {context.rows:,}" if context.rows is not None else "your rows are not counted yet"
        reasons.append(f"for {limit}: {have}")
    if when.memory:
        have = f"this device has {gib(context.memory_bytes)}" if context.memory_bytes is not None else "device unknown"
        reasons.append(f"for {words(When(memory=when.memory))}: {have}")
    if context.band is not None:
        reasons.append(f"grade {resolved.grade or '-'}: {GRADE_WORDS[resolved.grade]}")
    proven = nearest_result(preset, context)
    if proven is not None:
        reasons.append(nearest_words(proven, context))
    if not preset.shipped:
        reasons.append(f"your own, from {preset.path}")
    return Ranked(name=preset.name, grade=resolved.grade, reasons=tuple(reasons), resolved=resolved)
