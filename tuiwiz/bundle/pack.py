"""A bundle with everything of the user's that it names, as one zip archive for another machine.

Inside: `bundle.toml` with paths made relative, `data/`, `adapter/` and `template/` where it names such, `preset.toml`
where a preset made it, and `pack.json` with size and SHA-256 of every file. The model stays outside: the lock
identifies it.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec

import tuiwiz
from tuiwiz.base.errors import InvalidError
from tuiwiz.base.files import fsync_folder, sha256_file
from tuiwiz.bundle.change import change
from tuiwiz.bundle.drift import drift, refuse
from tuiwiz.bundle.lock import data_names, lock_now
from tuiwiz.bundle.rebase import rename_data
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import plain

FORMAT = 1
MANIFEST = "pack.json"
PUT_BACK = "put the old files back, or accept the new ones with `tuiwiz bundle lock`"


class Packed(msgspec.Struct, frozen=True):
    """One file of an archive."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `pack.json` says of an archive."""

    format: int
    tuiwiz: str
    name: str
    files: dict[str, Packed]


def pack(
    bundle: Bundle, base: Path, output: Path, *, preset: Path | None = None, tell: Callable[[str], None] | None = None
) -> Manifest:
    """Write `bundle`, whose relative paths start at `base`, and its files to the archive `output`.

    Raises:
        InvalidError: a file that the bundle names is not there.
        DriftError: data are not those of the bundle's lock, so that the other machine would refuse them.
        OSError: the archive cannot be written; nothing is left behind.
    """
    files, edits = _gather(bundle, base)
    if bundle.lock is not None:
        found = drift(bundle.lock, lock_now(bundle, base, None), model_is_here=False)
        refuse((one for one in found if one.kind == "data"), hint=PUT_BACK)
    if preset is not None:
        files["preset.toml"] = preset
    packed = change(bundle, edits, by="pack") if edits else bundle
    # The files are the same, only elsewhere: the lock goes along under their new names.
    lock = _renamed(bundle, edits)
    whole = msgspec.structs.replace(packed, lock=lock, origin=bundle.origin, adjustments=bundle.adjustments)
    text = write_bundle(whole).encode("utf-8")
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    listed: dict[str, Packed] = {}
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr("bundle.toml", text)
            for name, path in files.items():
                if tell is not None:
                    tell(name)
                listed[name] = Packed(path.stat().st_size, sha256_file(path))
                archive.write(path, name)
            manifest = Manifest(format=FORMAT, tuiwiz=tuiwiz.__version__, name=bundle.name, files=listed)
            archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(output.parent)
    return manifest


def _gather(bundle: Bundle, base: Path) -> tuple[dict[str, Path], dict[str, object]]:
    """Archive name -> file, and the edits that make the bundle name them so."""
    files: dict[str, Path] = {}
    edits: dict[str, object] = {}
    new: dict[str, str] = {}
    for name in data_names(bundle):
        new[name] = _add(files, "data", base / name, name)
    train = bundle.data.train
    if isinstance(train, str):
        edits["data.train"] = new[train]
    else:
        edits["data.train"] = [{"path": new[part.path], "weight": part.weight} for part in train]
    if bundle.validation.path:
        edits["validation.path"] = new[bundle.validation.path]
    if any(phase.data for phase in bundle.phases):
        tables = [{name: value for name, value in plain(phase).items() if value is not None} for phase in bundle.phases]
        edits["phases"] = [{**one, **({"data": new[one["data"]]} if one.get("data") else {})} for one in tables]
    if (base / bundle.data.template).is_file():
        edits["data.template"] = _add(files, "template", base / bundle.data.template, bundle.data.template)
    source = bundle.adapter.from_
    if source is not None:
        folder = base / source
        for path in sorted(
            [*folder.glob("adapter_*"), *folder.glob("weights.safetensors"), *folder.glob("manifest.json")]
        ):
            if path.suffix in (".json", ".safetensors"):
                files[f"adapter/{path.name}"] = path
        edits["adapter.from"] = "adapter"
    return files, edits


def _add(files: dict[str, Path], section: str, path: Path, name: str) -> str:
    """Put a file, or what is in a folder, into `files`; returns its new name for the bundle."""
    if not path.exists():
        raise InvalidError(f"{name} is not there", hint="an archive carries everything that its bundle names")
    target = f"{section}/{path.name}"
    number = 1
    while target in files or any(other.startswith(f"{target}/") for other in files):
        number += 1
        target = f"{section}/{number}-{path.name}"
    if path.is_file():
        files[target] = path
        return target
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            files[f"{target}/{file.relative_to(path).as_posix()}"] = file
    return target


def _renamed(bundle: Bundle, edits: dict[str, object]) -> object:
    lock = bundle.lock
    if lock is None:
        return None
    names = zip(data_names(bundle), data_names(change(bundle, edits, by="pack")), strict=True)
    return rename_data(lock, dict(names))
