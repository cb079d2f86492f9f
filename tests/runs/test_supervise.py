"""Starting and supervising executors that end in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import (
    ROOT,
    begin,
    environment,
    events,
    eventually,
    executor_of,
    fake_executor,
    gone,
    steps,
    write_bundle,
)
from tuiwiz.base.errors import DoesNotFitError, InvalidError, MachineLacksError, RunFailedError, TuiwizError
from tuiwiz.events import control, types
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import Exit, is_alive, read_exit, start_time, write_exit
from tuiwiz.runs import launch
from tuiwiz.runs.folder import Ready, prepare, take_up
from tuiwiz.runs.registry import info
from tuiwiz.runs.supervise import describe, kernel_line

FOREVER = 1_000_000


@pytest.fixture
def ready(tmp_path: Path) -> Ready:
    return prepare(write_bundle(tmp_path / "work"), out=tmp_path / "run")


def use(monkeypatch: pytest.MonkeyPatch, *options: str | int) -> None:
    for name, value in {**fake_executor(*options), "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)


def ended(folder: RunFolder) -> Exit:
    found = eventually(lambda: read_exit(folder.exit))
    assert found is not None
    return found


def test_a_run_to_its_end(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch)
    assert launch.start(ready.folder, detach=False).wait(60) == 0
    found = ended(ready.folder)
    assert found.code == 0 and not found.signal and found.peak_rss_bytes > 1_000_000
    assert launch.exit_code(ready.folder) == 0
    assert info(ready.folder).state == "finished"


@pytest.mark.parametrize(
    ("by", "code", "state"),
    [("kill", 6, "crashed"), ("torn", 6, "crashed"), ("silent", 1, "crashed"), ("failed", 6, "failed")],
)
def test_an_executor_that_dies_is_described(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, by: str, code: int, state: str
) -> None:
    use(monkeypatch, "--at", 3, "--by", by)
    supervisor = launch.start(ready.folder, detach=False)
    supervisor.wait(60)
    found = ended(ready.folder)
    assert launch.exit_code(ready.folder) == code
    assert info(ready.folder).state == state
    if by in ("kill", "torn"):
        assert found.signal == "SIGKILL" and found.code is None and "SIGKILL" in found.message
        assert not found.out_of_memory
    if by == "silent":
        assert found.log_tail == ("something gave way here",), "cleaned of terminal sequences"


def test_a_detached_run_is_there_when_start_returns(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    supervisor = launch.start(ready.folder, detach=True)
    shown = info(ready.folder)
    assert shown.state in ("starting", "training")
    executor = executor_of(ready.path)
    assert os.getsid(supervisor.pid) != os.getsid(0) and os.getsid(executor.pid) == os.getsid(supervisor.pid)
    control.request(ready.folder, "stop")
    assert supervisor.wait(60) == 7
    assert info(ready.folder).state == "stopped"


def test_taken_up_again_it_is_alive_at_once_and_reads_as_one_run(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    first = launch.start(ready.folder, detach=True)
    eventually(lambda: steps(ready.path) > 5)
    control.request(ready.folder, "stop")
    first.wait(60)
    stopped_at = info(ready.folder).step
    # A second stop, too late for the first attempt.
    control.request(ready.folder, "stop")
    second = launch.start(take_up(ready.folder).folder, detach=True)
    assert info(ready.folder).state in ("starting", "training"), "not the earlier attempt's `stopped`"
    eventually(lambda: steps(ready.path) > stopped_at + 5)
    control.request(ready.folder, "stop")
    assert second.wait(60) == 7
    view = view_of(ready.folder)
    assert list(view.series["loss"].x) == list(range(1, view.step + 1))
    assert view.started is not None and view.started.attempt == 2 and view.started.from_step == stopped_at
    assert [event.seq for event in events(ready.path)] == list(range(view.events))


def test_the_end_of_the_parent_stops_and_saves(ready: Ready) -> None:
    parent = begin("run", "--resume", "--out", ready.path, "--json", env=fake_executor("--steps", FOREVER))
    executor = executor_of(ready.path)
    eventually(lambda: steps(ready.path) > 2)
    parent.kill()
    parent.communicate()
    eventually(lambda: gone(executor))
    assert ended(ready.folder).code == 7
    assert info(ready.folder).state == "stopped"
    assert any(isinstance(event, types.Checkpoint) for event in events(ready.path))


def test_without_its_supervisor_the_executor_stops_and_saves(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    supervisor = launch.start(ready.folder, detach=True)
    executor = executor_of(ready.path)
    eventually(lambda: steps(ready.path) > 2)
    supervisor.kill()
    supervisor.wait(60)
    eventually(lambda: gone(executor))
    assert info(ready.folder).state == "stopped"


def test_hanging_up_touches_neither(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    supervisor = launch.start(ready.folder, detach=True)
    executor = executor_of(ready.path)
    eventually(lambda: steps(ready.path) > 2)
    os.killpg(supervisor.pid, signal.SIGHUP)
    now = steps(ready.path)
    eventually(lambda: steps(ready.path) > now + 3)
    assert is_alive(executor)
    supervisor.terminate()
    assert supervisor.wait(60) == 7


def test_a_second_signal_ends_at_once(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    supervisor = launch.start(ready.folder, detach=True)
    eventually(lambda: steps(ready.path) > 2)
    control.request(ready.folder, "pause")
    eventually(lambda: info(ready.folder).state == "paused")
    os.kill(executor_of(ready.path).pid, signal.SIGSTOP)
    supervisor.terminate()
    supervisor.terminate()
    os.kill(executor_of(ready.path).pid, signal.SIGCONT)
    assert supervisor.wait(60) in (7, 130), "two signals may arrive as one"


def test_a_folder_that_vanishes_is_no_traceback(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "--steps", FOREVER)
    supervisor = launch.start(ready.folder, detach=True)
    eventually(lambda: steps(ready.path) > 2)
    moved = ready.path.with_name("moved")
    ready.path.rename(moved)
    ready.path.write_text("in the way")
    supervisor.terminate()
    supervisor.wait(60)
    log = (moved / "run.log").read_text()
    assert "exit.json cannot be written" in log and "supervise.py" not in log


def test_killed_for_memory_is_known_by_the_control_group(ready: Ready) -> None:
    killed = describe(-signal.SIGKILL, ready.folder, evidence="the count rose")
    assert killed.out_of_memory and "memory" in killed.message and killed.evidence
    write_exit(ready.folder.exit, killed)
    assert launch.exit_code(ready.folder) == 4
    other = describe(-signal.SIGSEGV, ready.folder, evidence="the count rose")
    assert not other.out_of_memory and other.signal == "SIGSEGV"


def test_where_no_exit_could_be_left_the_supervisors_code_counts(ready: Ready) -> None:
    assert launch.exit_code(ready.folder, 8) == 8
    assert launch.exit_code(ready.folder, 137) == 6
    assert launch.exit_code(ready.folder) == 6


def test_what_the_user_set_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "7")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "mine")
    found = launch.executor_environment()
    assert found["MALLOC_TOP_PAD_"] == "7" and found["PYTORCH_CUDA_ALLOC_CONF"] == "mine"
    assert found["OMP_WAIT_POLICY"] == os.environ["OMP_WAIT_POLICY"] and "MALLOC_TRIM_THRESHOLD_" in found
    # Both caches of compiled products are bounded: either alone keeps what the other lets go.
    assert int(found["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) == int(found["LRU_CACHE_CAPACITY"]) == launch.PRODUCTS_KEPT
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "1024")
    assert launch.executor_environment()["LRU_CACHE_CAPACITY"] == "1024"


def test_threads_of_an_executor_sleep_after_a_short_wait_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    found = launch.executor_environment()
    assert found["OMP_WAIT_POLICY"] == "passive" and 0 < int(found["GOMP_SPINCOUNT"]) < 10_000
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert "GOMP_SPINCOUNT" not in launch.executor_environment()
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    assert launch.executor_environment()["GOMP_SPINCOUNT"] == "0"


JOB = """
import sys
from pathlib import Path
from tuiwiz.events.job import write_result
print("working")
{body}
"""


def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB.format(body=body))
    monkeypatch.setenv(launch.EXECUTOR, f"{sys.executable}\n{script}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_job_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job(monkeypatch, tmp_path, "write_result(Path(sys.argv[2]), {'ok': True, 'loss': 1.5})")
    assert launch.run_job("score", tmp_path / "scratch", {"rows": 3})["loss"] == 1.5


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            "write_result(Path(sys.argv[2]), {'message': 'too large', 'hint': 'h'}); sys.exit(4)",
            DoesNotFitError,
            "too large",
        ),
        ("write_result(Path(sys.argv[2]), {'message': 'bad rows'}); sys.exit(3)", InvalidError, "bad rows"),
        ("sys.exit(0)", RunFailedError, "ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", MachineLacksError, "signal 9"),
        ("raise ValueError('lost')", TuiwizError, "exit code 1"),
    ],
)
def test_a_job_that_fails_is_an_error_of_the_right_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, kind: type[TuiwizError], message: str
) -> None:
    job(monkeypatch, tmp_path, body)
    with pytest.raises(kind, match=message):
        launch.run_job("score", tmp_path / "scratch", {})


def test_an_old_answer_is_not_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job(monkeypatch, tmp_path, "write_result(Path(sys.argv[2]), {'ok': True})")
    launch.run_job("score", tmp_path / "scratch", {})
    job(monkeypatch, tmp_path, "sys.exit(0)")
    with pytest.raises(RunFailedError):
        launch.run_job("score", tmp_path / "scratch", {})


def test_an_interrupted_job_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("import os, time; print(os.getpid(), flush=True)\nwhile True: time.sleep(60)\n")
    program = (
        "import sys; from pathlib import Path; from tuiwiz.runs.launch import run_job\n"
        "run_job('score', Path(sys.argv[1]), {})"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "scratch")],
        env=environment(**{launch.EXECUTOR: f"{sys.executable}\n{script}"}),
        stderr=subprocess.DEVNULL,
    )
    log = tmp_path / "scratch" / "run.log"
    pid = int(eventually(lambda: log.exists() and log.read_text().strip()) or 0)
    caller.send_signal(signal.SIGINT)
    assert caller.wait(60) != 0
    assert start_time(pid) is None


def test_the_kernel_s_own_word_on_a_kill_is_evidence(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    killed = "Out of memory: Killed process 4242 (python) total-vm:1kB, anon-rss:2kB\x1b[31m"
    log.write_text(f"6,1,100,-;something else\n3,2,200,-;{killed}\n")
    assert kernel_line(4242, log) == killed.removesuffix("\x1b[31m")
    assert kernel_line(424, log) == kernel_line(7, log) == ""
    assert kernel_line(7, tmp_path / "absent") == ""


def test_a_batch_system_s_warning_is_passed_on_and_stops_after_the_step(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = begin("run", write_bundle(tmp_path / "work"), "--out", out, env=fake_executor("--steps", 1_000_000))
    eventually(lambda: steps(out) > 3)
    run.send_signal(signal.SIGUSR1)
    run.communicate(timeout=60)
    assert run.returncode == 7 and info(RunFolder(out)).state == "stopped"
