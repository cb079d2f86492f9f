"""A data file or folder opened as rows, whatever container they lie in."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.hashes import cached_sha256
from tuiwiz.base.problems import Problem
from tuiwiz.data import read_json, read_object, read_table, shards
from tuiwiz.data import stream as streams
from tuiwiz.data.types import Row

_SUFFIXES = {
    ".jsonl": "json-lines",
    ".ndjson": "json-lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
COLUMNAR = ("parquet", "arrow")


class Source(msgspec.Struct, kw_only=True):
    """How the rows of a path lie on disk. Read them with `read`; it starts anew each time.

    `container` is json-lines, json-array, json-columns, json-splits, json-object, json-objects (one after the other),
    csv, text, parquet or arrow; a folder is what its files are. `split` is the part that is read, `splits` all parts
    with their rows where these are known, `key` the name of the list that the rows lie in; `starts[i]` is how many rows
    lie before those of file i, as far as `read` has come.
    """

    path: Path
    files: tuple[Path, ...]
    container: str
    delimiter: str = ","
    split: str = ""
    key: str = ""
    splits: dict[str, int] = {}
    loaded: list[Any] | None = None
    starts: list[int] = []

    def read(self) -> Iterator[Row | Problem]:
        """Rows and, for rows that cannot be read, Problems; numbered through all files.

        Raises:
            InvalidError: the file cannot be read on.
        """
        if len(self.files) == 1:
            self.starts = [0]
            yield from self._read(self.files[0])
            return
        number = 0
        self.starts = []
        for file in self.files:
            self.starts.append(number)
            for found in self._read(file):
                number += 1
                if isinstance(found, Row):
                    yield Row(number, found.line, found.value)
                else:
                    yield msgspec.structs.replace(found, row=number)

    def _read(self, file: Path) -> Iterator[Row | Problem]:
        if self.container in COLUMNAR:
            yield from read_table.read_columnar(file, self.container)
            return
        if self.loaded is not None:
            for number, value in enumerate(self.loaded, 1):
                yield Row(number, 0, value)
            return
        with streams.open_bytes(file) as stream:
            if self.container == "csv":
                yield from read_table.read_csv(file, stream, self.delimiter)
            elif self.container == "text":
                yield from read_table.read_text(file, stream)
            elif self.container == "json-lines":
                yield from read_json.read_lines(file, stream)
            elif self.container == "json-objects":
                yield from read_object.read_objects(file, stream)
            elif self.key:
                yield from read_object.read_under(file, stream, self.key)
            else:
                yield from read_object.read_array(file, stream)

    def place(self, row: int) -> tuple[Path, int]:
        """The file of a row that was read, and its number there."""
        file = max(0, bisect_left(self.starts, row) - 1)
        return (self.files[file], row - self.starts[file]) if self.starts else (self.path, row)

    def row_words(self, row: int) -> str:
        """`row 3`, and of which file where there are several."""
        file, number = self.place(row)
        return f"row {number} of {file.name}" if len(self.files) > 1 else f"row {number}"

    def placed(self, problem: Problem) -> Problem:
        """A problem of a row of this source with that row's own file and its number there."""
        if problem.row is None or not self.starts:
            return problem
        file, number = self.place(problem.row)
        return msgspec.structs.replace(problem, path=str(file), row=number)

    def digest(self) -> str:
        """Hex SHA-256 over the files' bytes, in reading order."""
        if len(self.files) == 1:
            return cached_sha256(self.files[0])
        return hashlib.sha256("".join(cached_sha256(file) for file in self.files).encode()).hexdigest()


def open_source(path: Path, *, split: str = "") -> Source:
    """Recognise the container of `path` by content first and by name second.

    Raises:
        InvalidError: there is nothing to read, or `split` is not among the splits.
    """
    if path.is_dir():
        return _open_folder(path, split)
    with path.open("rb") if path.is_file() else streams.open_bytes(path) as file:
        magic = file.read(64)
    if magic.startswith(b"PAR1"):
        return Source(path=path, files=(path,), container="parquet")
    if magic.startswith(b"ARROW1"):
        return Source(path=path, files=(path,), container="arrow")
    suffix = next((s for s in reversed(path.suffixes) if s.lower() in _SUFFIXES), "").lower()
    named = _SUFFIXES.get(suffix, "")
    if named in COLUMNAR:
        streams.refuse_other_kinds(path, magic, named)
        return Source(path=path, files=(path,), container=named)
    with streams.open_bytes(path) as stream:
        try:
            head = stream.read(1 << 16)
        except (OSError, EOFError) as error:
            raise streams.refuse(path, f"the compressed data is damaged: {error}") from None
    if not head.strip():
        raise streams.refuse(path, "no rows: the file is empty" + (" but for blank lines" if head else ""))
    streams.refuse_other_kinds(path, head, named)
    container = _container(head.lstrip(), named)
    if container == "csv":
        text = head.decode("utf-8", errors="replace")
        delimiter = read_table.guess_delimiter(text, "\t" if suffix == ".tsv" else "")
        return Source(path=path, files=(path,), container="csv", delimiter=delimiter)
    if container == "json-object":
        return _open_object(path, split)
    return Source(path=path, files=(path,), container=container)


def loads_numpy(path: Path) -> bool:
    """Whether reading `path` loads pyarrow, and with it numpy: for processes that must stay free of both."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))[:1000]
    for file in files:
        if file.suffix.lower() in {".parquet", ".arrow"}:
            return True
        if file.is_file():
            with file.open("rb") as stream:
                if stream.read(6).startswith((b"PAR1", b"ARROW1", b"\x28\xb5\x2f\xfd")):
                    return True
    return False


def _container(head: bytes, named: str) -> str:
    """The container of a text file from its first bytes (white space before them removed)."""
    first = head[:1]
    if named in {"text", "csv"}:
        return named
    if named == "json-lines":
        return _of_lines(head)
    if first == b"[":
        return "json-array"
    if first == b"{":
        line, _, rest = head.partition(b"\n")
        try:
            msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Not a whole value on the first line: one pretty-printed object, unless the name or the next line says not.
            return "json-lines" if rest.lstrip()[:1] == b"{" and line.rstrip().endswith(b"}") else "json-object"
        return "json-lines" if rest.strip() else "json-object"
    if named == "json":
        return "json-lines"  # its first line is then refused as not JSON
    return "text" if read_table.guess_delimiter(head.decode("utf-8", "replace")) != "\t" else "csv"


def _of_lines(head: bytes) -> str:
    """What a file named as JSON lines holds: those, unless it is one array, or objects written over several lines."""
    line, _, _ = head.partition(b"\n")
    if line.strip() == b"{":
        return "json-object"
    if head[:1] != b"[":
        return "json-lines"
    inside = head[1:].lstrip()[:1]
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The first line is no value: an array over several lines, or over one that is longer than this look.
        return "json-array" if not line.strip(b"[ \t\r") or inside in (b"{", b"[") else "json-lines"
    return "json-array" if inside in (b"{", b"[") else "json-lines"


def _open_object(path: Path, split: str) -> Source:
    with streams.open_bytes(path) as stream:
        values = read_json.Values(path, stream)
        values.peek()
        seen = read_object.outline(path, values)
    if seen.more:
        return Source(path=path, files=(path,), container="json-objects")
    found = read_object.layout(path, seen, split)
    return Source(
        path=path,
        files=(path,),
        container=found.container,
        split=found.key if found.container == "json-splits" else "",
        key=found.key,
        splits=found.splits,
        loaded=found.loaded,
    )


def _open_folder(path: Path, split: str) -> Source:
    """Shards in the order of their names; where some names say `train`, only those."""
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and any(suffix.lower() in _SUFFIXES for suffix in file.suffixes)
        and file.name not in {"dataset_info.json", shards.STATE_FILE, "dataset_dict.json", "README.md"}
        and file.suffix.lower() != ".md"
    )
    wanted = [file for file in files if (split or "train") in str(file.relative_to(path)).casefold()]
    files = wanted or files
    if not files:
        raise streams.refuse(
            path, "no data files in this folder", hint="expected .jsonl, .json, .csv, .parquet, .arrow"
        )
    shards.complete(path, files)
    first = open_source(files[0])
    kinds = {_SUFFIXES.get(next(s for s in reversed(f.suffixes) if s.lower() in _SUFFIXES).lower()) for f in files}
    if len(kinds) > 1 or ((first.loaded is not None or first.key) and len(files) > 1):
        names = ", ".join(file.name for file in files[:4])
        raise streams.refuse(path, f"holds files of several kinds ({names})", hint="name one file")
    return msgspec.structs.replace(first, path=path, files=tuple(files))
