"""Rows that are the same, and rows that are nearly so: hashes for the first, MinHash signatures for the second."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from operator import eq

from tuiwiz.data.types import Example

VALIDATION_ROWS = 1 << 40
"""Added to the numbers of validation rows where both sets are compared at once."""
NEAR_ROWS = 100_000
"""Rows compared with each other; of a larger set a seeded sample of so many."""
NEAR = 0.8
"""Share of three-word stretches in common from which two rows count as nearly the same: one word of about thirty."""

_BUCKETS = 256
_PERMUTATIONS, _BANDS = 128, 16
_BAND_BYTES = 2 * _PERMUTATIONS // _BANDS
_LONGEST_CHARACTERS = 100_000


def prompt_key(example: Example) -> int:
    """Equal for rows that must not straddle training and validation: the same document, or the same turns up to the
    last answer, whatever the answer."""
    if example.text is not None:
        return hash(example.text)
    return hash(tuple(str(turn["content"]).strip() for turn in example.messages[:-1] if turn["role"] != "system"))


class RowHashes:
    """Hashes of rows with their numbers: 12 bytes a row (13 with what arrays hold in reserve)."""

    def __init__(self) -> None:
        self._hashes = [array("q") for _ in range(_BUCKETS)]
        self._rows = [array("I") for _ in range(_BUCKETS)]

    def add(self, key: int, row: int) -> None:
        bucket = key & (_BUCKETS - 1)
        self._hashes[bucket].append(key)
        self._rows[bucket].append(row)

    def repeats(self) -> Iterator[tuple[int, int]]:
        """(row, first row like it) of every row whose hash came before; rows of one kind in order."""
        for hashes, rows in zip(self._hashes, self._rows, strict=True):
            order = sorted(range(len(hashes)), key=hashes.__getitem__)
            first = -1
            for i in order:
                if first >= 0 and hashes[i] == hashes[first]:
                    yield rows[i], rows[first]
                else:
                    first = i

    def shared(self, other: RowHashes) -> Iterator[int]:
        """Rows of `other` whose hash is here, too."""
        for mine, theirs, rows in zip(self._hashes, other._hashes, other._rows, strict=True):
            known = set(mine)
            yield from (row for key, row in zip(theirs, rows, strict=True) if key in known)


class NearDuplicates:
    """Finds rows whose words are nearly the same. Two bytes times 128 a row, for at most `limit` rows.

    MinHash (Broder 1997) with locality-sensitive hashing in 16 bands of 8: a pair of similarity 0.8 is met with 95 %,
    one of 0.9 with 99.99 % probability; a pair that is met is kept when its signatures agree in `NEAR` of 128 places.
    """

    def __init__(self, seed: int = 0, limit: int = NEAR_ROWS) -> None:
        from rensa import RMinHash

        self._minhash = RMinHash
        self._draw = random.Random(seed)
        self._limit = limit
        self._signatures = array("H")
        self._rows: array[int] = array("q")
        self._keys: array[int] = array("q")
        self.seen = 0

    @property
    def sampled(self) -> bool:
        """True when there were more rows than are compared."""
        return self.seen > self._limit

    def add(self, row: int, text: str, key: int) -> None:
        """`key` is equal for rows that are exactly the same, which are not counted as nearly so."""
        self.seen += 1
        slot = len(self._rows)
        if slot >= self._limit:
            # Each row so far has the same chance to be in the sample (Vitter's algorithm R).
            slot = self._draw.randrange(self.seen)
            if slot >= self._limit:
                return
        minhash = self._minhash(_PERMUTATIONS, 1)
        minhash.update(shingles(text))
        signature = array("H", [value & 0xFFFF for value in minhash.digest()])
        if slot == len(self._rows):
            self._signatures += signature
            self._rows.append(row)
            self._keys.append(key)
        else:
            self._signatures[slot * _PERMUTATIONS : (slot + 1) * _PERMUTATIONS] = signature
            self._rows[slot] = row
            self._keys[slot] = key

    def groups(self) -> list[list[int]]:
        """Numbers of rows that are nearly the same, the first of each group first; rows that are exactly the same as an
        earlier one of their group are not listed."""
        parent = list(range(len(self._rows)))

        def root(slot: int) -> int:
            while parent[slot] != slot:
                parent[slot] = parent[parent[slot]]
                slot = parent[slot]
            return slot

        for a, b in self._pairs():
            one, other = root(a), root(b)
            if one != other and self._alike(a, b):
                parent[max(one, other)] = min(one, other)
        members: dict[int, dict[int, int]] = {}
        order = sorted(range(len(self._rows)), key=self._rows.__getitem__)
        for slot in order:
            members.setdefault(root(slot), {}).setdefault(self._keys[slot], self._rows[slot])
        return [list(rows.values()) for rows in members.values() if len(rows) > 1]

    def _pairs(self) -> Iterator[tuple[int, int]]:
        width = 2 * _PERMUTATIONS
        data = memoryview(self._signatures).cast("B")
        for band in range(_BANDS):
            first: dict[bytes, int] = {}
            at = band * _BAND_BYTES
            for slot in range(len(self._rows)):
                start = slot * width + at
                earlier = first.setdefault(bytes(data[start : start + _BAND_BYTES]), slot)
                if earlier != slot:
                    yield earlier, slot

    def _alike(self, a: int, b: int) -> bool:
        if self._keys[a] == self._keys[b]:
            return True
        one = self._signatures[a * _PERMUTATIONS : (a + 1) * _PERMUTATIONS]
        other = self._signatures[b * _PERMUTATIONS : (b + 1) * _PERMUTATIONS]
        same: int = sum(map(eq, one, other))
        return same >= NEAR * _PERMUTATIONS


def shingles(text: str) -> list[str]:
    """Stretches of three words in lower case; of three characters where a script writes no spaces."""
    text = text[:_LONGEST_CHARACTERS].lower()
    words = text.split()
    if len(text) > 16 * len(words):
        words = list("".join(words))
    if len(words) < 3:
        return [" ".join(words)]
    return [f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]
