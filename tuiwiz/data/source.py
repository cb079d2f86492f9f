"""A data file or folder opened as rows, whatever container they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.hashes import cached_sha256
from tuiwiz.base.problems import Problem, nearest
from tuiwiz.base.text import clean_line
from tuiwiz.data import read_json, read_table
from tuiwiz.data import stream as streams
from tuiwiz.data.types import Row

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "eval", "test")
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

    `container` is json-lines, json-array, json-columns, json-splits, json-object, csv, text, parquet or arrow; a folder
    is what its files are. `split` is the part that is read, `splits` all parts with their rows.
    """

    path: Path
    files: tuple[Path, ...]
    container: str
    delimiter: str = ","
    split: str = ""
    splits: dict[str, int] = {}
    loaded: list[Any] | None = None

    def read(self) -> Iterator[Row | Problem]:
        """Rows and, for rows that cannot be read, Problems; numbered through all files.

        Raises:
            InvalidError: the file cannot be read on.
        """
        if len(self.files) == 1:
            yield from self._read(self.files[0])
            return
        number = 0
        for file in self.files:
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
            else:
                yield from read_json.read_array(file, _at_value(file, stream))

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
        magic = file.read(6)
    if magic.startswith(b"PAR1"):
        return Source(path=path, files=(path,), container="parquet")
    if magic.startswith(b"ARROW1"):
        return Source(path=path, files=(path,), container="arrow")
    suffix = next((s for s in reversed(path.suffixes) if s.lower() in _SUFFIXES), "").lower()
    named = _SUFFIXES.get(suffix, "")
    if named in COLUMNAR:
        return Source(path=path, files=(path,), container=named)
    with streams.open_bytes(path) as stream:
        try:
            head = stream.read(1 << 16)
        except (OSError, EOFError) as error:
            raise streams.refuse(path, f"the compressed data is damaged: {error}") from None
    if not head.strip():
        raise streams.refuse(path, "no rows: the file is empty" + (" but for blank lines" if head else ""))
    container = _container(head.lstrip(), named)
    if container == "csv":
        text = head.decode("utf-8", errors="replace")
        delimiter = "\t" if suffix == ".tsv" else read_table.guess_delimiter(text)
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
    if named in {"json-lines", "text", "csv"}:
        return named
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


def _at_value(path: Path, stream: Any) -> read_json.Values:
    values = read_json.Values(path, stream)
    values.peek()
    return values


def _open_object(path: Path, split: str) -> Source:
    """One JSON object that is the whole file: splits, columns, rows under one key, or a single row."""
    with streams.open_bytes(path) as stream:
        values = _at_value(path, stream)
        found = values.value()
        if values.peek():
            # Objects one after the other, each over several lines.
            rows = [found]
            while values.peek():
                rows.append(values.value())
            return Source(path=path, files=(path,), container="json-objects", loaded=rows)
    lists = {key: value for key, value in found.items() if isinstance(value, list)}
    if lists and len(lists) == len(found):
        heads = [value[0] for value in lists.values() if value]
        rows_inside = heads and all(isinstance(head, dict) for head in heads)
        if rows_inside or any(key.casefold() in SPLIT_NAMES for key in lists):
            return _choose_split(path, lists, split)
        if len({len(value) for value in lists.values()}) == 1:
            columns = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
            return Source(path=path, files=(path,), container="json-columns", loaded=columns)
        sizes = ", ".join(f"{clean_line(key, 20)} {len(value)}" for key, value in list(lists.items())[:5])
        raise streams.refuse(path, f"an object of columns of different lengths ({sizes})")
    inside = [key for key, value in lists.items() if value and isinstance(value[0], dict)]
    if len(inside) == 1 and inside[0] not in {"messages", "conversations", "tools"}:
        return Source(path=path, files=(path,), container="json-object", loaded=lists[inside[0]])
    return Source(path=path, files=(path,), container="json-object", loaded=[found])


def _choose_split(path: Path, lists: dict[str, list[Any]], split: str) -> Source:
    sizes = {key: len(value) for key, value in lists.items()}
    by_name = {key.casefold(): key for key in lists}
    if split and split not in lists:
        close = nearest(split, lists)
        hint = f"did you mean {close}?" if close else f"there are: {', '.join(clean_line(key, 20) for key in lists)}"
        raise streams.refuse(path, f"there is no split '{clean_line(split, 40)}'", hint=hint)
    chosen = split or next((by_name[name] for name in SPLIT_NAMES if name in by_name), next(iter(lists)))
    return Source(path=path, files=(path,), container="json-splits", split=chosen, splits=sizes, loaded=lists[chosen])


def _open_folder(path: Path, split: str) -> Source:
    """Shards in the order of their names; where some names say `train`, only those."""
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and any(suffix.lower() in _SUFFIXES for suffix in file.suffixes)
        and file.name not in {"dataset_info.json", "state.json", "dataset_dict.json", "README.md"}
        and file.suffix.lower() != ".md"
    )
    wanted = [file for file in files if (split or "train") in str(file.relative_to(path)).casefold()]
    files = wanted or files
    if not files:
        raise streams.refuse(
            path, "no data files in this folder", hint="expected .jsonl, .json, .csv, .parquet, .arrow"
        )
    first = open_source(files[0])
    kinds = {_SUFFIXES.get(next(s for s in reversed(f.suffixes) if s.lower() in _SUFFIXES).lower()) for f in files}
    if len(kinds) > 1 or (first.loaded is not None and len(files) > 1):
        names = ", ".join(file.name for file in files[:4])
        raise streams.refuse(path, f"holds files of several kinds ({names})", hint="name one file")
    return Source(
        path=path, files=tuple(files), container=first.container, delimiter=first.delimiter, loaded=first.loaded
    )
