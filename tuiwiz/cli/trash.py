"""Removing runs, and what was removed: asked where it cannot be undone, told where it can."""

from __future__ import annotations

import sys

import typer


def remove_run(name: str, *, for_good: bool, yes: bool, as_json: bool) -> None:
    """Carry out `tuiwiz runs remove`."""
    import shutil

    from tuiwiz.base.errors import UsageError
    from tuiwiz.cli.follow import state_now
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.events.state import LIVE
    from tuiwiz.runs import trash
    from tuiwiz.runs.registry import find

    folder = find(name)
    if state_now(folder) in LIVE:
        raise UsageError(f"{folder.path.name} is running", hint="`tuiwiz stop` ends it")
    trash.refuse_no_run(folder)
    if not for_good:
        trash.remove(folder.path)
        said = f"removed {folder.path}; `tuiwiz runs restore {folder.path.name}` brings it back"
    else:
        if not _agreed(f"Delete {folder.path} with everything in it for good?", yes=yes, as_json=as_json):
            say("nothing removed")
            return
        shutil.rmtree(folder.path)
        said = f"deleted {folder.path}"
    if as_json:
        emit_json({"ok": True, "run": str(folder.path), "for_good": for_good})
    else:
        say(said)


def show_trash(*, empty: bool, yes: bool, as_json: bool) -> None:
    """Carry out `tuiwiz runs trash`."""
    from datetime import datetime

    from tuiwiz.base.units import human_bytes
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.runs import trash

    known = trash.removed()
    if empty:
        if known and not _agreed(f"Delete {len(known)} removed runs for good?", yes=yes, as_json=as_json):
            say("nothing deleted")
            return
        count = trash.empty()
        if as_json:
            emit_json({"ok": True, "deleted": count})
        else:
            say(f"{count} runs deleted for good")
        return
    if as_json:
        emit_json([{"name": one.name, "path": str(one.original), "removed": one.at} for one in known])
        return
    for one in known:
        at = datetime.fromtimestamp(one.at).astimezone().isoformat(sep=" ", timespec="seconds")
        say(f"{one.name}  removed {at}  {human_bytes(one.size_bytes())}  {one.original.parent}")
    if not known:
        say("the trash is empty")


def _agreed(question: str, *, yes: bool, as_json: bool) -> bool:
    from tuiwiz.base.errors import UsageError

    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise UsageError("deleting for good needs --yes where nobody can be asked")
    try:
        return typer.confirm(question)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
