"""Bytes of a data file as checked UTF-8: compression seen through, encodings refused by name, long lines kept out."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tuiwiz.base.errors import InvalidError, MachineLacksError
from tuiwiz.base.problems import Problem
from tuiwiz.base.units import MIB

LONGEST_LINE_BYTES = 8 * MIB
"""A row longer than this, some two million tokens, is left out: no model reads it whole, and tokenising it would take
about a hundred times its size in memory."""

_CHUNK_BYTES = 1 << 20
_BOM = codecs.BOM_UTF8
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_ARCHIVES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x1f\x8b", "compressed twice"),
    (b"\x28\xb5\x2f\xfd", "compressed twice"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
)
_BINARY_SHARE = 0.08
"""Of random bytes a ninth are control characters, of text with some damage a few in a hundred."""
_SCRIPTS: tuple[tuple[str, str, str, str, float], ...] = (
    ("shift_jis", "Shift-JIS", "\u3041", "\u30ff", 0.25),
    ("euc_jp", "EUC-JP", "\u3041", "\u30ff", 0.25),
    ("euc_kr", "EUC-KR", "\uac00", "\ud7a3", 0.9),
    ("gb18030", "GB18030", "\u4e00", "\u9fff", 0.6),
    ("big5", "Big5", "\u4e00", "\u9fff", 0.6),
    ("koi8-r", "KOI8-R", "\u0430", "\u044f", 0.6),
    ("cp1251", "Windows-1251", "\u0430", "\u044f", 0.6),
    ("cp1256", "Windows-1256", "\u0621", "\u06ff", 0.6),
    ("cp1253", "Windows-1253", "\u0370", "\u03ff", 0.6),
)
"""Codec, name, and the range of characters of which at least that share of a text consists, in the order in which they
are tried: Japanese has kana among its signs, Cyrillic mostly small letters."""


def refuse(
    path: Path, message: str, *, hint: str = "", line: int | None = None, column: int | None = None
) -> InvalidError:
    """The error for a file that cannot be read at all, with its place."""
    problem = Problem(message=message, hint=hint, path=str(path), line=line, column=column)
    return InvalidError(f"{path.name}: {message}", hint=hint, problems=[problem])


def open_bytes(path: Path) -> BinaryIO:
    """The decompressed bytes of `path`, after a UTF-8 byte order mark if there is one.

    Raises:
        InvalidError: there is no such file, it cannot be read, or it is UTF-16, UTF-32, an archive or a picture.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        opener = _opener(path, magic)
        with opener() as file:
            head = file.read(512)
    except FileNotFoundError:
        raise refuse(path, "no such file", hint="check the path; a bundle's paths start at its own folder") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise refuse(path, f"cannot be read: {reason}") from None
    _refuse_other_encodings(path, head)
    stream = opener()
    if head.startswith(_BOM):
        stream.read(len(_BOM))
    return stream


def _opener(path: Path, magic: bytes) -> Callable[[], BinaryIO]:
    """How to open `path`: more than once, because a decompressing stream cannot be rewound."""
    if magic.startswith(b"\x1f\x8b"):
        return lambda: cast(BinaryIO, gzip.open(path))
    if magic == b"\x28\xb5\x2f\xfd":
        try:
            import pyarrow
        except ImportError:
            message = f"{path.name}: is zstd-compressed, and pyarrow, which unpacks it, is not installed"
            raise MachineLacksError(message, hint="unpack it with `zstd -d`") from None
        return lambda: io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd"))
    return lambda: path.open("rb")


def _refuse_other_encodings(path: Path, head: bytes) -> None:
    for magic, name in _ARCHIVES:
        if head.startswith(magic):
            raise refuse(path, f"is {name}, not a data file", hint="unpack or export it to JSON lines, CSV or Parquet")
    if head[257:262] == b"ustar":
        raise refuse(path, "is a tar archive, not a data file", hint="unpack it and name the file or folder inside")
    if head and not head.strip(b"\x00"):
        raise refuse(path, "holds NUL bytes instead of text", hint="the file was damaged on its way: fetch it again")
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
    if not found and len(head) >= 8 and max(head[::2].count(0), head[1::2].count(0)) > len(head) * 0.45:
        found = "UTF-16" if head.count(0) < len(head) * 0.6 else "UTF-32"
    if found:
        raise refuse(path, f"is {found}, not UTF-8 (byte offset 0)", hint=_convert_hint(path, found))


def refuse_other_kinds(path: Path, head: bytes, named: str) -> None:
    """`head` is the beginning of what should be text in the container that the file's name says, or of none.

    Raises:
        InvalidError: it is something that only has the name of a data file.
    """
    if head.startswith(b"version https://git-lfs"):
        raise refuse(path, "is a Git LFS pointer, not the data itself", hint="git lfs pull")
    if named != "text" and head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        hint = "the address gave a page instead of the file: fetch the file itself"
        raise refuse(path, "is a web page, not data", hint=hint)
    if named in {"parquet", "arrow"}:
        return
    if b"\n" not in head and b"\r" in head[:-1]:
        hint = f"convert it: tr '\\r' '\\n' < {path.name} > lines-{path.name}"
        raise refuse(path, "ends its lines with CR alone, not LF or CRLF", hint=hint)
    if len(head) - len(head.translate(None, _CONTROL)) > max(8, _BINARY_SHARE * len(head)):
        raise refuse(path, "is binary data, not text", hint="export it to JSON lines, CSV or Parquet")


_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r\x0c\x1b")


def encoding_error(path: Path, data: bytes, offset: int, line: int) -> InvalidError:
    """The refusal of bytes that are not UTF-8. `offset` is that of `data` in the (decompressed) file, 0-based."""
    try:
        data.decode("utf-8")
        bad = 0
    except UnicodeDecodeError as error:
        bad = error.start
    name = _guess(data)
    line += data.count(b"\n", 0, bad)
    byte = data[bad] if data else 0
    message = f"is not UTF-8: byte 0x{byte:02x} at offset {offset + bad} (line {line}); it looks like {name}"
    return refuse(path, message, hint=_convert_hint(path, name), line=line)


def _guess(data: bytes) -> str:
    """A likely name for an 8-bit or multi-byte encoding. Judged by how often high bytes stand alone."""
    high = sum(byte >= 0x80 for byte in data[:100_000])
    alone = sum(
        1
        for i, byte in enumerate(data[:100_000])
        if byte >= 0x80 and (i == 0 or data[i - 1] < 0x80) and (i + 1 >= len(data) or data[i + 1] < 0x80)
    )
    if alone * 2 > high:
        return "Windows-1252" if any(0x80 <= byte < 0xA0 for byte in data) else "Latin-1"
    if re.search(rb"\xed[\xa0-\xbf]", data):
        return "CESU-8, with halves of surrogate pairs"
    whole = data[:100_000].rpartition(b"\n")[0] or data[:100_000]
    for codec, name, first, last, least in _SCRIPTS:
        try:
            text = whole.decode(codec)
        except UnicodeDecodeError:
            continue
        if sum(first <= char <= last for char in text) >= least * max(1, sum(char > "\x7f" for char in text)):
            return name
    return "another encoding"


def _convert_hint(path: Path, name: str) -> str:
    known = {"another encoding": "ENCODING", "Latin-1": "LATIN1", "Shift-JIS": "SHIFT_JIS"}
    if name.startswith("CESU-8"):
        return f"repair it: iconv -f UTF-8 -t UTF-8 -c {path.name} > utf8-{path.name} leaves the halves out"
    return f"convert it: iconv -f {known.get(name, name.upper())} -t UTF-8 {path.name} > utf8-{path.name}"


def lines(path: Path, stream: BinaryIO) -> Iterator[tuple[int, int, bytes | None]]:
    """Line number (1-based), byte offset and bytes of every line, its line end included; None for a line that is
    longer than `LONGEST_LINE_BYTES`.

    Raises:
        InvalidError: compressed data ends too early or is damaged.
    """
    number = offset = 0
    read = stream.readline
    try:
        while data := read(LONGEST_LINE_BYTES):
            number += 1
            if len(data) < LONGEST_LINE_BYTES or data.endswith(b"\n"):
                yield number, offset, data
                offset += len(data)
                continue
            offset += len(data)
            while (data := read(_CHUNK_BYTES)) and not data.endswith(b"\n"):
                offset += len(data)
            offset += len(data)
            yield number, offset, None
    except (OSError, EOFError, zlib.error) as error:
        raise refuse(path, f"breaks off after line {number}: {error}", hint="fetch the file again") from None


def chunks(path: Path, stream: BinaryIO) -> Iterator[str]:
    """The text of a file in pieces of about a million characters.

    Raises:
        InvalidError: a byte is not UTF-8 (with its offset), or compressed data is damaged.
    """
    decode = codecs.getincrementaldecoder("utf-8")()
    offset, line = 0, 1
    try:
        while data := stream.read(_CHUNK_BYTES):
            pending = decode.getstate()[0]
            try:
                text = decode.decode(data)
            except UnicodeDecodeError:
                raise encoding_error(path, pending + data, offset - len(pending), line) from None
            yield text
            offset += len(data)
            line += text.count("\n")
        pending = decode.getstate()[0]
        if pending:
            raise encoding_error(path, pending, offset - len(pending), line)
    except (OSError, EOFError, zlib.error) as error:
        raise refuse(path, f"breaks off after byte {offset}: {error}", hint="fetch the file again") from None
