"""Archives from strangers, taken apart with care: nothing is written outside the new folder, nothing larger than said,
nothing but plain files, and nothing stays where anything is wrong."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.base.text import CONTROL, clean_line
from tuiwiz.base.units import GIB, human_bytes
from tuiwiz.bundle.pack import FORMAT, MANIFEST, Manifest
from tuiwiz.bundle.read import LARGEST_FILE, read_bundle
from tuiwiz.spec.bundle import Bundle

MOST_FILES = 10_000
MOST_RATIO = 100
"""Unpacked bytes for a byte of the archive, beyond the first GiB: text shrinks to a tenth, a bomb to a thousandth."""
MOST_DEEP, LONGEST_NAME = 32, 255
"""Folders below each other, and bytes of one name, which is what file systems take."""
_PLACES = re.compile(r"(bundle\.toml|preset\.toml|pack\.json|(data|adapter|template)/.+)")
_NAME = re.compile(r"[^\x00-\x1f\x7f\\:*?\"<>|]+")
_ADAPTER = (".json", ".safetensors")


def unpack(archive: Path, output: Path) -> tuple[Bundle, Manifest]:
    """Unpack `archive` into the new folder `output` and return its bundle.

    Raises:
        UsageError: `output` is there already.
        InvalidError: it is no such archive, or a dangerous one; nothing is left behind.
        MachineLacksError: there is no room for it, or the folder cannot be written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already", hint="name a new folder with -o")
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as opened:
            members, manifest = _inspected(opened, archive, output.parent)
            temporary.mkdir()
            for member in members:
                _write(opened, member, temporary, manifest)
        bundle = read_bundle(temporary / "bundle.toml")
        _refuse_outside(bundle)
        if output.exists():
            output.rmdir()
        os.rename(temporary, output)
        return bundle, manifest
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError is what zipfile says of an encrypted member.
        raise InvalidError(f"{archive.name} is no archive of tuiwiz: {clean_line(str(error), 120)}") from None
    except OSError as error:
        raise MachineLacksError(f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _inspected(opened: zipfile.ZipFile, archive: Path, target: Path) -> tuple[list[zipfile.ZipInfo], Manifest]:
    """The members, each looked at before a byte of any is written."""
    members = opened.infolist()
    if len(members) > MOST_FILES:
        raise InvalidError(f"{archive.name} holds {len(members):,} files, more than {MOST_FILES:,}")
    names = [member.filename for member in members]
    # As the file systems compare that tell neither capitals nor ways to write an accent apart.
    folded = {unicodedata.normalize("NFKC", name.casefold()) for name in names}
    if len(folded) != len(names):
        raise InvalidError(f"{archive.name} holds a name twice")
    inside = {part for name in folded for part in _parents(name)} & folded
    if inside:
        raise InvalidError(f"{clean_line(min(inside), 80)} in the archive is a file and a folder")
    for member in members:
        _refuse_dangerous(member)
    if "bundle.toml" not in names or MANIFEST not in names:
        raise InvalidError(f"{archive.name} is no archive of tuiwiz", hint="`tuiwiz bundle pack` makes one")
    total, packed = sum(member.file_size for member in members), max(1, archive.stat().st_size)
    if total > max(GIB, MOST_RATIO * packed):
        raise InvalidError(f"{archive.name} would grow from {human_bytes(packed)} to {human_bytes(total)}: refused")
    free = shutil.disk_usage(target).free
    if total > free:
        raise MachineLacksError(f"unpacked it takes {human_bytes(total)}, {human_bytes(free)} are free")
    for name in ("bundle.toml", "preset.toml", MANIFEST):
        if name in names and opened.getinfo(name).file_size > LARGEST_FILE:
            raise InvalidError(f"{name} is larger than 1 MiB")
    try:
        manifest = msgspec.json.decode(opened.read(MANIFEST), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"{MANIFEST} cannot be read: {clean_line(str(error), 120)}") from None
    if manifest.format > FORMAT:
        raise InvalidError(f"the archive has format {manifest.format}", hint="install a newer tuiwiz")
    if set(manifest.files) != set(names) - {"bundle.toml", MANIFEST}:
        raise InvalidError(f"{MANIFEST} does not list the files that are in the archive")
    return members, manifest


def _parents(name: str) -> list[str]:
    """The folders above a name: `a`, `a/b` of `a/b/c`."""
    parts = name.split("/")[:MOST_DEEP]
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _refuse_dangerous(member: zipfile.ZipInfo) -> None:
    name = member.filename
    shown = clean_line(name, 80)
    parts = name.split("/")
    # zipfile cuts a name at a zero byte; what stood there before is the name in the archive.
    if member.orig_filename != name and "\x00" in member.orig_filename:
        raise InvalidError("the archive holds a name with a zero byte")
    if not _NAME.fullmatch(name) or name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise InvalidError(
            f"the archive holds the name {shown!r}, which leads outside its folder or is no plain file's"
        )
    if CONTROL.search(name) or len(parts) > MOST_DEEP or any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise InvalidError(f"the archive holds the name {shown!r}, which no data set has")
    if not _PLACES.fullmatch(name) or any(part.startswith(".") for part in parts):
        raise InvalidError(f"the archive holds {shown!r}, which has no place in it")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or member.is_dir():
        raise InvalidError(f"{shown} in the archive is a link or a device, not a file")
    if parts[0] == "adapter" and Path(name).suffix not in _ADAPTER:
        raise InvalidError(f"{shown} in the archive is no safetensors or JSON file")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidError(f"{shown} is compressed in a way that tuiwiz does not write")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, manifest: Manifest) -> None:
    """Write one member, never more than it said, and compare it with the manifest."""
    path = folder / member.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, written = hashlib.sha256(), 0
    with opened.open(member) as source, path.open("xb") as target:
        while piece := source.read(1 << 20):
            written += len(piece)
            if written > member.file_size:
                raise InvalidError(f"{clean_line(member.filename, 80)} is larger than the archive says")
            digest.update(piece)
            target.write(piece)
    listed = manifest.files.get(member.filename)
    if listed is not None and (listed.bytes, listed.sha256) != (written, digest.hexdigest()):
        raise InvalidError(f"{clean_line(member.filename, 80)} is not the file that was packed")


def _refuse_outside(bundle: Bundle) -> None:
    """A packed bundle names its own files only; one that names others would read what it was not given."""
    from tuiwiz.bundle.lock import data_names

    named = [*data_names(bundle), *([bundle.adapter.from_] if bundle.adapter.from_ else [])]
    if "/" in bundle.data.template:
        named.append(bundle.data.template)
    for name in named:
        if Path(name).is_absolute() or name.startswith("~") or ".." in Path(name).parts:
            raise InvalidError(
                f"the packed bundle names {clean_line(name, 80)}, a file outside its archive",
                hint="pack it again with `tuiwiz bundle pack`, which takes its files along",
            )
