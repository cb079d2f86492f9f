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


def guess_delimiter(head: str) -> str:
    """The separator that splits the first line of `head` into most parts, outside quotes; a comma when none does."""
    line, quoted = [], False
    for char in head:
        if char == '"':
            quoted = not quoted
        elif char == "\n" and not quoted:
            break
        elif not quoted:
            line.append(char)
    counts = {delimiter: line.count(delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: (counts[delimiter], -_DELIMITERS.index(delimiter)))


def read_csv(path: Path, stream: BinaryIO, delimiter: str) -> Iterator[Row | Problem]:
    """Rows as `{column: text}`. Blank lines are skipped; a row with more or fewer cells than the header is a Problem.

    Raises:
        InvalidError: bytes are not UTF-8, or the header names a column twice.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader(_text_lines(path, stream), delimiter=delimiter, strict=False)
    header: list[str] = []
    number, before = 0, 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number += 1
            hint = "line ends must be LF or CRLF"
            yield Problem(message=f"is not CSV: {error}", hint=hint, path=str(path), row=number, line=reader.line_num)
            before = reader.line_num
            continue
        if cells is None:
            return
        line, before = before + 1, reader.line_num
        if not cells or (len(cells) == 1 and len(header) != 1 and not cells[0].strip()):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            twice = next((name for name, times in Counter(header).items() if times > 1), None)
            if twice is not None:
                raise streams.refuse(path, f"the header names column '{clean_line(twice, 40)}' twice", line=line)
            continue
        number += 1
        if len(cells) == len(header):
            yield Row(number, line, dict(zip(header, cells, strict=True)))
            continue
        found = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}, but the header has {len(header)}"
        hint = 'put a text that holds the separator or a line break into "quotes"'
        yield Problem(message=f"has {found}", hint=hint, path=str(path), row=number, line=line)


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
