"""Bundles on disk: every problem at once with its line, stable writing, digest, edits."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.bundle.change import apply_sets, change, parse_set
from tuiwiz.bundle.convert import to_bundle, value_problems
from tuiwiz.bundle.diff import diff
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.lines import line_index, line_of
from tuiwiz.bundle.read import inspect_bundle, parse_bundle, read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.bundle import Bundle, Lock
from tuiwiz.spec.fields import FIELDS, choices
from tuiwiz.spec.keys import all_keys, type_of, unflatten

TEXT = """
name = "first"
[task]
kind = "instruct"
[model]
source = "smollm2-135m-instruct"
[data]
train = "train.jsonl"
[schedule]
epochs = 2
"""


def parsed(text: str = TEXT) -> Bundle:
    bundle, problems = parse_bundle(text, "b.toml")
    assert bundle is not None and problems.ok, list(problems)
    return bundle


def test_all_problems_come_at_once_each_with_line_key_and_hint() -> None:
    text = (
        TEXT
        + '[optimizer]\nlearning_rte = 1e-4\nclip_norm = -1\nname = "adamm"\n'
        + '[adaptr]\nrank = 4\n[batch]\neffective = "8"\n'
    )
    bundle, problems = parse_bundle(text, "b.toml")
    assert bundle is None
    found = {p.key: p for p in problems}
    assert found["optimizer.learning_rte"].hint == "did you mean optimizer.learning_rate?"
    assert "at least 0" in found["optimizer.clip_norm"].message
    assert "adamw" in found["optimizer.name"].hint
    assert "adapter" in found["adaptr"].hint
    assert "a whole number" in found["batch.effective"].message
    lines = text.splitlines()
    for key, name in (
        ("optimizer.learning_rte", "learning_rte"),
        ("optimizer.clip_norm", "clip_norm"),
        ("adaptr", "adaptr"),
    ):
        line = found[key].line
        assert line is not None and name in lines[line - 1]


def test_missing_keys_name_what_to_write() -> None:
    _, problems = parse_bundle("seed = 1\n")
    assert {p.key for p in problems} == {"task.kind", "model.source", "data.train"}
    assert all(p.hint for p in problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 99", "reads up to format 1"),
        ("format = 0", "no format 0"),
        ('format = "1"', "whole number"),
        ("a = ", "not valid TOML"),
        ('task = "chat"', "must be a table"),
        ('phases = 3\n[task]\nkind="chat"', "must be tables"),
        ("[optimizer]\nlearning_rate = nan", "finite"),
        ("[optimizer]\nlearning_rate = true", "expected a number"),
        ("[origin]\nx = 3", "must be a text"),
    ],
)
def test_broken_bundles_are_explained(text: str, message: str) -> None:
    bundle, problems = parse_bundle(text, "b.toml")
    assert bundle is None
    assert any(message in p.message for p in problems), [p.message for p in problems]


def test_files_that_are_no_bundles(tmp_path: Path) -> None:
    for content, message in ((b"\xff\xfe", "not UTF-8 at byte 0"), (b"#" * (1 << 21), "too large")):
        path = tmp_path / "b.toml"
        path.write_bytes(content)
        bundle, problems = inspect_bundle(path)
        assert bundle is None and message in problems.errors[0].message
    with pytest.raises(InvalidError, match="no such file"):
        read_bundle(tmp_path / "none.toml")
    with pytest.raises(InvalidError, match="folder"):
        read_bundle(tmp_path)


@given(st.text(alphabet="[]{}=\"'\n#.ab1 ", max_size=80))
def test_no_text_raises_anything_but_problems(text: str) -> None:
    bundle, problems = parse_bundle(text)
    assert bundle is None and not problems.ok
    line_index(text)


def _values(key: str) -> st.SearchStrategy[Any]:
    """Allowed values of a key, by its declared type and bounds."""
    field = FIELDS[key]
    kind = type_of(key)
    names = str(kind)
    if choices(key):
        return st.sampled_from(choices(key))
    if key == "optimizer.betas":
        return st.lists(st.floats(0, 0.999), min_size=2, max_size=2)
    if key == "data.mapping":
        return st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)
    if key == "adapter.rank_pattern":
        return st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 64), max_size=3)
    if key in ("adapter.modules_to_save", "adapter.train_tokens"):
        return st.lists(st.text(max_size=5), max_size=3)
    if "bool" in names:
        return st.booleans()
    if "float" in names or ("int" in names and "str" not in names):
        low = field.least if field.least is not None else (field.above or 0.0)
        high = field.most if field.most is not None else (field.below or low + 1000)
        whole = "float" not in names
        numbers = st.integers(int(low), int(min(high, 2**40))) if whole else st.floats(low, high)
        return numbers.filter(lambda value: not field.out_of_bounds(value))
    return st.text(min_size=1, max_size=12)


KEYS = [key for key in all_keys() if key not in ("format", "phases")]
FLAT = st.fixed_dictionaries(
    {key: _values(key) for key in ("task.kind", "model.source", "data.train")},
    optional={key: _values(key) for key in KEYS if key not in ("task.kind", "model.source", "data.train")},
)


@settings(max_examples=150, deadline=None)
@given(FLAT, st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["user", "preset a", "planner"]), max_size=4))
def test_reading_what_was_written_gives_the_same_bundle_and_the_same_bytes(
    flat: dict[str, Any], origin: dict[str, str]
) -> None:
    tree = unflatten(flat)
    tree["origin"] = origin
    bundle, _ = to_bundle(tree)
    assert bundle is not None
    text = write_bundle(bundle, why={"adapter.rank": "because \x1b[31m\nof data"}, heading="two\nlines")
    again, _ = to_bundle(tomllib.loads(text))
    assert again == bundle
    assert write_bundle(bundle, why={"adapter.rank": "because \x1b[31m\nof data"}, heading="two\nlines") == text
    assert "\x1b" not in text


def test_comments_say_what_and_who() -> None:
    bundle = change(parsed(), {"optimizer.learning_rate": 1e-4}, by="preset chat")
    text = write_bundle(bundle, why={"optimizer.learning_rate": "35-model sweep"})
    assert "# step size at the peak of the schedule. preset chat: 35-model sweep\nlearning_rate = 0.0001" in text


def test_the_lock_round_trips() -> None:
    tree = unflatten({"task.kind": "chat", "model.source": "m", "data.train": "d", "schedule.steps": 3})
    tree["lock"] = {"tuiwiz": "1", "data": {"train": "ab"}, "rows": {"train": 3}}
    bundle, _ = to_bundle(tree)
    assert bundle is not None and bundle.lock == Lock(tuiwiz="1", data={"train": "ab"}, rows={"train": 3})
    again, problems = parse_bundle(write_bundle(bundle))
    assert again == bundle, list(problems)


def test_the_digest_ignores_names_and_follows_values() -> None:
    one = parsed()
    assert digest(one) == digest(change(one, {"name": "other"}))
    assert digest(one) != digest(change(one, {"seed": 1}))
    assert digest(one) == digest(parsed(TEXT.replace("epochs = 2", "epochs = 2.0")))


def test_a_locked_digest_survives_a_move_of_the_files() -> None:
    lock = Lock(data={"train": "ab"}, model={"model.safetensors": "cd"})
    here = parsed(TEXT + '[lock.data]\ntrain = "ab"\n[lock.model]\n"model.safetensors" = "cd"\n')
    there = parsed(
        TEXT.replace("train.jsonl", "/elsewhere/t.jsonl").replace("smollm2-135m-instruct", "/models/s")
        + '[lock.data]\ntrain = "ab"\n[lock.model]\n"model.safetensors" = "cd"\n'
    )
    assert here.lock == lock
    assert digest(here) == digest(there) != digest(parsed())


def test_sets_read_toml_or_bare_words_and_drop_the_alternative() -> None:
    bundle = apply_sets(
        parsed(), ["schedule.steps=7", 'adapter.targets=["q_proj"]', "data.system=Be brief.", "adapter.rank="]
    )
    assert (bundle.schedule.steps, bundle.schedule.epochs) == (7, None)
    assert bundle.adapter.targets == ("q_proj",)
    assert bundle.data.system == "Be brief."
    assert bundle.origin["schedule.steps"] == "user"


@pytest.mark.parametrize("text", ["rank=4", "adapter.rnk=4", "adapter.rank", "format=2"])
def test_sets_that_name_nothing_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        parse_set(text)


def test_sets_that_break_the_bundle_are_refused() -> None:
    with pytest.raises(InvalidError, match="at least 1"):
        apply_sets(parsed(), ["adapter.rank=0"])


def test_another_data_file_drops_the_lock() -> None:
    bundle = parsed(TEXT + '[lock.data]\ntrain = "ab"\n')
    assert change(bundle, {"seed": 3}).lock is not None
    assert change(bundle, {"data.train": "other.jsonl"}).lock is None


def test_differences_name_both_deciders() -> None:
    one = parsed()
    two = change(one, {"adapter.rank": 64})
    (difference,) = diff(one, two)
    assert (difference.key, difference.a, difference.b, difference.b_by) == ("adapter.rank", 16, 64, "user")


def test_values_are_judged_one_by_one_while_typing() -> None:
    assert value_problems("adapter.rank", 0)[0].hint
    assert value_problems("adapter.rank", 8) == []
    assert "whole number" in value_problems("adapter.rank", "eight")[0].message


def test_lines_of_nested_and_quoted_keys() -> None:
    text = 'a = """\n[no]\nx = 1\n"""\n[one."two three"]\nkey = 1\nb.c = 2\n[[phases]]\nname = "x"\n'
    index = line_index(text)
    assert (line_of(index, "one.two three.key"), line_of(index, "one.two three.b.c"), line_of(index, "phases")) == (
        6,
        7,
        8,
    )
    assert "no.x" not in index
    assert line_of(index, "one.two three.missing") == 5


def test_a_key_of_endless_parts_is_refused_before_it_is_read() -> None:
    bundle, problems = parse_bundle("a." * 40_000 + "a = 1\n")
    assert bundle is None and "more than 100 parts" in problems.errors[0].message
