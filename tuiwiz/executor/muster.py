"""Starts the other processes of a run, and answers for their end: process 0's side of a crew."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec

from tuiwiz.base.errors import ExitCode, RunFailedError, TuiwizError
from tuiwiz.base.text import clean_line
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor.crew import ALONE, Crew, arrival, meeting_place
from tuiwiz.executor.device import Device
from tuiwiz.executor.failure import tell
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.record import Recorder
from tuiwiz.spec.bundle import Bundle

RANK, SIZE, PORT, CARD = "TUIWIZ_RANK", "TUIWIZ_PROCESSES", "TUIWIZ_PORT", "TUIWIZ_CARD"
GRACE_S = 20.0
"""How long after the end of another process this one may be stuck in an exchange before it is ended, too."""
LOOK_S = 0.2


class Word(msgspec.Struct, kw_only=True):
    """The last word of a process that failed: the last line of its standard output."""

    message: str
    hint: str
    exit_code: int


@contextmanager
def mustered(
    bundle: Bundle,
    folder: RunFolder,
    device: Device,
    cards: Sequence[int],
    recorder: Recorder,
    interrupts: Interrupts,
) -> Iterator[Crew]:
    """The crew that the bundle asks for, with this process as its first; the others end with this block.

    Raises:
        TuiwizError: another process failed; with its words and its exit code.
    """
    size = bundle.batch.processes
    if size == 1:
        yield ALONE
        return
    # Nobody else on this network is to talk to the processes.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    store = meeting_place(size)
    others = Others(folder, store.port, size, cards, recorder)
    crew = Crew(0, size)
    try:
        # Whoever waits inside the library can no longer be told that nobody comes.
        while not store.check([arrival(rank) for rank in range(1, size)]):
            if (early := others.lost(LOOK_S)) is not None:
                raise early
            interrupts.check()
        crew.join(store, device)
        yield crew
        others.let_go()
    except TuiwizError:
        raise
    except Exception as error:
        # Where another process is gone, an exchange fails here: its own words say why.
        lost = others.lost(2.0)
        if lost is not None:
            raise lost from error
        raise
    finally:
        others.end()
        with suppress(Exception):
            crew.leave()


class Others:
    """The processes 1 to `size` - 1, watched by a thread."""

    def __init__(self, folder: RunFolder, port: int, size: int, cards: Sequence[int], recorder: Recorder) -> None:
        self._recorder = recorder
        self._over = threading.Event()
        self._found: TuiwizError | None = None
        self._lock = threading.Lock()
        self._children = [start_member(folder, _variables(port, rank, size, cards)) for rank in range(1, size)]
        self._thread = threading.Thread(target=self._watch, name="crew", daemon=True)
        self._thread.start()

    def lost(self, wait_s: float) -> TuiwizError | None:
        """What ended a process that had no leave, looked for during `wait_s` seconds; None where all are there."""
        end = time.monotonic() + wait_s
        while True:
            with self._lock:
                for rank, child in enumerate(self._children, start=1):
                    if self._found is None and child.poll() not in (None, 0):
                        self._found = _why(rank, child)
                if self._found is not None:
                    return self._found
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_S / 4)

    def let_go(self) -> None:
        """All is done: the others end by themselves."""
        self._over.set()

    def end(self) -> None:
        """End what is left of them."""
        graceful = self._over.is_set()
        self._over.set()
        for child in self._children:
            if graceful:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(GRACE_S)
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()

    def _watch(self) -> None:
        """An exchange on CUDA waits for a lost process for ever: then this process says so and ends."""
        while not self._over.wait(LOOK_S):
            if all(child.poll() in (None, 0) for child in self._children):
                continue
            if self._over.wait(GRACE_S):
                return
            error = self.lost(0.0) or RunFailedError("a process of this run ended")
            if not self._recorder.ended:
                tell(self._recorder, error)
            os._exit(int(error.exit_code))


def _variables(port: int, rank: int, size: int, cards: Sequence[int]) -> dict[str, str]:
    return {RANK: str(rank), SIZE: str(size), PORT: str(port)} | ({CARD: str(cards[rank])} if cards else {})


def start_member(folder: RunFolder, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A further process of the run in `folder`, which ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "tuiwiz.executor", "member", str(folder.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, **variables, "TUIWIZ_PARENT": str(os.getpid())},
    )


def _why(rank: int, child: subprocess.Popen[bytes]) -> TuiwizError:
    """The error of a process that ended, by its last word."""
    code = child.returncode
    said = child.stdout.read() if child.stdout is not None and not child.stdout.closed else b""
    try:
        word = msgspec.json.decode(said.strip().splitlines()[-1], type=Word)
    except (IndexError, msgspec.MsgspecError):
        end = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return RunFailedError(
            f"process {rank} of this run ended {end}",
            hint="signal 9 mostly means that the system had no memory left; run.log in the run folder has the details",
        )
    message = f"process {rank}: {clean_line(word.message, 300)}"
    for kind in TuiwizError.__subclasses__():
        if int(kind.exit_code) == word.exit_code and kind.exit_code != ExitCode.USAGE:
            return kind(message, hint=clean_line(word.hint, 300))
    return RunFailedError(message, hint=clean_line(word.hint, 300))
