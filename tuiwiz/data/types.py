"""What walks through this room: source rows, examples, encoded rows, and what is said about them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from tuiwiz.base.problems import Problem

Message = dict[str, Any]
"""One turn as chat templates take it: `role`, `content`, and where there are any `tool_calls`."""

Mark = Literal["trained", "context", "truncated"]


class Row(msgspec.Struct, gc=False):
    """One row as it stands in the source. `number` and `line` are 1-based; `line` is where the row starts."""

    number: int
    line: int
    value: Any


class Example(msgspec.Struct, gc=False):
    """One row in the terms of its task, whatever the columns were called.

    `messages` holds turns for chat, instruct and preference sets (there it ends with the chosen answer); `text` holds
    a document or a text to classify; `rejected` the other answer of a pair; `label` a class or a verdict.
    `untrained` lists indexes of assistant turns that the data itself excludes from training.
    """

    row: int
    line: int
    messages: list[Message] = []
    text: str | None = None
    tools: list[Any] | None = None
    rejected: str | None = None
    label: Any = None
    untrained: tuple[int, ...] = ()


class Sniffed(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is taken for.

    `format` is `none` when no known format fits, and then `problems` says what was expected. `mapping` goes from role
    (`messages`, `instruction`, `answer`, ...) to column; `columns` are those of the first rows, in order; `container`
    is how the rows lie in the file; `split` names the part that is read where the file holds several.
    """

    format: str
    mapping: dict[str, str]
    columns: tuple[str, ...]
    container: str
    split: str = ""
    splits: dict[str, int] = {}
    problems: tuple[Problem, ...] = ()


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """One row as the model sees it.

    `trained[i]` is 1 where token `i` itself is a label: the loss of predicting it from the tokens before counts.
    `row` is the 1-based source row. `other` is the worse answer of a pair, under the same prompt; `label` holds the
    numbers of `labels.coded`, or 1 and 0 for a verdict; `reference` what the model thought of the row before training.
    """

    input_ids: array[int]
    trained: bytes
    row: int
    other: Encoded | None = None
    label: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()

    @property
    def supervised(self) -> int:
        return self.trained.count(1)

    @property
    def answer_start(self) -> int:
        """Index of the first token of the last trained span; the row's length where nothing is trained."""
        last = self.trained.rfind(1)
        return self.trained.rfind(0, 0, last) + 1 if last >= 0 else len(self.trained)

    @property
    def prompt_ids(self) -> list[int]:
        """The tokens before the last answer."""
        return list(self.input_ids[: self.answer_start])

    @property
    def answer_ids(self) -> list[int]:
        """The tokens of the last answer, its end of turn included."""
        return list(self.input_ids[self.answer_start : self.trained.rfind(1) + 1])


class Rows(Sequence[Encoded]):
    """Encoded rows in flat arrays: 5 bytes a token and 16 a row, whatever their number.

    `others`, where there is one, holds the worse answers of pairs, row by row; `labels` and `reference` are those of
    `Encoded`, empty where the task has none.
    """

    def __init__(self) -> None:
        self._ids: array[int] = array("i")
        self._trained = bytearray()
        self._ends: array[int] = array("q", [0])
        self._row: array[int] = array("q")
        self.others: Rows | None = None
        self.labels: list[tuple[float, ...]] = []
        self.reference: list[tuple[float, ...]] = []

    def append(self, row: int, ids: Sequence[int], trained: bytes | bytearray) -> None:
        if len(ids) != len(trained):
            raise ValueError(f"row {row}: {len(ids)} tokens but {len(trained)} marks")
        self._ids.extend(ids)
        self._trained += trained
        self._ends.append(len(self._ids))
        self._row.append(row)

    def append_other(self, row: int, ids: Sequence[int], trained: bytes | bytearray) -> None:
        """The worse answer of the row that was appended last."""
        self.others = self.others if self.others is not None else Rows()
        self.others.append(row, ids, trained)

    def take(self, indexes: Sequence[int]) -> Rows:
        """A set of the rows with these indexes, in this order."""
        taken = Rows()
        for index in indexes:
            start, end = self._ends[index], self._ends[index + 1]
            taken.append(self._row[index], self._ids[start:end], self._trained[start:end])
        taken.others = self.others.take(indexes) if self.others is not None else None
        taken.labels = [self.labels[index] for index in indexes] if self.labels else []
        return taken

    def parts(self) -> dict[str, Any]:
        """All of it as plain data, for `of_parts`; `reference` is not among it, since it is no part of the data."""
        return {
            "ids": self._ids.tobytes(),
            "trained": bytes(self._trained),
            "ends": self._ends.tobytes(),
            "row": self._row.tobytes(),
            "others": self.others.parts() if self.others is not None else None,
            "labels": self.labels,
        }

    @classmethod
    def of_parts(cls, parts: dict[str, Any]) -> Rows:
        """Raises KeyError or ValueError where `parts` is nothing that `parts()` gave."""
        rows = cls()
        rows._ids = array("i", parts["ids"])
        rows._trained = bytearray(parts["trained"])
        rows._ends = array("q", parts["ends"])
        rows._row = array("q", parts["row"])
        if len(rows._ends) != len(rows._row) + 1 or rows._ends[-1] != len(rows._ids) != len(rows._trained):
            raise ValueError("the parts of the rows do not fit together")
        rows.others = cls.of_parts(parts["others"]) if parts["others"] is not None else None
        rows.labels = [tuple(label) for label in parts["labels"]]
        return rows

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index], self._ends[index + 1]
        return Encoded(
            self._ids[start:end],
            bytes(self._trained[start:end]),
            self._row[index],
            self.others[index] if self.others is not None else None,
            self.labels[index] if self.labels else (),
            self.reference[index] if self.reference else (),
        )

    def __iter__(self) -> Iterator[Encoded]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> array[int]:
        """Tokens of each row; of a pair, those of the longer answer with its prompt."""
        return array("i", self.lengths_of(range(len(self))))

    def lengths_of(self, indexes: Sequence[int]) -> list[int]:
        """Tokens of the rows with these indexes, without reading them."""
        ends = self._ends
        found = [ends[index + 1] - ends[index] for index in indexes]
        return (
            found if self.others is None else [max(p) for p in zip(found, self.others.lengths_of(indexes), strict=True)]
        )

    @property
    def tokens(self) -> int:
        return len(self._ids) + (self.others.tokens if self.others is not None else 0)

    @property
    def supervised(self) -> int:
        return self._trained.count(1) + (self.others.supervised if self.others is not None else 0)


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a row: median, 95th percentile (nearest rank) and longest; 0 where nothing was counted."""

    p50: int = 0
    p95: int = 0
    max: int = 0


class DataProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What planner, presets and screens need to know about a data set.

    `rows` and `usable_rows` are counted before the automatic split. `tokens`, `supervised_tokens` and `lengths` are of
    the usable rows after the over-long ones were dropped or cut, training and validation together.
    `train_rows` + `validation_rows` can exceed `usable_rows` when validation has a file of its own.
    """

    format: str = ""
    mapping: dict[str, str] = {}
    rows: int = 0
    usable_rows: int = 0
    train_rows: int = 0
    validation_rows: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    lengths: Lengths = Lengths()
    overlong: int = 0
    duplicates: int = 0
    max_length: int = 0
    template: str = ""
    tokenizer: str = ""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A data set ready to train on.

    `fingerprint` is hex SHA-256 over data, mapping, template, tokenizer and length; `hashes` are its parts. `template`
    is the Jinja source of the chat template that was used: whoever saves the model saves it too. `labels` names the
    classes in the order of their places. `cached` where the rows were not tokenised anew.
    """

    train: Rows
    validation: Rows
    profile: DataProfile
    problems: tuple[Problem, ...]
    fingerprint: str
    hashes: dict[str, str]
    template: str = ""
    labels: tuple[str, ...] = ()
    cached: bool = False


class Segment(msgspec.Struct, frozen=True):
    """A stretch of rendered text and what becomes of it."""

    text: str
    mark: Mark


class PreviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One source row as the model will see it; `problem` instead of segments where the row cannot be used.

    `other` is the same chat with the worse answer of a pair, `label` the row's class, classes, number or verdict.
    """

    row: int
    line: int
    segments: tuple[Segment, ...] = ()
    other: tuple[Segment, ...] = ()
    label: str = ""
    tokens: int | None = None
    supervised_tokens: int | None = None
    problem: Problem | None = None
