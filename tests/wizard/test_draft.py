"""Drafts: undo takes back exactly one change of answers, and what was typed survives a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.wizard import saved
from tuiwiz.wizard.answers import Answers, Picked
from tuiwiz.wizard.draft import LONGEST_HISTORY, Draft, History
from tuiwiz.wizard.steps import STEPS

CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "task": st.sampled_from(["", "chat", "instruct", "pretrain"]),
    "data": st.text(max_size=8),
    "validation": st.none() | st.text(max_size=8),
    "model": st.sampled_from(["", "1B", "qwen3-8b", "./model"]),
    "gpu": st.none() | st.sampled_from(["24", "RTX 4090"]),
    "method": st.none() | st.sampled_from(["qlora", "lora", "full"]),
    "picked": st.none() | st.builds(Picked, micro_batch=st.integers(1, 8)),
    "sets": st.dictionaries(
        st.sampled_from(["adapter.rank", "schedule.epochs"]), st.none() | st.integers(1, 9), max_size=2
    ),
}
change = st.sampled_from(sorted(CHANGES)).flatmap(lambda name: st.tuples(st.just(name), CHANGES[name]))
moves = st.lists(st.one_of(change, st.sampled_from(STEPS)), max_size=20)


def apply(history: History, one: object) -> None:
    if isinstance(one, str):
        history.put(msgspec.structs.replace(history.draft, step=one))
    else:
        assert isinstance(one, tuple)
        history.put(history.draft.answered(**{one[0]: one[1]}))


@given(moves, change)
def test_undo_gives_the_answers_before_and_redo_gives_them_back(first: list[object], last: tuple[str, Any]) -> None:
    history = History()
    for one in first:
        apply(history, one)
    before = history.draft
    apply(history, last)
    changed = history.draft
    if changed == before:
        return
    assert history.undo() and history.draft == before
    assert history.redo() and history.draft == changed


@given(moves)
def test_undoing_everything_comes_to_the_first_answers_and_redoing_to_the_last(made: list[object]) -> None:
    history = History()
    for one in made:
        apply(history, one)
    last = history.draft.answers
    while history.undo():
        pass
    assert history.draft.answers == Answers()
    while history.redo():
        pass
    assert history.draft.answers == last


def test_moving_is_no_change_and_undo_stays_on_the_step() -> None:
    history = History()
    history.put(Draft().answered(task="chat"))
    history.put(msgspec.structs.replace(history.draft, step="data"))
    assert history.undo()
    assert history.draft == Draft(step="data")
    assert not history.undo()


def test_a_change_after_undo_drops_what_was_undone() -> None:
    history = History(Draft().answered(task="chat"))
    history.put(history.draft.answered(task="instruct"))
    history.undo()
    history.put(history.draft.answered(model="1B"))
    assert not history.redo()
    assert history.draft.answers == Answers(task="chat", model="1B")


def test_history_has_an_end() -> None:
    history = History()
    for seed in range(1, LONGEST_HISTORY + 50):
        history.put(history.draft.answered(seed=seed))
    undone = 0
    while history.undo():
        undone += 1
    assert undone == LONGEST_HISTORY - 1


def test_edit_and_reset_of_one_key() -> None:
    draft = Draft().edited("adapter.rank", 8).edited("schedule.epochs", None)
    assert draft.answers.sets == {"adapter.rank": 8, "schedule.epochs": None}
    assert draft.reset("adapter.rank").answers.sets == {"schedule.epochs": None}
    assert draft.reset("nothing") == draft


@given(moves)
def test_a_draft_read_back_is_the_draft_saved(made: list[object]) -> None:
    history = History()
    for one in made:
        apply(history, one)
    encoded = msgspec.json.encode(history.draft)
    assert msgspec.json.decode(encoded, type=Draft) == history.draft


def test_drafts_survive_on_disk_until_forgotten() -> None:
    draft = Draft(step="fit", output="b.toml").answered(task="chat", picked=Picked(micro_batch=2)).edited("seed", 3)
    assert saved.load() is None
    saved.save(draft)
    assert saved.load() == draft
    saved.forget()
    saved.forget()
    assert saved.load() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 999, "draft": {}}',
        b'{"version": 1, "draft": {"step": "launchpad"}}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_draft_of_this_version_is_ignored(content: bytes) -> None:
    saved.path().parent.mkdir(parents=True)
    saved.path().write_bytes(content)
    assert saved.load() is None


def test_a_place_that_cannot_be_written_loses_the_draft_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TUIWIZ_HOME", str(blocked))
    saved.save(Draft().answered(task="chat"))
    assert saved.load() is None
