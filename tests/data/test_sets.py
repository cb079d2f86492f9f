"""Several training sets as one mix: what the check says of it is what training will take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.data.support import lines
from tests.support.processes import tuiwiz
from tuiwiz.data.check import check
from tuiwiz.data.load import Settings
from tuiwiz.data.prepare import prepare
from tuiwiz.data.profile import profile, training_rows
from tuiwiz.data.render import Renderer
from tuiwiz.data.types import Prepared
from tuiwiz.spec.bundle import Bundle, Lock
from tuiwiz.spec.data import Data, Validation, WeightedPath
from tuiwiz.spec.model import Model
from tuiwiz.spec.task import Task

TINY = Settings(task="instruct", train_on="completion", max_length=64)


def rows(count: int, first: int = 0, words: int = 1) -> list[Any]:
    return [{"prompt": f"Say {i}", "completion": "yes " * words + str(i)} for i in range(first, first + count)]


def mix_in(folder: Path, *sets: tuple[int, float | None], shared: int = 0) -> list[WeightedPath]:
    """Sets of so many rows; each begins with the last `shared` rows of the one before."""
    found, first = [], 0
    for number, (count, weight) in enumerate(sets):
        path = lines(folder / f"{number}.jsonl", rows(count, first, words=1 + 5 * number))
        found.append(WeightedPath(path=str(path), weight=weight))
        first += count - shared
    return found


def bundle_of(mix: list[WeightedPath], **validation: Any) -> Bundle:
    return Bundle(
        task=Task(kind="instruct"),
        model=Model(source="none"),
        data=Data(train=tuple(mix), max_length=64, train_on="completion"),
        validation=Validation(**validation),
    )


def trained(mix: list[WeightedPath], tokenizer: Path, **validation: Any) -> Prepared:
    return prepare(bundle_of(mix, **validation), Path(), tokenizer)


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ([30, 40], None),
        ([40, 40], [9.0, 1.0]),
        ([20, 20, 20], [3.0, 0.5, 0.5]),
        ([21, 33, 40], [1.0, 1.0, 3.0]),
    ],
)
def test_the_check_counts_what_an_epoch_trains_on(
    tmp_path: Path, tiny_tokenizer: Path, counts: list[int], weights: list[float] | None
) -> None:
    mix = mix_in(tmp_path, *((count, weights[i] if weights else None) for i, count in enumerate(counts)))
    found = trained(mix, tiny_tokenizer, fraction=0.0)
    report = check(Path(mix[0].path), TINY, Renderer(tiny_tokenizer), sets=mix)
    assert report.ok and report.rows == report.usable_rows == sum(counts)
    assert report.sequences == sum(one.rows for one in report.sets) == len(found.train)
    assert report.tokens == pytest.approx(found.train.tokens, rel=0.1)
    assert report.supervised_tokens == pytest.approx(found.train.supervised, rel=0.1)
    assert report.lengths.max == max(found.train.lengths)
    assert abs(report.lengths.p50 - sorted(found.train.lengths)[(len(found.train) - 1) // 2]) <= 2
    known = profile(bundle_of(mix), Path(), tiny_tokenizer)
    assert known.rows == len(found.train) and known.lengths == msgspec.to_builtins(report.lengths)


@pytest.mark.parametrize("weights", [(None, None), (4.0, 1.0)])
def test_planned_rows_are_those_after_the_split(
    tmp_path: Path, tiny_tokenizer: Path, weights: tuple[float | None, ...]
) -> None:
    mix = mix_in(tmp_path, (40, weights[0]), (60, weights[1]))
    found = trained(mix, tiny_tokenizer, fraction=0.2)
    bundle = bundle_of(mix, fraction=0.2)
    assert training_rows(bundle, profile(bundle, Path(), tiny_tokenizer).rows) == len(found.train)
    locked = msgspec.structs.replace(bundle, lock=Lock(rows={mix[0].path: 40, mix[1].path: 60}))
    assert training_rows(locked, None) == len(found.train)


def test_defects_are_told_of_all_sets_and_between_them(tmp_path: Path) -> None:
    mix = mix_in(tmp_path, (30, None), (30, None), shared=4)
    second = Path(mix[1].path)
    lines(second, [*rows(4, 26), *rows(25, 40), {"prompt": "no answer"}])
    report = check(Path(mix[0].path), TINY, sets=mix)
    warnings = [(Path(one.path).name, one.row) for one in report.problems if one.severity == "warning"]
    assert report.ok and warnings == [("1.jsonl", 30), ("1.jsonl", 1)]
    assert any("4 rows are in 0.jsonl too, word for word" in one.message for one in report.problems)
    lines(second, [{"text": "alone"}] * 3)
    report = check(Path(mix[0].path), TINY, sets=mix)
    assert not report.ok and report.problems[0].path == str(second)


def test_the_command_measures_a_mix_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    mix = mix_in(tmp_path, (30, 9.0), (30, 1.0))
    first, second = (one.path for one in mix)
    train = f'data.train=[{{path="{first}", weight=9}}, {{path="{second}", weight=1}}]'
    done = tuiwiz("data", "check", first, "--json", "--set", train)
    report = json.loads(done.stdout)
    assert [(one["rows"], one["usable_rows"]) for one in report["sets"]] == [(30, 30), (3, 30)]
    assert report["rows"] == 60 and report["sequences"] == 33
    done = tuiwiz("data", "check", second, "--set", train)
    assert done.returncode == 2 and "the first set of data.train" in done.stderr
    done = tuiwiz("data", "check", first, "--set", train.replace(", weight=1", ""))
    assert done.returncode == 3 and "some have none" in done.stderr


def test_running_text_is_mixed_by_its_size(tmp_path: Path, tiny_tokenizer: Path) -> None:
    mix = []
    for name, count, weight in (("a", 200, 2.0), ("b", 900, 1.0)):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(f"{name} tells of {i} and of {i * i}.\n" for i in range(count)), encoding="utf-8")
        mix.append(WeightedPath(path=str(path), weight=weight))
    bundle = Bundle(
        task=Task(kind="pretrain"),
        model=Model(source="none"),
        data=Data(train=tuple(mix), max_length=64, train_on="all"),
        validation=Validation(fraction=0.0),
    )
    blocks = len(prepare(bundle, Path(), tiny_tokenizer).train)
    assert profile(bundle, Path(), tiny_tokenizer).rows == pytest.approx(blocks, abs=1)
    for length in (64, 1 << 20):
        asked = Settings(task="pretrain", train_on="all", max_length=length)
        report = check(Path(mix[0].path), asked, Renderer(tiny_tokenizer), sets=mix)
        first, other = report.sets
        assert first.usable_rows == first.rows == 200 and other.usable_rows == 900
        assert other.tokens == pytest.approx(first.tokens / 2, rel=0.02)
        assert report.tokens == pytest.approx(64 * blocks, rel=0.03)
