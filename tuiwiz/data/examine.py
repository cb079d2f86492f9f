"""One pass over a source: every row mapped, every bad row named, and what is odd about the rest counted."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from tuiwiz.base.problems import Problem, Severity
from tuiwiz.base.text import clean_line
from tuiwiz.data.classes import Labels
from tuiwiz.data.duplicates import NEAR_ROWS, NearDuplicates, RowHashes, prompt_key
from tuiwiz.data.languages import Languages
from tuiwiz.data.mapping import mapper
from tuiwiz.data.onesided import Answers
from tuiwiz.data.source import Source
from tuiwiz.data.suspects import oddities
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example

NAMED_ROWS = 200
"""Bad rows that are listed one by one; the others are counted."""
TEXT_LINES_APART = 10
"""Of a plain text one line in so many is looked at for its language."""

_KINDS: dict[str, tuple[str, str]] = {
    "placeholder": ("hold a placeholder that was never filled in", "fill it in"),
    "control": ("hold control characters", "remove them; `data check --fix` does"),
    "damage": (
        "look damaged by a wrong encoding",
        "the text went through a wrong encoding: export it again as UTF-8, or try `data check --fix`",
    ),
    "email": ("hold an e-mail address", "the model may repeat it: mask it; `data check --fix` does"),
    "secret": ("hold what looks like a secret key", "revoke it and remove it; `data check --fix` masks it"),
    "marker": (
        "spell what a chat template writes",
        "was the set rendered before? the template would be written twice: give plain turns",
    ),
}
"""What `suspects` finds, as said of rows, and what to do."""


class Finding(msgspec.Struct):
    """Rows that share one oddity; `earlier` is the row that the first of them is like."""

    message: str
    hint: str
    severity: Severity = "warning"
    count: int = 0
    row: int = 0
    last_row: int = 0
    line: int = 0
    example: str = ""
    earlier: int = 0


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
        near: NearDuplicates | None = None,
        first_row: int = 0,
        classes: bool = True,
    ) -> None:
        self.source = source
        self.format = format
        self.rows = 0
        self.usable = 0
        self.duplicates = 0
        self.bad: list[Problem] = []
        self.bad_count = 0
        self.left_out = array("I")
        self.labels = Labels()
        self.answers = Answers()
        self.hashes = RowHashes()
        self.prompts = RowHashes()
        self.near = near
        self.near_groups: list[list[int]] = []
        self.first_row = first_row
        self._classes = classes and format in {"classification", "multi-label"}
        self.languages = Languages()
        self._map = mapper(format, mapping, system=system)
        self._special = special
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
        self._repeats()

    def reject(self, row: int, line: int, error: RowError) -> None:
        """Leave a row out, for a reason found while mapping or (then `usable` is corrected by the caller) later."""
        path = str(self.source.path)
        self._leave_out(Problem(message=error.message, hint=error.hint, path=path, row=row, line=line or None))

    def _leave_out(self, problem: Problem) -> None:
        self.bad_count += 1
        self.left_out.append(problem.row or 0)
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
            for kind, shown in oddities(text):
                self._odd(kind, shown, example, plain_text)
            if self._special is not None and (match := self._special.search(text)):
                message = "spell a control token in their text; it is trained as mere text, not as the token"
                self.note("special", example, message, "remove it unless the text is about such tokens", match[0])
        if example.label is not None:
            self.answers.add(example.label)
        if example.label is not None and not isinstance(example.label, bool):
            for label in example.label if isinstance(example.label, list) else [example.label]:
                self.labels.add(str(label), example.row)
        if plain_text:
            if example.row % TEXT_LINES_APART == 1:
                self.languages.add(texts[0])
            return
        key = hash((*texts, *(message["role"] for message in example.messages), str(example.label)))
        self.hashes.add(key, example.row)
        self.prompts.add(prompt_key(example), example.row)
        whole = texts[0] if len(texts) == 1 else "\n".join(texts)
        self.languages.add(whole)
        if self.near is not None:
            self.near.add(self.first_row + example.row, whole, key)

    def _odd(self, kind: str, shown: str, example: Example, plain_text: bool) -> None:
        if kind == "marker" and self._special is not None and self._special.search(shown):
            return  # said better by the finding about control tokens
        message, hint = _KINDS[kind]
        form_feed = kind == "control" and plain_text and shown == "U+000C"
        self.note(kind, example, message, hint, shown, "info" if form_feed else "warning")

    def _repeats(self) -> None:
        """Rows that were there before, once all have been seen; the first in the file is named."""
        first = (0, 0)
        for row, earlier in self.hashes.repeats():
            self.duplicates += 1
            if not first[0] or row < first[0]:
                first = (row, earlier)
        if self.duplicates:
            message = "repeat an earlier row word for word"
            hint = "repeats weigh double; remove them if unmeant: `data check --fix` does"
            self._findings["duplicate"] = Finding(message, hint, count=self.duplicates, row=first[0], earlier=first[1])
        if self.near is not None and not self.first_row:
            self._nearly(self.near)

    def _nearly(self, near: NearDuplicates) -> None:
        groups = self.near_groups = near.groups()
        count = sum(len(group) - 1 for group in groups)
        if not count:
            return
        group = min(groups, key=lambda rows: rows[1])
        message = "say nearly the same as another"
        if near.sampled:
            message += f", among {NEAR_ROWS:,} rows drawn by seed"
        hint = "they add little and must not be split between training and validation; the automatic split heeds it"
        self._findings["near"] = Finding(message, hint, count=count, row=group[1], earlier=group[0])

    def _order(self, example: Example) -> None:
        roles = [message["role"] for message in example.messages]
        if example.label is None and roles and roles[-1] not in {"assistant"}:
            self.note("tail", example, "end with a turn that is not the assistant's: it teaches nothing", "", roles[-1])
        start = 1 if roles and roles[0] == "system" else 0
        if roles[start : start + 1] == ["assistant"]:
            self.note("opening", example, "begin with the assistant", "is a user turn missing?")
        if "system" in roles[1:]:
            self.note("system", example, "have a system turn that is not the first", "many templates refuse it")
        if "tool" in roles:
            self.note("tool", example, "have tool turns", "", severity="info")
        if any(not message["content"].strip() and not message.get("tool_calls") for message in example.messages):
            self.note("empty", example, "have an empty turn", "fill it in or remove the row")
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
            for p in map(self.source.placed, self.bad)
        ]
        if self.bad_count > len(self.bad):
            more = self.bad_count - len(self.bad)
            found.append(Problem(severity=severity, message=f"{more:,} more rows are left out", path=path))
        for finding in self._findings.values():
            example = self.source.row_words(finding.earlier) if finding.earlier else finding.example
            first = f" (first: {self.source.row_words(finding.row)}{', ' + example if example else ''})"
            rows = f"{finding.count:,} row{'s' if finding.count > 1 else ''}"
            message = f"{rows} {_singular(finding.message, finding.count)}{first}"
            problem = Problem(
                severity=finding.severity,
                message=message,
                hint=finding.hint,
                path=path,
                row=finding.row,
                line=finding.line or None,
            )
            found.append(self.source.placed(problem))
        found += map(self.source.placed, self.labels.problems(path) if self._classes else [])
        spoken = self.languages.describe()
        if spoken and not refused:
            message = f"languages, roughly: {spoken}"
            hint = "by script and common words, on a part of the rows where there are more than 2,000"
            found.append(Problem(severity="info", message=message, hint=hint, path=path))
        return found


_VERBS = {"have": "has"}


def _singular(message: str, count: int) -> str:
    verb, _, rest = message.partition(" ")
    return f"{_VERBS.get(verb, verb + 's')} {rest}" if count == 1 else message
