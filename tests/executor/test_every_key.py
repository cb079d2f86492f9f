"""Every key of a bundle that this version carries out shows in the run itself; a key without an entry here fails.

Observed are tensors, token ids, events and files of real runs, never the bundle that asked for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.executor import (
    keys_of_adapters,
    keys_of_model_and_data,
    keys_of_phases,
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
from tuiwiz.spec.optimizer import Phase
from tuiwiz.spec.rules import AVAILABLE

TABLES = (
    keys_of_adapters,
    keys_of_model_and_data,
    keys_of_phases,
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
    in_force |= {f"phases.{name}" for name in Phase.__struct_fields__}
    assert TABLES and in_force == SHOWN.keys()


KEYS = Path(__file__).with_name("KEYS.md")


def table() -> str:
    """Key -> the check of what it changes in a run; keys of which a version knows one value have none."""
    one_value = [f"| `{key}` | only {AVAILABLE[key][0]}: refused by `check` otherwise |" for key in sorted(AVAILABLE)]
    one_value = [line for line in one_value if line.split("`")[1] not in SHOWN]
    checks = [f"| `{key}` | `{SHOWN[key].__module__}.{SHOWN[key].__name__}` |" for key in sorted(SHOWN)]
    heading = (
        "# What proves each key\n\nWritten by `python -m tests.executor.test_every_key`; a test holds it to the code."
    )
    return "\n".join([heading, "", "| key | check |", "|---|---|", *checks, *one_value, ""])


def test_the_written_table_is_that_of_the_checks() -> None:
    assert KEYS.read_text(encoding="utf-8") == table(), "python -m tests.executor.test_every_key"


@pytest.mark.parametrize("key", SHOWN)
def test_the_key_shows_in_the_run(desk: Desk, key: str) -> None:
    SHOWN[key](desk)


REQUIRED: dict[str, Any] = {
    "task.kind": "dpo",
    "data.train": "rows.jsonl",
    "schedule.epochs": 1.0,
    "schedule.steps": 5,
}
"""What an executor that ignores a key without a default would do."""
READ_BEFORE = ("format",)
"""Decided by the reader before there is a bundle that could be ignored."""


def ignoring(key: str, model: Path) -> Callable[[Path], Bundle]:
    """The executor's reader, but that `key` always has its default."""

    def read(path: Path) -> Bundle:
        bundle = read_bundle(path)
        chosen = {**REQUIRED, "model.source": str(model)}
        value = chosen.get(key) or (None if key.startswith("phases.") else default_of(key))
        tree = msgspec.to_builtins(bundle)
        section, _, name = key.rpartition(".")
        if section == "phases":
            phases = tree["phases"]
            for place, phase in enumerate(phases):
                # What every phase must have is the same for all of them.
                phase[name] = {"name": f"{place}", "share": 1 / len(phases), "steps": 1}.get(name)
        else:
            (tree[section] if section else tree)[name] = value
        return msgspec.convert(tree, Bundle)

    return read


@pytest.mark.long
@pytest.mark.parametrize("key", [key for key in SHOWN if key not in READ_BEFORE])
def test_an_executor_that_ignores_the_key_is_found_out(desk: Desk, key: str) -> None:
    """Otherwise the check above would look at something else than what the key does."""
    desk.patch.setattr(train, "read_bundle", ignoring(key, desk.model))
    # Nothing but the check's own verdict counts: an error on the way to it would find every executor out.
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        SHOWN[key](desk)


if __name__ == "__main__":
    KEYS.write_text(table(), encoding="utf-8")
