"""The executor's voice: events, heartbeat, stages with throttled progress, resources."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

import psutil

from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.writer import EventWriter
from tuiwiz.executor.sensors import gpu_readings
from tuiwiz.executor.tracking.feed import Feed

HEARTBEAT_S = 5.0
PROGRESS_S = 0.5
"""Progress within a stage is told at most so often."""

CLOSING = (types.Finished, types.Stopped, types.Failed)


class Recorder:
    """Writes the events of a run; a context manager whose exit ends the heartbeat."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.step = 0
        self._writer = EventWriter(folder.events)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._told = 0.0
        self._stage = ""
        self._write_failed: OSError | None = None
        self.ended = False
        """Whether the run's last event has been written."""
        self.feed: Feed | None = None
        """Where numbers go besides the events."""

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.feed is not None:
            self.feed.close()
        self._stop.set()
        self._thread.join()
        self._writer.close()

    def write(self, kind: type[types.Base], **fields: Any) -> None:
        """Append an event.

        Raises:
            OSError: also when the heartbeat could not be written before, so that a full disk is met at a step border.
        """
        if self._write_failed is not None:
            raise self._write_failed
        if self.feed is not None:
            self._pass_on(self.feed, kind, fields)
        self.ended = kind in CLOSING
        self._writer.write(kind, **fields)

    def _pass_on(self, feed: Feed, kind: type[types.Base], fields: dict[str, Any]) -> None:
        if kind is types.Metric:
            feed.log(fields["metrics"], fields["step"], prefix="train")
        elif kind is types.Eval:
            feed.log(fields["metrics"], fields["step"], prefix="eval")
        elif kind in CLOSING:
            # Before the last event, so that what trackers have to say comes before it, too.
            feed.close(fields["summary"])

    def flush(self) -> int:
        """Make all events survive a power cut; returns the bytes that the file has now."""
        return self._writer.flush()

    def missing(self, events_bytes: int) -> int:
        """Bytes that the event file lacked at the start of this attempt of those that it had at a checkpoint."""
        return max(0, events_bytes - self._writer.found_bytes)

    def stage(self, name: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Say what is going on. The same stage again is throttled, but for its end."""
        now = time.monotonic()
        if name == self._stage and done != total and now - self._told < PROGRESS_S:
            return
        self._stage, self._told = name, now
        self.write(types.Stage, name=name, done=done, total=total, note=note)

    def log(self, message: str, level: str = "info") -> None:
        self.write(types.Log, level=level, message=message)

    def alert(self, rule: str, message: str, severity: str = "warning", **evidence: Any) -> None:
        self.write(types.Alert, rule=rule, severity=severity, message=message, evidence=evidence)

    def _beat(self) -> None:
        process = psutil.Process()
        process.cpu_percent()
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._writer.write(types.Heartbeat, step=self.step)
                self._writer.write(types.Resource, gpus=gpu_readings(), host=self._host(process))
            except OSError as error:
                self._write_failed = error
                return

    def _host(self, process: psutil.Process) -> dict[str, float]:
        memory = psutil.virtual_memory()
        return {
            "rss_bytes": process.memory_info().rss,
            "available_bytes": memory.available,
            "total_bytes": memory.total,
            "cpu_percent": process.cpu_percent(),
            "disk_free_bytes": psutil.disk_usage(str(self.folder.path)).free,
        }


class Silent(Recorder):
    """Has a folder and a step like the others, and says nothing: the voice of a process that does not lead."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.step, self.feed, self.ended = folder, 0, None, False

    def write(self, kind: type[types.Base], **fields: Any) -> None:
        """Nothing: process 0 writes it."""

    def stage(self, name: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Nothing."""

    def flush(self) -> int:
        return 0
