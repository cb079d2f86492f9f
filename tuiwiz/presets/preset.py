"""What a preset is, as read from its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.presets.when import When
from tuiwiz.spec.bundle import SECTIONS
from tuiwiz.spec.keys import all_keys

LARGEST_FILE = 256 * 1024
"""Bytes of a preset file."""
DEEPEST = 5
"""Presets in a chain of `extends`, the first included."""
LONGEST_NAME = 64
LONGEST_REASON = 600
"""Characters of a reason or source."""
MOST_CASES = 200
MOST_RESULTS = 200
LONGEST_WORD = 200
"""Characters of a text inside a value or a result."""

_PERSONAL = {
    "name",
    "format",
    "seed",
    "phases",
    "task.kind",
    "model.source",
    "model.revision",
    "data.train",
    "data.format",
    "data.mapping",
    "data.template",
    "data.system",
    "validation.path",
    "adapter.method",
    "adapter.from",
    "schedule.stop_by",
    "batch.micro",
    "batch.micro_tokens",
    "batch.accumulation",
    "batch.processes",
}
_PERSONAL_SECTIONS = ("launch", "tracking")

PRESET_KEYS: tuple[str, ...] = tuple(
    key for key in all_keys() if key not in _PERSONAL and key.partition(".")[0] not in _PERSONAL_SECTIONS
)
"""Bundle keys that a preset may set. The others speak of one run: its files, its device, its name."""
TOP_KEYS = ("name", "digest", "extends", "when", "why", "case", "results")
ALL_TOP_KEYS = (*TOP_KEYS, *(section for section in SECTIONS if section not in _PERSONAL_SECTIONS))


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a value is what it is.

    Attributes:
        reason: the evidence in words: what was found, under which condition.
        source: where it was found.
        range: least and most value that the evidence covers; None where there is no order.
        grade: A a tuned sweep or the setting of a released model at this size and method; B a vendor's example, or an
            A source from a neighbouring size or method; C extrapolated; empty where nothing is claimed.
    """

    reason: str = ""
    source: str = ""
    range: tuple[float, float] | None = None
    grade: str = ""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Values under a condition, with their reasons. `line` is where the layer starts in its file."""

    when: When = When()
    values: dict[str, Any] = {}
    why: dict[str, Why] = {}
    line: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measured run with this preset. `data` is a digest, never the data.

    Attributes:
        run: digest of the bundle that ran; two results with the same one and the same hardware are one.
        parameters: of the model.
        rows: training rows. `max_length`: tokens of the longest that was trained.
        steps: optimizer steps of the whole run.
        first: the metric before training. `value`: its best value.
    """

    model: str
    data: str = ""
    run: str = ""
    parameters: int | None = None
    rows: int | None = None
    max_length: int | None = None
    steps: int | None = None
    hardware: str = ""
    metric: str = "loss"
    first: float | None = None
    value: float | None = None
    peak_bytes: int | None = None
    tokens_per_second: float | None = None


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """One file: `base` holds always (its `when` says when the preset may be chosen), `cases` follow in file order."""

    name: str
    path: Path
    base: Layer
    cases: tuple[Layer, ...] = ()
    extends: str | None = None
    results: tuple[Result, ...] = ()
    digest: str = ""
    """What the file itself says that its digest is; checked when it is added, not when it is used."""
    shipped: bool = False
