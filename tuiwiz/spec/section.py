"""The base of every bundle section."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the bundle. `None` means unset: the planner or the executor decides and records what it decided."""
