"""Appending events: one writer, whole lines, one numbering, whatever went wrong before."""

from __future__ import annotations

import errno
import json
import math
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.processes import environment
from tuiwiz.base.errors import UsageError
from tuiwiz.events import types
from tuiwiz.events.reader import EventReader
from tuiwiz.events.writer import EventWriter


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def test_every_line_carries_version_number_time_and_kind(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.write(types.Heartbeat, step=3)
    writer.write(types.Finished, summary={"step": 3})
    writer.close()
    first, last = (json.loads(line) for line in lines(tmp_path / "events.jsonl"))
    assert (first["v"], first["seq"], first["kind"], first["step"]) == (types.VERSION, 0, "heartbeat", 3)
    assert (last["seq"], last["kind"], last["summary"]) == (1, "finished", {"step": 3})
    assert last["t"] >= first["t"] > 1.7e9


def test_a_second_process_goes_on_with_the_numbering(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for step in range(3):
        writer = EventWriter(path)
        writer.write(types.Heartbeat, step=step)
        writer.close()
    assert [event.seq for event in EventReader(path).read()] == [0, 1, 2]


@pytest.mark.parametrize("torn", [b'{"kind":"metric","seq":7,"t":1.', b"\x00" * 40, b"{", b"\xff\xfe"])
def test_a_torn_last_line_is_closed_and_costs_nothing_else(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write(types.Heartbeat, step=1)
    writer.close()
    with path.open("ab") as file:
        file.write(torn)
    writer = EventWriter(path)
    writer.write(types.Heartbeat, step=2)
    writer.write(types.Heartbeat, step=3)
    writer.close()
    reader = EventReader(path)
    assert [(event.seq, getattr(event, "step", None)) for event in reader.read()] == [(0, 1), (1, 2), (2, 3)]
    assert reader.skipped == 1


def test_two_writers_are_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = EventWriter(path)
    with pytest.raises(UsageError, match="already being executed"):
        EventWriter(path)
    first.write(types.Heartbeat, step=1)
    first.close()
    second = EventWriter(path)
    second.write(types.Heartbeat, step=2)
    second.close()
    assert [event.seq for event in EventReader(path).read()] == [0, 1]


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = (
        "import os, sys; from pathlib import Path; from tuiwiz.events.writer import EventWriter; "
        "from tuiwiz.events import types; w = EventWriter(Path(sys.argv[1])); w.write(types.Heartbeat, step=1); "
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], env=environment(), timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    EventWriter(path).close()


def test_threads_share_a_writer_without_mixing_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)

    def write() -> None:
        for _ in range(200):
            writer.write(types.Log, level="info", message="x" * 300)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    reader = EventReader(path)
    assert [event.seq for event in reader.read()] == list(range(800))
    assert reader.skipped == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_its_number() -> None:
    writer = EventWriter(Path("/dev/full"))
    with pytest.raises(OSError) as caught:
        writer.write(types.Heartbeat, step=1)
    assert caught.value.errno == errno.ENOSPC
    writer.close()


def test_a_line_that_fitted_only_in_part_spoils_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = """
import resource, signal, sys
from pathlib import Path
from tuiwiz.events import types
from tuiwiz.events.writer import EventWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = EventWriter(Path(sys.argv[1]))
writer.write(types.Heartbeat, step=1)
room = Path(sys.argv[1]).stat().st_size + 20
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
try:
    writer.write(types.Heartbeat, step=2)
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
writer.write(types.Heartbeat, step=3)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) == errno.ENOSPC
    reader = EventReader(path)
    assert [(event.seq, getattr(event, "step", None)) for event in reader.read()] == [(0, 1), (1, 3)]
    assert reader.skipped == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_null_in_the_file_and_nan_for_readers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write(types.Metric, step=1, metrics={"loss": value, "grad_norm": 2.0})
    writer.write(types.Eval, step=1, metrics={"loss": value}, rows=3)
    writer.close()
    assert json.loads(lines(path)[0])["metrics"] == {"loss": None, "grad_norm": 2.0}
    metric, judged = EventReader(path).read()
    assert isinstance(metric, types.Metric) and isinstance(judged, types.Eval)
    assert math.isnan(metric.metrics["loss"]) and metric.metrics["grad_norm"] == 2.0
    assert math.isnan(judged.metrics["loss"])


def test_half_a_surrogate_pair_ends_no_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write(types.Sample, step=1, prompt="a\ud800b", base="", now="fine")
    writer.write(types.Failed, summary={"message": "\udfff", "problems": [{"place": "\ud800"}]})
    writer.close()
    sample, failed = EventReader(path).read()
    assert isinstance(sample, types.Sample) and sample.prompt == "a\ufffdb" and sample.now == "fine"
    assert isinstance(failed, types.Failed) and failed.summary["problems"] == [{"place": "\ufffd"}]


def test_every_kind_of_event_survives_the_way_through_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    written = [
        writer.write(types.RunStarted, attempt=1, from_step=0, steps=9, name="a", evaluation_steps=(0, 9)),
        writer.write(types.Stage, name="loading", done=1, total=2, note="n"),
        writer.write(types.Metric, step=1, metrics={"loss": 1.0}),
        writer.write(types.Eval, step=1, metrics={"loss": 1.0}, rows=2),
        writer.write(types.Sample, step=1, prompt="p", base="b", now="n", expected="e"),
        writer.write(types.Checkpoint, step=1, path="checkpoints/step-1", bytes=3, best=True),
        writer.write(types.Memory, predicted={"weights": 1}, actual={"weights": 2}, limiting="x"),
        writer.write(types.Resource, gpus=({"index": 0},), host={"rss_bytes": 1.0}),
        writer.write(types.Alert, rule="r", severity="info", message="m", evidence={"a": None}),
        writer.write(types.Control, request="stop", answer="a"),
        writer.write(types.Adjusted, step=1, key="k", from_=1, to=2, reason="r"),
        writer.write(types.Log, level="info", message="m"),
        writer.write(types.Heartbeat, step=1),
        writer.write(types.Finished, summary={"a": 1}),
        writer.write(types.Stopped, summary={}),
        writer.write(types.Failed, summary={"message": "m"}),
    ]
    writer.close()
    assert list(EventReader(path).read()) == written
    assert b'"from":1' in msgspec.json.encode(written[10])
