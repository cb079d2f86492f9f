"""One pass over a source: every row mapped, every bad row named, and what is odd about the rest counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from tuiwiz.base.problems import Problem, Severity
from tuiwiz.base.text import clean_line
from tuiwiz.data.mapping import mapper
from tuiwiz.data.source import Source
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example

NAMED_ROWS = 200
"""Bad rows that are listed one by one; the others are counted."""

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w .-]{0,30})\s*\}\}|\[(?:YOUR|INSERT)[ _][A-Z _]{2,30}\]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DAMAGE = re.compile("\ufffd|\u00c3[\u0080-\u00bf]|\u00e2\u20ac[\u0153\u2122\u0153\u201c\u009d]")
_SUSPECT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\u00c3\u00e2{\\[]")


class Finding(msgspec.Struct):
    """Rows that share one oddity."""

    message: str
    hint: str
    severity: Severity = "warning"
    count: int = 0
    row: int = 0
    last_row: int = 0
    line: int = 0
    example: str = ""


class Examination:
    """Reads a source through a mapping. Iterate `examples` once; the counters are complete afterwards."""

    def __init__(
        self,
        source: Source,
        format: str,
        mapping: Mapping[str, str],
        *,
        system: str | None = None,
        special: re.Pattern[str] | None = None,
    ) -> None:
        self.source = source
        self.format = format
        self.rows = 0
        self.usable = 0
        self.duplicates = 0
        self.bad: list[Problem] = []
        self.bad_count = 0
        self.labels: Counter[str] = Counter()
        self._map = mapper(format, mapping, system=system)
        self._special = special
        self._first: dict[int, int] = {}
        self._findings: dict[str, Finding] = {}

    def examples(self) -> Iterator[Example]:
        """Usable rows in order.

        Raises:
            InvalidError: the source cannot be read on.
        """
        plain_text = self.source.container == "text"
        for found in self.source.read():
            self.rows += 1
            if isinstance(found, Problem):
                self._leave_out(found)
                continue
            try:
                example = self._map(found)
            except RowError as error:
                self.reject(found.number, found.line, error)
                continue
            self.usable += 1
            self._look(example, plain_text)
            yield example

    def reject(self, row: int, line: int, error: RowError) -> None:
        """Leave a row out, for a reason found while mapping or (then `usable` is corrected by the caller) later."""
        path = str(self.source.path)
        self._leave_out(Problem(message=error.message, hint=error.hint, path=path, row=row, line=line or None))

    def _leave_out(self, problem: Problem) -> None:
        self.bad_count += 1
        if len(self.bad) < NAMED_ROWS:
            self.bad.append(problem)

    def _look(self, example: Example, plain_text: bool) -> None:
        if example.text is not None:
            texts = [example.text]
        else:
            texts = [message["content"] for message in example.messages]
            self._order(example)
        if example.rejected is not None:
            texts.append(example.rejected)
        for text in texts:
            if _SUSPECT.search(text):
                self._suspect(example, text, plain_text)
            if self._special is not None and (match := self._special.search(text)):
                message = "spell a control token in their text; it is trained as mere text, not as the token"
                self.note("special", example, message, "remove it unless the text is about such tokens", match[0])
        if not plain_text:
            key = hash((*texts, *(message["role"] for message in example.messages), str(example.label)))
            first = self._first.setdefault(key, example.row)
            if first != example.row:
                self.duplicates += 1
                message = "repeat an earlier row word for word"
                self.note("duplicate", example, message, "repeats weigh double; remove them if unmeant", f"row {first}")
        if example.label is not None:
            for label in example.label if isinstance(example.label, list) else [example.label]:
                self.labels[str(label)] += 1

    def _suspect(self, example: Example, text: str, plain_text: bool) -> None:
        if match := _PLACEHOLDER.search(text):
            self.note("placeholder", example, "hold a placeholder that was never filled in", "fill it in", match[0])
        if match := _CONTROL.search(text):
            shown = f"U+{ord(match[0]):04X}"
            severity: Severity = "info" if plain_text and match[0] == "\x0c" else "warning"
            self.note("control", example, "hold control characters", "remove them", shown, severity)
        if match := _DAMAGE.search(text):
            hint = "the text went through a wrong encoding: export it again as UTF-8"
            self.note("damage", example, "look damaged by a wrong encoding", hint, match[0])

    def _order(self, example: Example) -> None:
        roles = [message["role"] for message in example.messages]
        if example.label is None and roles and roles[-1] not in {"assistant"}:
            self.note("tail", example, "end with a turn that is not the assistant's: it teaches nothing", "", roles[-1])
        start = 1 if roles and roles[0] == "system" else 0
        if roles[start : start + 1] == ["assistant"]:
            self.note("opening", example, "begin with the assistant", "is a user turn missing?")
        if "system" in roles[1:]:
            self.note("system", example, "have a system turn that is not the first", "many templates refuse it")
        if any(a == b != "tool" for a, b in pairwise(roles)):
            self.note("order", example, "have two turns of the same role in a row", "is a turn missing between them?")

    def note(
        self, kind: str, example: Example, message: str, hint: str, shown: str = "", severity: Severity = "warning"
    ) -> None:
        """Count an oddity; the first row with it is named."""
        finding = self._findings.get(kind)
        if finding is None:
            finding = Finding(
                message, hint, severity, row=example.row, line=example.line, example=clean_line(shown, 40)
            )
            self._findings[kind] = finding
        if finding.last_row != example.row:  # a row counts once, however many of its turns are odd
            finding.count += 1
            finding.last_row = example.row

    def problems(self, *, refused: bool = False) -> list[Problem]:
        """Bad rows one by one (errors when the set is refused, else warnings: they are left out), then oddities."""
        path = str(self.source.path)
        severity: Severity = "error" if refused else "warning"
        found = [
            msgspec.structs.replace(p, severity=severity, message=f"row {p.row} is left out: {p.message}")
            for p in self.bad
        ]
        if self.bad_count > len(self.bad):
            more = self.bad_count - len(self.bad)
            found.append(Problem(severity=severity, message=f"{more:,} more rows are left out", path=path))
        for finding in self._findings.values():
            first = f" (first: row {finding.row}{', ' + finding.example if finding.example else ''})"
            rows = f"{finding.count:,} row{'s' if finding.count > 1 else ''}"
            message = f"{rows} {_singular(finding.message, finding.count)}{first}"
            found.append(
                Problem(
                    severity=finding.severity,
                    message=message,
                    hint=finding.hint,
                    path=path,
                    row=finding.row,
                    line=finding.line or None,
                )
            )
        return found


_VERBS = {"spell": "spells", "repeat": "repeats", "hold": "holds", "look": "looks", "end": "ends", "begin": "begins"}


def _singular(message: str, count: int) -> str:
    verb, _, rest = message.partition(" ")
    return f"{_VERBS.get(verb, 'has' if verb == 'have' else verb)} {rest}" if count == 1 else message
