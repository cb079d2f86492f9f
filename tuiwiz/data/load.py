"""One file from path to tokens, with everything that was found on the way: what `prepare` and `data check` share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.duplicates import NearDuplicates
from tuiwiz.data.encode import Counted, encode, estimate
from tuiwiz.data.examine import Examination
from tuiwiz.data.formats import BY_NAME
from tuiwiz.data.onesided import one_sided, uneven
from tuiwiz.data.overlong import alike, shortened, trained_tokens
from tuiwiz.data.render import Renderer
from tuiwiz.data.sniff import sniff_source
from tuiwiz.data.source import Source, open_source
from tuiwiz.data.textblocks import blocks
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example, Lengths, Sniffed

Progress = Callable[[str, int, int], None]
LEAST_USABLE_SHARE = 0.5
LEAST_SUPERVISED = 0.02
"""A set in which a smaller share of the tokens is trained is worth a second look."""
UNSPLIT = ("preference", "kto", "reward", "classification", "multi-label")
"""Formats whose rows mean something only as a whole."""
TRAINED_FORMATS = ("openai", "sharegpt", "alpaca", "prompt-completion", "preference", "kto", "reward")
_CONTROL_WORDS = re.compile(r"<\|[a-z_]+\|>|<(?:start|end)_of_turn>|\[/?INST\]")


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
    """Counted while rows pass: over-long rows, the trained tokens that each way of dealing with them would lose, and
    how many of the rows that passed have which length."""

    overlong: int = 0
    dropped: int = 0
    lost_by_drop: int = 0
    lost_by_truncate: int = 0
    sequences: int = 0
    tokens: int = 0
    supervised: int = 0
    lengths: Counter[int] = msgspec.field(default_factory=Counter)


class Loader:
    """Opens, recognises and reads one data set. Iterate `rows` once. `alone`: no other set is trained on beside it.

    Raises:
        InvalidError: the set cannot be used; every bad row is among its problems.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        renderer: Renderer,
        *,
        progress: Progress | None = None,
        near: NearDuplicates | None = None,
        first_row: int = 0,
        alone: bool = True,
    ) -> None:
        self.alone = alone
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
            self.source,
            self.format,
            self.sniffed.mapping,
            system=settings.system,
            special=special,
            near=near if self.source.container != "text" else None,
            first_row=first_row,
            classes=settings.labels != "regression",
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
                self.progress("read", self.examination.rows, 0)
            yield example

    def _fitting(self, rows: Iterator[Counted]) -> Iterator[Counted]:
        limit, tally = self.settings.max_length, self.tally
        for count, found in enumerate(rows):
            if not count:
                self.endless = not self._stops(found)
            parts = [found] if found.length <= limit else self._shortened(found, limit)
            if parts and found.other is not None and alike(parts[0]):
                where = f" in the first {limit:,} tokens" if found.length > limit else ""
                hint = "a pair needs a better and a worse answer" + (": raise data.max_length" if where else "")
                self._reject(found.example, RowError(f"chosen and rejected are the same{where}", hint=hint))
                continue
            for part in parts:
                for tokens in part.rows:
                    tally.tokens += len(tokens.ids)
                    tally.supervised += tokens.trained.count(1)
                tally.sequences += 1
                tally.lengths[part.length] += 1
                yield part

    def _shortened(self, found: Counted, limit: int) -> list[Counted]:
        tally = self.tally
        supervised, kept = trained_tokens(found), trained_tokens(found, limit)
        tally.overlong += 1
        tally.lost_by_drop += supervised
        tally.lost_by_truncate += supervised - kept
        special = self.renderer.tokens.special.values() if self.renderer.tokens is not None else ()
        parts = shortened(found, limit, self.settings.overlong, special)
        tally.dropped += not parts
        return parts

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
        elif examination.usable == self.tally.dropped:
            message = f"every row is longer than {self.settings.max_length} tokens"
            problem = Problem(message=message, hint="raise data.max_length, or set data.overlong = truncate", path=path)
        elif self.alone:
            problem = one_sided([self])
        if problem is not None:
            raise self._refused([problem, *examination.problems(refused=True)])

    def lengths(self) -> Lengths:
        """Quantiles over the rows that passed."""
        return quantiles(self.tally.lengths)

    def problems(self) -> list[Problem]:
        """Everything found, once the rows have passed."""
        found = list(self.sniffed.problems) + self.examination.problems()
        tally, settings, path = self.tally, self.settings, str(self.source.path)
        if tally.overlong:
            what = {"drop": "left out", "truncate": f"cut to {settings.max_length} tokens", "split": "split"}
            message = (
                f"{tally.overlong:,} row{'s are' if tally.overlong > 1 else ' is'} longer than {settings.max_length} "
                f"tokens: {what[settings.overlong]}. Answer tokens lost: {tally.lost_by_drop:,} by drop, "
                f"{tally.lost_by_truncate:,} by truncate{'' if self.format in UNSPLIT else ', 0 by split'}"
            )
            hint = "data.overlong chooses; a higher data.max_length keeps them whole"
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        if tally.tokens and self.format in TRAINED_FORMATS and tally.supervised < LEAST_SUPERVISED * tally.tokens:
            share = 100 * tally.supervised / tally.tokens
            message = f"only {share:.1f} % of the tokens are trained: the answers are short beside their prompts"
            hint = "is the mapping right? `tuiwiz data show` prints what is trained"
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        if self.sniffed.splits:
            parts = ", ".join(f"{name} {rows:,}" for name, rows in list(self.sniffed.splits.items())[:8])
            message = f"read the split {self.sniffed.split}; the file holds {parts}"
            found.append(Problem(severity="info", message=message, path=path))
        found += uneven([self]) if self.alone else []
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
        own = renderer.own_template
        if own and renderer.template.text != own:
            message = f"the model brings its own chat template, but rows are written with {renderer.template.name}"
            hint = 'data.template = "model" is what it was trained with'
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        unknown = sorted(set(_CONTROL_WORDS.findall(renderer.template.text)) - renderer.tokens.special.keys())
        if unknown and renderer.template.text != own:
            message = f"the template writes {unknown[0]}, which is no control token of this tokenizer: mere text then"
            hint = 'data.template = "instruction" needs none, or name the template that the model knows'
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        if "tools" in self.sniffed.mapping and not renderer.template.knows_tools:
            message = "the chat template does not show tool definitions to the model: the column is not used"
            found.append(Problem(severity="warning", message=message, hint="use a model trained for tools", path=path))
        if self.endless:
            message = "no control token ends an answer: the model will not learn to stop"
            hint = "choose a data.template that writes the end-of-sequence token"
            found.append(Problem(severity="warning", message=message, hint=hint, path=path))
        return found


def quantiles(lengths: Counter[int]) -> Lengths:
    """Quantiles of lengths that are given as rows of each length."""
    count = lengths.total()
    if not count:
        return Lengths()
    p50 = p95 = seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        p50 = p50 or (length if 2 * seen >= count else 0)
        p95 = p95 or (length if 100 * seen >= 95 * count else 0)
    return Lengths(p50=p50, p95=p95, max=max(lengths))
