"""Puts a lock into the text of a bundle and leaves everything else in it as the user wrote it, comments included."""

from __future__ import annotations

import re

import msgspec
import tomli_w

from tuiwiz.bundle.read import parse_bundle
from tuiwiz.bundle.write import LOCK_HEADING, write_bundle
from tuiwiz.spec.bundle import Bundle, Lock
from tuiwiz.spec.keys import plain

_TABLE = re.compile(r"^\s*\[+\s*([A-Za-z0-9_\-\"']+)")


def with_lock(text: str, bundle: Bundle, lock: Lock) -> str:
    """`text`, which is that of `bundle`, with `lock` in place of the one in it."""
    locked = msgspec.structs.replace(bundle, lock=lock)
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        table = _TABLE.match(line)
        if table:
            inside = table.group(1).strip("\"'") == "lock"
        if not inside and line.strip() != LOCK_HEADING:
            kept.append(line)
    body = "\n".join(kept).rstrip()
    written = f"{body}\n\n{LOCK_HEADING}\n{tomli_w.dumps({'lock': plain(lock)}).rstrip()}\n"
    # A table inside a multi-line text, or a lock written as dotted keys, are beyond a scan of lines.
    again, _ = parse_bundle(written)
    return written if again == locked else write_bundle(locked)
