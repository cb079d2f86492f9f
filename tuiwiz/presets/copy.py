"""A preset of one's own, starting from another."""

from __future__ import annotations

import re
from pathlib import Path

from tuiwiz.base import places
from tuiwiz.base.errors import UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.presets.find import all_presets, find, forget
from tuiwiz.presets.preset import LONGEST_NAME
from tuiwiz.presets.read import SLUG

_NAME_LINE = re.compile(r"^name\s*=.*$", re.MULTILINE)


def copy_preset(name: str, new_name: str) -> Path:
    """Write preset `name` into the user's folder as `new_name`; its comments and its `extends` stay.

    Raises:
        UsageError: no such preset, a name that is taken or no name at all.
    """
    source = find(name)
    if not SLUG.fullmatch(new_name) or len(new_name) > LONGEST_NAME:
        hint = f"small letters, digits and hyphens, at most {LONGEST_NAME}"
        raise UsageError(f"{new_name!r} is no preset name", hint=hint)
    target = places.presets() / f"{new_name}.toml"
    if new_name in all_presets().presets or target.exists():
        raise UsageError(f"there is already a preset {new_name}", hint="choose another name")
    text = source.path.read_text(encoding="utf-8-sig")
    write_atomic(target, _NAME_LINE.sub(f'name = "{new_name}"', text, count=1))
    forget()
    return target
