"""A worker: takes trials of a study, runs them one after another, and says why it stopped.

Any number of workers may share a study. A trial whose worker died is taken up again by the next one, from its last
checkpoint: the claim on it is a file lock, which the kernel releases with the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from tuiwiz.base.errors import DoesNotFitError, RunFailedError, StoppedError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.change import change
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.deadline import deadline as moment
from tuiwiz.tune.rows import Proposal, Row
from tuiwiz.tune.space import STEPS, edits_of
from tuiwiz.tune.storage import Storage
from tuiwiz.tune.study import Budget, Question, StudyFolder
from tuiwiz.tune.trial import OUT_OF_MEMORY

POLL_S = 1.0
HOPELESS = 6
"""Trials that cannot be trained, and no other, after which the space is given up."""
FAILURES = 3
"""Trials that fail for another reason than their setting, after which going on is no use."""

Report = Callable[[float, int], bool]
Runner = Callable[[Path, Path, Path, Report], Row]
"""(bundle, run folder, where paths start, report) -> what came out; `number` and edits are filled in here."""


class Rules(Protocol):
    """What a method decides."""

    @property
    def least(self) -> int: ...
    def propose(self, rows: Sequence[Row]) -> list[Proposal] | None: ...


class Worker:
    def __init__(
        self,
        folder: StudyFolder,
        question: Question,
        rules: Rules,
        run: Runner,
        *,
        tell: Callable[[Row], None] = lambda row: None,
        now: Callable[[], datetime] = datetime.now,
        new: bool = False,
    ) -> None:
        self.folder, self.question, self.rules, self.run = folder, question, rules, run
        self._tell, self._now, self._began = tell, now, now()
        self.base = folder.base
        with folder.locked():
            self.storage = Storage(folder, question, new=new)
            self._publish()

    def work(self) -> str:
        """Run trials until the method or the budget ends the study; returns why.

        Raises:
            RunFailedError: trials fail for another reason than their settings.
            StoppedError: a trial was stopped on request; the study goes on when it is named again.
        """
        failures = 0
        while True:
            with self.folder.locked():
                taken = self._take()
            if isinstance(taken, str):
                self._refuse_hopeless(least=1)
                return taken
            if taken is None:
                time.sleep(POLL_S)
                continue
            row, claim = taken
            try:
                done = self._carry_out(row)
            finally:
                os.close(claim)
            self._tell(done)
            self._refuse_hopeless()
            failures = failures + 1 if done.state == "failed" else 0
            if failures == FAILURES:
                raise RunFailedError(
                    f"{FAILURES} trials in a row failed, the last one: {done.reason}",
                    hint=f"`tuiwiz watch {self.folder.run(done.number)}` shows it",
                )

    def _take(self) -> tuple[Row, int] | str | None:
        """A trial with its claim; why there will be none; None while others must end first."""
        rows = self._publish()
        for row in rows:
            if row.state == "running" and (claim := self.folder.take(row.number)) is not None:
                return row, claim
        if reason := spent(self.question.budget, rows, self._began, self._now()):
            return reason
        waiting = any(row.state == "waiting" for row in rows)
        if not waiting:
            proposals = self.rules.propose(rows)
            if proposals is None:
                return _why_over(self.rules, rows)
            searching = self.question.method == "bayes"
            if not proposals and not searching:
                return None
            self.storage.enqueue(proposals)
        space = self.question.over if self.question.method == "bayes" else ()
        row = self.storage.ask(space, lambda params: edits_of(params, self.base, space))
        claim = self.folder.take(row.number)
        if claim is None:
            raise UsageError(f"trial {row.number} of {self.folder.path} is held by another process")
        self._publish()
        return row, claim

    def _carry_out(self, row: Row) -> Row:
        bundle = self.folder.bundle(row.number)
        if not bundle.exists():
            write_atomic(bundle, write_bundle(change(self.base, row.edits, by="tune")))

        steps = int(row.edits.get(STEPS) or self.question.steps)

        def report(value: float, step: int) -> bool:
            with self.folder.locked():
                return self.storage.report(row.number, value, min(100, round(100 * step / steps)))

        found = self.run(bundle, self.folder.run(row.number), Path(self.question.folder), report)
        kept = {name: getattr(row, name) for name in ("number", "edits", "label", "stage")}
        done = msgspec.structs.replace(found, **kept, run=f"trials/{row.number:04d}")
        if not done.over:
            raise StoppedError(
                f"trial {row.number} was stopped after step {done.step}",
                hint=f"`tuiwiz tune join {self.folder.path}` goes on where it was",
            )
        with self.folder.locked():
            self.storage.finish(done)
            self._publish()
        return done

    def _refuse_hopeless(self, least: int = HOPELESS) -> None:
        """End a study in which no setting at all can be trained."""
        over = [row for row in self.folder.rows if row.over]
        if len(over) < least or any(row.state != "infeasible" for row in over):
            return
        message = f"none of {len(over)} trials could be trained, the last one: {over[-1].reason}"
        if all(row.reason.startswith(OUT_OF_MEMORY) for row in over):
            raise DoesNotFitError(message, hint="`tuiwiz plan` shows what fits; search in that space")
        raise RunFailedError(message, hint="`tuiwiz doctor` judges their runs; a lower learning rate may be trained")

    def _publish(self) -> list[Row]:
        rows = self.storage.rows()
        self.folder.write_rows(rows)
        return rows


def spent(budget: Budget, rows: Sequence[Row], began: datetime, now: datetime) -> str:
    """Why no further trial may begin, in words; empty while one may. A trial that would end too late does not begin."""
    begun = [row for row in rows if row.state != "waiting"]
    seconds = sum(row.seconds for row in rows)
    over = [row.seconds for row in rows if row.state == "finished"]
    typical = sorted(over)[len(over) // 2] if over else 0.0
    if budget.trials is not None and len(begun) >= budget.trials:
        return f"the budget of {budget.trials} trials is spent"
    if budget.hours is not None and seconds + typical > 3600 * budget.hours:
        return f"the budget of {budget.hours:g} hours is spent"
    if budget.tokens is not None and sum(row.tokens for row in rows) >= budget.tokens:
        return f"the budget of {budget.tokens:,} tokens is spent"
    if budget.until is not None and now.timestamp() + typical > deadline(budget.until, began).timestamp():
        return f"it is nearly {budget.until}"
    return ""


def deadline(text: str, now: datetime) -> datetime:
    """The local time that `until` means: an ISO date and time, or the next HH:MM.

    Raises:
        UsageError: it is neither.
    """
    try:
        return moment(text, now)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", hint="write 08:00 or 2030-01-31T08:00") from error


def _why_over(rules: Rules, rows: Sequence[Row]) -> str:
    no_gain = getattr(rules, "no_gain", None)
    return (no_gain(rows) if no_gain is not None else "") or "every trial that the method wants is done"
