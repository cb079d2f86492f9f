"""Requests to a running run: files created atomically, consumed in order at a step border, answered by events."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from tuiwiz.base.files import write_atomic
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_process, wake

Kind = Literal["pause", "resume", "checkpoint", "stop", "stop-now", "extend", "evaluate", "cadence"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`steps`: how many to add for `extend`, how many between two evaluations for `cadence`."""

    kind: Kind
    steps: int = 0
    by: str = ""


def request(folder: RunFolder, kind: Kind, *, steps: int = 0) -> Path:
    """Ask for something; returns the request's file, which vanishes when it is consumed.

    Raises:
        OSError: the run folder cannot be written (another user's run, a read-only copy).
    """
    by = os.environ.get("USER", "")
    path = folder.control / f"{time.time_ns():020d}-{os.getpid()}-{kind}.json"
    write_atomic(path, msgspec.json.encode(Request(kind=kind, steps=steps, by=by)))
    process = read_process(folder.pid) if kind in ("resume", "stop", "stop-now") else None
    if process is not None:
        # One that a signal suspended would never read the request.
        wake(process)
    return path


def pending(folder: RunFolder) -> list[Request]:
    """Consume all requests, oldest first. What is no request is removed where it can be, and ignored."""
    found: list[Request] = []
    try:
        paths = sorted(path for path in folder.control.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError:
        return found
    for path in paths:
        try:
            content = path.read_bytes()
            path.unlink()
            found.append(msgspec.json.decode(content, type=Request))
        except (OSError, msgspec.MsgspecError):
            # No request, or one that cannot be removed and would be answered for ever.
            continue
    return found


def clear(folder: RunFolder) -> None:
    """Forget all requests: those that came too late for an attempt must not reach the next one."""
    pending(folder)
