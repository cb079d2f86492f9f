"""What commands print: one JSON line or text on stdout, everything else on stderr, text from outside cleaned."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem
from tuiwiz.base.text import CONTROL, clean, clean_line


def on_screen() -> bool:
    """Whether a person sits at a terminal on which screens can be drawn; one that calls itself dumb takes lines."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb()


def is_dumb() -> bool:
    """Whether the terminal says that it moves no cursor and has no colours."""
    return os.environ.get("TERM") == "dumb"


def emit_json(document: Any) -> None:
    """Print `document` as exactly one line of JSON on stdout. Structs are allowed."""
    sys.stdout.write(json_line(document) + "\n")
    sys.stdout.flush()


def json_line(document: Any) -> str:
    """`document` as JSON on one line, in which escapes stand for whatever a terminal would obey."""
    import msgspec

    try:
        line = msgspec.json.encode(document).decode("utf-8")
    except UnicodeEncodeError:
        import json

        # File names that are no UTF-8 reach us with halves of surrogate pairs, which only escapes can carry.
        return json.dumps(msgspec.to_builtins(document))
    if not line.isascii() and "utf" not in (sys.stdout.encoding or "").lower():
        # A locale without the characters: escapes say the same.
        import json

        return json.dumps(msgspec.json.decode(line), separators=(",", ":"))
    # All of them stand within texts: JSON's own syntax has none.
    return CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", line)


def say(text: str = "") -> None:
    """A line of the command's result on stdout."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Each problem as `error  place: message` and, where there is one, an indented hint."""
    lines = []
    for problem in problems:
        place = problem.place()
        key = f" [{problem.key}]" if problem.key and problem.key != place else ""
        where = f"{place}{key}: " if place or key else ""
        lines.append(clean_line(f"{problem.severity:<7} {where}{problem.message}"))
        if problem.hint:
            lines.append(clean_line(f"        hint: {problem.hint}"))
    return lines


def report(error: TuiwizError, *, as_json: bool) -> None:
    """Print a failure: problems as JSON on stdout, or sentences on stderr."""
    if as_json:
        emit_json({"ok": False, "message": error.message, "problems": list(error.problems)})
        return
    first = error.problems[0]
    # Many errors name the file in their sentence already.
    said = {
        first.message: first.place(),
        f"{first.place()}: {first.message}": "",
        f"{_name(first)}: {first.message}": "",
    }
    if len(error.problems) > 1 or error.message not in said:
        note(f"tuiwiz: {error.message}")
        for line in problem_lines(error.problems):
            note(f"  {line}")
        if error.hint:
            note(f"  hint: {error.hint}")
        return
    place = said[error.message]
    note(f"tuiwiz: {place + ': ' if place else ''}{error.message}")
    if error.hint or first.hint:
        note(f"  hint: {error.hint or first.hint}")


def _name(problem: Problem) -> str:
    """How sentences name the file of a problem: without its folder."""
    return Path(problem.path).name
