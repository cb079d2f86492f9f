"""Rows beyond the longest length: what each way of dealing with them keeps, and the pieces that splitting makes."""

from __future__ import annotations

from tuiwiz.data.render import TokenRow

CONTEXT_SHARE = 4
"""A piece in the midst of an answer begins with a quarter of its length of the text before, untrained."""


def truncated(row: TokenRow, limit: int) -> TokenRow:
    """The first `limit` tokens."""
    return TokenRow(row.row, row.ids[:limit], row.trained[:limit])


def pieces(row: TokenRow, limit: int) -> list[TokenRow]:
    """Stretches of at most `limit` tokens in which every trained token of `row` is trained exactly once.

    Each begins with some of the text before it as context: a quarter of `limit` (more where there is room), one token
    in running text, where every token is trained. Stretches in which nothing is trained are left out.
    """
    ids, trained = row.ids, row.trained
    last = trained.rfind(1)
    overlap = 1 if trained.count(1) == len(trained) else limit // CONTEXT_SHARE
    found: list[TokenRow] = []
    start = covered = 0
    while covered <= last:
        end = min(start + limit, len(ids))
        if 1 in trained[covered:end]:
            found.append(TokenRow(row.row, ids[start:end], bytearray(covered - start) + trained[covered:end]))
        covered = end
        following = trained.find(1, covered)
        if following < 0:
            break
        start = max(0, following - overlap)
        if last < start + limit and overlap > 1:
            start = max(0, last + 1 - limit)  # the rest fits with room to spare: give it more context
        covered = max(covered, start)
    return found
