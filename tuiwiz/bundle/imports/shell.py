"""Training commands out of shell scripts: split into words, variables of the script itself filled in, never run."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tuiwiz.bundle.imports.launchers import recognise
from tuiwiz.bundle.imports.words import Simple, Word, split

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_ARRAY = re.compile(r"\$\{([A-Za-z_]\w*)\[[@*]\]\}")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*|\d)|\{([A-Za-z_]\w*|\d)(?::?[-=]([^}]*))?\})")
_SUM = re.compile(r"\$\((?:expr\s+|\()\s*(\d+)\s*([*/+-])\s*(\d+)\s*\)?\)|`expr (\d+) ([*/+-]) (\d+)`")
_NAMED_SUM = re.compile(r"\$\(\(([^()]*)\)\)")
_OPENS = {"if", "for", "while", "until", "case", "select"}
_CLOSES = {"fi", "done", "esac"}
_BEFORE = {"then", "else", "elif", "do", "{", "}", "!", "time", "export", "local", "declare", "readonly", "nohup"}
LONGEST_VALUE = 100_000
"""Characters that a variable may grow to."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One training command: the tool, its word (`sft`), its options, the file that holds more of them, processes where
    the script says so, and what of it only a shell would know."""

    tool: str
    word: str
    options: dict[str, Any]
    file: str = ""
    processes: int = 1
    notes: tuple[str, ...] = ()


class Script(msgspec.Struct, kw_only=True):
    """What a script holds: its training commands in order, and files that it writes itself, by name."""

    commands: list[Command] = msgspec.field(default_factory=list)
    files: dict[str, str] = msgspec.field(default_factory=dict)


def read_script(text: str) -> Script:
    """All training commands of a script, those in its texts (`CMD="..."`, here-documents) where it has no other."""
    reader = _Reader()
    reader.read(text)
    if not reader.script.commands:
        for inner in reader.texts():
            reader.read(inner)
    return reader.script


def commands(text: str) -> list[Command]:
    return read_script(text).commands


class _Reader:
    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.arrays: dict[str, list[str]] = {}
        self.script = Script()
        self.depth = 0
        self.notes: list[str] = []
        self.long: list[str] = []

    def read(self, text: str) -> None:
        for simple in split(text):
            self._simple(simple)

    def texts(self) -> list[str]:
        """Texts that may be run by `eval`, `bash -c` or another program."""
        found = [*self.variables.values(), *self.long]
        return [one for one in dict.fromkeys(found) if " " in one][:50]

    def _simple(self, simple: Simple) -> None:
        words = [word for word in simple.words if word]
        first = words[0][0].text if words else ""
        while words and first in _BEFORE | _OPENS | _CLOSES:
            self.depth += (first in _OPENS) - (first in _CLOSES)
            if first == "for":
                self._loop(words[1:])
                return
            words = words[1:]
            first = words[0][0].text if words else ""
        local: dict[str, str] = {}
        while words and not words[0][0].quote and (match := _ASSIGNMENT.match(words[0][0].text)):
            rest = "".join(self._text(piece.text, piece.quote) for piece in words[0][1:])
            value = self._text(match[3], "") + rest
            before = self.variables.get(match[1], "") if match[2] else ""
            local[match[1]] = (before + value)[:LONGEST_VALUE]
            if simple.array is not None and len(words) == 1:
                grown = self.arrays.get(match[1], []) if match[2] else []
                self.arrays[match[1]] = [*grown, *self._expand(simple.array)][:1000]
            words = words[1:]
        if not words:
            # A branch that may not be taken does not undo what stands outside it.
            self.variables |= {k: v for k, v in local.items() if not self.depth or k not in self.variables}
            return
        self._documents(simple)
        known = self.variables | local
        found = self._expand(words)
        self.long += [one for one in found if " --" in one]
        command = recognise(found, known)
        if command is not None:
            open_ones = tuple(sorted({match[0] for one in found for match in _VARIABLE.finditer(one)}))
            notes = (*self.notes, *(f"{name} is known to the shell alone" for name in open_ones))
            self.script.commands.append(Command(**command, notes=notes))

    def _loop(self, words: list[Word]) -> None:
        name, *rest = self._expand(words)[:200] or [""]
        values = rest[1:] if rest[:1] == ["in"] else []
        if values:
            self.variables[name] = values[0]
        if len(values) > 1:
            self.notes.append(f"a loop over {name}: only its first value {values[0]} is taken")

    def _documents(self, simple: Simple) -> None:
        """`cat > NAME <<EOF`: a file that the script writes, or a text that another program may run."""
        words = ["".join(piece.text for piece in word) for word in simple.words]
        for text in simple.documents:
            target = next((w[1:] or n for w, n in zip(words, [*words[1:], ""], strict=True) if w.startswith(">")), "")
            target = next((n for w, n in zip(words, [*words[1:], ""], strict=True) if w == "tee"), target)
            filled = self._text(text, '"')
            if target:
                self.script.files[self._text(target, '"')] = filled
            else:
                self.long.append(filled)

    def _expand(self, words: list[Word]) -> list[str]:
        """Words with variables filled in; an unquoted variable that holds several words becomes several."""
        found: list[str] = []
        for word in words:
            joined = "".join(piece.text for piece in word)
            if (match := _ARRAY.fullmatch(joined)) and match[1] in self.arrays:
                found += self.arrays[match[1]]
                continue
            parts = [(self._text(piece.text, piece.quote), piece) for piece in word]
            text = "".join(value for value, _ in parts)
            loose = len(word) == 1 and not word[0].quote and text != word[0].text
            found += text.split() if loose else [text]
        return found

    def _text(self, text: str, quote: str) -> str:
        if quote == "'":
            return text

        def value(match: re.Match[str]) -> str:
            default = match[3] if match[3] is not None else match[0]
            return self.variables.get(match[1] or match[2], default)

        def named(match: re.Match[str]) -> str:
            filled = re.sub(r"[A-Za-z_]\w*", lambda one: self.variables.get(one[0], one[0]), match[1])
            return f"$(({filled}))"

        text = _VARIABLE.sub(value, text)[:LONGEST_VALUE]
        return _SUM.sub(_total, _NAMED_SUM.sub(named, text))


def _total(match: re.Match[str]) -> str:
    one, sign, other = match.groups()[:3] if match[1] else match.groups()[3:]
    if len(one) > 12 or len(other) > 12:
        return match[0]
    a, b = int(one), int(other)
    return str({"*": a * b, "+": a + b, "-": a - b, "/": a // b if b else a}[sign])
