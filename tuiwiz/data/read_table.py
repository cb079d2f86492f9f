"""Rows out of CSV and TSV (dialect sniffed), Parquet and Arrow, and lines out of plain text."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line
from tuiwiz.data import stream as streams
from tuiwiz.data.types import Row

_DELIMITERS = ",\t;|"


def guess_delimiter(head: str, likely: str = "") -> str:
    """The separator that splits the first line of `head` into most parts, outside quotes; `likely` where that is among
    them, a comma when none is. Spreadsheets write a first line `sep=;` that names it."""
    if head[:4].lower() == "sep=" and head[4:5] in _DELIMITERS:
        return head[4]
    line, quoted = [], False
    for char in head:
        if char == '"':
            quoted = not quoted
        elif char == "\n" and not quoted:
            break
        elif not quoted:
            line.append(char)
    counts = {delimiter: line.count(delimiter) for delimiter in _DELIMITERS}
    if likely and counts[likely]:
        return likely
    return max(_DELIMITERS, key=lambda delimiter: (counts[delimiter], -_DELIMITERS.index(delimiter)))


class _Lines:
    """Decoded lines, and how many quotes those since the last look held."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._lines = _text_lines(path, stream)
        self.quotes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.quotes += line.count('"')
        return line


def read_csv(path: Path, stream: BinaryIO, delimiter: str) -> Iterator[Row | Problem]:
    """Rows as `{column: text}`. Blank lines and columns without a name are skipped; a row with more or fewer cells than
    the header is a Problem.

    Raises:
        InvalidError: bytes are not UTF-8, or the header names a column twice.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = _Lines(path, stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=False)
    header: list[str] = []
    named: list[int] = []
    number, before = 0, 0
    while True:
        lines.quotes = 0
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number += 1
            hint = "line ends must be LF or CRLF"
            message = f"is not CSV: {str(error).partition(' - ')[0]}"
            yield Problem(message=message, hint=hint, path=str(path), row=number, line=reader.line_num)
            before = reader.line_num
            continue
        if cells is None:
            return
        line, before = before + 1, reader.line_num
        if not cells or (len(cells) == 1 and len(header) != 1 and not cells[0].strip()):
            continue
        if not header and line == 1 and "".join(cells).lower() == "sep=":
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            named = [index for index, name in enumerate(header) if name]
            twice = next((name for name, times in Counter(header).items() if times > 1 and name), None)
            if twice is not None:
                raise streams.refuse(path, f"the header names column '{clean_line(twice, 40)}' twice", line=line)
            continue
        number += 1
        unclosed = before > line and lines.quotes % 2
        if len(cells) == len(header) and not unclosed:
            yield Row(number, line, {header[index]: cells[index] for index in named})
            continue
        yield _wrong(path, number, line, before, len(cells), len(header), bool(unclosed))


def _wrong(path: Path, number: int, line: int, last: int, cells: int, wanted: int, unclosed: bool) -> Problem:
    if unclosed:
        message = f"opens a quote that is never closed: it takes in the lines up to {last}"
        hint = 'close it, or write a quote inside quotes twice: ""'
    else:
        over = f" on lines {line} to {last}" if last > line else ""
        message = f"has {cells} cell{'s' if cells != 1 else ''}{over}, but the header has {wanted}"
        hint = 'put a text that holds the separator or a line break into "quotes"'
    return Problem(message=message, hint=hint, path=str(path), row=number, line=line)


def _text_lines(path: Path, stream: BinaryIO) -> Iterator[str]:
    for line, offset, data in streams.lines(path, stream):
        if data is None:
            raise streams.refuse(path, f"line {line} is too long for a CSV row", line=line)
        try:
            yield data.decode("utf-8")
        except UnicodeDecodeError:
            raise streams.encoding_error(path, data, offset, line) from None


def read_text(path: Path, stream: BinaryIO) -> Iterator[Row | Problem]:
    """Every line of a text file, blank ones included: in running text they separate paragraphs. A line that is too long
    for one row comes in pieces."""
    number = 0
    rest = ""
    for piece in streams.chunks(path, stream):
        parts = (rest + piece).split("\n")
        rest = parts.pop()
        for part in parts:
            number += 1
            yield Row(number, number, part.removesuffix("\r"))
        if len(rest) > streams.LONGEST_LINE_BYTES:
            number += 1
            yield Row(number, number, rest)
            rest = ""
    if rest:
        yield Row(number + 1, number + 1, rest.removesuffix("\r"))


def read_columnar(path: Path, kind: str) -> Iterator[Row | Problem]:
    """Rows of a Parquet or Arrow file, batch by batch. Loads pyarrow, and with it numpy.

    Raises:
        InvalidError: the file is damaged.
        MachineLacksError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MachineLacksError(f"{path.name}: pyarrow is not installed", hint="pip install pyarrow") from None
    number = 0
    try:
        for batch in _batches(path, kind):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, 0, value)
    except (pyarrow.ArrowException, OSError) as error:
        reason = clean_line(str(error), 120)
        raise streams.refuse(path, f"is damaged after row {number}: {reason}", hint="fetch the file again") from None


def _batches(path: Path, kind: str) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    if kind == "parquet":
        yield from pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024)
        return
    with pyarrow.memory_map(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_stream(source)
        except pyarrow.ArrowInvalid:
            source.seek(0)
            file = pyarrow.ipc.open_file(source)
            yield from (file.get_batch(i) for i in range(file.num_record_batches))
            return
        yield from reader
