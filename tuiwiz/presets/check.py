"""Everything that is wrong with a preset file, its place in the chain of `extends` included."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.presets.choose import coverage
from tuiwiz.presets.find import all_presets, chain
from tuiwiz.presets.read import read_preset


def check_file(path: Path) -> list[Problem]:
    """All problems of the preset in `path`, as if it lay in the user's folder."""
    preset, problems = read_preset(path)
    found = list(problems)
    if preset is None:
        return found
    known = dict(all_presets().presets)
    other = known.get(preset.name)
    if other is not None and other.path.resolve() != path.resolve():
        message = f"the name {preset.name!r} is taken by {other.path}"
        found.append(Problem(message=message, path=str(path), key="name", hint="give it another name"))
    known[preset.name] = preset
    try:
        chain(preset, known)
    except InvalidError as error:
        return [*found, *error.problems]
    extended = any(one.extends == preset.name for one in known.values())
    if not extended and not coverage(known, only=preset.name):
        message = "it covers nothing: no task, size and method for which it has a learning rate"
        found.append(Problem(severity="warning", message=message, path=str(path)))
    return [msgspec.structs.replace(problem, path=problem.path or str(path)) for problem in found]
