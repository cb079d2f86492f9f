"""Bundles that wait for a free card: one file each in the user's `queue/`, and how they are added, listed and removed.

`<id>.json` holds one entry. Who changes an entry holds the queue's lock; the worker (`runs/worker.py`) is started by
whoever adds, lives as long as there is work and survives the terminal.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.runs.launch import executor_environment

LOCK = ".lock"
WORKER_LOCK = ".worker"
LOG = "worker.log"
KEPT_DONE = 50
"""Entries that are over and stay in the list."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle in the queue. `run` is its run folder once it was started, `tries` how often it was taken up again after
    the machine went down, `code` its exit code once it is over. `rehearse`: a rehearsal may yet come before it starts;
    `rehearsing` is also the state while it is looked up whether one is due."""

    id: str
    bundle: str
    state: Literal["waiting", "rehearsing", "running", "done"] = "waiting"
    sets: tuple[str, ...] = ()
    rehearse: bool = True
    run: str = ""
    tries: int = 0
    code: int | None = None
    message: str = ""
    added: float = 0.0
    ended: float = 0.0


def folder() -> Path:
    return places.home() / "queue"


def add(bundle: Path, sets: Sequence[str] = (), *, rehearse: bool = True) -> Entry:
    """Put a bundle at the end of the queue; with `rehearse` it is rehearsed before it starts if its run is long.

    Raises:
        MachineLacksError: the queue's folder cannot be written.
    """
    entry = Entry(
        id=f"{time.time_ns():020d}",
        bundle=str(bundle.resolve()),
        sets=tuple(sets),
        rehearse=rehearse,
        added=time.time(),
    )
    with changing():
        store(entry)
    return entry


def entries() -> list[Entry]:
    """Everything in the queue, in the order in which it was added. What is no entry is left out."""
    found = []
    for path in sorted(folder().glob("[0-9]*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Entry))
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def find(name: str) -> Entry:
    """An entry by its number in the list, its id or the name of its bundle's file.

    Raises:
        UsageError: there is none, or more than one.
    """
    known = entries()
    if name.isdigit() and 0 < int(name) <= len(known):
        return known[int(name) - 1]
    found = [one for one in known if name in (one.id, one.bundle, Path(one.bundle).name, Path(one.run).name)]
    if len(found) == 1:
        return found[0]
    hint = "`tuiwiz queue list` shows the numbers"
    raise UsageError(
        f"{name!r} fits {len(found)} entries of the queue" if found else f"{name!r} is not queued", hint=hint
    )


def remove(name: str) -> Entry:
    """Take a waiting or finished entry out of the queue; a rehearsal of it ends.

    Raises:
        UsageError: there is none, or it is running.
    """
    with changing():
        entry = find(name)
        if entry.state == "running":
            stop = f"`tuiwiz stop {Path(entry.run).name}` ends it, and the next one begins"
            raise UsageError("it is running", hint=stop)
        (folder() / f"{entry.id}.json").unlink(missing_ok=True)
    return entry


def store(entry: Entry) -> None:
    """Write one entry; call with the queue's lock held."""
    write_atomic(folder() / f"{entry.id}.json", msgspec.json.encode(entry))


@contextmanager
def changing() -> Iterator[None]:
    """Hold the queue's lock; the kernel lets go of it with the process.

    Raises:
        MachineLacksError: the queue's folder cannot be written.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True)
        file = os.open(folder() / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise MachineLacksError(f"{folder()} cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def worker_lock() -> int | None:
    """Become the queue's worker: an open file that is the lock, None while another process is the worker."""
    file = os.open(folder() / WORKER_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def start_worker(lanes: int) -> None:
    """Start a worker that runs up to `lanes` entries at once; it ends by itself where one works already."""
    with (folder() / LOG).open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "tuiwiz.runs.worker", str(max(1, lanes))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=executor_environment(),
        )
