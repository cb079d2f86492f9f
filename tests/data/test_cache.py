"""Tokenised rows from an earlier start: the same rows, and none that anything decisive has changed under."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.support import PAIRS, lines
from tests.data.test_prepare import bundle
from tuiwiz.data import cache
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Validation


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "LEAST_TOKENS", 100)


def same(a: Prepared, b: Prepared) -> bool:
    parts = [[one.train.parts(), one.validation.parts(), one.profile, one.problems, one.labels] for one in (a, b)]
    return parts[0] == parts[1] and (a.fingerprint, a.hashes, a.template) == (b.fingerprint, b.hashes, b.template)


def test_the_second_start_takes_the_rows_of_the_first(tmp_path: Path, tiny_tokenizer: Path) -> None:
    lines(tmp_path / "a.jsonl", PAIRS)
    first, second = (prepare(bundle(), tmp_path, tiny_tokenizer) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert same(first, second)


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("dpo", {"prompt": "p {}", "chosen": "good {}", "rejected": "bad {}"}),
        ("classify", {"text": "text number {}", "label": "even"}),
    ],
)
def test_pairs_and_labels_survive(tmp_path: Path, tiny_tokenizer: Path, task: str, row: dict[str, str]) -> None:
    rows = [{key: value.format(i) for key, value in row.items()} for i in range(40)]
    if task == "classify":
        rows[::2] = [one | {"label": "odd"} for one in rows[::2]]
    lines(tmp_path / "a.jsonl", rows)
    first, second = (prepare(bundle(task=task), tmp_path, tiny_tokenizer) for _ in range(2))
    assert second.cached and same(first, second)
    assert second.train.others is not None or second.labels == ("even", "odd")


def test_whatever_decides_the_rows_makes_them_anew(
    tmp_path: Path, tiny_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lines(tmp_path / "a.jsonl", PAIRS)
    lines(tmp_path / "v.jsonl", [{"prompt": "other", "completion": "yes"}])
    prepare(bundle(), tmp_path, tiny_tokenizer)
    others: list[Bundle] = [
        bundle(max_length=1000),
        bundle(system="Be kind."),
        bundle(template="plain"),
        bundle(train_on="completion"),
        bundle(overlong="truncate"),
        bundle(mapping={"prompt": "completion", "completion": "prompt"}),
        bundle(validation=Validation(fraction=0.5)),
        bundle(validation=Validation(path="v.jsonl")),
        bundle([{"path": "a.jsonl"}, {"path": "v.jsonl"}]),  # type: ignore[arg-type]
    ]
    for other in others:
        assert not prepare(other, tmp_path, tiny_tokenizer).cached
    assert not prepare(bundle(), tmp_path, tiny_tokenizer, hold_out=False).cached
    assert prepare(bundle(), tmp_path, tiny_tokenizer).cached
    path.write_bytes(path.read_bytes().replace(b"It is 2.", b"It is 3."))
    assert not prepare(bundle(), tmp_path, tiny_tokenizer).cached
    monkeypatch.setattr(cache, "code_version", lambda: "another")
    assert not prepare(bundle(), tmp_path, tiny_tokenizer).cached


def test_a_damaged_or_unwritable_cache_only_costs_time(
    tmp_path: Path, tiny_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "a.jsonl", PAIRS)
    first = prepare(bundle(), tmp_path, tiny_tokenizer)
    file = next(cache.folder().glob("*.rows"))
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-9] + b"x" + whole[-8:]):
        file.write_bytes(damaged)
        again = prepare(bundle(), tmp_path, tiny_tokenizer)
        assert not again.cached and same(first, again)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a.jsonl"))
    assert not prepare(bundle(), tmp_path, tiny_tokenizer).cached


def test_small_sets_are_not_kept_and_old_files_go(
    tmp_path: Path, tiny_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "a.jsonl", PAIRS)
    monkeypatch.setattr(cache, "LEAST_TOKENS", 10**6)
    prepare(bundle(), tmp_path, tiny_tokenizer)
    assert not list(cache.folder().glob("*.rows"))
    monkeypatch.setattr(cache, "LEAST_TOKENS", 100)
    monkeypatch.setattr(cache, "MOST_FILES", 2)
    for length in (500, 600, 700):
        prepare(bundle(max_length=length), tmp_path, tiny_tokenizer)
    assert len(list(cache.folder().glob("*.rows"))) == 2
    assert prepare(bundle(max_length=700), tmp_path, tiny_tokenizer).cached
