"""JSON, one value a line; and values out of any JSON text, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tuiwiz.base.problems import Problem
from tuiwiz.base.units import MIB
from tuiwiz.data import stream as streams
from tuiwiz.data.types import Row

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"
NESTED_TOO_DEEP = "is nested too deeply to be read"


def read_lines(path: Path, stream: BinaryIO) -> Iterator[Row | Problem]:
    """JSON lines. Blank lines are skipped; a line that is not JSON is a Problem and the rest is still read.

    Raises:
        InvalidError: bytes are not UTF-8, or the first line is not JSON at all.
    """
    decode = msgspec.json.Decoder().decode
    number = 0
    for line, offset, data in streams.lines(path, stream):
        if data is None:
            number += 1
            yield _bad(path, number, line, f"is longer than {streams.LONGEST_LINE_BYTES // MIB} MiB", "split the row")
            continue
        if data.isspace():
            continue
        number += 1
        try:
            value = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = _decode_slowly(path, data, offset, line, number)
            if isinstance(found, Problem):
                yield found
                continue
            value = found.value
        yield Row(number, line, value)


def _decode_slowly(path: Path, data: bytes, offset: int, line: int, number: int) -> Row | Problem:
    """What the fast decoder refused: either the standard library can (NaN, halves of surrogates), or it says where
    the line breaks."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise streams.encoding_error(path, data, offset, line) from None
    try:
        return Row(number, line, json.loads(text.rstrip("\r\n")))
    except RecursionError:
        return _bad(path, number, line, NESTED_TOO_DEEP, "flatten the row")
    except json.JSONDecodeError as error:
        column, reason = error.colno, error.msg
    except ValueError:  # Python reads no numbers of more than 4,300 digits
        column, reason = 1, "a number with thousands of digits"
    if number == 1 and text.lstrip()[:1] not in '{["' and column == 1 + len(text) - len(text.lstrip()):
        hint = "JSON lines hold one JSON object a line; for raw text use a .txt file"
        raise streams.refuse(path, f"line {line} is not JSON", hint=hint, line=line, column=column)
    return Problem(
        message=f"is not valid JSON at column {column} ({reason})",
        hint=_hint(text, reason),
        path=str(path),
        row=number,
        line=line,
        column=column,
    )


def _hint(text: str, reason: str) -> str:
    if reason == "Extra data":
        return "put each object on a line of its own"
    if reason.startswith("Invalid control character"):
        return "a tab, NUL or other control character inside a text is written as an escape, such as \\t"
    if text.startswith(("{'", "{ '")):
        return "this is Python's way to write it: save with json.dumps (double quotes, null, true, false)"
    return "the line may be cut off: fetch the file again, or repair or remove the line"


def _bad(path: Path, number: int, line: int, message: str, hint: str) -> Problem:
    return Problem(message=message, hint=hint, path=str(path), row=number, line=line)


class Values:
    """JSON values one after the other out of text that arrives in pieces, with the line of each."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._pieces = streams.chunks(path, stream)
        self._text = ""
        self._at = 0
        self._line = 1
        self._line_start = 0  # index in _text of the current line's first character; negative once that has gone
        self._ended = False
        self._dropped = 0

    def _more(self) -> bool:
        """Drop what was read and append the next piece, twice as much as is unread so that long values stay linear."""
        parts, wanted = [self._text[self._at :]], max(1, len(self._text) - self._at)
        self._line_start -= self._at
        self._dropped += self._at
        self._at = 0
        while wanted > 0:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            parts.append(piece)
            wanted -= len(piece)
        self._text = "".join(parts)
        return len(parts) > 1

    def _more_of_value(self) -> None:
        if len(self._text) - self._at > streams.LONGEST_LINE_BYTES:
            message = f"the row on line {self._line} is longer than {streams.LONGEST_LINE_BYTES // MIB} MiB"
            raise streams.refuse(self._path, message, hint="split or remove it", line=self._line)
        self._more()

    def _advance(self, to: int) -> None:
        newlines = self._text.count("\n", self._at, to)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._at, to) + 1
        self._at = to

    def peek(self) -> str:
        """The next character that is not white space, not consumed; empty at the end."""
        while True:
            at = self._at
            text, end = self._text, len(self._text)
            while at < end and text[at] in _SPACE:
                at += 1
            self._advance(at)
            if at < end:
                return text[at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Consume the character that `peek` showed."""
        self._advance(self._at + 1)

    @property
    def line(self) -> int:
        return self._line

    @property
    def consumed(self) -> int:
        """Characters read so far."""
        return self._dropped + self._at

    def value(self) -> Any:
        """Decode one value at the current place.

        Raises:
            InvalidError: the text is no JSON value, with line and column, or one of more than `LONGEST_LINE_BYTES`.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise streams.refuse(self._path, f"line {self._line} {NESTED_TOO_DEEP}", line=self._line) from None
            except json.JSONDecodeError as error:
                near_end = error.pos > len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if near_end and not self._ended:
                    self._more_of_value()
                    continue
                raise self.error(error.msg, error.pos) from None
            except ValueError:
                raise self.error("a number with thousands of digits", self._at) from None
            if end == len(self._text) and not self._ended:
                self._more_of_value()
                continue  # a number may go on in the next piece
            self._advance(end)
            return value

    def error(self, reason: str, at: int | None = None) -> Exception:
        """A refusal that names line and column of `at` (default: here)."""
        if at is not None:
            self._advance(at)
        column = self._at - self._line_start + 1
        message = f"is not valid JSON: {reason} (line {self._line} column {column})"
        hint = "repair the file at this place, or export it as JSON lines, where one bad row costs only itself"
        return streams.refuse(self._path, message, hint=hint, line=self._line, column=column)
