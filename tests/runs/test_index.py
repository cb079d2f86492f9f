"""The list of all runs: fast with thousands, right after any change, whole again when its index is lost."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from tests.support.streams import T0, failed_run, finished_run, training_run
from tuiwiz.base.errors import TuiwizError, UsageError
from tuiwiz.events import types
from tuiwiz.events.process import this_process
from tuiwiz.events.writer import EventWriter
from tuiwiz.runs import index, trash
from tuiwiz.runs.index import INDEX, list_runs
from tuiwiz.runs.names import register, run_root
from tuiwiz.runs.notes import NOTES, read_notes, write_notes
from tuiwiz.runs.registry import find, folders, info


@pytest.fixture
def root(own_home: Path) -> Path:
    run_root().mkdir(parents=True)
    return run_root()


def names() -> list[str]:
    return sorted(one.name for one in list_runs())


def test_two_thousand_runs_are_listed_in_a_moment_and_the_index_is_only_a_shortcut(root: Path) -> None:
    model = finished_run(root / "model", steps=20)
    content = {path.name: path.read_bytes() for path in model.path.iterdir() if path.is_file()}
    shutil.rmtree(model.path)
    for number in range(2000):
        folder = root / f"20260101-{number:06d}-run-{number:06x}"
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    first = list_runs()
    assert len(first) == 2000 and (root / INDEX).is_file()
    begun = time.perf_counter()
    assert list_runs() == first
    taken = time.perf_counter() - begun
    assert taken < 1.5, f"{taken:.2f} s"
    (root / INDEX).unlink()
    assert list_runs() == first and (root / INDEX).is_file()


def test_a_damaged_index_is_made_anew(root: Path) -> None:
    for name in ("one", "two"):
        finished_run(root / f"20260101-000000-{name}-aaaaaa", steps=3)
    first = list_runs()
    whole = (root / INDEX).read_bytes()
    for damage in (b"", b"{}", b'{"version": 99, "runs": {}}', b"\xff\x00", whole[:200], b"[" * 100_000):
        (root / INDEX).write_bytes(damage)
        assert list_runs() == first and (root / INDEX).read_bytes() == whole


def test_a_run_that_is_over_is_read_once_and_again_when_it_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = failed_run(root / "20260101-000000-one-aaaaaa")
    training = training_run(root / "20260102-000000-two-bbbbbb")
    training.pid.write_bytes(msgspec.json.encode(this_process()))
    read: list[str] = []

    def watched(folder: object) -> object:
        read.append(getattr(folder, "path").name)  # noqa: B009
        return info(folder)  # type: ignore[arg-type]

    monkeypatch.setattr(index, "info", watched)
    list_runs()
    assert len(read) == 2
    read.clear()
    assert {one.state for one in list_runs()} == {"failed", "training"}
    assert read == [training.path.name], "what is over is not read again, what lives is"
    writer = EventWriter(run.events)
    writer.write(types.Finished, summary={"step": 92})
    writer.close()
    assert {one.state for one in list_runs()} == {"finished", "training"}
    shutil.rmtree(run.path)
    assert names() == [training.path.name]


def test_a_run_root_that_cannot_be_written_is_listed_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run(root / "20260101-000000-one-aaaaaa", steps=3)

    def refused(path: Path, content: bytes) -> None:
        raise PermissionError(13, "no", str(path))

    monkeypatch.setattr(index, "write_atomic", refused)
    assert len(list_runs()) == len(list_runs()) == 1 and not (root / INDEX).exists()


def test_notes_and_tags_lie_in_the_run_s_own_folder(root: Path, tmp_path: Path) -> None:
    run = finished_run(root / "20260101-000000-one-aaaaaa", steps=3)
    list_runs()
    write_notes(run.path, note="the good one\x1b[31m", add=["paper", "keep"])
    write_notes(run.path, add=["keep", "x"], remove=["paper"])
    (one,) = list_runs()
    assert one.note == "the good one" and one.tags == ("keep", "x")
    shutil.copytree(run.path, tmp_path / "copy")
    assert read_notes(tmp_path / "copy") == read_notes(run.path)
    for tag in ("two words", "", "\x1b[2J", "x" * 100):
        with pytest.raises(UsageError):
            write_notes(run.path, add=[tag])
    for damage in (b"\xff", b"note = 3", b"[[", b"note = " + b"9" * 5_000, b"a." * 50_000 + b"a = 1"):
        (run.path / NOTES).write_bytes(damage)
        assert read_notes(run.path).note == "" and list_runs()[0].state == "finished"


def test_removed_it_is_gone_and_restored_it_is_back_as_it_was(root: Path, tmp_path: Path) -> None:
    run = finished_run(root / "20260101-000000-one-aaaaaa", steps=3)
    elsewhere = finished_run(tmp_path / "elsewhere", steps=3)
    register(elsewhere.path)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    trash.remove(run.path)
    trash.remove(elsewhere.path)
    assert names() == [] and not run.path.exists()
    with pytest.raises(UsageError):
        find("one")
    assert [one.name for one in trash.removed()] == ["elsewhere", run.path.name]
    assert trash.restore(run.path.name) == run.path
    assert trash.restore(None) == elsewhere.path
    assert names() == sorted([run.path.name, "elsewhere"]) and trash.removed() == []
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before
    with pytest.raises(UsageError, match="no removed run"):
        trash.restore(None)


def test_what_lies_there_now_is_never_replaced(root: Path) -> None:
    run = finished_run(root / "20260101-000000-one-aaaaaa", steps=3)
    trash.remove(run.path)
    again = finished_run(run.path, steps=5)
    trash.remove(again.path)
    assert len(trash.removed()) == 2
    assert trash.restore(None) == run.path and info(run).steps == 5
    with pytest.raises(UsageError, match="there again"):
        trash.restore(run.path.name)
    assert trash.empty() == 1 and trash.removed() == [] and run.path.is_dir()


def test_litter_in_the_trash_and_a_folder_that_cannot_be_moved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished_run(root / "20260101-000000-one-aaaaaa", steps=3)
    (root / trash.TRASH).mkdir()
    (root / trash.TRASH / "notes.txt").write_text("x")
    (root / trash.TRASH / "odd").mkdir()
    (root / trash.TRASH / "link").symlink_to(root)
    assert trash.removed() == [] and trash.empty() == 0

    def refused(a: object, b: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(TuiwizError, match="cannot be moved"):
        trash.remove(run.path)
    assert len(folders()) == 1 and info(run).started == T0
