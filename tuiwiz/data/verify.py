"""The second opinion on loss masks: what the trained tokens spell, against what the row says they should."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiwiz.base.text import clean_line
from tuiwiz.data.tokens import Tokens

if TYPE_CHECKING:
    from tuiwiz.data.render import Rendered, TokenRow


GLUED = "the template's generation prompt ends in a space"
"""How a verdict begins whose cause is known: when the model is used, its first token would be another one."""


def disagreement(
    tokens: Tokens, rendered: Sequence[Rendered], encoded: Sequence[TokenRow], template: str
) -> list[str | None]:
    """For each row None when decoding its trained stretches gives the answers (and nothing but control tokens and
    white space around them), else a sentence on what differs.

    Uses neither the template's spans nor the tokenizer's offsets: only token ids, their spelling, and the source row.
    """
    template = _loose(template)
    stretches: list[list[int]] = []
    owner: list[tuple[int, int]] = []
    found: list[str | None] = [None] * len(encoded)
    for i, (row, tokened) in enumerate(zip(rendered, encoded, strict=True)):
        if row.answers == [""] and row.spans and row.spans[0][1] == len(row.text):
            continue  # everything is trained: nothing can be at the wrong place
        runs = _runs(tokened.trained)
        if len(runs) != len(row.spans):
            found[i] = f"{len(row.spans)} answers, but {len(runs)} trained stretches of tokens"
            continue
        for k, (start, end) in enumerate(runs):
            stretches.append(tokened.ids[start:end])
            owner.append((i, k))
    for (i, k), spelled in zip(owner, tokens.decode_batch(stretches), strict=True):
        row = rendered[i]
        answer = row.answers[k]
        # Almost every row ends here: the answer and one control token. The rest is looked at more slowly.
        if answer and spelled.startswith(answer) and tokens.special_pattern.fullmatch(spelled[len(answer) :].rstrip()):
            continue
        start, end = row.spans[k]
        before = row.text[:start]
        if before.endswith(" ") and _loose(row.text[start:end]).endswith(_loose(spelled)) and spelled[:1] != answer[:1]:
            found[i] = f"{GLUED}, which the tokenizer joins with the answer's first word: that word cannot be trained"
            continue
        problem = _compare(tokens, answer, spelled, row.text[slice(*row.spans[k])], bool(row.literal), template)
        if problem:
            found[i] = problem
    return found


def _runs(trained: bytearray) -> list[tuple[int, int]]:
    """Start and end of every stretch of ones."""
    runs = []
    start = trained.find(1)
    while start >= 0:
        end = trained.find(0, start)
        end = len(trained) if end < 0 else end
        runs.append((start, end))
        start = trained.find(1, end)
    return runs


def _compare(tokens: Tokens, answer: str, spelled: str, expected: str, literal: bool, template: str) -> str | None:
    want, have = _loose(expected), _loose(spelled)
    if want != have:
        return f"the trained tokens spell {clean_line(repr(spelled), 60)} instead of {clean_line(repr(expected), 60)}"
    if not answer:
        return None  # tool calls: the template decides how they are spelled
    inside = _loose(answer)
    if inside not in have:
        tail = _loose(answer.rsplit("</think>", 1)[-1])
        if tail and tail in have and tail != inside:
            return None  # the template drops or moves the reasoning of earlier turns
        return f"the answer {clean_line(repr(answer), 60)} is not among the trained tokens"
    if literal:
        return None
    # Beside the answer only words of the template itself may be trained, such as the name of an output channel.
    bare = _loose(tokens.special_pattern.sub("", spelled))
    left = bare.replace(_loose(tokens.special_pattern.sub("", answer)), "", 1)
    left = left.replace("<think>", "").replace("</think>", "")  # an empty reasoning that the template puts in
    # A template without a generation prompt leaves the speaker's name to the model.
    left = left.replace("assistant", "", 1).strip(":#*-_=>|")
    if left and left not in template:
        return f"beside the answer also {clean_line(repr(left), 60)} is trained"
    return None


def _loose(text: str) -> str:
    """Text without what tokenizers may change: white space and compatibility forms."""
    return "".join(unicodedata.normalize("NFKC", text).split())
