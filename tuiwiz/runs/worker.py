"""The queue's worker: `python -m tuiwiz.runs.worker LANES`.

Starts waiting bundles one after another, as many at once as there are cards, and ends when nothing waits and nothing
runs. Its runs are detached: they survive it, and it finds them again when it is started anew after a reboot. The
rehearsals that come before long runs are processes that end with it, and begin again with the next worker.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from tuiwiz.base.errors import ExitCode, TuiwizError
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import boot_id, is_alive, read_process
from tuiwiz.events.state import LIVE, SILENCE_S, state
from tuiwiz.runs import queue
from tuiwiz.runs.folder import prepare, take_up
from tuiwiz.runs.launch import exit_code, start

PERIOD_S = 0.5
MOST_TRIES = 3
"""How often a run whose machine went down is taken up again."""
REHEARSAL = (sys.executable, "-m", "tuiwiz.rehearsal")
"""Command that rehearses a bundle where that is due: see `rehearsal/__main__.py`."""

_rehearsals: dict[str, subprocess.Popen[bytes]] = {}
"""By entry, the rehearsals of this worker."""


class Answer(msgspec.Struct, frozen=True):
    """What a rehearsal came to: an exit code and, where it is not 0, why."""

    code: int
    message: str = ""


def main(argv: list[str]) -> int:
    lanes = int(argv[0])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while (lock := queue.worker_lock()) is not None:
        while work(lanes):
            time.sleep(PERIOD_S)
        os.close(lock)
        # Added between the last look and the end of the lock, when a new worker could not become one.
        if not any(entry.state != "done" for entry in queue.entries()):
            break
    return 0


def work(lanes: int) -> bool:
    """Look once at everything in the queue; False when nothing is left to wait for."""
    with queue.changing():
        running = [entry for entry in queue.entries() if entry.state == "running"]
        for entry in running:
            _look(entry)
        for entry in [one for one in queue.entries() if one.state == "rehearsing"]:
            _hear(entry)
        known = queue.entries()
        _end_rehearsals(keep={entry.id for entry in known})
        free = lanes - sum(entry.state in ("rehearsing", "running") for entry in known)
        for entry in [one for one in known if one.state == "waiting"][: max(0, free)]:
            queue.store(_rehearsed(entry) if entry.rehearse else _begun(entry))
        known = queue.entries()
        over = [entry for entry in known if entry.state == "done"]
        for entry in over[: -queue.KEPT_DONE]:
            (queue.folder() / f"{entry.id}.json").unlink(missing_ok=True)
    return any(entry.state != "done" for entry in known)


def _rehearsed(entry: queue.Entry) -> queue.Entry:
    """Start looking whether a rehearsal is due, and taking it, in a process of its own."""
    _rehearsals[entry.id] = subprocess.Popen(
        [*REHEARSAL, entry.bundle, *entry.sets],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "TUIWIZ_PARENT": str(os.getpid())},
    )
    return msgspec.structs.replace(entry, state="rehearsing")


def _hear(entry: queue.Entry) -> None:
    """What became of a rehearsal: the entry may start now, or it is over."""
    child = _rehearsals.get(entry.id)
    if child is None:
        # That of an earlier worker, with which it ended.
        queue.store(msgspec.structs.replace(entry, state="waiting"))
        return
    if child.poll() is None:
        return
    out, _ = _rehearsals.pop(entry.id).communicate()
    try:
        answer = msgspec.json.decode(out, type=Answer)
    except msgspec.MsgspecError:
        code = child.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        answer = Answer(int(ExitCode.RUN_FAILED), f"the rehearsal ended with {how}")
    if answer.code:
        queue.store(_over(entry, answer.code, answer.message))
    else:
        queue.store(msgspec.structs.replace(entry, state="waiting", rehearse=False))


def _end_rehearsals(*, keep: Collection[str]) -> None:
    """End those whose entries were taken out of the queue."""
    for name in [one for one in _rehearsals if one not in keep]:
        child = _rehearsals.pop(name)
        child.terminate()
        child.communicate()


def _begun(entry: queue.Entry) -> queue.Entry:
    """Start an entry's run; one that cannot start is over, with the reason."""
    try:
        ready = prepare(Path(entry.bundle), sets=entry.sets)
        start(ready.folder, detach=True)
    except TuiwizError as error:
        return _over(entry, int(error.exit_code), error.message)
    return msgspec.structs.replace(entry, state="running", run=str(ready.path))


def _look(entry: queue.Entry) -> None:
    """Follow an entry that was started: take it up again where the machine went down under it."""
    run = RunFolder(Path(entry.run))
    if not run.bundle.is_file():
        queue.store(_over(entry, int(ExitCode.RUN_FAILED), "its run folder is gone"))
        return
    view, process = view_of(run), read_process(run.pid)
    now = state(view, run, time.time())
    if now in LIVE or (process is not None and is_alive(process)):
        return
    if run.exit.exists():
        queue.store(_over(entry, exit_code(run), now))
        return
    # Its supervisor, which would have written how it ended, may only be a moment late; after a reboot it is gone.
    rebooted = process is not None and process.boot_id != boot_id()
    if not rebooted and time.time() - max(view.last_t, run.job.stat().st_mtime) < SILENCE_S:
        return
    if entry.tries >= MOST_TRIES:
        queue.store(_over(entry, int(ExitCode.RUN_FAILED), f"ended without a word {MOST_TRIES + 1} times"))
    else:
        _again(msgspec.structs.replace(entry, tries=entry.tries + 1), run)


def _again(entry: queue.Entry, run: RunFolder) -> None:
    try:
        ready = take_up(run)
        if not ready.done:
            start(run, detach=True)
            queue.store(entry)
        else:
            queue.store(_over(entry, 0, "finished"))
    except TuiwizError as error:
        queue.store(_over(entry, int(error.exit_code), error.message))


def _over(entry: queue.Entry, code: int, message: str) -> queue.Entry:
    return msgspec.structs.replace(entry, state="done", code=code, message=message, ended=time.time())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
