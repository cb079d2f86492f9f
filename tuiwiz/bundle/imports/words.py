"""Shell scripts split into simple commands, as POSIX shells split them; nothing is expanded or run here."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Quote = Literal["", '"', "'"]
_HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)([A-Za-z_]\w*)\2")
_ENDS = {"\n", ";", "|", "&"}
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=$")


class Piece(msgspec.Struct, frozen=True):
    """A part of a word and the quote it stood in: variables are read in all but single quotes."""

    text: str
    quote: Quote = ""


Word = tuple[Piece, ...]


class Simple(msgspec.Struct):
    """One simple command: its words, the words of an array that it assigns, and texts of its here-documents."""

    words: list[Word] = msgspec.field(default_factory=list)
    array: list[Word] | None = None
    documents: list[str] = msgspec.field(default_factory=list)


def split(text: str) -> list[Simple]:
    """All simple commands of a script, in the order in which they stand. A quote that never closes ends the script."""
    return _Splitter(text.replace("\r\n", "\n")).run()


class _Splitter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = [Simple()]
        self.pieces: list[Piece] = []
        self.plain = ""
        self.waiting: list[tuple[str, bool]] = []

    def run(self) -> list[Simple]:
        while self.at < len(self.text):
            self._step(self.text[self.at])
        self._command()
        return [one for one in self.found if one.words or one.array]

    def _step(self, sign: str) -> None:
        text, at = self.text, self.at
        if sign == "\\":
            if text[at + 1 : at + 2] not in ("\n", ""):
                self._piece(text[at + 1], "'")
            elif text[at + 1 : at + 2] == "\n" and not (self.pieces or self.plain):
                self._word()
            self.at += 2
        elif sign == "#" and not (self.pieces or self.plain):
            self.at = self._until("\n", at)
        elif sign in ("'", '"'):
            self._quoted(sign)
        elif sign == "$" and text[at + 1 : at + 2] in ("(", "{"):
            end = _closing(text, at + 1)
            self.plain += text[at:end]
            self.at = end
        elif sign == "`":
            end = self._until("`", at + 1)
            self.plain += text[at : end + 1]
            self.at = end + 1
        elif text.startswith("<<", at) and (match := _HEREDOC.match(text, at)):
            self.waiting.append((match[3], bool(match[1])))
            self._word()
            self.at = match.end()
        elif sign == "(" and not self.pieces and _ARRAY.match(self.plain):
            self._array()
        elif sign in _ENDS or sign in "()":
            self._separator(sign)
        elif sign.isspace():
            self._word()
            self.at += 1
        else:
            self.plain += sign
            self.at += 1

    def _separator(self, sign: str) -> None:
        if sign == "&" and (self.plain.endswith(">") or self.text[self.at + 1 : self.at + 2] == ">"):
            # `2>&1` and `&>file` are redirections.
            self.plain += sign
            self.at += 1
            return
        self._command()
        self.at += 1
        if sign == "\n" and self.waiting:
            self._documents()

    def _quoted(self, quote: str) -> None:
        start = self.at + 1
        if quote == '"' and self.text.startswith('""', start) and self.text.find('"""', start + 2) >= 0:
            # Three of them are an empty text and an open quote: to the reader, one long text.
            start += 2
        end, inner = start, []
        while end < len(self.text) and self.text[end] != quote:
            if quote == '"' and self.text[end] == "\\" and end + 1 < len(self.text):
                follower = self.text[end + 1]
                inner.append("" if follower == "\n" else follower if follower in '"\\`' else "\\" + follower)
                end += 2
            else:
                inner.append(self.text[end])
                end += 1
        self._piece("".join(inner), '"' if quote == '"' else "'")
        self.at = end + 1

    def _array(self) -> None:
        """`NAME=( words )`: the words are read as a command of their own."""
        end = _closing(self.text, self.at)
        inner = " ".join(_uncommented(line) for line in self.text[self.at + 1 : end - 1].split("\n"))
        words = [word for one in _Splitter(inner.replace("\\ ", " ")).run() for word in one.words]
        self._word()
        self.found[-1].array = words
        self.at = end

    def _documents(self) -> None:
        for name, indented in self.waiting:
            lines = []
            while self.at < len(self.text):
                end = self._until("\n", self.at)
                line = self.text[self.at : end]
                self.at = end + 1
                if (line.strip() if indented else line.rstrip()) == name:
                    break
                lines.append(line.lstrip("\t") if indented else line)
            last = next((one for one in reversed(self.found) if one.words or one.array), self.found[-1])
            last.documents.append("\n".join(lines) + "\n")
        self.waiting = []

    def _piece(self, text: str, quote: Quote) -> None:
        if self.plain:
            self.pieces.append(Piece(self.plain))
            self.plain = ""
        self.pieces.append(Piece(text, quote))

    def _word(self) -> None:
        if self.plain:
            self.pieces.append(Piece(self.plain))
        if self.pieces:
            self.found[-1].words.append(tuple(self.pieces))
        self.pieces, self.plain = [], ""

    def _command(self) -> None:
        self._word()
        if self.found[-1].words or self.found[-1].array:
            self.found.append(Simple())

    def _until(self, sign: str, start: int) -> int:
        end = self.text.find(sign, start)
        return len(self.text) if end < 0 else end


def _closing(text: str, start: int) -> int:
    """Just behind the bracket that closes the one at `start`."""
    opened = text[start]
    closes = {"(": ")", "{": "}"}[opened]
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == opened) - (text[at] == closes)
        if not depth:
            return at + 1
    return len(text)


def _uncommented(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line)
