"""Which rows make an optimizer step, and how they are laid out for the model.

A step is a fixed set of `effective` rows; the order of rows is a pure function of (seed, epoch). Micro-batches, length
sorting and packing only rearrange rows inside a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tuiwiz.data.types import Encoded, Rows
from tuiwiz.spec.derive import steps_per_epoch


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass.

    `input_ids` [b, n]; padding stands at the end of a row, where causal attention never looks. `position_ids` [b, n]
    only for packed rows, where a fall back to 0 marks the next document. `predicting` [s] are flat indexes of the
    positions whose next token is supervised, `targets` [s] those tokens, `row_of` [s] which row of the batch each
    belongs to. `tokens` counts without padding.

    `lengths` [b] are tokens of a line without padding. Of pairs the better answers come first, then the worse ones in
    the same order; `answered` [s], where not all of `targets` belong to answers, marks those that do. `labels` [n, k]
    and `reference` [n, k] are those of the n rows of the set. `strange` is a second pass: the same prompts, each above
    the answer of another row.
    """

    input_ids: Tensor
    position_ids: Tensor | None
    predicting: Tensor
    targets: Tensor
    row_of: Tensor
    rows: int
    tokens: int
    lengths: Tensor
    labels: Tensor | None = None
    reference: Tensor | None = None
    answered: Tensor | None = None
    strange: MicroBatch | None = None

    @property
    def ends(self) -> Tensor:
        """[b] flat indexes of the last token of each line."""
        return torch.arange(len(self.lengths), device=self.lengths.device) * self.input_ids.shape[1] + self.lengths - 1

    @property
    def mask(self) -> Tensor:
        """[b, n], 1 on tokens and 0 on padding: for models that look in both directions."""
        return (torch.arange(self.input_ids.shape[1], device=self.lengths.device) < self.lengths[:, None]).long()

    @property
    def supervised(self) -> int:
        return int(self.targets.shape[0])


class Order:
    """The rows of every step of a run."""

    def __init__(self, rows: int, effective: int, seed: int) -> None:
        self.rows = rows
        self.effective = effective
        self.seed = seed
        self.per_epoch = steps_per_epoch(rows, effective)
        self._epoch = -1
        self._order: list[int] = []

    def step(self, index: int) -> list[int]:
        """Row indexes of the optimizer step with 0-based `index`."""
        epoch, place = divmod(index, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self._order = torch.randperm(self.rows, generator=generator).tolist()
            self._epoch = epoch
        return self._order[place * self.effective : (place + 1) * self.effective]


def lay_out(
    rows: Rows, indexes: Sequence[int], micro: int, *, packing: bool, tokens: int | None = None, parts: int = 1
) -> list[list[list[int]]]:
    """Row indexes as micro-batches of sequences of rows: `micro` of them, or as many as come to `tokens`, padding
    included, and at least one.

    Without packing each sequence is one row, and rows of similar length share a micro-batch. With packing rows are put
    together first-fit-decreasing up to the length of the longest one of the step: longer packs lose more to attention
    than they save in padding. Where there are sequences enough, `parts` processes have a micro-batch each.
    """
    lengths = rows.lengths_of(indexes)
    ordered = [index for _, index in sorted(zip(lengths, indexes, strict=True), reverse=True)]
    size = dict(zip(indexes, lengths, strict=True))
    lines = 2 if rows.others is not None else 1
    if not packing:
        return _cut([[index] for index in ordered], micro, tokens, lambda sequence: lines * size[sequence[0]], parts)
    room = max(lengths)
    packs: list[list[int]] = []
    left: list[int] = []
    for index in ordered:
        for number, free in enumerate(left):
            if size[index] <= free:
                packs[number].append(index)
                left[number] -= size[index]
                break
        else:
            packs.append([index])
            left.append(room - size[index])
    packs.sort(key=lambda pack: sum(size[index] for index in pack), reverse=True)
    return _cut(packs, micro, tokens, lambda pack: sum(size[index] for index in pack), parts)


def _cut(
    sequences: list[list[int]], micro: int, tokens: int | None, length: Callable[[list[int]], int], parts: int
) -> list[list[list[int]]]:
    """Sequences, the longest first, as micro-batches: all of one are padded to its first."""
    found = []
    start, most = 0, -(-len(sequences) // parts)
    while start < len(sequences):
        end = start + min(most, micro if tokens is None else max(1, tokens // max(1, length(sequences[start]))))
        found.append(sequences[start:end])
        start = end
    return found


def flat(layout: list[list[list[int]]]) -> list[list[list[int]]]:
    """The same micro-batches, each as one sequence of its rows: nothing is padded."""
    return [[[index for sequence in sequences for index in sequence]] for sequences in layout]


def collate(rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
    """One micro-batch; each sequence holds one row, or several when packed."""
    return assemble([[rows[index] for index in sequence] for sequence in sequences], device)


def collate_pairs(
    rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device, *, whole: bool = False
) -> MicroBatch:
    """One micro-batch of pairs; with `whole` all tokens of the better rows are targets, their prompts included."""
    better = [rows[index] for sequence in sequences for index in sequence]
    worse = [row.other for row in better]
    return assemble([[row] for row in (*better, *worse)], device, whole=len(better) if whole else 0)


def collate_strangers(rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
    """One micro-batch of single answers; its `strange` pass has the answer of the next row of the set under each
    prompt, cut to the longer of the two rows."""
    indexes = [index for sequence in sequences for index in sequence]
    found = [rows[index] for index in indexes]
    strange = [_spliced(row, rows[(index + 1) % len(rows)]) for index, row in zip(indexes, found, strict=True)]
    return replace(assemble([[row] for row in found], device), strange=assemble([[row] for row in strange], device))


def _spliced(row: Encoded, other: Encoded) -> Encoded:
    """The prompt of `row` and the answer of `other`; at least one token of that answer stays."""
    prompt, answer = row.input_ids[: row.answer_start], other.input_ids[other.answer_start :]
    answer = answer[: max(1, max(len(row.input_ids), len(other.input_ids)) - len(prompt))]
    return Encoded(prompt + answer, bytes(len(prompt)) + b"\x01" * len(answer), row.row)


def assemble(found: Sequence[Sequence[Encoded]], device: torch.device, *, whole: int = 0) -> MicroBatch:
    """Lines of rows as tensors; of the first `whole` rows every token is a target."""
    lengths = [sum(len(row.input_ids) for row in sequence) for sequence in found]
    width = max(lengths)
    packed = any(len(sequence) > 1 for sequence in found)
    ids: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    targets: list[int] = []
    row_of: list[int] = []
    answered: list[bool] = []
    number = 0
    for line, sequence in enumerate(found):
        start = line * width
        for row in sequence:
            count = len(row.input_ids)
            ids.extend(row.input_ids)
            positions.extend(range(count))
            # The first token of a row has nothing in front of it to be predicted from.
            labels = [index for index in range(1, count) if row.trained[index] or number < whole]
            predicting.extend(start + index - 1 for index in labels)
            targets.extend(row.input_ids[index] for index in labels)
            row_of.extend([number] * len(labels))
            if whole:
                answered.extend(bool(row.trained[index]) for index in labels)
            start += count
            number += 1
        padding = (line + 1) * width - start
        ids.extend([0] * padding)
        # Padding starts a document of its own, so that nothing looks at it.
        positions.extend(range(padding))
    shape = (len(found), width)
    rows = [row for sequence in found for row in sequence]
    return MicroBatch(
        input_ids=torch.tensor(ids).view(shape).to(device),
        position_ids=torch.tensor(positions).view(shape).to(device) if packed else None,
        predicting=torch.tensor(predicting, dtype=torch.long).to(device),
        targets=torch.tensor(targets, dtype=torch.long).to(device),
        row_of=torch.tensor(row_of, dtype=torch.long).to(device),
        rows=number,
        tokens=sum(lengths),
        lengths=torch.tensor(lengths).to(device),
        labels=_numbers([row.label for row in rows if row.label], device),
        reference=_numbers([row.reference for row in rows if row.reference], device),
        answered=torch.tensor(answered).to(device) if whole else None,
    )


def _numbers(values: list[tuple[float, ...]], device: torch.device) -> Tensor | None:
    return torch.tensor(values, dtype=torch.float32).to(device) if values else None
