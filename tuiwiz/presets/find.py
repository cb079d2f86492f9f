"""Where presets lie: the gallery that comes with tuiwiz, and the user's own folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

import tuiwiz
from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import Problem, nearest
from tuiwiz.presets.preset import DEEPEST, Preset
from tuiwiz.presets.read import read_preset

MOST_FILES = 1000


class Gallery(msgspec.Struct, frozen=True):
    """All usable presets by name, and what is wrong with the files that are not usable."""

    presets: dict[str, Preset]
    problems: tuple[Problem, ...] = ()


def gallery_folder(package: Path | None = None) -> Path:
    """The shipped presets: a checkout's own `presets/`, else the copy inside the installed package.

    The checkout comes first because an editable install can leave an old copy inside the package.
    """
    package = package or Path(tuiwiz.__file__).resolve().parent
    checkout = package.parent / "presets"
    if (package.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    return package / "presets" / "gallery"


def all_presets() -> Gallery:
    """Every preset that can be used: shipped ones first, then the user's; a taken name is refused, never replaced."""
    return _load(gallery_folder(), places.presets())


def find(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    known = all_presets().presets
    if name in known:
        return known[name]
    close = nearest(name, known)
    hint = f"did you mean {close}?" if close else "`tuiwiz presets list` names them"
    raise UsageError(f"there is no preset {name!r}", hint=hint)


def chain(preset: Preset, known: dict[str, Preset]) -> list[Preset]:
    """The preset and what it extends, the root first.

    Raises:
        InvalidError: a parent is missing, the chain turns back on itself or is too long.
    """
    found = [preset]
    while (parent := found[-1].extends) is not None:
        problem = ""
        if parent in {one.name for one in found}:
            problem = f"extends goes in a circle: {' -> '.join([*(one.name for one in found), parent])}"
        elif parent not in known:
            problem = f"extends {parent!r}, which does not exist"
        elif len(found) == DEEPEST:
            problem = f"extends more than {DEEPEST - 1} presets in a row"
        if problem:
            close = nearest(parent, known) if parent not in known else None
            hint = f"did you mean {close}?" if close else ""
            where = Problem(message=problem, path=str(preset.path), key="extends", hint=hint)
            raise InvalidError(problem, hint=hint, problems=[where])
        found.append(known[parent])
    return found[::-1]


@cache
def _load(shipped: Path, own: Path) -> Gallery:
    presets: dict[str, Preset] = {}
    problems: list[Problem] = []
    for folder in (shipped, own):
        for path in sorted(folder.glob("*.toml"))[:MOST_FILES]:
            preset, found = read_preset(path)
            problems += found.errors
            if preset is None:
                continue
            if preset.name in presets:
                other = presets[preset.name].path
                message = f"the name {preset.name!r} is taken by {other}"
                problems.append(Problem(message=message, path=str(path), key="name", hint="give it another name"))
                continue
            presets[preset.name] = msgspec.structs.replace(preset, shipped=folder == shipped)
    usable: dict[str, Preset] = {}
    for name, preset in presets.items():
        try:
            chain(preset, presets)
        except InvalidError as error:
            problems += error.problems
        else:
            usable[name] = preset
    return Gallery(usable, tuple(problems))


def forget() -> None:
    """Read the folders anew next time, after a preset was added or changed."""
    _load.cache_clear()
