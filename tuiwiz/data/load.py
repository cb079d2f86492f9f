"""One file from path to tokens, with everything that was found on the way: what `prepare` and `data check` share."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.encode import Counted, encode, estimate
from tuiwiz.data.examine import Examination
from tuiwiz.data.formats import BY_NAME
from tuiwiz.data.render import Renderer, TokenRow
from tuiwiz.data.sniff import sniff_source
from tuiwiz.data.source import Source, open_source
from tuiwiz.data.textblocks import blocks
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example, Lengths, Sniffed

Progress = Callable[[str, int, int], None]
LEAST_USABLE_SHARE = 0.5


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How rows become tokens: the values of `[data]` that matter here. An empty `task` accepts every format."""

    task: str = ""
    format: str = "auto"
    mapping: Mapping[str, str] = {}
    system: str | None = None
    train_on: str = "assistant"
    max_length: int = 2048
    overlong: str = "drop"
    labels: str | None = None


class Tally(msgspec.Struct):
    """Counted while rows pass: over-long rows, the answer tokens they cost, and lengths before dropping or cutting."""

    overlong: int = 0
    dropped: int = 0
    lost_tokens: int = 0
    tokens: int = 0
    supervised: int = 0
    lengths: array[int] = msgspec.field(default_factory=lambda: array("i"))


class Loader:
    """Opens, recognises and reads one data set. Iterate `rows` once.

    Raises:
        InvalidError: the set cannot be used; every bad row is among its problems.
    """

    def __init__(self, path: Path, settings: Settings, renderer: Renderer, *, progress: Progress | None = None) -> None:
        self.settings = settings
        self.renderer = renderer
        self.progress = progress
        self.source: Source = open_source(path)
        self.sniffed: Sniffed = sniff_source(
            self.source, format=settings.format, mapping=settings.mapping, task=settings.task
        )
        self.tally = Tally()
        self.endless = False
        self.format = self.sniffed.format
        if self.format == "none":
            raise self._refused(list(self.sniffed.problems))
        special = renderer.tokens.special_pattern if renderer.tokens else None
        self.examination = Examination(
            self.source, self.format, self.sniffed.mapping, system=settings.system, special=special
        )
        self._check_task()

    def _refused(self, problems: list[Problem]) -> InvalidError:
        first = next((p for p in problems if p.severity == "error"), problems[0])
        return InvalidError(f"{self.source.path.name}: {first.message}", hint=first.hint, problems=problems)

    def _check_task(self) -> None:
        task = self.settings.task
        if task == "classify" and self.format == "multi-label" and self.settings.labels != "multi":
            message = "rows have lists of labels, but the task expects one label a row"
            hint = 'set task.labels = "multi", or keep one label a row'
            raise self._refused([Problem(message=message, hint=hint, path=str(self.source.path))])
        if not task or task in BY_NAME[self.format].serves:
            return
        if task == "pretrain" and self.format != "text":
            hint = "pretrain learns running text: a column named text, or a .txt file"
        else:
            hint = f"this set serves: {', '.join(BY_NAME[self.format].serves)}"
        message = f"a {self.format} set does not fit the task {task}"
        raise self._refused([Problem(message=message, hint=hint, path=str(self.source.path))])

    def reject(self, row: int, line: int, error: RowError) -> None:
        """Leave out a row that was counted as usable before."""
        self.examination.usable -= 1
        self.examination.reject(row, line, error)

    def _reject(self, example: Example, error: RowError) -> None:
        self.reject(example.row, example.line, error)

    def rows(self) -> Iterator[Counted]:
        """Rows that fit, in order, over-long ones dropped or cut. Without a tokenizer token counts are estimates.

        Raises:
            InvalidError: nothing, or too little, of the set can be used.
        """
        yield from self._fitting(self._tokened())
        self._judge()

    def _tokened(self) -> Iterator[Counted]:
        examples = self._watched()
        if self.renderer.tokens is None:
            yield from estimate(self.renderer, examples, self.settings.train_on, self._reject)
        elif self.source.container == "text":
            yield from blocks(self.renderer.tokens, examples, self.settings.max_length)
        else:
            yield from encode(self.renderer, examples, self.settings.train_on, self._reject)

    def _watched(self) -> Iterator[Example]:
        for count, example in enumerate(self.examination.examples()):
            if self.progress is not None and count % 1000 == 0:
                self.progress("data", self.examination.rows, 0)
            yield example

    def _fitting(self, rows: Iterator[Counted]) -> Iterator[Counted]:
        limit, tally = self.settings.max_length, self.tally
        drops = self.settings.overlong == "drop"
        for count, found in enumerate(rows):
            if not count:
                self.endless = not self._stops(found)
            parts = [found.tokens] if found.other is None else [found.tokens, found.other]
            length = max(len(part.ids) for part in parts)
            if length > limit:
                kept = [0 if drops else part.trained.count(1, 0, limit) for part in parts]
                tally.overlong += 1
                tally.lost_tokens += sum(part.trained.count(1) for part in parts) - sum(kept)
                # A text to classify has no answer that could be lost; of a pair both answers must keep something.
                if drops or (0 in kept and (found.example.text is None or found.example.label is None)):
                    tally.dropped += 1
                    continue
                parts = [self._cut(part, limit) for part in parts]
                found.tokens, found.other = parts[0], parts[1] if len(parts) > 1 else None
                length = limit
            tally.tokens += sum(len(part.ids) for part in parts)
            tally.supervised += sum(part.trained.count(1) for part in parts)
            tally.lengths.append(length)
            yield found

    def _cut(self, tokens: TokenRow, limit: int) -> TokenRow:
        """The first `limit` tokens; of a text to classify, the token that closes it stays the last one."""
        ids, trained = tokens.ids[:limit], tokens.trained[:limit]
        special = self.renderer.tokens.special.values() if self.renderer.tokens is not None else ()
        if not trained.count(1) and tokens.ids[-1] in special:
            ids[-1] = tokens.ids[-1]
        return TokenRow(tokens.row, ids, trained)

    def _stops(self, found: Counted) -> bool:
        """Whether a control token ends the trained part: without one a model never learns to stop."""
        tokens = self.renderer.tokens
        if tokens is None or found.example.text is not None:
            return True
        end = found.tokens.trained.rfind(1)
        return not set(tokens.special.values()).isdisjoint(found.tokens.ids[max(0, end - 3) : end + 1])

    def _judge(self) -> None:
        examination = self.examination
        path = str(self.source.path)
        problem: Problem | None = None
        if not examination.rows:
            problem = Problem(message="no rows", hint="the file holds a header or blank space only", path=path)
        elif not examination.usable:
            first = examination.bad[0].message if examination.bad else ""
            message = f"none of {examination.rows:,} rows can be used: {first}"
            problem = Problem(message=message, hint=examination.bad[0].hint if examination.bad else "", path=path)
        elif examination.usable < LEAST_USABLE_SHARE * examination.rows:
            message = f"only {examination.usable:,} of {examination.rows:,} rows fit the format {self.format}"
            problem = Problem(message=message, hint="are several formats mixed? give each a file of its own", path=path)
        elif self.format == "classification" and self.settings.labels != "regression" and len(examination.labels) < 2:
            only = next(iter(examination.labels), "")
            problem = Problem(message=f"at least two classes are needed, all rows are '{only}'", path=path)
        elif examination.usable == self.tally.dropped:
            message = f"every row is longer than {self.settings.max_length} tokens"
            problem = Problem(message=message, hint="raise data.max_length, or set data.overlong = truncate", path=path)
        if problem is not None:
            raise self._refused([problem, *examination.problems(refused=True)])

    def lengths(self) -> Lengths:
        """Quantiles over the rows that passed."""
        ordered = sorted(self.tally.lengths)
        if not ordered:
            return Lengths()
        count = len(ordered)
        return Lengths(p50=ordered[(count + 1) // 2 - 1], p95=ordered[-(-95 * count // 100) - 1], max=ordered[-1])

    def problems(self) -> list[Problem]:
        """Everything found, once the rows have passed."""
        found = list(self.sniffed.problems) + self.examination.problems()
        tally, settings, path = self.tally, self.settings, str(self.source.path)
        if tally.overlong:
            what = "left out" if settings.overlong == "drop" else f"cut to {settings.max_length} tokens"
            message = (
                f"{tally.overlong:,} row{'s are' if tally.overlong > 1 else ' is'} longer than {settings.max_length} "
                f"tokens: {what}, {tally.lost_tokens:,} answer tokens lost"
            )
            found.append(
                Problem(severity="warning", message=message, hint="raise data.max_length to keep them", path=path)
            )
        if self.sniffed.splits:
            parts = ", ".join(f"{name} {rows:,}" for name, rows in list(self.sniffed.splits.items())[:8])
            message = f"read the split {self.sniffed.split}; the file holds {parts}"
            found.append(Problem(severity="info", message=message, path=path))
        found += self._template_problems(path)
        return found

    def _template_problems(self, path: str) -> list[Problem]:
        renderer = self.renderer
        if renderer.tokens is None or self.format in {"text", "classification", "multi-label"}:
            return []
        found = []
        if renderer.template.name == "instruction" and not renderer.tokens.config.get("chat_template"):
            message = "the model brings no chat template: rows are written as ### Instruction / ### Response"
            hint = "data.template = 'chatml' or a Jinja file chooses another; it is saved with the result"
            found.append(Problem(severity="info", message=message, hint=hint, path=path))
        if "tools" in self.sniffed.mapping and not renderer.template.knows_tools:
            message = "the chat template does not show tool definitions to the model: the column is not used"
            found.append(Problem(severity="warning", message=message, hint="use a model trained for tools", path=path))
        if self.endless:
            message = "no control token ends an answer: the model will not learn to stop"
            hint = "choose a data.template that writes the end-of-sequence token"
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        return found
