"""Finding runs by path, name and prefix, and telling what each is, whatever lies in the run root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.processes import write_bundle
from tests.support.streams import failed_run, finished_run, training_run
from tuiwiz.base.errors import UsageError
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import this_process
from tuiwiz.runs.folder import prepare
from tuiwiz.runs.index import list_runs
from tuiwiz.runs.names import REGISTERED, register, registered, run_root
from tuiwiz.runs.registry import find, folders, info


@pytest.fixture
def root(own_home: Path) -> Path:
    root = run_root()
    root.mkdir(parents=True)
    assert root.is_relative_to(own_home)
    return root


def run_at(path: Path, age_s: float = 0.0) -> RunFolder:
    run = finished_run(path, steps=30)
    at = run.bundle.stat().st_mtime - age_s
    os.utime(run.bundle, (at, at))
    return run


def test_newest_first_and_the_newest_where_none_is_named(root: Path) -> None:
    run_at(root / "20260101-000000-old-aaaaaa", 100)
    run_at(root / "20260102-000000-new-bbbbbb", 10)
    run_at(root / "20260103-000000-mid-cccccc", 50)
    assert [run.path.name.split("-")[2] for run in folders()] == ["new", "mid", "old"]
    assert find(None).path.name == "20260102-000000-new-bbbbbb"


def test_a_run_is_found_by_path_name_prefix_and_what_the_user_called_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_at(root / "20260101-000000-gsm8k-qwen-aaaaaa")
    run_at(root / "20260202-000000-other-bbbbbb")
    for name in (str(run.path), run.path.name, "20260101", "gsm8k-qwen"):
        assert find(name).path == run.path
    monkeypatch.chdir(root)
    assert find(f"./{run.path.name}").path == run.path
    monkeypatch.chdir(run.path)
    assert find(".").path == run.path


def test_an_ambiguous_or_unknown_name_is_refused_with_what_is_near(root: Path) -> None:
    run_at(root / "20260101-000000-sums-aaaaaa")
    run_at(root / "20260102-000000-sums-bbbbbb")
    with pytest.raises(UsageError, match="fits 2 runs") as caught:
        find("sums")
    assert "more of the name" in caught.value.hint
    with pytest.raises(UsageError, match="no run") as caught:
        find("20260101-000000-sums-aaaaab")
    assert "20260101-000000-sums-aaaaaa" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-at-all/run", "", "../..", "\ud800"])
def test_names_that_are_no_names_are_refused(root: Path, name: str) -> None:
    with pytest.raises(UsageError):
        find(name)


def test_runs_elsewhere_are_known_once_and_forgotten_when_they_are_gone(root: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "work")
    out = prepare(bundle, out=tmp_path / "elsewhere").path
    register(out)
    register(out)
    assert (root / REGISTERED).read_text().count(str(out)) == 1
    assert find("elsewhere").path == out
    moved = tmp_path / "copy"
    shutil.move(out, moved)
    assert registered() == [] and folders() == []
    assert find(str(moved)).path == moved


def test_run_root_of_the_configuration_is_used_and_a_damaged_one_ignored(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'run_root = "{tmp_path / "big-disk"}"\n')
    assert run_root() == tmp_path / "big-disk"
    for damaged in ("run_root = 3\n", "run_root = \n", "\x00"):
        config.write_text(damaged)
        assert run_root() == own_home / "runs"


def test_litter_in_the_run_root_disturbs_nobody(root: Path) -> None:
    run = run_at(root / "20260101-000000-good-aaaaaa")
    (root / "notes.txt").write_text("hello")
    (root / "empty").mkdir()
    (root / REGISTERED).write_bytes(b"\xff\xfe\n/nowhere\n\n")
    (root / "dangling").symlink_to(root / "gone")
    odd = root / "20260102-000000-odd-bbbbbb"
    odd.mkdir()
    (odd / "bundle.toml").write_bytes(b"\xff\x00 not toml")
    (odd / "events.jsonl").mkdir()
    (odd / "pid.json").write_text("[]")
    (odd / "exit.json").write_bytes(b"\x00")
    damaged = failed_run(root / "20260103-000000-damaged-cccccc")
    damaged.events.write_bytes(damaged.events.read_bytes()[:4000] + b"\x00" * 999 + b'\n{"kind":')
    shown = {one.name.split("-")[2]: one for one in list_runs()}
    assert set(shown) == {"good", "odd", "damaged"}
    assert shown["good"].state == "finished" and shown["odd"].state == "unknown"
    assert find("good").path == run.path


def test_a_run_in_short(tmp_path: Path) -> None:
    done = info(finished_run(tmp_path / "done"))
    assert (done.state, done.step, done.steps) == ("finished", 267, 267)
    first, last, best = (done.metrics[name] for name in ("first", "last", "best"))
    assert first is not None and last is not None and best is not None and best <= last < first
    assert done.tokens_per_second == 5868.0 and done.peak_bytes and done.elapsed_s
    assert done.bundle_digest and done.model == "qwen/qwen3-8b" and done.method == "qlora"
    failed = info(failed_run(tmp_path / "failed"))
    assert (failed.state, failed.step) == ("failed", 92)


def test_a_run_copied_to_another_machine_still_opens(tmp_path: Path) -> None:
    run = training_run(tmp_path / "run")
    shutil.copytree(run.path, tmp_path / "copy")
    (tmp_path / "copy" / "pid.json").write_bytes(msgspec.json.encode(replace(this_process(), host="elsewhere")))
    copied = info(RunFolder(tmp_path / "copy"))
    assert copied.state == "unknown" and copied.step == 184
    assert copied.metrics == info(run).metrics


def test_a_run_without_a_single_event_shows_nothing_that_is_not_known(tmp_path: Path) -> None:
    run = prepare(write_bundle(tmp_path / "work"), out=tmp_path / "run")
    shown = info(run.folder)
    assert shown.state == "starting" and shown.step == 0
    assert shown.metrics == {"first": None, "last": None, "best": None}
    assert shown.peak_bytes is shown.tokens_per_second is shown.elapsed_s is shown.started is None
