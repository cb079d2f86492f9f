"""`tuiwiz tune lr`: the sweep, its curve and what follows from it."""

from __future__ import annotations

from pathlib import Path


def sweep(
    path: Path, *, out: Path | None, low: float | None, high: float | None, steps: int, dry: bool, as_json: bool
) -> None:
    """Say how long it takes and what it can decide, sweep, and tell what was found."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.runs.folder import start_of
    from tuiwiz.tune.draw import curve
    from tuiwiz.tune.lr import band_of_sweep, range_test, sweep_words
    from tuiwiz.tune.measure import measure
    from tuiwiz.tune.space import RATE
    from tuiwiz.tune.winner import write_beside

    given, base = read_bundle(path), start_of(path)
    least, most = band_of_sweep(given, low, high, steps)
    if out is not None and out.exists():
        raise UsageError(f"{out} exists", hint="name another file with -o")
    if not as_json:
        note("tuiwiz: timing the first steps")
    measured = measure(given, base)
    seconds, words = sweep_words(measured, least, most, steps)
    if not as_json:
        for line in words:
            note(f"tuiwiz: {line}")
    if dry:
        if as_json:
            emit_json({"ok": True, "measured": measured, "steps": steps, "seconds": seconds, "words": words})
        return
    found = range_test(given, base, low=low, high=high, steps=steps)
    written = None
    if out is not None:
        written = write_beside(given, base, {RATE: found.suggested}, "tune lr", found.verdict, out)
    if as_json:
        emit_json({"ok": True, "tested": found, "bundle": None if written is None else str(written)})
        return
    for line in curve(found):
        say(line)
    say("g: the bundle's rate, c: the ceiling, d: divergence")
    say(f"ended at {found.rates[-1]:.1e} by {found.ended}; weights, optimizer and random streams are as before")
    say(f"suggested {found.suggested:.3g}: {found.verdict}")
    if written is not None:
        say(str(written))
