"""What a lock notices: each changed byte of data and model, and versions and hardware as less than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import write_bundle
from tuiwiz.base.errors import DriftError
from tuiwiz.bundle.drift import drift, refuse
from tuiwiz.bundle.lock import absolute, lock_now
from tuiwiz.bundle.read import parse_bundle, read_bundle
from tuiwiz.bundle.relock import with_lock
from tuiwiz.spec.bundle import Lock


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text(f'"{name}"')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def locked(path: Path, model: Path, **hardware: str) -> Lock:
    return lock_now(read_bundle(path), path.parent, model, hardware=hardware)


def flip(path: Path, at: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
def test_one_changed_byte_of_the_model_is_named(tmp_path: Path, model: Path, name: str) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model)
    assert drift(before, locked(path, model)) == []
    flip(model / name)
    found = drift(before, locked(path, model))
    assert any(name in one.message for one in found) and all(one.kind == "model" for one in found)
    with pytest.raises(DriftError, match="model"):
        refuse(found)


def test_one_changed_byte_of_data_is_named_and_so_is_a_file_that_has_gone_or_come(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model)
    rows = path.parent / "rows.jsonl"
    flip(rows)
    (one,) = drift(before, locked(path, model))
    assert (one.kind, one.name) == ("data", "rows.jsonl") and one.locked != one.now
    rows.unlink()
    (one,) = drift(before, locked(path, model))
    assert one.now == "" and one.fatal

    folder = tmp_path / "many"
    (folder / "rows").mkdir(parents=True)
    (folder / "rows" / "a.jsonl").write_text("{}\n")
    path = write_bundle(folder, model, data__train='"rows"')
    before = locked(path, model)
    assert list(before.data) == ["rows/a.jsonl"]
    (folder / "rows" / "b.jsonl").write_text("{}\n")
    assert [one.name for one in drift(before, locked(path, model))] == ["rows/b.jsonl"]


def test_a_folder_of_very_many_files_is_locked_as_one(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "many"
    (folder / "rows").mkdir(parents=True)
    for number in range(250):
        (folder / "rows" / f"{number}.jsonl").write_text(f"{number}\n")
    path = write_bundle(folder, model, data__train='"rows"')
    before = locked(path, model)
    assert list(before.data) == ["rows"] and drift(before, locked(path, model)) == []
    (folder / "rows" / "7.jsonl").rename(folder / "rows" / "7000.jsonl")
    assert [one.name for one in drift(before, locked(path, model))] == ["rows"]


def test_versions_and_hardware_differ_without_being_refused(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model, device="RTX 4090", driver="1", threads="2")
    before = msgspec.structs.replace(before, tuiwiz="0.0", libraries={**before.libraries, "torch": "1.0", "gone": "3"})
    found = drift(before, locked(path, model, device="NVIDIA GeForce RTX 4090", driver="2", threads="2"))
    assert [(one.kind, one.name) for one in found] == [
        ("library", "tuiwiz"),
        ("library", "torch"),
        ("library", "gone"),
        ("hardware", "driver"),
    ]
    refuse(found)
    assert drift(Lock(), locked(path, model)) == []


def test_a_problem_for_each_difference(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model)
    flip(model / "config.json")
    flip(path.parent / "rows.jsonl")
    with pytest.raises(DriftError) as caught:
        refuse(drift(before, locked(path, model)), path=str(path))
    assert {problem.key for problem in caught.value.problems} == {"lock.data", "lock.model"}
    assert "--allow-drift" in caught.value.hint and caught.value.exit_code == 5


def test_a_model_that_is_not_here_yet_is_not_called_changed(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model)
    assert drift(before, lock_now(read_bundle(path), path.parent, None), model_is_here=False) == []


def test_a_hub_model_is_locked_by_its_commit(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    locks = []
    for commit in ("aaaa", "bbbb"):
        snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / commit
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.symlink_to(model)
        locks.append(locked(path, snapshot))
    assert [lock.revision for lock in locks] == ["aaaa", "bbbb"]
    assert [one.name for one in drift(*locks)] == ["revision"]


COMMENTED = """# mine
name = "x"  # stays

[task]
kind = "instruct"

[model]
source = "model"
[lock]
tuiwiz = "old"
[lock.data]
"rows.jsonl" = "00"

[data]
train = "rows.jsonl" # and this

[schedule]
epochs = 1
"""


@pytest.mark.parametrize("text", [COMMENTED, COMMENTED.replace('[lock]\ntuiwiz = "old"\n', "")])
def test_locking_leaves_the_rest_of_the_text_alone(text: str) -> None:
    bundle, problems = parse_bundle(text)
    assert bundle is not None and problems.ok
    lock = Lock(tuiwiz="new", data={"rows.jsonl": "11"}, hardware={"device": "CPU"})
    written = with_lock(text, bundle, lock)
    again, _ = parse_bundle(written)
    assert again == msgspec.structs.replace(bundle, lock=lock)
    assert all(comment in written for comment in ("# mine", "# stays", "# and this")) and "old" not in written
    assert again is not None and with_lock(written, again, lock) == written


def test_a_text_that_looks_like_a_table_does_not_confuse_it() -> None:
    text = COMMENTED.replace('"x"  # stays', '"""\n[lock]\nname"""')
    bundle, _ = parse_bundle(text)
    assert bundle is not None
    again, _ = parse_bundle(with_lock(text, bundle, Lock(tuiwiz="new")))
    assert again is not None and again.lock == Lock(tuiwiz="new") and again.name == bundle.name


def test_names_become_absolute(tmp_path: Path) -> None:
    found: Any = absolute(Lock(data={"a/b.jsonl": "1"}, rows={"a/b.jsonl": 2}), tmp_path)
    assert found.data == {str(tmp_path / "a/b.jsonl"): "1"} and found.rows == {str(tmp_path / "a/b.jsonl"): 2}


def test_a_file_of_data_that_only_moved_is_the_same_data(tmp_path: Path, model: Path) -> None:
    path = write_bundle(tmp_path / "work", model)
    before = locked(path, model)
    (path.parent / "other").mkdir()
    moved = (path.parent / "rows.jsonl").rename(path.parent / "other" / "renamed.jsonl")
    path.write_text(path.read_text().replace('"rows.jsonl"', '"other/renamed.jsonl"'))
    assert drift(before, locked(path, model)) == []
    flip(moved)
    assert [(one.kind, bool(one.now)) for one in drift(before, locked(path, model))] == [
        ("data", False),
        ("data", True),
    ]
