"""Reading events while they are written, from damaged files, and again from the start."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.streams import Recorder, long_lines, training
from tuiwiz.events import types
from tuiwiz.events.fold import passed_over, view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader


@pytest.fixture(scope="module")
def recorded() -> bytes:
    recorder = Recorder()
    training(recorder, until=40, every=10)
    return recorder.text()


def heartbeat(seq: int) -> bytes:
    return msgspec.json.encode(types.Heartbeat(seq=seq, t=1.0, step=seq)) + b"\n"


def test_no_file_yet_is_no_error_and_is_read_once_it_is_there(tmp_path: Path) -> None:
    reader = EventReader(tmp_path / "events.jsonl")
    assert reader.read() == []
    (tmp_path / "events.jsonl").write_bytes(heartbeat(0))
    assert len(reader.read()) == 1
    assert reader.read() == []


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 30_000), max_size=12))
def test_events_are_the_same_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, recorded: bytes, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("grow") / "events.jsonl"
    reader = EventReader(path)
    found: list[types.Event] = []
    start = 0
    for end in [*sorted(min(cut, len(recorded)) for cut in cuts), len(recorded)]:
        with path.open("ab") as file:
            file.write(recorded[start:end])
        found += reader.read()
        start = end
    whole = EventReader(path).read()
    assert found == whole
    assert [event.seq for event in found] == list(range(len(found)))
    assert reader.skipped == 0 and reader.offset == len(recorded)


def test_an_unfinished_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(heartbeat(0) + heartbeat(1)[:-9])
    reader = EventReader(path)
    assert [event.seq for event in reader.read()] == [0]
    assert reader.read() == []
    with path.open("ab") as file:
        file.write(heartbeat(1)[-9:])
    assert [event.seq for event in reader.read()] == [1]
    assert reader.skipped == 0


@pytest.mark.parametrize(
    "junk",
    [
        b'{"kind":"from_the_future","seq":1,"t":1.0,"shape":[1]}',
        b'{"kind":"metric","seq":1}',
        b"not json",
        b"[1,2]",
        b"\xff\xfe\x00",
        b"\x00" * 5000,
        b"[" * 20_000,
        b'{"kind":"log","seq":1,"t":1.0,"level":"info","message":"\xff"}',
    ],
)
def test_lines_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(heartbeat(0) + junk + b"\n" + b"\n" + heartbeat(2))
    reader = EventReader(path)
    assert [event.seq for event in reader.read()] == [0, 2]
    assert reader.skipped == 1


@pytest.mark.parametrize(("word", "value"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_a_loss_that_is_no_number_is_read_whichever_way_it_was_written(tmp_path: Path, word: str, value: float) -> None:
    path = tmp_path / "events.jsonl"
    line = f'{{"kind":"metric","seq":1,"t":1.0,"step":3,"metrics":{{"loss":{word}}}}}\n'
    path.write_bytes(heartbeat(0) + line.encode() + heartbeat(2))
    reader = EventReader(path)
    _, metric, _ = reader.read()
    assert isinstance(metric, types.Metric) and repr(metric.metrics["loss"]) == repr(value)
    assert reader.skipped == 0


def test_lines_passed_over_are_remembered_and_told_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.events.write_bytes(heartbeat(0) + b"NaN of nothing\n" + b"junk\n" + heartbeat(2))
    view = view_of(folder)
    assert view.unreadable == 2 and [one.message[:7] for one in view.log] == ["2 lines"]
    assert passed_over(view, 2) == "" and len(view.log) == 1
    assert passed_over(view, 3).startswith("3 lines")


def test_fields_of_a_later_version_do_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind":"heartbeat","v":9,"seq":4,"t":1.0,"step":2,"mood":"good"}\n')
    (event,) = EventReader(path).read()
    assert isinstance(event, types.Heartbeat) and event.step == 2 and event.v == 9


def test_a_file_that_became_shorter_is_read_again_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(heartbeat(seq) for seq in range(9)))
    reader = EventReader(path)
    assert len(reader.read(4)) == 4
    path.write_bytes(heartbeat(20))
    # What was decoded ahead from the old file is void with the rest.
    assert [event.seq for event in reader.read()] == [20]
    assert reader.restarted
    reader.read()
    assert not reader.restarted


def test_a_long_run_is_taken_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(long_lines(5000)))
    reader, found = EventReader(path), 0
    while piece := reader.read(700):
        assert len(piece) <= 700
        found += len(piece)
    assert found == path.read_bytes().count(b"\n")


def test_two_readers_do_not_know_each_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(heartbeat(0) + heartbeat(1))
    one, other = EventReader(path), EventReader(path)
    assert len(one.read(1)) == 1
    assert len(other.read()) == 2
    assert len(one.read()) == 1


def test_a_folder_in_place_of_the_file_is_no_events(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    assert EventReader(tmp_path / "events.jsonl").read() == []
