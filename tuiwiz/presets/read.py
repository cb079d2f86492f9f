"""Reads preset files, collecting every problem with its line. Nothing in a preset can run or name code or files."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.problems import Problems, nearest
from tuiwiz.base.text import clean_line
from tuiwiz.bundle.convert import value_problems
from tuiwiz.bundle.lines import MOST_PARTS, has_endless_key, line_index, line_of
from tuiwiz.presets.preset import (
    ALL_TOP_KEYS,
    LARGEST_FILE,
    LONGEST_NAME,
    LONGEST_REASON,
    LONGEST_WORD,
    MOST_CASES,
    MOST_RESULTS,
    PRESET_KEYS,
    TOP_KEYS,
    Layer,
    Preset,
    Result,
    Why,
)
from tuiwiz.presets.when import read_when
from tuiwiz.spec.bundle import SECTIONS
from tuiwiz.spec.keys import all_keys, section_keys

SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
_CASE_HEADER = re.compile(r"^\s*\[\[\s*case\s*\]\]")
_ANY_LIST_HEADER = re.compile(r"^\s*\[\[")
_TOML_PLACE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")
_WHY_KEYS = ("reason", "source", "range", "grade")


def read_preset(path: Path) -> tuple[Preset | None, Problems]:
    """The preset in `path`, None when it cannot be used, and all its problems."""
    problems = Problems()
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        problems.error(f"cannot be read: {error.strerror or error}", path=str(path))
        return None, problems
    if len(data) > LARGEST_FILE:
        problems.error(f"too large for a preset (over {LARGEST_FILE // 1024} KiB)", path=str(path))
        return None, problems
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.error(f"not UTF-8 at byte {error.start}", path=str(path))
        return None, problems
    return parse_preset(text, path)


def parse_preset(text: str, path: Path) -> tuple[Preset | None, Problems]:
    """As `read_preset`, from a text; `path` is what problems and the preset name as its file."""
    reader = _Reader(text, path)
    if has_endless_key(text):
        reader.problems.error(f"not valid TOML here: a key of more than {MOST_PARTS} parts", path=str(path))
        return None, reader.problems
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = str(error) or "nested too deeply"
        place = _TOML_PLACE.search(message)
        line = int(place[1]) if place else None
        reader.problems.error(f"not valid TOML: {_TOML_PLACE.sub('', message)}", path=str(path), line=line)
        return None, reader.problems
    except ValueError:
        reader.problems.error("not valid TOML: a number is too long", path=str(path))
        return None, reader.problems
    preset = reader.preset(tree)
    return (preset if reader.problems.ok else None), reader.problems


class _Reader:
    """Walks one parsed file; knows on which line everything stands."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.problems = Problems()
        self.lines = text.splitlines()
        self.case_lines = [number for number, line in enumerate(self.lines, start=1) if _CASE_HEADER.match(line)]

    def error(self, message: str, key: str, hint: str = "", case: int | None = None) -> None:
        self.problems.error(message, hint=hint, key=key, path=str(self.path), line=self.line(key, case))

    def line(self, key: str, case: int | None = None) -> int | None:
        """Where `key` stands; looked for only when something is wrong, as it costs more than reading the file."""
        if case is None or case >= len(self.case_lines):
            return line_of(line_index("\n".join(self.lines)), key if case is None else "case")
        start = self.case_lines[case]
        rest = range(start, len(self.lines))
        end = next((number for number in rest if _ANY_LIST_HEADER.match(self.lines[number])), len(self.lines))
        found = line_of(line_index("\n".join(self.lines[start - 1 : end])), f"case.{key}" if key else "case")
        return start if found is None else found + start - 1

    def preset(self, tree: Mapping[str, Any]) -> Preset:
        name = tree.get("name")
        if not isinstance(name, str) or not SLUG.fullmatch(name) or len(name) > LONGEST_NAME:
            hint = f"small letters, digits and hyphens, at most {LONGEST_NAME}, such as chat-small"
            self.error("name is missing" if name is None else f"{clean_line(repr(name), 80)} is no name", "name", hint)
            name = ""
        extends = tree.get("extends")
        if extends is not None and (not isinstance(extends, str) or not SLUG.fullmatch(extends)):
            self.error("extends must be the name of one preset", "extends")
            extends = None
        base = self.layer(tree, None)
        cases = tree.get("case", [])
        if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
            self.error("case must be a list of tables", "case", "write [[case]]")
            cases = []
        if len(cases) > MOST_CASES:
            self.error(f"more than {MOST_CASES} cases", "case")
            cases = cases[:MOST_CASES]
        layers = tuple(self.layer(case, number) for number, case in enumerate(cases))
        results = self.results(tree.get("results", []))
        digest = tree.get("digest", "")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            self.error("digest must be 64 hexadecimal digits", "digest", "leave it out: `presets export` writes it")
            digest = ""
        return Preset(
            name=name, path=self.path, base=base, cases=layers, extends=extends, results=results, digest=digest
        )

    def layer(self, table: Mapping[str, Any], case: int | None) -> Layer:
        """Values, reasons and condition of the file itself or of one of its cases."""
        values: dict[str, Any] = {}
        known = (
            ALL_TOP_KEYS
            if case is None
            else tuple(k for k in ALL_TOP_KEYS if k not in TOP_KEYS or k in ("when", "why"))
        )
        for key, value in table.items():
            if key in SECTIONS and isinstance(value, dict):
                self.section(key, value, case, values)
            elif key in SECTIONS:
                self.error(f"{key} must be a table", key, f"write [{key}]", case)
            elif key not in known:
                close = nearest(key, [*known, *PRESET_KEYS])
                shown = clean_line(key, 80)
                self.error(f"unknown key {shown}", key, f"did you mean {close}?" if close else "", case)
        when, found = read_when(table.get("when", {}))
        for name, message, hint in found:
            self.error(message, f"when.{name}" if name else "when", hint, case)
        if case is not None and not when.count and not found:
            self.error("a case needs a condition", "when", 'e.g. when = {band = "M"}', case)
        why = self.reasons(table.get("why", {}), values, case)
        for key in values:
            if key not in why:
                message = f"{key} has no reason"
                hint = f'write [{"case." if case is not None else ""}why."{key}"] with reason, source, range, grade'
                self.problems.warning(message, hint=hint, key=key, path=str(self.path), line=self.line(key, case))
        line = self.case_lines[case] if case is not None and case < len(self.case_lines) else 1
        return Layer(when=when, values=values, why=why, line=line)

    def section(self, section: str, table: Mapping[str, Any], case: int | None, values: dict[str, Any]) -> None:
        for name, value in table.items():
            key = f"{section}.{name}"
            if name not in section_keys(section):
                close = nearest(key, PRESET_KEYS)
                self.error(f"unknown key {clean_line(key, 80)}", key, f"did you mean {close}?" if close else "", case)
            elif key not in PRESET_KEYS:
                self.error(f"{key} cannot be part of a preset", key, "it belongs to one run, not to a preset", case)
            else:
                found = value_problems(key, value)
                for problem in found:
                    self.error(clean_line(problem.message, 300), key, problem.hint, case)
                if not found and not plain_enough(value):
                    self.error(f"{key} holds a text that is too long or has control characters", key, "", case)
                elif not found:
                    values[key] = value

    def reasons(self, table: Any, values: Mapping[str, Any], case: int | None) -> dict[str, Why]:
        if not isinstance(table, dict):
            self.error("why must be a table", "why", 'write [why."section.key"]', case)
            return {}
        found: dict[str, Why] = {}
        for key, entry in table.items():
            place = f"why.{key}"
            if key not in all_keys():
                close = nearest(key, PRESET_KEYS)
                hint = f'did you mean "{close}"?' if close else 'write the key in quotes: [why."section.key"]'
                self.error(f"why speaks of an unknown key {clean_line(key, 80)}", place, hint, case)
            elif key not in values:
                self.error(f"why speaks of {key}, which is not set beside it", place, "", case)
            elif not isinstance(entry, dict):
                self.error(f"{place} must be a table", place, "", case)
            else:
                found[key] = self.why(place, entry, values[key], case)
        return found

    def why(self, place: str, entry: Mapping[str, Any], value: Any, case: int | None) -> Why:
        for name in entry:
            if name not in _WHY_KEYS:
                close = nearest(name, _WHY_KEYS)
                hint = f"did you mean {close}?" if close else ""
                self.error(f"unknown key {clean_line(name, 80)} in {place}", f"{place}.{name}", hint, case)
        texts: dict[str, str] = {}
        for name in ("reason", "source"):
            text = entry.get(name, "")
            if not isinstance(text, str) or len(text) > LONGEST_REASON:
                self.error(f"{name} must be a text of at most {LONGEST_REASON} characters", f"{place}.{name}", "", case)
                text = ""
            texts[name] = clean_line(text.strip())
        grade = entry.get("grade", "")
        if grade not in ("", "A", "B", "C"):
            self.error(f"grade must be A, B or C, not {clean_line(repr(grade), 40)}", f"{place}.grade", "", case)
            grade = ""
        bounds = self.bounds(f"{place}.range", entry.get("range"), value, case)
        return Why(reason=texts["reason"], source=texts["source"], range=bounds, grade=grade)

    def bounds(self, place: str, given: Any, value: Any, case: int | None) -> tuple[float, float] | None:
        if given is None:
            return None
        numbers = isinstance(given, list) and len(given) == 2 and all(type(one) in (int, float) for one in given)
        if not numbers or not given[0] <= given[1]:
            self.error("range must be [least, most]", place, "", case)
            return None
        if type(value) in (int, float) and not given[0] <= value <= given[1]:
            self.error(f"{value:g} lies outside its own range {given[0]:g} to {given[1]:g}", place, "", case)
        return float(given[0]), float(given[1])

    def results(self, table: Any) -> tuple[Result, ...]:
        try:
            found = tuple(msgspec.convert(table, list[Result]))
        except msgspec.ValidationError as error:
            self.error(f"results: {clean_line(str(error).partition(' - at ')[0], 200)}", "results")
            return ()
        wrong = len(found) > MOST_RESULTS or not all(
            plain_enough(value) for result in found for value in msgspec.to_builtins(result).values()
        )
        wrong = wrong or not all(_DIGEST.fullmatch(one.run) and _DIGEST.fullmatch(one.data) for one in found)
        if wrong:
            message = (
                f"more than {MOST_RESULTS} results, numbers or digests that are none, or texts that are no plain words"
            )
            self.error(message, "results")
            return ()
        return found


def plain_enough(value: Any) -> bool:
    """Whether texts in `value` are short and without control characters, and numbers finite and not absurd."""
    if isinstance(value, str):
        return len(value) <= LONGEST_WORD and clean_line(value) == value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return math.isfinite(value) and abs(value) < 1e18
    if isinstance(value, list | tuple):
        return len(value) <= LONGEST_WORD and all(plain_enough(item) for item in value)
    if isinstance(value, dict):
        return len(value) <= LONGEST_WORD and all(plain_enough(k) and plain_enough(v) for k, v in value.items())
    return True
