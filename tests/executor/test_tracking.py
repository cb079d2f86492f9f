"""A tracker that is missing, breaks or hangs never touches the run."""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.executor.desk import FRACTION, Desk
from tests.executor.keys_of_tracking import Calls
from tests.support.training import curve, events_of
from tuiwiz.events import types
from tuiwiz.executor.tracking import feed, trackers
from tuiwiz.executor.tracking.trackers import wandb_mode

LEVELDB_BLOCK = 32768


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, tiny_model, monkeypatch)


class Broken(Calls):
    def __init__(self, at: str) -> None:
        super().__init__("wandb")
        self.at = at

    def _maybe(self, where: str) -> None:
        if where == self.at:
            raise SystemExit("no network\nand more") if where == "init" else ValueError("disk quota")

    def init(self, **options: Any) -> Calls:
        self._maybe("init")
        return super().init(**options)

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._maybe("log")

    def finish(self) -> None:
        self._maybe("finish")


@pytest.mark.parametrize("at", ["init", "log", "finish"])
def test_a_tracker_that_fails_leaves_the_run_alone(desk: Desk, at: str) -> None:
    alone = desk.run(**FRACTION)
    desk.patch.setitem(sys.modules, "wandb", Broken(at))
    run = desk.run(tracking__wandb=True, **FRACTION)
    assert curve(events_of(run.folder)) == curve(events_of(alone.folder)) and run.of(types.Finished)
    told = [event.message for event in run.of(types.Log) if "wandb failed" in event.message]
    assert len(told) == 1 and "\n" not in told[0]


def test_a_tracker_that_hangs_is_left_behind(desk: Desk) -> None:
    desk.patch.setattr(feed, "LAST_WORDS_S", 0.2)
    for_ever = threading.Event()

    class Hanging(Calls):
        def log(self, numbers: dict[str, float], step: int) -> None:
            for_ever.wait(60)

    desk.patch.setitem(sys.modules, "wandb", Hanging("wandb"))
    run = desk.run(tracking__wandb=True)
    assert run.of(types.Finished) and events_of(run.folder)[-1] == run.of(types.Finished)[0]
    assert any("left behind" in event.message for event in run.of(types.Log))
    for_ever.set()


def test_a_missing_tracker_is_refused_before_the_model_is_loaded(desk: Desk) -> None:
    desk.patch.setitem(sys.modules, "wandb", None)
    assert desk.refused(desk.prepare(tracking__wandb=True)) == 8


def test_a_full_queue_drops_numbers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "QUEUED", 2)
    gate, told = threading.Event(), []

    class Slow:
        name = "slow"

        def log(self, numbers: Mapping[str, float], step: int) -> None:
            gate.wait(30)

        def close(self, summary: Mapping[str, Any]) -> None:
            told.append("closed")

    one = feed.Feed([("slow", Slow)], lambda message, level: told.append(message))
    for step in range(20):
        one.log({"loss": 1.0}, step, prefix="train")
    gate.set()
    one.close()
    assert "closed" in told and any("did not reach" in message for message in told)


def test_wandb_is_online_only_with_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode() == "disabled"


def test_the_folder_that_wandb_leaves_offline_is_read_back(desk: Desk) -> None:
    """With wandb's own message types, from the file that `wandb sync` sends."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        desk.patch.delenv(name, raising=False)
    desk.patch.setenv("HOME", str(desk.base))
    # Its service takes a while to start on a crowded machine; a run of four steps does not wait for it by itself.
    desk.patch.setattr(feed, "LAST_WORDS_S", 240.0)
    desk.patch.setattr(trackers, "WANDB_WAIT_S", 200)
    run = desk.run(tracking__wandb=True, **FRACTION)
    told = [event.message for event in run.of(types.Log)]
    assert not [one for one in told if "failed" in one or "left behind" in one], wandb.__version__
    (folder,) = (run.folder.path / "wandb").glob("offline-run-*")
    records = list(offline_records(next(folder.glob("*.wandb"))))
    steps = [{item.key or "/".join(item.nested_key): item.value_json for item in one.history.item} for one in records]
    losses = [float(step["train/loss"]) for step in steps if "train/loss" in step]
    assert losses == pytest.approx(run.metric("loss"), rel=1e-6)
    assert any(one.HasField("run") and one.run.project == "tuiwiz" for one in records)
    assert any(one.HasField("exit") for one in records), "the run was closed"


def offline_records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file, which is a LevelDB log behind a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = LEVELDB_BLOCK - place % LEVELDB_BLOCK
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        # 1 is a whole record, 2 to 4 the first, the inner and the last part of one.
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
    assert not whole
