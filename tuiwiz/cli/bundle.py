"""`tuiwiz bundle lock|pack|unpack`: what a bundle was made with, and the bundle on another machine."""

from __future__ import annotations

from pathlib import Path

import typer

AS_JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Lock a bundle, carry it elsewhere.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="bundle")

    @group.command("lock")
    def lock(
        bundle: Path = typer.Argument(..., help="The bundle file."),
        output: Path | None = typer.Option(None, "-o", "--output", help="Write here; else into the bundle itself."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Write the hashes of data and model and all versions into a bundle; comments in it stay."""
        _lock(bundle, output, as_json=as_json)

    @group.command("pack")
    def pack(
        bundle: str = typer.Argument(..., help="The bundle file; or a run, which is packed as it really ran."),
        output: Path | None = typer.Option(None, "-o", "--output", help="The archive; else NAME.tuiwiz.zip."),
        force: bool = typer.Option(False, "--force", help="Replace the archive if it is there."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Put a bundle, its data and its preset into one archive for another machine."""
        _pack(bundle, output, force=force, as_json=as_json)

    @group.command("unpack")
    def unpack(
        archive: Path = typer.Argument(..., help="The archive."),
        output: Path | None = typer.Option(None, "-o", "--output", help="The new folder; else one of its name here."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Take an archive apart into a new folder. Nothing in it is executed, nothing fetched."""
        _unpack(archive, output, as_json=as_json)


def _lock(path: Path, output: Path | None, *, as_json: bool) -> None:
    from tuiwiz.base.errors import InvalidError, MachineLacksError
    from tuiwiz.base.files import write_atomic
    from tuiwiz.bundle.drift import drift
    from tuiwiz.bundle.lock import data_names
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.bundle.relock import with_lock
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.runs.folder import start_of
    from tuiwiz.wizard.facts import present_lock

    bundle = read_bundle(path)
    absent = [name for name in data_names(bundle) if not (start_of(path) / name).exists()]
    if absent:
        raise InvalidError(f"{absent[0]} is not there", hint="a lock speaks of the files that a bundle names")
    tell = None if as_json else (lambda name: note(f"  hashing {name}"))
    now, here = present_lock(bundle, start_of(path), progress=tell)
    changed = drift(bundle.lock, now, model_is_here=here) if bundle.lock is not None else []
    target = output or path
    try:
        write_atomic(target, with_lock(path.read_text(encoding="utf-8-sig"), bundle, now))
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror or error}"
        raise MachineLacksError(message, hint="name a file that you may write with -o") from error
    if as_json:
        emit_json({"ok": True, "path": str(target), "lock": now, "changed": changed, "model_is_here": here})
        return
    for one in changed:
        say(f"  {one.message}")
    if not here:
        note("tuiwiz: the model is not on this machine: its files are not locked")
    say(f"{target}: locked {len(now.data)} data and {len(now.model)} model files")


def _pack(given: str, output: Path | None, *, force: bool, as_json: bool) -> None:
    from tuiwiz.base.errors import MachineLacksError, UsageError
    from tuiwiz.base.units import human_bytes
    from tuiwiz.bundle.pack import pack
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.runs.folder import as_it_ran, base_of, start_of
    from tuiwiz.runs.names import slug
    from tuiwiz.runs.registry import find

    path = Path(given)
    if path.is_file():
        bundle, base = read_bundle(path), start_of(path)
    else:
        run = find(given)
        bundle, base = as_it_ran(run), base_of(run)
    target = output or Path(f"{slug(bundle.name)}.tuiwiz.zip")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="name another with -o, or replace it with --force")
    tell = None if as_json else (lambda name: note(f"  packing {name}"))
    try:
        manifest = pack(bundle, base, target, preset=_preset_of(bundle.origin), tell=tell)
    except OSError as error:
        # What is written is first written aside, under a name that nobody knows.
        mine = not error.filename or Path(error.filename).suffix == ".tmp"
        message = f"{target if mine else error.filename} cannot be read or written: {error.strerror or error}"
        raise MachineLacksError(message, hint="name an archive that you may write with -o") from error
    size = target.stat().st_size
    if as_json:
        emit_json({"ok": True, "path": str(target), "bytes": size, "files": manifest.files})
        return
    note(f"tuiwiz: the model, {bundle.model.source}, is not inside: the other machine brings its own")
    if bundle.lock is None:
        note("tuiwiz: the bundle has no lock; `tuiwiz bundle lock` first lets the other machine compare")
    say(f"{target}: {human_bytes(size)}, {len(manifest.files) + 1} files")


def _unpack(archive: Path, output: Path | None, *, as_json: bool) -> None:
    from tuiwiz.base.errors import UsageError
    from tuiwiz.bundle.unpack import unpack
    from tuiwiz.cli.output import emit_json, say

    if not archive.is_file():
        raise UsageError(f"there is no archive {archive}")
    name = archive.name.removesuffix(".zip").removesuffix(".tuiwiz")
    target = output or Path(name if name not in ("", ".", "..") else "bundle")
    bundle, manifest = unpack(archive, target)
    if as_json:
        emit_json({"ok": True, "path": str(target / "bundle.toml"), "name": bundle.name, "files": manifest.files})
        return
    say(f"{target}: {len(manifest.files) + 1} files")
    say(f"  model   {bundle.model.source}, as this machine knows it")
    if "preset.toml" in manifest.files:
        say(f"  preset  {target / 'preset.toml'}: `tuiwiz presets validate` looks at it")
    say(f"  next    tuiwiz check {target / 'bundle.toml'}")


def _preset_of(origin: dict[str, str]) -> Path | None:
    """The file of the preset that decided values of the bundle; None where none did or it is not here any more."""
    from tuiwiz.presets.find import all_presets

    named = [who.removeprefix("preset ").strip() for who in origin.values() if who.startswith("preset ")]
    known = all_presets().presets
    return next((known[name].path for name in named if name in known), None)
