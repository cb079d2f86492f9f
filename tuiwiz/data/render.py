"""Examples as the model sees them: text by the chat template, tokens by the model's tokenizer, and the loss mask.

The mask is made from the template (where does the generation prompt end, where does the turn end) and checked by a way
that shares nothing with it: the tokens that came out as trained are decoded and must spell the row's own answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.data.marks import Marker
from tuiwiz.data.spans import Span, answer_spans, content_spans
from tuiwiz.data.template import ChatTemplate, load_template, own_template
from tuiwiz.data.tokens import Tokens
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example, Message
from tuiwiz.data.verify import disagreement

_NOTHING = re.compile(r"(?!)")


class Rendered(msgspec.Struct, gc=False):
    """An example as text. `spans` are trained; `answers` is what each span must spell; `literal` are stretches that
    spell control tokens inside the data's own text; `whole` is a text to classify, which the tokenizer frames."""

    row: int
    line: int
    text: str
    spans: list[Span]
    answers: list[str]
    literal: list[Span] = []
    whole: bool = False


class TokenRow(msgspec.Struct, gc=False):
    """Tokens of one example; `trained[i]` is 1 where token i is a label."""

    row: int
    ids: list[int]
    trained: bytearray


class Renderer:
    """Renders and encodes. Without a tokenizer folder only text can be made, by the template for base models.

    Args:
        folder: holds tokenizer.json, tokenizer_config.json and, where it has one, chat_template.jinja.
        template: as `data.template`.

    Raises:
        InvalidError: the tokenizer or the template cannot be read.
    """

    def __init__(self, folder: Path | None, *, template: str = "model") -> None:
        self.tokens = Tokens(folder) if folder is not None else None
        self._marker = Marker(self.tokens) if self.tokens else None
        config = self.tokens.config if self.tokens else {}
        self.own_template = own_template(folder, config)
        own = template == "model" and self.tokens is not None and _brings_template(folder, config)
        variables = self.tokens.variables(own_template=own) if self.tokens else {"bos_token": "", "eos_token": ""}
        self.template: ChatTemplate = load_template(template, folder, config, variables)

    def text(self, messages: Sequence[Message], *, tools: list[Any] | None = None, prompt: bool = False) -> str:
        """Chat turns as text; with `prompt`, up to where an answer starts. Raises RowError."""
        return self.template.render(self._adapted(messages), tools=tools, prompt=prompt)

    def ids(self, messages: Sequence[Message], *, tools: list[Any] | None = None, prompt: bool = False) -> list[int]:
        """Chat turns as token ids: those of transformers' `apply_chat_template`, but for control tokens that the
        turns themselves spell out, which stay text. Raises RowError."""
        adapted = self._adapted(messages)
        full = self.template.render(adapted, tools=tools, prompt=prompt)
        literal = self._literal(adapted, self.template.render(adapted, tools=tools), tools)
        return self.encode([Rendered(0, 0, full, [], [], literal)])[0].ids

    def render(self, example: Example, train_on: str = "assistant") -> Rendered:
        """Text and trained spans of an example. Raises RowError."""
        if example.text is not None:
            return self._document(example)
        messages = self._adapted(example.messages)
        tools = example.tools if self.template.knows_tools else None

        def render(turns: Sequence[Message], prompt: bool) -> str:
            return self.template.render(turns, tools=tools, prompt=prompt)

        full = render(messages, False)
        special = self.tokens.special_pattern if self.tokens else _NOTHING
        turns = [i for i, turn in enumerate(messages) if turn["role"] == "assistant" and i not in example.untrained]
        if train_on == "completion":
            turns = turns[-1:]
        if not turns:
            raise RowError("no assistant turn is trained: nothing to learn from", hint="give one a weight above 0")
        literal = self._literal(messages, full, tools)
        if train_on == "all":
            return Rendered(example.row, example.line, full, [(0, len(full))], [""], literal)
        spans = answer_spans(render, messages, full, turns, special)
        answers = [messages[turn]["content"] if not messages[turn].get("tool_calls") else "" for turn in turns]
        return Rendered(example.row, example.line, full, spans, answers, literal)

    def _document(self, example: Example) -> Rendered:
        text = example.text or ""
        if example.label is not None:  # a text to classify: the label is learnt, none of its tokens are
            return Rendered(example.row, example.line, text, [], [], whole=True)
        begin = self.tokens.bos_token if self.tokens and self.tokens.adds_bos else ""
        end = self.tokens.eos_token if self.tokens else ""
        literal = []
        if self.tokens:
            found = self.tokens.special_pattern.finditer(text)
            literal = [(match.start() + len(begin), match.end() + len(begin)) for match in found]
        full = f"{begin}{text}{end}"
        return Rendered(example.row, example.line, full, [(len(begin), len(full))], [""], literal)

    def _adapted(self, messages: Sequence[Message]) -> list[Message]:
        """Tool calls as text where the template would drop them silently."""
        if self.template.knows_tool_calls or not any("tool_calls" in message for message in messages):
            return [
                {**message, "content": ""}
                if message.get("tool_calls") and message["content"][:1] in {"{", "["}
                else message
                for message in messages
            ]
        return [
            {"role": message["role"], "content": message["content"] or _calls_text(message["tool_calls"])}
            if message.get("tool_calls")
            else message
            for message in messages
        ]

    def _literal(self, messages: Sequence[Message], full: str, tools: list[Any] | None) -> list[Span]:
        """Stretches of `full` where the turns' own text spells a control token. Almost always none."""
        if self.tokens is None:
            return []
        special = self.tokens.special_pattern
        guilty = [i for i, message in enumerate(messages) if special.search(message["content"])]
        if not guilty:
            return []
        spans = content_spans(lambda turns, _: self.template.render(turns, tools=tools), messages, full, guilty)
        if spans is None:
            spelled = special.search(messages[guilty[0]]["content"])
            hint = "remove it from the text: the chat template hides where it would end up"
            raise RowError(f"the text spells the control token {spelled[0] if spelled else ''}", hint=hint)
        return [match.span() for start, end in spans for match in special.finditer(full, start, end)]

    def encode(self, rows: Sequence[Rendered]) -> list[TokenRow]:
        """Tokens and masks of rendered rows, in order. Needs a tokenizer."""
        assert self.tokens is not None
        marker = self._marker  # another thread may give it up meanwhile
        if marker is None or all(row.whole for row in rows):
            return self._by_offsets(rows)
        encodings = self.tokens.encode_fast([row.text for row in rows])
        found: list[TokenRow | None] = []
        for row, encoding in zip(rows, encodings, strict=True):
            ids = encoding.ids
            marks = marker.mark(row, ids) if not row.literal else None
            found.append(TokenRow(row.row, ids, marks) if marks is not None else None)
        left = [place for place, row in enumerate(found) if row is None]
        if sum(not rows[place].literal for place in left) > len(rows) // 2:
            self._marker = None  # the template does not let it: from now on by offsets at once
        exact = iter(self._by_offsets([rows[place] for place in left]) if left else ())
        return [row if row is not None else next(exact) for row in found]

    def _by_offsets(self, rows: Sequence[Rendered]) -> list[TokenRow]:
        assert self.tokens is not None
        whole = all(row.whole for row in rows)
        encodings = (self.tokens.encode_whole if whole else self.tokens.encode_batch)([row.text for row in rows])
        found = []
        for row, encoding in zip(rows, encodings, strict=True):
            if row.literal:
                found.append(self._encode_pieces(row))
                continue
            ids = encoding.ids
            trained = bytearray(len(ids))
            for start, end in row.spans:
                if start == 0 and end == len(row.text):
                    trained = bytearray(b"\x01") * len(ids)
                    continue
                first, last = _token_span(encoding, start, end, len(ids))
                trained[first:last] = b"\x01" * (last - first)
            found.append(TokenRow(row.row, ids, trained))
        return found

    def _encode_pieces(self, row: Rendered) -> TokenRow:
        """A row whose own text spells control tokens: the template's control tokens by id, the rest as mere text."""
        assert self.tokens is not None
        ids: list[int] = []
        starts: list[int] = []
        at = 0
        literal = set(row.literal)
        cuts = [match for match in self.tokens.special_pattern.finditer(row.text) if match.span() not in literal]
        for match in [*cuts, None]:
            end = match.start() if match else len(row.text)
            if end > at:
                encoding = self.tokens.encode_literal(row.text[at:end])
                ids += encoding.ids
                starts += [at + start for start, _ in encoding.offsets]
            if match:
                ids.append(self.tokens.special[match[0]])
                starts.append(match.start())
                at = match.end()
        trained = bytearray(any(start <= place < end for start, end in row.spans) for place in starts)
        return TokenRow(row.row, ids, trained)

    def verify(self, rendered: Sequence[Rendered], encoded: Sequence[TokenRow]) -> list[str | None]:
        """For each row None, or how its mask disagrees with its answer."""
        assert self.tokens is not None
        return disagreement(self.tokens, rendered, encoded, self.template.text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, control tokens spelled out. Needs a tokenizer."""
        assert self.tokens is not None
        return self.tokens.decode(ids)


def _token_span(encoding: Any, start: int, end: int, count: int) -> tuple[int, int]:
    """Tokens that lie wholly inside characters [start, end). A token that reaches in from before `start` is context:
    when the model is used, it is part of the prompt."""
    first = None
    while first is None and start < end:
        first = encoding.char_to_token(start)
        if first is not None and encoding.token_to_chars(first)[0] < start:
            start = encoding.token_to_chars(first)[1]
            first = None
            continue
        start += 1
    if first is None:
        return 0, 0
    last = None
    at = end - 1
    while last is None and at >= 0:
        last = encoding.char_to_token(at)
        at -= 1
    last = first if last is None else last
    # Several tokens can share one character (an emoji's bytes): take them all.
    chars = encoding.token_to_chars(last)
    while last + 1 < count and encoding.token_to_chars(last + 1) == chars:
        last += 1
    return first, last + 1


def _calls_text(calls: Any) -> str:
    return json.dumps(calls, ensure_ascii=False)


def _brings_template(folder: Path | None, config: dict[str, Any]) -> bool:
    if config.get("chat_template"):
        return True
    return folder is not None and any((folder / f"chat_template.{kind}").is_file() for kind in ("jinja", "json"))
