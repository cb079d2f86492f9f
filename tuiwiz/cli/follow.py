"""Follows a run to standard output: lines or JSON, as long as it lives or until a process ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tuiwiz.base.units import human_duration
from tuiwiz.cli.lines import Lines, fault_lines
from tuiwiz.cli.output import emit_json, json_line, note, say
from tuiwiz.doctor.live import Judge
from tuiwiz.events import types
from tuiwiz.events.fold import fold, passed_over
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import read_exit, read_process
from tuiwiz.events.reader import EventReader
from tuiwiz.events.state import LIVE, state
from tuiwiz.events.view import RunView

POLL_S = 0.1
PATIENCE_S = 5.0
"""How long a run that looks dead is waited for: its supervisor may still be writing how it ended."""


class Follower:
    """Prints what is new, remembers the view."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        as_json: bool,
        live: bool = True,
        skip: int = 0,
        out: Callable[[str], None] = say,
    ) -> None:
        """`skip`: events already in the file that are folded but not printed (earlier attempts of a resumed run)."""
        self._out = out
        self.folder = folder
        self.view = RunView()
        self._reader = EventReader(folder.events)
        self._lines = Lines(live=live)
        self._live = live
        self._json = as_json
        self._skip = skip
        self._closed = False
        self._judge = Judge(folder)

    def print_new(self) -> bool:
        """Print the events that came since; False when there were none."""
        events = self._reader.read()
        if self._reader.restarted:
            self.view, self._skip, self._closed = RunView(), 0, False
        for event in events:
            fold(self.view, [event])
            if self._skip > 0:
                self._skip -= 1
                continue
            self._closed = self.view.closing is not None
            if self._json:
                sys.stdout.write(json_line(event) + "\n")
            else:
                for line in self._lines.of(event, self.view):
                    self._out(line)
        if (said := passed_over(self.view, self._reader.skipped)) and not self._json:
            self._out(f"warning  {said}")
        if events:
            sys.stdout.flush()
        if not self._json and (self._live or self._closed):
            for one in self._judge.look(self.view):
                # What is no more than a hint can wait for the end.
                if one.severity != "info" or self._closed:
                    for line in fault_lines(one):
                        self._out(line)
        return bool(events)

    def until(self, ended: Callable[[], bool]) -> None:
        """Print until `ended` and nothing is left to print."""
        while True:
            over = ended()
            while self.print_new():
                pass
            if over:
                return
            time.sleep(POLL_S)

    def close(self, code: int | None = None) -> None:
        """Print a closing `failed` where the executor could not write one itself (an earlier attempt's, that was not
        printed, does not count). `code`: the exit code, where it is known here."""
        if self._closed:
            return
        ended = read_exit(self.folder.exit)
        event: types.Stopped | types.Failed
        if ended is not None and ended.signal == "SIGTERM":
            summary = {"step": self.view.step, "reason": "asked before it began"}
            event = types.Stopped(seq=self.view.events, t=time.time(), summary=summary)
        else:
            summary = died_summary(self.folder, self.view, code)
            event = types.Failed(seq=self.view.events, t=time.time(), summary=summary)
        if self._json:
            emit_json(event)
        else:
            for line in self._lines.of(event, self.view):
                self._out(line)


def died_summary(folder: RunFolder, view: RunView, code: int | None = None) -> dict[str, Any]:
    """The summary of a run whose executor ended without a word."""
    ended = read_exit(folder.exit)
    message = "the executor ended without a word" + (f" and with exit code {code}" if code else "")
    hint = f"{folder.log} may have its output; without exit.json, look whether the disk is full"
    tail: tuple[str, ...] = ()
    code = code or 6
    if ended is not None:
        hint = f"{folder.log} has its output"
        message = f"the executor was {ended.message}" if ended.signal else f"the executor ended with {ended.message}"
        tail = ended.log_tail[-5:]
        code = 4 if ended.out_of_memory else ended.code or 6
        if ended.out_of_memory:
            hint = "choose a smaller setting: `tuiwiz plan` shows what fits"
        elif ended.signal == "SIGKILL":
            # Nobody has last words then: what the log ends with is something else.
            hint = "something outside ended it: `kill -9`, a batch system, or the kernel for want of memory"
        elif tail:
            hint = f"last words: {tail[-1]}"
    if any(folder.checkpoints.glob("step-*")):
        hint += f"; `tuiwiz resume {folder.path.name}` goes on from the last checkpoint"
    return {
        "message": message,
        "hint": hint,
        "exit_code": code,
        "step": view.step,
        "steps": view.steps,
        "log": list(tail),
    }


def follow_run(folder: RunFolder, *, as_json: bool) -> RunView:
    """Print a run's whole history and go on until it ends; a run that is over is printed and left.

    A run of which nothing has been heard for long and nothing is known is left too, with a word.
    """
    follower = Follower(folder, as_json=as_json, live=state_now(folder) in LIVE)
    gone_since: list[float] = []

    def ended() -> bool:
        now = state(follower.view, folder, time.time())
        if now == "crashed":
            gone_since.append(time.monotonic())
            return time.monotonic() - gone_since[0] > PATIENCE_S or read_exit(folder.exit) is not None
        gone_since.clear()
        return now not in LIVE

    follower.until(ended)
    last = state(follower.view, folder, time.time())
    if last in ("crashed", "stopped"):
        follower.close()
    elif last == "unknown":
        note(f"tuiwiz: {unknown_words(folder, follower.view)}")
    return follower.view


def unknown_words(folder: RunFolder, view: RunView) -> str:
    """Why nothing can be said about a run."""
    process = read_process(folder.pid)
    if process is None and not view.events:
        return f"the run in {folder.path} was never started; `tuiwiz run --resume --out {folder.path}` starts it"
    where = f"process {process.pid} on {process.host}" if process is not None else "a process that left no name"
    ago = human_duration(max(0.0, time.time() - view.last_t)) if view.events else "ever"
    return f"nothing heard for {ago} from this run, executed by {where}: whether it still lives is not known here"


def state_now(folder: RunFolder) -> str:
    from tuiwiz.events.fold import view_of

    return state(view_of(folder), folder, time.time())
