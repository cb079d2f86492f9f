"""Reads events by byte offset: from any process, any number at once, while the writer goes on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tuiwiz.events.types import Event

_PIECE = 1 << 20
"""Bytes read at once."""
_BEYOND_JSON = (b"NaN", b"Infinity")
_LONGEST_LINE = 64 << 20
"""Bytes after which an unfinished line is given up as damage."""


class EventReader:
    """Remembers how far it has read.

    An unfinished last line is left for the next call; unreadable lines and unknown kinds are skipped and counted; a
    file that has become shorter is read again from the start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Bytes of whole lines already returned."""
        self.skipped = 0
        """Lines that could not be read."""
        self.restarted = False
        """True after a call that found the file shorter than before: what was folded so far is void."""
        self._decoder = msgspec.json.Decoder(Event)
        self._lines: list[bytes] = []
        self._rest = b""

    def read(self, max_events: int = 2000) -> list[Event]:
        """Up to `max_events` events that were appended since the last call; an empty list when there are none."""
        self.restarted = False
        events: list[Event] = []
        while len(events) < max_events:
            if not self._lines:
                before = self.restarted
                more = self._fill()
                if self.restarted and not before:
                    events.clear()
                if not more:
                    break
                continue
            line = self._lines.pop()
            self.offset += len(line) + 1
            if not line.strip():
                continue
            event = self._event(line)
            if event is None:
                self.skipped += 1
            else:
                events.append(event)
        return events

    def _event(self, line: bytes) -> Event | None:
        event: Event
        try:
            event = self._decoder.decode(line)
            return event
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if not any(word in line for word in _BEYOND_JSON):
                return None
        try:
            # Many writers, Python's own among them, put NaN and Infinity, which JSON does not know: a loss that is no
            # number any more is the last thing to pass over.
            event = msgspec.convert(json.loads(line), Event)
        except (ValueError, RecursionError):
            return None
        return event

    def _fill(self) -> bool:
        """Take the next whole lines from the file; False when there are none."""
        start = self.offset + len(self._rest)
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if size < start:
                    start, self.offset, self.skipped, self._rest, self.restarted = 0, 0, 0, b"", True
                file.seek(start)
                piece = file.read(_PIECE)
        except OSError:
            return False
        if not piece:
            return False
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST_LINE:
            self.offset += len(self._rest)
            self._rest = b""
            self.skipped += 1
        lines.reverse()
        self._lines = lines
        return bool(lines) or len(piece) == _PIECE
