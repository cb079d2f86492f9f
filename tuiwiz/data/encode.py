"""Examples to tokens in batches: some are tokenized on all cores while the next one is being rendered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import msgspec

from tuiwiz.data.render import Rendered, Renderer, TokenRow
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example
from tuiwiz.data.verify import GLUED

BATCH_ROWS = 512
BATCH_CHARACTERS = 2_000_000
"""Encodings take about a hundred bytes a character while they last."""
AT_ONCE = 2
"""Batches under way besides the one that is being rendered."""
DISAGREEMENT_HINT = "the mask of this row cannot be trusted: choose another data.template, or report the template"
SPACE_HINT = "move the space from the end of the prompt to the start of the answer: data.template takes a Jinja file"

Reject = Callable[[Example, RowError], None]


class Counted(msgspec.Struct, gc=False):
    """An example with its tokens. A pair has `other`, the tokens of the rejected answer in the same place."""

    example: Example
    tokens: TokenRow
    other: TokenRow | None = None

    @property
    def rows(self) -> tuple[TokenRow, ...]:
        return (self.tokens,) if self.other is None else (self.tokens, self.other)

    @property
    def length(self) -> int:
        """Tokens; of a pair, those of the longer answer with its prompt."""
        return len(self.tokens.ids) if self.other is None else max(len(self.tokens.ids), len(self.other.ids))


def encode(renderer: Renderer, examples: Iterable[Example], train_on: str, reject: Reject) -> Iterator[Counted]:
    """Encode examples in order. Rows that the template refuses, or whose mask is in dispute, go to `reject`."""
    source = iter(examples)

    def settled(future: Future[_Done]) -> list[Counted]:
        done = future.result()
        for example, error in done.rejected:
            reject(example, error)
        return done.counted

    # While the rows of one batch get their masks, which takes the interpreter, the next is tokenized, which does not.
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="encode") as pool:
        waiting: deque[Future[_Done]] = deque()
        while batch := list(_some(source)):
            pairs = [pair for example in batch if (pair := _render(renderer, example, train_on, reject)) is not None]
            if len(waiting) == AT_ONCE:
                yield from settled(waiting.popleft())
            waiting.append(pool.submit(_encode_batch, renderer, pairs))
        while waiting:
            yield from settled(waiting.popleft())


def _some(source: Iterator[Example]) -> Iterator[Example]:
    """The next rows, up to `BATCH_ROWS` or `BATCH_CHARACTERS`."""
    size = 0
    for example in islice(source, BATCH_ROWS):
        yield example
        size += sum(len(message["content"]) for message in example.messages) + len(example.text or "")
        if size > BATCH_CHARACTERS:
            return


def with_worse_answer(example: Example) -> Example:
    """A pair's chat as it would be had the rejected answer been given."""
    answer = {"role": "assistant", "content": example.rejected}
    return Example(example.row, example.line, [*example.messages[:-1], answer], tools=example.tools)


Pair = tuple[Example, Rendered, Rendered | None]


def _render(renderer: Renderer, example: Example, train_on: str, reject: Reject) -> Pair | None:
    try:
        rendered = renderer.render(example, train_on)
        other = None
        if example.rejected is not None:
            other = renderer.render(with_worse_answer(example), "completion")
    except RowError as error:
        reject(example, error)
        return None
    return example, rendered, other


class _Done(msgspec.Struct):
    counted: list[Counted] = []
    rejected: list[tuple[Example, RowError]] = []


def _encode_batch(renderer: Renderer, pairs: list[Pair]) -> _Done:
    done = _Done()
    if not pairs:
        return done
    every = [rendered for _, rendered, _ in pairs] + [other for _, _, other in pairs if other is not None]
    encoded = renderer.encode(every)
    verdicts = renderer.verify(every, encoded)
    others = iter(zip(encoded[len(pairs) :], verdicts[len(pairs) :], strict=True))
    for (example, _, other), tokens, verdict in zip(pairs, encoded, verdicts, strict=False):
        second: TokenRow | None = None
        if other is not None:
            second, second_verdict = next(others)
            verdict = verdict or second_verdict
        if verdict is not None:
            done.rejected.append((example, disputed(verdict)))
        elif not tokens.ids:
            done.rejected.append((example, RowError("renders to nothing", hint="remove the row")))
        else:
            done.counted.append(Counted(example, tokens, second))
    return done


def disputed(verdict: str) -> RowError:
    """The reason to leave out a row whose mask is in dispute."""
    if verdict.startswith(GLUED):
        return RowError(verdict, hint=SPACE_HINT)
    return RowError(f"two ways to find the trained part disagree: {verdict}", hint=DISAGREEMENT_HINT)


BYTES_PER_TOKEN = 4
"""For estimates without a tokenizer: about right for English with vocabularies of 30,000 to 150,000 tokens."""


def estimate(renderer: Renderer, examples: Iterable[Example], train_on: str, reject: Reject) -> Iterator[Counted]:
    """Stand-ins of likely length for a set whose tokenizer is not at hand. The ids mean nothing."""
    for example in examples:
        pair = _render(renderer, example, train_on, reject)
        if pair is not None:
            _, rendered, other = pair
            yield Counted(example, _likely(rendered), _likely(other) if other is not None else None)


def _likely(rendered: Rendered) -> TokenRow:
    total = _tokens(rendered.text)
    supervised = min(total, sum(_tokens(rendered.text[start:end]) for start, end in rendered.spans))
    return TokenRow(rendered.row, [0] * total, bytearray(total - supervised) + bytearray(b"\x01" * supervised))


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8")) // BYTES_PER_TOKEN)
