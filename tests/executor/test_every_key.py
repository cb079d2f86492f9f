"""Every key of a bundle that this version carries out shows in the run itself; a key without an entry here fails.

Observed are tensors, token ids, events and files of real runs, never the bundle that asked for them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.executor import keys_of_model_and_data, keys_of_tasks, keys_of_training
from tests.executor.desk import SHOWN, Desk
from tuiwiz.spec.keys import all_keys
from tuiwiz.spec.rules import AVAILABLE

TABLES = (keys_of_model_and_data, keys_of_tasks, keys_of_training)
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
