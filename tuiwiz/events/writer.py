"""Appends events: one writer, one `os.write` a line, so that a reader never meets two halves of different lines."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import UsageError
from tuiwiz.base.text import clean
from tuiwiz.events.types import Base

_TAIL = 1 << 20
"""Bytes from the end in which the last whole line is looked for."""


class EventWriter:
    """Writes the events of one run; safe to use from several threads (the heartbeat has its own).

    `seq` goes on where the file ends, so that a resumed run has one numbering. A torn last line, left by a crash or a
    full disk, is closed with a line break and stays as one unreadable line.

    Raises:
        UsageError: another process has the file open for writing; two would mix two runs.
        OSError: the disk is full or the file cannot be written. The next write starts on a line of its own.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # The kernel lets go of the lock with the process, however it ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise UsageError(
                f"the run in {path.parent} is already being executed",
                hint="`tuiwiz watch` shows it, `tuiwiz stop` ends it",
            ) from None
        except OSError:
            # Some network file systems have no locks; pid.json still tells most double starts.
            pass
        self.found_bytes = os.fstat(self._file).st_size
        """Length of the file when it was opened."""
        self._seq, self._torn = _end_of(self._file)

    def write(self, kind: type[Base], **fields: Any) -> Base:
        """Append an event of `kind` and return it."""
        with self._lock:
            event = kind(seq=self._seq, t=time.time(), **fields)
            line = self._line(event)
            if self._torn:
                line = b"\n" + line
            self._torn = True
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(28, "the event file could take only a part of a line: the disk is full")
            self._torn = False
            self._seq += 1
            return event

    def _line(self, event: Base) -> bytes:
        try:
            return self._encoder.encode(event) + b"\n"
        except UnicodeEncodeError:
            # Half a surrogate pair, from a broken data set or file name; a run must not end over it.
            tidy = msgspec.to_builtins(event)
            return self._encoder.encode(_tidy(tidy)) + b"\n"

    def flush(self) -> int:
        """Make everything written so far survive a power cut; returns how many bytes that are."""
        os.fsync(self._file)
        return os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_tidy(key): _tidy(one) for key, one in value.items()}
    return [_tidy(one) for one in value] if isinstance(value, list | tuple) else value


def _end_of(file: int) -> tuple[int, bool]:
    """The next `seq`, and whether the file ends in the middle of a line."""
    size = os.fstat(file).st_size
    if size == 0:
        return 0, False
    tail = os.pread(file, _TAIL, max(0, size - _TAIL))
    torn = not tail.endswith(b"\n")
    for line in reversed(tail.split(b"\n")):
        try:
            return int(msgspec.json.decode(line, type=_Numbered).seq) + 1, torn
        except (msgspec.MsgspecError, ValueError):
            continue
    return 0, torn


class _Numbered(msgspec.Struct):
    seq: int
