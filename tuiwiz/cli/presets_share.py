"""`tuiwiz presets add|update|remove|from-run`: presets that travel between people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuiwiz.events.folder import RunFolder
    from tuiwiz.presets.fetch import Fetched
    from tuiwiz.presets.preset import Result
    from tuiwiz.presets.share import Offer
    from tuiwiz.spec.bundle import Bundle

JSON = typer.Option(False, "--json", help="One JSON document.")
YES = typer.Option(False, "--yes", help="Store without asking; you have read it elsewhere.")


def register(group: typer.Typer) -> None:
    group.command("add")(add)
    group.command("update")(update)
    group.command("remove")(remove)
    group.command("from-run")(from_run)


def add(
    source: str = typer.Argument(..., help="A file, a folder, an https:// address or a git repository."),
    rename: str = typer.Option("", "--as", help="Store it under this name."),
    yes: bool = YES,
    as_json: bool = JSON,
) -> None:
    """Show presets from elsewhere in full, ask, and store them in your own folder."""
    from tuiwiz.presets.fetch import fetch

    _take(fetch(source), rename, yes=yes, as_json=as_json)


def update(
    name: str = typer.Argument("", help="The preset; left out: all that came from elsewhere."),
    yes: bool = YES,
    as_json: bool = JSON,
) -> None:
    """Fetch presets anew from where they came from; what changed is shown and asked about."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.fetch import fetch
    from tuiwiz.presets.share import SAME, look_at, sources

    known = sources()
    if name and name not in known:
        raise UsageError(f"{name} did not come from elsewhere", hint="`tuiwiz presets add SOURCE` stores one")
    changed: list[tuple[Fetched, str]] = []
    for one in [name] if name else sorted(known):
        fetched = [text for text in fetch(known[one].source) if text.place == known[one].place]
        if not fetched:
            raise UsageError(
                f"{known[one].source} no longer holds {known[one].place}", hint=f"remove {one}, or keep it"
            )
        if look_at(fetched, one)[0].state != SAME:
            changed.append((fetched[0], one))
    if not changed:
        emit_json({"ok": True, "added": []}) if as_json else say("nothing has changed")
        return
    for text, one in changed:
        _take([text], one, yes=yes, as_json=as_json)


def remove(name: str = typer.Argument(..., help="One of your own presets."), as_json: bool = JSON) -> None:
    """Delete one of your own presets."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.share import remove as remove_preset

    path = remove_preset(name)
    emit_json({"ok": True, "path": str(path)}) if as_json else say(f"removed {path}")


def from_run(
    run: str = typer.Argument(..., help="A finished run: its folder, its name or the start of one."),
    name: str = typer.Option("", "--name", help="Name of the preset; left out: that of the run."),
    into: str = typer.Option(
        "", "--into", help="Add what came out to this preset of yours, whose settings the run had."
    ),
    as_json: bool = JSON,
) -> None:
    """Make a preset of a finished run, with what came out; the data itself stays here."""
    from tuiwiz.base import places
    from tuiwiz.base.files import write_atomic
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.presets.find import forget
    from tuiwiz.presets.from_run import preset_of_run
    from tuiwiz.presets.write import digest_of, preset_text
    from tuiwiz.runs.registry import find
    from tuiwiz.wizard.compose import suggested_name

    folder = find(run)
    bundle = read_bundle(folder.bundle)
    if into:
        path, count = _add_result(into, bundle, result_of(folder, bundle))
        if as_json:
            emit_json({"ok": True, "name": into, "path": str(path), "results": count})
            return
        say(f"results of {into}: {count}. Share them: tuiwiz presets export {into} -o {into}.toml")
        return
    name = new_name(name or suggested_name(bundle.name, "") or "run", "--name")
    result = result_of(folder, bundle)
    path = places.presets() / f"{name}.toml"
    preset = preset_of_run(bundle, result, name, path)
    write_atomic(path, preset_text(preset, heading=f"Settings of one run, {folder.path.name}, and what came out."))
    forget()
    if bundle.phases:
        note("the run has phases, which a preset does not carry: `tuiwiz run` its bundle for those")
    if as_json:
        emit_json({"ok": True, "name": name, "path": str(path), "digest": digest_of(preset), "result": result})
        return
    best = "" if result.value is None else f", best {result.metric} {result.value:.4g}"
    say(f"{name} is {path}{best}. Share it: tuiwiz presets export {name} -o {name}.toml")


def _add_result(name: str, bundle: Bundle, result: Result) -> tuple[Path, int]:
    """Puts a run's result beside those that a preset holds; returns its file and how many there are.

    Raises:
        UsageError: no preset of one's own, or the run had other settings.
    """
    import msgspec

    from tuiwiz.base.errors import UsageError
    from tuiwiz.base.files import write_atomic
    from tuiwiz.presets.find import find, forget
    from tuiwiz.presets.from_run import differing
    from tuiwiz.presets.share import joined
    from tuiwiz.presets.write import preset_text

    preset = find(name)
    if preset.shipped:
        hint = f"`tuiwiz presets copy {name} NEW` makes one of your own"
        raise UsageError(f"{name} comes with tuiwiz and holds no results", hint=hint)
    if others := differing(preset, bundle, result):
        hint = "without --into the run becomes a preset of its own"
        raise UsageError(f"the run is none of {name}: {', '.join(others[:5])} differ", hint=hint)
    preset = msgspec.structs.replace(preset, results=joined(preset.results, [result]))
    write_atomic(preset.path, preset_text(preset))
    forget()
    return preset.path, len(preset.results)


def new_name(name: str, option: str) -> str:
    """A name that a preset may have and none has; `option` is where another is given.

    Raises:
        UsageError: it is no such name.
    """
    from tuiwiz.base.errors import UsageError
    from tuiwiz.presets.find import all_presets
    from tuiwiz.presets.preset import LONGEST_NAME
    from tuiwiz.presets.read import SLUG

    if not SLUG.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r} is no preset name", hint=f"small letters, digits and hyphens, {LONGEST_NAME} at most"
        )
    if name in all_presets().presets:
        raise UsageError(f"there is already a preset {name}", hint=f"choose another with {option}")
    return name


def result_of(folder: RunFolder, bundle: Bundle) -> Result:
    """What a finished run measured.

    Raises:
        UsageError: it is not finished.
    """
    import hashlib

    from tuiwiz.base.errors import UsageError
    from tuiwiz.base.text import clean_line
    from tuiwiz.events.fold import view_of
    from tuiwiz.presets.preset import Result
    from tuiwiz.runs.registry import info

    view = view_of(folder)
    found = info(folder, view)
    if found.state != "finished" or view.started is None:
        raise UsageError(f"{folder.path.name} is not finished ({found.state})", hint="only what came to its end counts")
    lock = bundle.lock
    data = "".join(sorted(lock.data.values())) if lock is not None else ""
    return Result(
        model=clean_line(shared_name(view.started.model or bundle.model.source), 100),
        data=hashlib.sha256(data.encode()).hexdigest() if data else "",
        run=view.started.digest,
        parameters=_parameters(folder, bundle),
        rows=view.started.rows or None,
        max_length=bundle.data.max_length,
        steps=view.started.steps or None,
        hardware=clean_line(view.started.device, 100),
        metric="loss",
        first=found.metrics["first"],
        value=found.metrics["best"],
        peak_bytes=found.peak_bytes,
        tokens_per_second=found.tokens_per_second,
    )


def shared_name(model: str) -> str:
    """A model as others may read it: a hub id, or the name alone of a folder, as paths tell of people and machines."""
    return model if model.count("/") == 1 and not model.startswith((".", "~", "/")) else Path(model).name


def _parameters(folder: RunFolder, bundle: Bundle) -> int | None:
    """Parameters of the run's model; None where it is no longer known."""
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.catalog.sources import locate
    from tuiwiz.events.job import read_job

    base = Path(str(read_job(folder.path).get("bundle_folder") or folder.path)) if folder.job.exists() else folder.path
    try:
        shape = locate(bundle.model.source, bundle.model.revision, base).shape
    except TuiwizError:
        return None
    return None if shape is None else int(shape.parameters)


def _take(fetched: Sequence[Fetched], rename: str, *, yes: bool, as_json: bool) -> None:
    """Show what was fetched, ask, store."""
    from tuiwiz.base.errors import InvalidError
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.share import look_at, store

    offers = look_at(fetched, rename)
    if not as_json:
        for offer in offers:
            _show(offer)
    problems = [problem for offer in offers for problem in offer.problems if problem.severity == "error"]
    if problems:
        message = problems[0].message if len(problems) == 1 else f"{len(problems)} problems: nothing was stored"
        raise InvalidError(message, hint=problems[0].hint if len(problems) == 1 else "", problems=problems)
    if not yes:
        _ask(offers)
    added: list[dict[str, Any]] = []
    for offer in offers:
        path = store(offer)
        name = offer.preset.name if offer.preset is not None else ""
        signed = {} if offer.signer is None else {"by": offer.signer.name, "fingerprint": offer.signer.fingerprint}
        added.append(
            {"name": name, "path": str(path), "digest": offer.digest, "state": offer.state, "signed": signed or None}
        )
    if as_json:
        emit_json({"ok": True, "added": added})
        return
    for one in added:
        say(f"stored {one['name']} as {one['path']}")


def _ask(offers: Sequence[Offer]) -> None:
    from tuiwiz.base.errors import StoppedError, UsageError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("nothing is stored unread", hint="run it on a terminal, or with --yes once you have read it")
    what = "it" if len(offers) == 1 else f"these {len(offers)}"
    if not typer.confirm(f"Store {what}?", default=False):
        raise StoppedError("nothing was stored")


def _show(offer: Offer) -> None:
    """The preset in full, as it will be read, and where it is from."""
    from tuiwiz.base.text import clean_line
    from tuiwiz.cli.output import note, problem_lines, say
    from tuiwiz.presets.find import all_presets
    from tuiwiz.presets.share import CHANGED, SAME

    version = f" at {offer.fetched.version[:12]}" if offer.fetched.version else ""
    say(f"--- {clean_line(offer.fetched.place)} from {clean_line(offer.fetched.source)}{version}")
    for line in offer.fetched.text.splitlines():
        say(f"  {clean_line(line)}")
    say(f"--- digest {offer.digest or 'none: it cannot be read'}")
    signed = offer.signer.words if offer.signer is not None else "a bad signature" if offer.fetched.signature else ""
    say(f"--- {signed or 'unsigned: nobody vouches for it'}")
    for text in problem_lines(offer.problems):
        note(text)
    if offer.preset is None:
        return
    if offer.state == SAME:
        say(f"{offer.preset.name} is there already; only results would be added")
    elif offer.state == CHANGED:
        there = all_presets().presets[offer.preset.name]
        before, after = there.base.values, offer.preset.base.values
        differs = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        say(f"{offer.preset.name} would be replaced; values that differ: {', '.join(differs) or 'in its cases'}")
