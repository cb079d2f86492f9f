"""Making a run folder ready: what is refused, what is taken up, and that nothing half-written stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import PLAIN_USER, begin, environment, fake_executor, read_only, tuiwiz, write_bundle
from tests.support.streams import finished_run
from tuiwiz.base.errors import DriftError, InvalidError, MachineLacksError, UsageError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events import control, types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.events.process import Exit, start_time, this_process, write_exit, write_process
from tuiwiz.events.writer import EventWriter
from tuiwiz.runs.folder import base_of, prepare, start_of, take_up
from tuiwiz.runs.names import new_folder, registered, run_root, slug


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "work")


def content(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_new_run_lies_in_the_root_with_date_name_and_hash(bundle: Path) -> None:
    ready = prepare(bundle)
    date, clock, name, tail = ready.path.name.split("-")
    assert ready.path.parent == run_root() and name == "sums"
    assert (len(date), len(clock), len(tail)) == (8, 6, 6)
    assert ready.folder.bundle.read_bytes() == bundle.read_bytes(), "the bundle is kept as it was given"
    assert read_job(ready.path) == {"job": "train", "bundle_folder": str(bundle.parent), "resume": False}
    assert prepare(bundle).path != ready.path


def test_changed_values_are_in_the_folders_bundle(bundle: Path, tmp_path: Path) -> None:
    ready = prepare(bundle, out=tmp_path / "out", sets=["adapter.rank=8", "name=other"])
    kept = read_bundle(ready.folder.bundle)
    assert kept.adapter.rank == 8 and kept.name == "other"
    assert registered() == [tmp_path / "out"]


def test_an_empty_folder_is_taken_and_one_with_anything_in_it_is_not(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    prepare(bundle, out=tmp_path / "empty")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("precious")
    for resume in (False, True):
        with pytest.raises(UsageError, match="not empty"):
            prepare(bundle, out=tmp_path / "used", resume=resume)
    with pytest.raises(UsageError, match="is a file"):
        prepare(bundle, out=tmp_path / "used" / "thesis.txt")
    assert content(tmp_path / "used") == ["thesis.txt"]


def test_an_invalid_bundle_leaves_no_folder(bundle: Path, tmp_path: Path) -> None:
    bundle.write_text(bundle.read_text() + "adapter.rnk = 3\n")
    with pytest.raises(InvalidError):
        prepare(bundle, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told_and_nothing_stays(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineLacksError, match="cannot be written") as caught:
        prepare(bundle, out=tmp_path / "file" / "run")
    assert "--out" in caught.value.hint
    assert registered() == []


def test_a_preparation_that_fails_half_way_is_taken_back(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuiwiz.runs.folder.write_job", full)
    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        with pytest.raises(MachineLacksError, match="No space left"):
            prepare(bundle, out=tmp_path / name)
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "mine").is_dir() and content(tmp_path / "mine") == []


def test_a_run_that_cannot_be_registered_runs_all_the_same(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUIWIZ_HOME", str(tmp_path / "file" / "home"))
    ready = prepare(bundle, out=tmp_path / "out")
    assert "found by its path only" in ready.note
    assert ready.folder.job.is_file()


def test_resuming_where_no_run_is_yet_starts_one_and_says_so(bundle: Path, tmp_path: Path) -> None:
    ready = prepare(bundle, out=tmp_path / "out", resume=True)
    assert not ready.resume and "starting at step 0" in ready.note
    with pytest.raises(UsageError, match="no run in"):
        prepare(None, out=tmp_path / "nothing", resume=True)
    with pytest.raises(UsageError, match="needs the run folder"):
        prepare(bundle, resume=True)


def test_resuming_takes_the_folders_own_bundle(bundle: Path, tmp_path: Path) -> None:
    first = prepare(bundle, out=tmp_path / "out")
    first.folder.checkpoint(4).mkdir(parents=True)
    for words in ((None, tmp_path / "out"), (bundle, tmp_path / "out"), (tmp_path / "out", None)):
        ready = prepare(words[0], out=words[1], resume=True)
        assert ready.resume and not ready.note
        # Relative paths still start where the bundle lay.
        assert read_job(ready.path)["bundle_folder"] == str(bundle.parent)
    assert read_job(ready.path)["resume"] is True


def test_resuming_with_another_bundle_is_drift_and_names_what_differs(bundle: Path, tmp_path: Path) -> None:
    prepare(bundle, out=tmp_path / "out")
    with pytest.raises(DriftError, match=r"adapter\.rank"):
        prepare(None, out=tmp_path / "out", sets=["adapter.rank=9"], resume=True)
    # The name is no part of what a run computes.
    assert prepare(None, out=tmp_path / "out", sets=["name=another"], resume=True).resume


def test_a_finished_run_has_nothing_to_do(bundle: Path, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", steps=30)
    run.bundle.write_bytes(bundle.read_bytes())
    before = content(run.path)
    assert take_up(run).done
    assert prepare(None, out=run.path, resume=True).done
    assert content(run.path) == before


def test_a_folder_whose_executor_lives_is_refused_with_its_number(bundle: Path, tmp_path: Path) -> None:
    run = RunFolder(prepare(bundle, out=tmp_path / "out").path)
    write_process(run.pid)
    for resume in (True, False):
        with pytest.raises(UsageError, match=f"process {os.getpid()}"):
            prepare(bundle, out=run.path, resume=resume)
    with pytest.raises(UsageError, match=f"process {os.getpid()}"):
        take_up(run)


def test_taking_up_forgets_how_the_last_attempt_ended_and_what_was_asked_of_it(bundle: Path, tmp_path: Path) -> None:
    run = RunFolder(prepare(bundle, out=tmp_path / "out").path)
    write_exit(run.exit, Exit(code=7))
    run.pid.write_text("{}")
    control.request(run, "stop")
    take_up(run)
    assert not run.exit.exists() and not run.pid.exists()
    assert control.pending(run) == [], "a stop that came too late must not stop the next attempt"


def test_a_run_copied_from_elsewhere_is_taken_up_where_it_lies(bundle: Path, tmp_path: Path) -> None:
    run = RunFolder(prepare(bundle, out=tmp_path / "out").path)
    run.job.unlink()
    assert take_up(run).resume
    assert read_job(run.path)["bundle_folder"] == str(run.path)


def test_names_are_safe_for_folders() -> None:
    assert slug("Ärger / ../../etc: 42 %") == "rger-etc-42"
    assert slug("***") == "run"
    assert len(slug("x" * 300)) == 40
    assert new_folder("a b", "d").parent == run_root()


def test_a_folder_that_may_not_be_written_is_refused_in_a_sentence(bundle: Path, tmp_path: Path) -> None:
    run = prepare(bundle, out=tmp_path / "run")
    finished = finished_run(tmp_path / "finished", steps=30)
    living = prepare(bundle, out=tmp_path / "living")
    write_process(living.folder.pid)
    (tmp_path / "locked").mkdir()
    env = {"TUIWIZ_HOME": str(tmp_path / "open"), **fake_executor()}
    with read_only(run.path, finished.path, living.path, tmp_path / "locked"):
        cases: list[tuple[list[str | Path], int, str]] = [
            (["run", bundle, "--out", tmp_path / "locked"], 8, "cannot be written: Permission denied"),
            (["run", bundle, "--out", tmp_path / "locked" / "new"], 8, "cannot be written: Permission denied"),
            (["run", "--resume", "--out", run.path], 8, "cannot be written: Permission denied"),
            (["resume", run.path], 8, "cannot be written: Permission denied"),
            (["runs", "show", run.path], 0, ""),
            (["watch", finished.path], 0, ""),
            (["stop", living.path], 8, "control cannot be written: Permission denied"),
        ]
        for words, code, message in cases:
            done = tuiwiz(*words, env=env, prefix=PLAIN_USER)
            assert done.returncode == code, (words, done.stderr)
            assert message in done.stderr and "internal error" not in done.stderr
    assert content(tmp_path / "locked") == []


def test_of_two_starts_in_the_same_folder_one_runs(bundle: Path, tmp_path: Path) -> None:
    """Both pass the look at the folder; the event file belongs to one of them."""
    ready = prepare(bundle, out=tmp_path / "out")
    env = fake_executor("--steps", 40)
    program = "from pathlib import Path; import sys; from tuiwiz.events.folder import RunFolder; "
    program += (
        "from tuiwiz.runs.launch import start; sys.exit(start(RunFolder(Path(sys.argv[1])), detach=False).wait())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(ready.path)], env=environment(**env)) for _ in range(2)
    ]
    codes = sorted(one.wait(60) for one in both)
    assert codes[0] == 0 and codes[1] != 0
    assert "already being executed" in ready.folder.log.read_text()
    lines = ready.folder.events.read_text().splitlines()
    assert sum('"run_started"' in line for line in lines) == 1


def test_a_prepared_run_that_never_started_is_told_apart(bundle: Path, tmp_path: Path) -> None:
    ready = prepare(bundle, out=tmp_path / "out")
    past = time.time() - 3600
    os.utime(ready.folder.job, (past, past))
    watched = begin("watch", ready.path)
    _, told = watched.communicate(timeout=60)
    assert watched.returncode == 0 and "never started" in told


def test_a_runs_own_copy_of_a_bundle_starts_where_the_original_lay(bundle: Path, tmp_path: Path) -> None:
    assert start_of(bundle) == bundle.parent
    first = prepare(bundle, out=tmp_path / "first").folder
    assert start_of(first.bundle) == bundle.parent
    second = prepare(first.bundle, out=tmp_path / "second").folder
    assert base_of(second) == bundle.parent
    # A job of the user's own, in a folder of the user's own, is none of ours.
    first.job.write_text("no job", encoding="utf-8")
    assert start_of(first.bundle) == first.path


def test_an_executor_that_has_told_its_end_is_given_the_time_to_leave(bundle: Path, tmp_path: Path) -> None:
    run = RunFolder(prepare(bundle, out=tmp_path / "out").path)
    tell(run, types.Stopped, summary={"step": 3})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as leaving:
        assert leaving.stdin is not None
        write_executor(run, leaving.pid)
        threading.Timer(0.3, leaving.stdin.close).start()
        assert take_up(run).resume
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as anew:
        write_executor(run, anew.pid)
        threading.Timer(0.3, tell, (run, types.Stage), {"name": "loading"}).start()
        with pytest.raises(UsageError, match=f"process {anew.pid}"):
            take_up(run)


def tell(run: RunFolder, kind: type[types.Base], **fields: Any) -> None:
    writer = EventWriter(run.events)
    writer.write(kind, **fields)
    writer.close()


def write_executor(run: RunFolder, pid: int) -> None:
    process = msgspec.structs.replace(this_process(), pid=pid, started=start_time(pid))
    run.pid.write_bytes(msgspec.json.encode(process))
