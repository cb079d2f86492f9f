"""The lines of step Data that name training sets: one, or several with a weight each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input

from tuiwiz.spec.data import WeightedPath
from tuiwiz.ui.screens.wizard.paths import PathSuggester

MOST_SETS = 12


class SetLine(Horizontal):
    """One set: its path and, while there are others, its weight."""

    DEFAULT_CSS = """
    SetLine { height: 1; }
    SetLine .set-path { width: 1fr; }
    SetLine .set-weight { width: 12; margin-left: 1; }
    """

    def __init__(self, folder: Path, *, first: bool) -> None:
        super().__init__()
        self._folder = folder
        self._first = first

    def compose(self) -> ComposeResult:
        what = "a file: JSON, JSON lines, CSV, text ..." if self._first else "another file; empty: left out"
        suggester = PathSuggester(self._folder)
        yield Input(placeholder=what, suggester=suggester, id="train" if self._first else None, classes="set-path")
        yield Input(placeholder="weight", classes="set-weight")

    @property
    def path(self) -> Input:
        return self.query_one(".set-path", Input)

    @property
    def weight(self) -> Input:
        return self.query_one(".set-weight", Input)


class SetLines(VerticalScroll, can_focus=False):
    """All lines are there from the start; those in use are shown."""

    def __init__(self, folder: Path) -> None:
        super().__init__(id="sets")
        self._folder = folder

    def compose(self) -> ComposeResult:
        for number in range(MOST_SETS):
            yield SetLine(self._folder, first=not number)

    @property
    def lines(self) -> list[SetLine]:
        """Those in use."""
        return [line for line in self.query(SetLine) if line.display]

    @property
    def focused(self) -> SetLine | None:
        """The line that is written in."""
        return next((line for line in self.lines if line.has_focus_within), None)

    def fill(self, mix: Sequence[WeightedPath]) -> None:
        """Show these sets, and one empty line where there are none."""
        self._write([(one.path, "" if one.weight is None else f"{one.weight:g}") for one in mix])

    def add(self) -> bool:
        """Show one more line and go there; False where there are as many as can be."""
        unused = next((line for line in self.query(SetLine) if not line.display), None)
        if unused is None:
            return False
        unused.display = True
        self._show_weights()
        unused.path.focus()
        return True

    def leave_out(self, line: SetLine) -> None:
        """Take a line away; those below move up."""
        typed = self.typed()
        place = self.lines.index(line)
        del typed[place]
        self._write(typed)
        self.lines[min(place, len(self.lines) - 1)].path.focus()

    def typed(self) -> list[tuple[str, str]]:
        """Path and weight of each line, as they stand there."""
        return [(line.path.value.strip(), line.weight.value.strip()) for line in self.lines]

    def _write(self, typed: Sequence[tuple[str, str]]) -> None:
        with self.prevent(Input.Changed):
            for number, line in enumerate(self.query(SetLine)):
                path, weight = typed[number] if number < len(typed) else ("", "")
                line.display = number < max(1, len(typed))
                line.path.value, line.weight.value = path, weight
        self._show_weights()

    def _show_weights(self) -> None:
        several = len(self.lines) > 1
        for line in self.lines:
            line.weight.display = several


def mix_of(typed: Iterable[tuple[str, str]]) -> tuple[WeightedPath, ...] | str:
    """The sets of these lines, empty ones left out; a str says what is wrong with them."""
    named = [(path, weight) for path, weight in typed if path]
    if len(named) < 2:
        return tuple(WeightedPath(path=path) for path, _ in named)
    found = []
    for path, weight in named:
        number = _number(weight)
        if weight and not 0 < number < math.inf:
            return f"a weight is a number above 0, and not {weight}"
        found.append(WeightedPath(path=path, weight=number if weight else None))
    weights = [one.weight for one in found]
    if None in weights and any(weight is not None for weight in weights):
        return "give every set a weight, or none: then every row comes once"
    twice = next((one.path for place, one in enumerate(found) if one.path in [p.path for p in found[:place]]), None)
    return f"{twice} is named twice" if twice else tuple(found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
