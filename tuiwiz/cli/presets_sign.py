"""`tuiwiz presets export|trust`: presets as files that may be signed, and the keys whose signatures are believed."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

JSON = typer.Option(False, "--json", help="One JSON document.")


def register(group: typer.Typer) -> None:
    group.command("export")(export)
    group.command("trust")(trust)


def export(
    name: str = typer.Argument(..., help="The preset's name."),
    output: Path | None = typer.Option(None, "-o", "--output", help="Where to write it; left out: standard output."),
    force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
    key: Path | None = typer.Option(None, "--sign", help="Sign it with this private ssh key: writes OUTPUT.sig."),
    as_json: bool = JSON,
) -> None:
    """Write a preset as one file that stands by itself, with its digest and its results."""
    from tuiwiz.base.errors import MachineLacksError, UsageError
    from tuiwiz.base.files import write_atomic
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.read import parse_preset
    from tuiwiz.presets.share import export_text
    from tuiwiz.presets.signature import sign

    text = export_text(name)
    preset, _ = parse_preset(text, Path(f"{name}.toml"))
    digest = preset.digest if preset is not None else ""
    if output is None:
        if key is not None:
            raise UsageError("a signature belongs to a file", hint="name it with -o FILE")
        if as_json:
            emit_json({"ok": True, "name": name, "digest": digest, "text": text})
        else:
            sys.stdout.write(text)
        return
    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="choose another file, or replace it with --force")
    beside = output.with_name(f"{output.name}.sig")
    signature = sign(text.encode(), key) if key is not None else ""
    try:
        write_atomic(output, text)
        if signature:
            write_atomic(beside, signature)
        else:
            # A signature of what stood there before would only be taken for a forgery.
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise MachineLacksError(f"{output} cannot be written: {error.strerror or error}") from error
    if as_json:
        emit_json({"ok": True, "name": name, "digest": digest, "path": str(output), "signed": bool(signature)})
        return
    say(f"{output}: preset {name}, digest {digest[:12]}. Others add it with `tuiwiz presets add {output.name}`")
    if signature:
        say(f"{beside}: its signature; send both. Others trust your key with `tuiwiz presets trust KEY.pub --as NAME`")


def trust(
    key: Path = typer.Argument(..., help="A public ssh key: the .pub file."),
    name: str = typer.Option(..., "--as", help="Whose key it is."),
    as_json: bool = JSON,
) -> None:
    """Trust the signatures of a key: presets that it signed are then shown with this name."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.trust import path
    from tuiwiz.presets.trust import trust as trust_key

    found = trust_key(key, name)
    if as_json:
        emit_json({"ok": True, "name": name, "fingerprint": found, "path": str(path())})
    else:
        say(f"{name} is trusted with {found} ({path()})")
