"""What the user wrote about a run: `notes.toml` in its folder, so that it goes where the run goes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import tomli_w

from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.text import clean, clean_line
from tuiwiz.bundle.read import LARGEST_FILE, nested_too_deeply

NOTES = "notes.toml"
LONGEST_NOTE = 10_000
MOST_TAGS = 50


class Notes(msgspec.Struct, frozen=True):
    note: str = ""
    tags: tuple[str, ...] = ()


def read_notes(folder: Path) -> Notes:
    """The notes of a run; empty where there are none that can be read."""
    try:
        with (folder / NOTES).open("rb") as file:
            text = file.read(LARGEST_FILE).decode("utf-8")
        return Notes() if nested_too_deeply(text) else msgspec.convert(tomllib.loads(text), Notes)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError):
        return Notes()


def write_notes(folder: Path, *, note: str | None = None, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Notes:
    """Replace the note (None: leave it), add and take away tags.

    Raises:
        UsageError: too long, too many, or a tag with white space.
        MachineLacksError: the folder cannot be written.
    """
    added, gone = list(add), set(remove)
    bad = next((tag for tag in added if tag != clean_line(tag) or len(tag.split()) != 1 or len(tag) > 60), None)
    if bad is not None:
        raise UsageError(f"{bad!r} is no tag", hint="a tag is one word of up to 60 characters")
    old = read_notes(folder)
    tags = tuple(tag for tag in dict.fromkeys([*old.tags, *added]) if tag not in gone)
    text = old.note if note is None else clean(note)
    if len(text) > LONGEST_NOTE or len(tags) > MOST_TAGS:
        raise UsageError(f"a run has one note of up to {LONGEST_NOTE:,} characters and up to {MOST_TAGS} tags")
    new = Notes(text, tags)
    try:
        write_atomic(folder / NOTES, tomli_w.dumps(msgspec.to_builtins(new)))
    except OSError as error:
        raise MachineLacksError(f"{folder} cannot be written: {error.strerror or error}") from error
    return new
