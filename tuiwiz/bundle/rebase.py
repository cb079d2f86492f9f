"""The same bundle for a file in another folder: its paths go along, and so do the names in its lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tuiwiz.bundle.lock import data_names
from tuiwiz.spec.bundle import Bundle, Lock


def absolute(bundle: Bundle, base: Path) -> Bundle:
    """`bundle`, whose relative paths start at `base`, for a file anywhere.

    Paths are joined and not tidied: `..` behind a symbolic link is not the folder above it, and `from_folder` finds
    what the user wrote.
    """
    return _renamed(bundle, base, lambda path: str(base / path))


def from_folder(bundle: Bundle, base: Path) -> Bundle:
    """`bundle` with the paths that begin with `base` relative to it, as `absolute` found them."""
    start = f"{base}{os.sep}"
    return _renamed(bundle, base, lambda path: path.removeprefix(start))


def moved(bundle: Bundle, base: Path, to: Path) -> Bundle:
    """`bundle`, whose relative paths start at `base`, for a file in `to`; absolute paths stay."""
    if base == to:
        return bundle
    return _renamed(bundle, base, lambda path: path if os.path.isabs(path) else os.path.relpath(base / path, to))


def rename_data(lock: Lock, names: Mapping[str, str]) -> Lock:
    """`lock` with data sets called by new names (old -> new), and the files of a folder with it."""

    def renamed(name: str) -> str:
        for old, new in names.items():
            if name == old or name.startswith(f"{old.rstrip('/')}/"):
                return new + name[len(old.rstrip("/")) :]
        return name

    return msgspec.structs.replace(
        lock,
        data={renamed(name): digest for name, digest in lock.data.items()},
        rows={renamed(name): count for name, count in lock.rows.items()},
    )


def _renamed(bundle: Bundle, base: Path, rename: Callable[[str], str]) -> Bundle:
    # A model of the hub and a named template look like relative paths, and a folder may be called as they are.
    source, template = bundle.model.source, bundle.data.template
    if not source.startswith("~") and (base / source).exists():
        source = rename(source)
    if (base / template).is_file():
        template = rename(template)
    train, validation, start = bundle.data.train, bundle.validation.path, bundle.adapter.from_
    sets = (
        rename(train)
        if isinstance(train, str)
        else tuple(msgspec.structs.replace(one, path=rename(one.path)) for one in train)
    )
    return msgspec.structs.replace(
        bundle,
        model=msgspec.structs.replace(bundle.model, source=source),
        data=msgspec.structs.replace(bundle.data, train=sets, template=template),
        validation=msgspec.structs.replace(bundle.validation, path=rename(validation) if validation else validation),
        adapter=msgspec.structs.replace(bundle.adapter, from_=rename(start) if start else start),
        phases=tuple(
            msgspec.structs.replace(phase, data=rename(phase.data)) if phase.data else phase for phase in bundle.phases
        ),
        lock=rename_data(bundle.lock, {name: rename(name) for name in data_names(bundle)}) if bundle.lock else None,
    )
