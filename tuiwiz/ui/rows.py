"""The lines of the home screen, made in a thread from run folders: name, state, progress, result, curve, times."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tuiwiz.base.text import clean_line
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.state import state
from tuiwiz.events.view import RunView
from tuiwiz.ui.curves import last_values, overview
from tuiwiz.ui.facts import Facts, derive
from tuiwiz.ui.follow import CHUNK
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.widgets.runlist import RunRow
from tuiwiz.ui.widgets.spark import spark
from tuiwiz.ui.words import LIVE, age, clock, number, symbol, tone

SHOWN = 10
"""How many ended runs the home screen lists."""
LARGEST_BYTES = 16 * 1024**2
"""Longer event files are told by their head and tail alone: the list must not take seconds."""
SPARK_CELLS = 16


def run_rows(folders: Iterable[RunFolder], now: float, glyphs: Glyphs) -> list[RunRow]:
    """Rows of all live runs and of the newest ended ones. A folder that cannot be read is left out."""
    rows: list[RunRow] = []
    ended = 0
    for folder in folders:
        if ended >= SHOWN:
            break
        row = run_row(folder, now, glyphs)
        if row is not None:
            rows.append(row)
            ended += not row.live
    return rows


def run_row(folder: RunFolder, now: float, glyphs: Glyphs) -> RunRow | None:
    """One run as a line; None where there are no events."""
    try:
        view = read_view(folder)
    except OSError:
        return None
    if view.started is None:
        return None
    word = state(view, folder, now)
    facts = derive(view, view.name or folder.path.name, word, last_values(view, "loss", 50), now)
    series = view.series.get("loss")
    return RunRow(
        path=folder.path,
        name=clean_line(facts.name),
        state=f"{symbol(word, glyphs)} {word}",
        tone=tone(word),
        live=word in LIVE,
        progress=f"{facts.step}/{facts.steps} {100 * facts.share:>3.0f} %" if facts.steps else "",
        result=_result(facts, glyphs),
        spark=spark(overview(series, SPARK_CELLS), SPARK_CELLS, glyphs) if series is not None else "",
        time=f"{clock(facts.eta_s)} left" if facts.eta_s else clock(facts.elapsed_s),
        age="" if word in LIVE else age(now - view.last_t),
    )


def _result(facts: Facts, glyphs: Glyphs) -> str:
    if facts.first_loss is not None and facts.best_step:
        return f"{number(facts.first_loss)} {glyphs.arrow} {number(facts.best_loss)}"
    return f"loss {number(facts.loss)}" if facts.loss is not None else ""


def read_view(folder: RunFolder) -> RunView:
    """The folded run, or what the beginning of a very long file tells.

    Raises:
        OSError: there are no events to read.
    """
    long = os.stat(folder.events).st_size > LARGEST_BYTES
    reader = EventReader(folder.events)
    view = RunView()
    while events := reader.read(CHUNK):
        view = fold(view, events)
        if long:
            break
    return view
