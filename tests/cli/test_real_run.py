"""The real executor on a tiny model, through the commands: the stream's keys, stops, kills, a full disk, bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import begin, events, eventually, executor_of, gone, steps, tuiwiz, write_bundle
from tuiwiz.events import types
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.registry import info

METRICS = {
    "loss",
    "grad_norm",
    "learning_rate",
    "tokens",
    "supervised_tokens",
    "tokens_per_second",
    "step_seconds",
    "data_seconds",
    "forward_seconds",
    "backward_seconds",
    "optimizer_seconds",
    "allocated_bytes",
    "peak_bytes",
}
KEYS = {
    "run_started": {"attempt", "from_step", "steps", "name", "digest", "evaluation_steps"},
    "stage": {"name", "done", "total"},
    "metric": {"step", "metrics"},
    "eval": {"step", "metrics", "rows"},
    "sample": {"step", "prompt", "base", "now", "expected"},
    "checkpoint": {"step", "path", "bytes", "best"},
    "memory": {"predicted", "actual", "limiting"},
    "finished": {"summary"},
}
"""Keys of each kind of event that others rely on."""


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def losses(folder: Path) -> list[tuple[float, float]]:
    series = view_of(RunFolder(folder)).series["loss"]
    return list(zip(series.x, series.y, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of six steps that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    bundle = write_bundle(root / "work", tiny_model, evaluation__samples="1")
    return root / "run", tuiwiz("run", bundle, "--out", root / "run", "--json", env={"TUIWIZ_HOME": str(root / "home")})


def test_the_stream_has_the_keys_that_others_rely_on(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    path, done = whole
    assert done.returncode == 0, done.stderr
    told = documents(done.stdout)
    assert told == documents(RunFolder(path).events.read_text())
    assert [one["seq"] for one in told] == list(range(len(told)))
    kinds = {one["kind"] for one in told}
    assert set(KEYS) <= kinds
    for one in told:
        assert {"v", "seq", "t", "kind"} | KEYS.get(one["kind"], set()) <= set(one), one
    metrics = [one for one in told if one["kind"] == "metric"]
    assert [one["step"] for one in metrics] == [1, 2, 3, 4, 5, 6]
    assert all(set(one["metrics"]) >= METRICS for one in metrics)
    evaluated = [one["step"] for one in told if one["kind"] == "eval"]
    assert evaluated[0] == 0 and evaluated[-1] == 6
    first_eval = next(i for i, one in enumerate(told) if one["kind"] == "eval")
    assert first_eval < next(i for i, one in enumerate(told) if one["kind"] == "metric")
    summary = told[-1]["summary"]
    assert told[-1]["kind"] == "finished" and summary["artifact"] == "adapter"
    assert {"artifact_step", "best_step", "first_loss", "last_loss", "peak_bytes", "tokens_per_second"} <= set(summary)


def test_the_folder_holds_what_it_promises(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder = RunFolder(whole[0])
    for path in (folder.bundle, folder.resolved, folder.environment, folder.log, folder.pid, folder.exit):
        assert path.is_file(), path.name
    assert (folder.adapter / "adapter_model.safetensors").is_file()
    assert folder.control.is_dir() and not list(folder.control.iterdir())
    litter = [path.name for path in folder.path.rglob(".*") if path.name.endswith(".tmp")]
    assert not litter


def test_stopped_by_the_user_it_goes_on_as_if_nothing_had_been(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tiny_model: Path, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "work", tiny_model, evaluation__samples="1")
    out = tmp_path / "run"
    run = begin("run", bundle, "--out", out, "--json")
    eventually(lambda: any(isinstance(event, types.Eval) for event in events(out)), within_s=90)
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=90)
    assert run.returncode == 7 and documents(told)[-1]["kind"] == "stopped"
    assert info(RunFolder(out)).state == "stopped"
    again = tuiwiz("run", "--resume", "--out", out, "--json")
    assert again.returncode == 0, again.stderr
    assert losses(out) == losses(whole[0]), "the same losses, bit for bit"


def test_interrupted_while_loading_it_ends_at_once_as_stopped(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = begin("run", write_bundle(tmp_path / "work", tiny_model), "--out", out, "--json")

    def loading() -> bool:
        return any(isinstance(event, types.Stage) and event.note == "libraries" for event in events(out))

    eventually(loading, within_s=90)
    run.send_signal(signal.SIGINT)
    told, said = run.communicate(timeout=90)
    assert run.returncode == 7 and documents(told)[-1]["kind"] == "stopped"
    assert "Traceback" not in told + said + RunFolder(out).log.read_text()
    assert info(RunFolder(out)).state == "stopped"
    assert not list(out.glob("checkpoints/*"))


def test_killed_outright_it_is_a_crash_that_resume_takes_up(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    bundle = write_bundle(tmp_path / "work", tiny_model, schedule__steps="4000", checkpoint__every="5")
    run = begin("run", bundle, "--out", out, "--json")
    eventually(lambda: steps(out) > 12, within_s=90)
    process = executor_of(out)
    os.kill(process.pid, signal.SIGKILL)
    told, _ = run.communicate(timeout=90)
    last = documents(told)[-1]
    assert run.returncode == 6 and last["kind"] == "failed" and "tuiwiz resume" in last["summary"]["hint"]
    assert info(RunFolder(out)).state == "crashed"
    again = tuiwiz("resume", out)
    assert again.returncode == 0, again.stderr
    second = executor_of(out)
    assert info(RunFolder(out)).state in ("starting", "training")

    def resumed() -> types.RunStarted | None:
        started = [event for event in events(out) if isinstance(event, types.RunStarted)]
        return started[1] if len(started) > 1 else None

    started = eventually(resumed, within_s=90)
    assert started is not None and started.attempt == 2 and started.from_step >= 10 and started.from_step % 5 == 0
    assert "optimizer" in started.restored
    assert tuiwiz("stop", out).returncode == 0
    eventually(lambda: gone(second), within_s=90)
    assert info(RunFolder(out)).state == "stopped"
    assert [event.seq for event in events(out)] == list(range(len(events(out))))


def test_paused_it_saves_when_asked_without_another_step(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    bundle = write_bundle(tmp_path / "work", tiny_model, schedule__steps="100000", checkpoint__every="100000")
    assert tuiwiz("run", bundle, "--out", out, "--detach").returncode == 0
    process = executor_of(out)
    eventually(lambda: steps(out) > 2, within_s=90)
    folder = RunFolder(out)
    tuiwiz("pause", out)
    eventually(lambda: info(folder).state == "paused")
    at = steps(out)
    tuiwiz("checkpoint", out)
    eventually(lambda: view_of(folder).checkpoints)
    eventually(lambda: info(folder).state == "paused")
    assert steps(out) == at and (folder.checkpoint(at) / "manifest.json").is_file()
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: gone(process))
    assert info(folder).state == "stopped", "a paused run can be stopped too"
    assert view_of(folder).step == at


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(where)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=False)


def test_a_disk_too_small_is_told_at_the_start_and_the_run_goes_on_once_there_is_room(
    small_disk: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = small_disk / "run"
    bundle = write_bundle(tmp_path / "work", tiny_model, schedule__steps="8", checkpoint__keep="9")
    done = tuiwiz("run", bundle, "--out", out, "--json")
    last = documents(done.stdout)[-1]
    assert done.returncode == 8 and last["kind"] == "failed" and "are free" in last["summary"]["message"]
    assert "checkpoint.keep" in last["summary"]["hint"] and not list(out.glob("checkpoints/*"))
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    again = tuiwiz("run", "--resume", "--out", out, "--json")
    assert again.returncode == 0, again.stdout[-600:]
    assert [step for step, _ in losses(out)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_bad_input_gets_a_sentence_its_exit_code_and_one_closing_event(tiny_model: Path, tmp_path: Path) -> None:
    weightless, cut = tmp_path / "weightless", tmp_path / "cut"
    shutil.copytree(tiny_model, weightless)
    (weightless / "model.safetensors").unlink()
    shutil.copytree(tiny_model, cut)
    (cut / "model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes()[:3000])
    cases: list[tuple[Path | str, str | None, str]] = [
        (tiny_model, None, "no such file"),
        (tiny_model, "", "empty"),
        (tiny_model, '{"foo": "a", "bar": "b"}\n' * 20, "found foo, bar"),
        (tiny_model, '"just text"\n' * 20, "not objects"),
        (tmp_path / "absent", "keep", "absent"),
        (weightless, "keep", "weightless"),
        (cut, "keep", "damaged"),
    ]
    for number, (model, rows, message) in enumerate(cases):
        bundle = write_bundle(tmp_path / str(number), model)
        data = bundle.parent / "rows.jsonl"
        if rows is None:
            data.unlink()
        elif rows != "keep":
            data.write_text(rows)
        done = tuiwiz("run", bundle, "--out", tmp_path / f"run-{number}", "--json")
        told = documents(done.stdout)
        closing = [one for one in told if one["kind"] == "failed"]
        assert done.returncode == 3, (message, told[-1])
        assert len(closing) == 1 and closing[0] == told[-1]
        assert message in json.dumps(told[-1]["summary"]), told[-1]
        assert "Traceback" not in done.stderr and "internal error" not in done.stdout
