"""Which tokens are trained, told from the control tokens around them: character offsets, which cost a third of all
tokenizing, are then needed only for rows whose answers do not stand between control tokens."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from tuiwiz.data.tokens import Tokens

if TYPE_CHECKING:
    from tuiwiz.data.render import Rendered

_MOST_HEADS = 1000


class Marker:
    """Marks of rows, without offsets.

    A control token cuts the text: what follows it is tokenized as if it stood alone. So an answer begins as many tokens
    behind the control token in front of it as the words between them (`assistant` and a line feed, say) have, provided
    that exactly their tokens stand there; and it ends with a control token, or with the text.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._special = frozenset(tokens.special.values())
        self._heads: dict[str, list[int]] = {}

    def mark(self, row: Rendered, ids: list[int]) -> bytearray | None:
        """1 for every trained token; None where it takes offsets to say."""
        trained = bytearray(len(ids))
        if row.spans == [(0, len(row.text))]:
            return bytearray(b"\x01") * len(ids)
        if not row.spans:
            return trained
        ends = [match.end() for match in self._tokens.special_pattern.finditer(row.text)]
        special = self._special
        places = [place for place, id in enumerate(ids) if id in special]
        if len(places) != len(ends):
            return None
        for start, end in row.spans:
            before = bisect_left(ends, start + 1)
            upto = bisect_left(ends, end)
            closed = upto < len(ends) and ends[upto] == end
            if not before or not (closed or end == len(row.text)):
                return None
            head = self._head(row.text[ends[before - 1] : start])
            first = places[before - 1] + 1 + len(head)
            if ids[first - len(head) : first] != head:
                return None
            last = places[upto] + 1 if closed else len(ids)
            trained[first:last] = b"\x01" * (last - first)
        return trained

    def _head(self, text: str) -> list[int]:
        found = self._heads.get(text)
        if found is None:
            found = self._tokens.encode_fast([text])[0].ids if text else []
            if len(self._heads) < _MOST_HEADS:
                self._heads[text] = found
        return found
