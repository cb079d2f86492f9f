"""Rows out of JSON: one value a line, one big array, an object of columns or of splits. Arrays and lines stream."""

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
    except ValueError as error:
        column, reason = 1, str(error)
    if number == 1 and text.lstrip()[:1] not in '{["' and column == 1 + len(text) - len(text.lstrip()):
        hint = "JSON lines hold one JSON object a line; for raw text use a .txt file"
        raise streams.refuse(path, f"line {line} is not JSON", hint=hint, line=line, column=column)
    hint = "the line may be cut off: fetch the file again, or repair or remove the line"
    return Problem(
        message=f"is not valid JSON at column {column} ({reason})",
        hint=hint,
        path=str(path),
        row=number,
        line=line,
        column=column,
    )


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

    def _more(self) -> bool:
        """Drop what was read and append the next piece, twice as much as is unread so that long values stay linear."""
        parts, wanted = [self._text[self._at :]], max(1, len(self._text) - self._at)
        self._line_start -= self._at
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

    def value(self) -> Any:
        """Decode one value at the current place.

        Raises:
            InvalidError: the text is no JSON value, with line and column.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise streams.refuse(self._path, f"line {self._line} {NESTED_TOO_DEEP}", line=self._line) from None
            except json.JSONDecodeError as error:
                near_end = error.pos > len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if near_end and not self._ended:
                    self._more()
                    continue
                raise self.error(error.msg, error.pos) from None
            except ValueError as error:
                raise self.error(str(error), self._at) from None
            if end == len(self._text) and not self._ended:
                self._more()
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


def read_array(path: Path, values: Values) -> Iterator[Row]:
    """The elements of one JSON array.

    Raises:
        InvalidError: the array is not well formed.
    """
    values.skip()
    number = 0
    if values.peek() == "]":
        values.skip()
    else:
        while True:
            values.peek()
            line = values.line
            number += 1
            yield Row(number, line, values.value())
            after = values.peek()
            if after not in {",", "]"}:
                raise values.error("the array does not end" if not after else "expected a comma or ] after the element")
            if after == "]":
                values.skip()
                break
            comma = values.line
            values.skip()
            if values.peek() == "]":
                raise values.error(f"a comma before the closing bracket (the comma is on line {comma})")
    if values.peek():
        raise values.error("there is more text after the array")
