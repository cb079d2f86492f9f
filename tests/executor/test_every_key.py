"""Every key of a bundle that this version carries out shows in the run itself; a key without an entry here fails.

Observed are tensors, token ids, events and files of real runs, never the bundle that asked for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.executor import (
    keys_of_adapters,
    keys_of_model_and_data,
    keys_of_schedules,
    keys_of_tasks,
    keys_of_tracking,
    keys_of_training,
)
from tests.executor.desk import SHOWN, Desk
from tuiwiz.bundle.read import read_bundle
from tuiwiz.executor import train
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import all_keys, default_of
from tuiwiz.spec.rules import AVAILABLE

TABLES = (
    keys_of_adapters,
    keys_of_model_and_data,
    keys_of_schedules,
    keys_of_tasks,
    keys_of_tracking,
    keys_of_training,
)
"""Importing them fills `SHOWN`."""


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, tiny_model, monkeypatch)


def test_no_key_is_forgotten() -> None:
    in_force = {key for key in all_keys() if len(AVAILABLE.get(key, (None, None))) > 1}
    assert TABLES and in_force == SHOWN.keys()


@pytest.mark.parametrize("key", SHOWN)
def test_the_key_shows_in_the_run(desk: Desk, key: str) -> None:
    SHOWN[key](desk)


REQUIRED: dict[str, str] = {"task.kind": "instruct", "data.train": "rows.jsonl"}
"""What an executor that ignores a key without a default would do."""
READ_BEFORE = ("format",)
"""Decided by the reader before there is a bundle that could be ignored."""


def ignoring(key: str, model: Path) -> Callable[[Path], Bundle]:
    """The executor's reader, but that `key` always has its default."""

    def read(path: Path) -> Bundle:
        bundle = read_bundle(path)
        value = {**REQUIRED, "model.source": str(model)}.get(key, default_of(key))
        tree = msgspec.to_builtins(bundle)
        section, _, name = key.rpartition(".")
        (tree[section] if section else tree)[name] = value
        return msgspec.convert(tree, Bundle)

    return read


@pytest.mark.long
@pytest.mark.parametrize("key", [key for key in SHOWN if key not in READ_BEFORE])
def test_an_executor_that_ignores_the_key_is_found_out(desk: Desk, key: str) -> None:
    """Otherwise the check above would look at something else than what the key does."""
    desk.patch.setattr(train, "read_bundle", ignoring(key, desk.model))
    with pytest.raises((Exception, pytest.fail.Exception)):
        SHOWN[key](desk)
