"""Held-out rows, pieces of long rows, and mixtures: what is never torn apart, lost or counted twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.support import PAIRS, lines
from tests.data.test_prepare import bundle, texts
from tuiwiz.base.errors import InvalidError
from tuiwiz.data import mix
from tuiwiz.data.collect import SET_BITS
from tuiwiz.data.overlong import pieces
from tuiwiz.data.prepare import prepare
from tuiwiz.data.render import TokenRow
from tuiwiz.data.split import held_out
from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Validation
from tuiwiz.spec.rules import check as check_rules

marks = st.lists(st.integers(0, 1), min_size=1, max_size=120)


@given(marks, st.integers(8, 40))
def test_pieces_train_every_trained_token_exactly_once_and_fit(trained: list[int], limit: int) -> None:
    row = TokenRow(1, list(range(len(trained))), bytearray(trained))
    found = pieces(row, limit)
    seen = Counter(id for piece in found for id, mark in zip(piece.ids, piece.trained, strict=True) if mark)
    assert seen == Counter(i for i, mark in enumerate(trained) if mark)
    for piece in found:
        assert len(piece.ids) == len(piece.trained) <= limit
        assert 1 in piece.trained
        assert piece.ids == list(range(piece.ids[0], piece.ids[0] + len(piece.ids)))


def test_pieces_of_an_answer_begin_with_context_and_those_of_running_text_do_not() -> None:
    answer = TokenRow(1, list(range(100)), bytearray(20) + bytearray(b"\x01" * 80))
    found = pieces(answer, 40)
    assert [piece.ids[0] for piece in found] == [0, 30, 60]
    assert [piece.trained.count(1) for piece in found] == [20, 30, 30]
    text = TokenRow(1, list(range(100)), bytearray(b"\x01" * 100))
    assert [piece.ids[0] for piece in pieces(text, 40)] == [0, 39, 78]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=60),
    st.integers(0, 20),
    st.integers(0, 5),
    st.data(),
)
def test_what_belongs_together_is_never_torn_apart(keys: list[int], size: int, seed: int, data: st.DataObject) -> None:
    owners = sorted(data.draw(st.lists(st.integers(0, 30), min_size=len(keys), max_size=len(keys))))
    keys = [keys[owner % len(keys)] for owner in owners]  # pieces of one row have its key
    alike = data.draw(st.lists(st.sampled_from(sorted(set(owners))), unique=True, max_size=6))
    near = [alike] if len(alike) > 1 else []
    classes = data.draw(st.none() | st.just([owner % 3 for owner in owners]))
    chosen = held_out(keys, size, seed, owners=owners, near=near, classes=classes)
    assert chosen == held_out(keys, size, seed, owners=owners, near=near, classes=classes)
    rest = set(range(len(keys))) - chosen
    assert rest and len(chosen) <= size
    for of in (keys, owners):
        assert not {of[i] for i in chosen} & {of[i] for i in rest}
    assert not near or len({owners[i] in alike and i in chosen for i in range(len(keys)) if owners[i] in alike}) <= 1


def test_classes_keep_their_proportions_and_none_loses_its_last_row() -> None:
    classes = ["a"] * 80 + ["b"] * 16 + ["c"] * 3 + ["d"]
    chosen = held_out(list(range(100)), 20, 0, classes=classes)
    assert Counter(classes[i] for i in chosen) == {"a": 16, "b": 3, "c": 1}
    assert held_out(list(range(100)), 20, 1, classes=classes) != chosen


@settings(max_examples=100, deadline=None)
@given(st.lists(st.frozensets(st.integers(0, 6), max_size=3), min_size=2, max_size=60), st.integers(0, 20), st.data())
def test_rows_with_several_labels_are_never_torn_and_no_label_loses_its_last_row(
    labels: list[frozenset[int]], size: int, data: st.DataObject
) -> None:
    owners = sorted(data.draw(st.lists(st.integers(0, 30), min_size=len(labels), max_size=len(labels))))
    labels = [labels[owner % len(labels)] for owner in owners]
    chosen = held_out(owners, size, 0, owners=owners, labels=labels)
    rest = set(range(len(owners))) - chosen
    assert rest and len(chosen) <= size and not {owners[i] for i in chosen} & {owners[i] for i in rest}
    assert {label for one in labels for label in one} == {label for i in rest for label in labels[i]}


def test_labels_of_which_a_row_has_several_keep_their_proportions(tmp_path: Path, tiny_tokenizer: Path) -> None:
    draw = random.Random(1)
    likely = {"news": 0.5, "sport": 0.2, "weather": 0.1, "chess": 0.03}
    rows = [
        {"text": f"text {i} {i * 31}", "labels": [name for name, p in likely.items() if draw.random() < p]}
        for i in range(400)
    ]
    lines(tmp_path / "a.jsonl", rows)
    config = bundle("a.jsonl", task="classify", labels="multi", validation=Validation(fraction=0.1))
    found = prepare(config, tmp_path, tiny_tokenizer)
    assert len(found.validation) == 40
    for place, name in enumerate(found.labels):
        share = sum(name in row["labels"] for row in rows) / 10
        assert abs(sum(row.label[place] for row in found.validation) - share) <= 1 + share / 10, name
    assert any("in the classes' proportions" in problem.message for problem in found.problems)


def test_near_duplicates_are_held_out_whole_only_where_others_are_too_few() -> None:
    near = [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    assert held_out(list(range(30)), 6, 0, near=near) <= set(range(9, 30))
    chosen = held_out(list(range(10)), 4, 0, near=near)
    assert 9 in chosen and (chosen - {9} in ({0, 1, 2}, {3, 4}))


def test_near_duplicates_never_straddle_in_a_prepared_set(tmp_path: Path, tiny_tokenizer: Path) -> None:
    draw = random.Random(0)
    stems = [" ".join(draw.choices([f"w{i}" for i in range(400)], k=50)) for _ in range(30)]
    rows = [{"prompt": f"{stem} {end}", "completion": "ok"} for stem in stems for end in ("one", "two")]
    rows += [{"prompt": f"alone {i} {i * i}", "completion": f"yes {i}"} for i in range(40)]
    lines(tmp_path / "a.jsonl", rows)
    for seed in range(3):
        config = msgspec.structs.replace(bundle(validation=Validation(fraction=0.3)), seed=seed)
        found = prepare(config, tmp_path, tiny_tokenizer)
        held = {row.row for row in found.validation}
        assert len(held) == 30
        assert all((2 * i + 1 in held) == (2 * i + 2 in held) for i in range(30))


def classify(**data: Any) -> Bundle:
    return bundle("a.jsonl", task="classify", validation=Validation(fraction=0.2), **data)


def test_a_classification_set_is_split_by_class_and_evened_out(tmp_path: Path, tiny_tokenizer: Path) -> None:
    rows = [{"text": f"text number {i} {i * 31}", "label": "rare" if i % 10 == 0 else "usual"} for i in range(100)]
    lines(tmp_path / "a.jsonl", rows)
    plain = prepare(classify(), tmp_path, tiny_tokenizer)
    assert Counter(row.label[0] for row in plain.validation) == {0.0: 2, 1.0: 18}
    up, down = (prepare(classify(balance=way), tmp_path, tiny_tokenizer) for way in ("up", "down"))
    assert Counter(row.label[0] for row in up.train) == {0.0: 72, 1.0: 72}
    assert Counter(row.label[0] for row in down.train) == {0.0: 8, 1.0: 8}
    assert [row.row for row in up.validation] == [row.row for row in plain.validation]
    assert max(Counter(row.row for row in up.train if row.label[0] == 0).values()) == 9
    assert len({one.fingerprint for one in (plain, up, down)}) == 3
    assert any("evened out (up): 80 training rows became 144" in problem.message for problem in up.problems)


def general(tmp_path: Path, count: int) -> None:
    lines(tmp_path / "general.jsonl", [{"prompt": f"General {i}?", "completion": f"Answer {i}."} for i in range(count)])


def mixture(*sets: tuple[str, float | None], **data: Any) -> Bundle:
    train = [{"path": path} | ({} if weight is None else {"weight": weight}) for path, weight in sets]
    return bundle(train, **data)  # type: ignore[arg-type]


def general_rows(found: Prepared, folder: Path) -> list[str]:
    return [text for text in texts(found, folder)[0] if "General" in text]


def test_a_replay_set_gives_its_share_and_validation_comes_from_the_first_set(
    tmp_path: Path, tiny_tokenizer: Path
) -> None:
    lines(tmp_path / "mine.jsonl", PAIRS)
    general(tmp_path, 200)
    config = mixture(("mine.jsonl", 9), ("general.jsonl", 1))
    found = prepare(config, tmp_path, tiny_tokenizer)
    assert (len(found.validation), len(found.train)) == (6, 24 + 3)
    assert len(set(general_rows(found, tiny_tokenizer))) == 3
    assert not any("General" in text for text in texts(found, tiny_tokenizer)[1])
    assert found.profile.rows == 230
    again = prepare(config, tmp_path, tiny_tokenizer)
    assert again.fingerprint == found.fingerprint and texts(again, tiny_tokenizer) == texts(found, tiny_tokenizer)
    other = prepare(msgspec.structs.replace(config, seed=7), tmp_path, tiny_tokenizer)
    assert other.fingerprint != found.fingerprint
    heavier = prepare(mixture(("mine.jsonl", 1), ("general.jsonl", 1)), tmp_path, tiny_tokenizer)
    assert heavier.fingerprint != found.fingerprint and len(general_rows(heavier, tiny_tokenizer)) == 24


def test_a_small_set_with_a_large_weight_repeats_and_warns(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "mine.jsonl", PAIRS)
    general(tmp_path, 4)
    found = prepare(mixture(("mine.jsonl", 1), ("general.jsonl", 1)), tmp_path, tiny_tokenizer)
    assert set(Counter(general_rows(found, tiny_tokenizer)).values()) == {6}
    assert any(
        p.severity == "warning" and "general.jsonl: 24 rows an epoch (50 %)" in p.message for p in found.problems
    )


def test_sets_without_weights_are_joined_whole(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "mine.jsonl", PAIRS)
    general(tmp_path, 70)
    lines(tmp_path / "third.jsonl", [{"instruction": "Name a colour", "output": "Blue"}])
    sets = [("mine.jsonl", None), ("general.jsonl", None), ("third.jsonl", None)]
    found = prepare(mixture(*sets), tmp_path, tiny_tokenizer)
    assert len(found.train) + len(found.validation) == 101
    assert any("General" in text for text in texts(found, tiny_tokenizer)[1])


def test_what_two_sets_share_is_not_held_out(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "mine.jsonl", PAIRS)
    lines(tmp_path / "copy.jsonl", PAIRS[:25])
    found = prepare(mixture(("mine.jsonl", 1), ("copy.jsonl", 1)), tmp_path, tiny_tokenizer)
    assert {row.row for row in found.validation} == {26, 27, 28, 29, 30}


def test_a_missing_second_set_is_named(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "mine.jsonl", PAIRS)
    with pytest.raises(InvalidError, match=r"none\.jsonl: no such file"):
        prepare(mixture(("mine.jsonl", 1), ("none.jsonl", 1)), tmp_path, tiny_tokenizer)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (mixture(("a", 1), ("b", None)), "some training sets have a weight"),
        (mixture(("a", 1), ("b", 0)), "a weight of 0 is not above 0"),
        (mixture(("a", 1), ("b", float("nan"))), "is not above 0"),
        (mixture(("a", None), (" ", None)), "has no path"),
        (bundle(balance="up"), "data.balance evens out classes"),
        (bundle(task="dpo", overlong="split"), "only as a whole"),
    ],
)
def test_mixtures_that_mean_nothing_are_refused(config: Bundle, words: str) -> None:
    assert any(words in problem.message for problem in check_rules(config))


def test_split_rows_reach_the_prepared_set_and_stay_together(tmp_path: Path, tiny_tokenizer: Path) -> None:
    long = [{"prompt": f"Say a lot {i}", "completion": f"word{i} " * 150} for i in range(12)]
    lines(tmp_path / "a.jsonl", [*PAIRS, *long])
    found = prepare(
        bundle(max_length=80, overlong="split", validation=Validation(fraction=0.3)), tmp_path, tiny_tokenizer
    )
    whole = prepare(bundle(validation=Validation(fraction=0.3)), tmp_path, tiny_tokenizer)
    assert max(*found.train.lengths, *found.validation.lengths) <= 80
    assert found.profile.supervised_tokens == whole.profile.supervised_tokens
    assert not {row.row for row in found.train} & {row.row for row in found.validation}
    assert len(found.train) + len(found.validation) > 42


def test_times_repeats_evenly() -> None:
    assert Counter(Counter(mix.times(range(5), 13, random.Random(0))).values()) == {3: 3, 2: 2}
    assert mix.times([4, 2], 0, random.Random(0)) == []
    assert SET_BITS > 32
