"""The finders of equal and of nearly equal rows, against the plain way, and within their bounds."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tuiwiz.data.duplicates import NearDuplicates, RowHashes, shingles

keys = st.lists(st.integers(-3, 3).map(lambda small: small * 2**40 + small), max_size=60)


def filled(found: list[int]) -> RowHashes:
    hashes = RowHashes()
    for row, key in enumerate(found, 1):
        hashes.add(key, row)
    return hashes


@given(keys)
def test_repeats_are_those_of_a_dictionary(found: list[int]) -> None:
    first: dict[int, int] = {}
    wanted = {row: first[key] for row, key in enumerate(found, 1) if first.setdefault(key, row) != row}
    assert dict(filled(found).repeats()) == wanted


@given(keys, keys)
def test_shared_rows_are_those_of_a_set(mine: list[int], theirs: list[int]) -> None:
    wanted = [row for row, key in enumerate(theirs, 1) if key in set(mine)]
    assert sorted(filled(mine).shared(filled(theirs))) == wanted


def documents(count: int, words: int = 80, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(2000)}" for _ in range(words)) for _ in range(count)]


def jaccard(a: str, b: str) -> float:
    one, other = set(shingles(a)), set(shingles(b))
    return len(one & other) / len(one | other)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_pairs_far_above_the_threshold_are_found_and_pairs_far_below_are_not(changed: int, seed: int) -> None:
    text = documents(1, seed=seed)[0]
    words = text.split()
    for place in random.Random(seed).sample(range(len(words)), changed):
        words[place] = f"x{place}"
    other = " ".join(words)
    near = NearDuplicates()
    near.add(1, text, 1)
    near.add(2, other, 2)
    likeness = jaccard(text, other)
    if likeness > 0.92:
        assert near.groups() == [[1, 2]]
    elif likeness < 0.6:
        assert near.groups() == []


def test_equal_rows_are_not_called_nearly_equal_and_groups_are_transitive() -> None:
    text = documents(1)[0]
    near = NearDuplicates()
    for row, (one, key) in enumerate([(text, 7), (text, 7), (text + " more", 8), (text + " again", 9)], 1):
        near.add(row, one, key)
    assert near.groups() == [[1, 3, 4]]


def test_of_too_many_rows_a_seeded_sample_of_fixed_size_is_compared() -> None:
    texts = documents(60, words=20) * 5

    def found(seed: int) -> NearDuplicates:
        near = NearDuplicates(seed, limit=100)
        for row, text in enumerate(texts, 1):
            near.add(row, text, row)
        return near

    one, same, other = found(1), found(1), found(2)
    assert one.sampled and one.seen == 300
    assert one.groups() == same.groups() != other.groups()
    assert 0 < sum(map(len, one.groups())) <= 100
    few = NearDuplicates(limit=300)
    few.add(1, "a b c d", 1)
    assert not few.sampled


def test_scripts_without_spaces_are_cut_into_characters() -> None:
    assert shingles("私は毎朝早く起きて公園を散歩します")[:2] == ["私 は 毎", "は 毎 朝"]
    assert shingles("Two words") == ["two words"]
    assert shingles("") == [""]
    assert shingles("One two THREE four") == ["one two three", "two three four"]
