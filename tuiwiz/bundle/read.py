"""Reads bundle files. `inspect_bundle` reports, `read_bundle` refuses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem, Problems
from tuiwiz.bundle.convert import to_bundle
from tuiwiz.bundle.lines import MOST_PARTS, has_endless_key, line_index, line_of
from tuiwiz.spec.bundle import Bundle

LARGEST_FILE = 1 << 20
"""Bytes. A bundle is a page of settings; anything larger is another kind of file."""

_TOML_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


def read_bundle(path: Path) -> Bundle:
    """The bundle in `path`.

    Raises:
        InvalidError: with every problem, each with file, line, key and hint.
    """
    bundle, problems = inspect_bundle(path)
    if bundle is None or not problems.ok:
        count = len(problems.errors)
        raise InvalidError(
            f"{path} has {count} problem{'s' if count != 1 else ''}" if count > 1 else problems.errors[0].message,
            hint="" if count > 1 else problems.errors[0].hint,
            problems=problems.errors,
        )
    return bundle


def inspect_bundle(path: Path) -> tuple[Bundle | None, Problems]:
    """The bundle, or None, and all problems, warnings included."""
    problems = Problems()
    text = _text(path, problems)
    if text is None:
        return None, problems
    return parse_bundle(text, str(path))


def parse_bundle(text: str, name: str = "") -> tuple[Bundle | None, Problems]:
    """As `inspect_bundle`, from a text; `name` is the file named in problems."""
    problems = Problems()
    if has_endless_key(text):
        problems.add(Problem(message=f"not valid TOML here: a key of more than {MOST_PARTS} parts", path=name))
        return None, problems
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = str(error) or "nested too deeply"
        place = _TOML_PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        what = _TOML_PLACE.sub("", message)
        problems.add(Problem(message=f"not valid TOML: {what}", path=name, line=line, column=column))
        return None, problems
    bundle, found = to_bundle(tree)
    index = line_index(text)
    for problem in found:
        problems.add(msgspec.structs.replace(problem, path=name, line=line_of(index, problem.key)))
    return bundle, problems


def _text(path: Path, problems: Problems) -> str | None:
    try:
        if path.is_dir():
            problems.error("this is a folder, not a bundle", path=str(path), hint="name the bundle.toml inside it")
            return None
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        problems.error("no such file", path=str(path), hint="`tuiwiz new` writes a bundle")
        return None
    except OSError as error:
        problems.error(f"cannot be read: {error.strerror or error}", path=str(path))
        return None
    if len(data) > LARGEST_FILE:
        problems.error("too large for a bundle (over 1 MiB)", path=str(path), hint="is this a data file?")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.error(f"not UTF-8 at byte {error.start}", path=str(path), hint="save the file as UTF-8")
        return None
