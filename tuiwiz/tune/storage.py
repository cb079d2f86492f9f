"""Optuna's storage of a study: trials are taken, told and read here and nowhere else.

A trial that waits carries its edits as an attribute; one that the sampler draws gets them when it is drawn. Whoever
calls holds the study's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.text import clean_line
from tuiwiz.tune.rows import Proposal, Row
from tuiwiz.tune.space import Dimension
from tuiwiz.tune.study import Question, StudyFolder

NAME = "tuiwiz"
DATABASE = "study.db"
JOURNAL = "study.journal"
WAIT_S = 20
"""How long a busy database is waited for."""
START_OF_PRUNING = 5
"""Finished trials before any is ended early."""
WARM = 20
"""Percent of a trial in which none is ended early."""
FIRST_RUNG, WHOLE = 25, 100
"""Percent of a trial: the first evaluation, and the end."""


class Storage:
    """The storage of one study, opened."""

    def __init__(self, folder: StudyFolder, question: Question, *, new: bool = False) -> None:
        """Open it, and make it where the study is new.

        Raises:
            MachineLacksError: it is gone, locked, damaged or out of reach.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._folder, self._question, self._optuna = folder, question, optuna
        self._file = folder.path / (JOURNAL if question.storage == "journal" else DATABASE)
        if not new and question.storage in ("sqlite", "journal") and not self._file.exists():
            raise MachineLacksError(
                f"the database of the study is gone: {self._file} is not there",
                hint="put it back; `tuiwiz tune show` still tells what was found",
            )
        direction = "minimize" if question.lower else "maximize"
        with self._telling():
            self._study: Any = optuna.create_study(
                storage=self._open(), study_name=NAME, direction=direction, load_if_exists=True
            )
            done = len(self._study.get_trials(deepcopy=False))
            # Another worker, or a later command, must not draw what this one draws.
            self._study.sampler = optuna.samplers.TPESampler(
                seed=question.seed + done, n_startup_trials=1, multivariate=True, constant_liar=True
            )
            self._study.pruner = _pruner(optuna.pruners, question.pruner)

    def _open(self) -> Any:
        optuna, kind = self._optuna, self._question.storage
        if kind == "journal":
            backend = optuna.storages.journal.JournalFileBackend(str(self._file))
            return optuna.storages.JournalStorage(backend)
        url = f"sqlite:///{self._file}" if kind == "sqlite" else _with_driver(kind)
        arguments = {"connect_args": {"timeout": WAIT_S}} if url.startswith("sqlite") else {"pool_pre_ping": True}
        return optuna.storages.RDBStorage(url, engine_kwargs=arguments)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say in one sentence what a database cannot do."""
        import sqlalchemy.exc

        try:
            yield
        except (self._optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
            raise _told(error, self._question.storage, str(self._file)) from error
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and self._question.storage == "sqlite":
                raise
            raise _told(error, self._question.storage, str(self._file)) from error

    def rows(self) -> list[Row]:
        """All trials, as the storage has them."""
        with self._telling():
            return [self._row(one) for one in self._study.get_trials(deepcopy=False)]

    def enqueue(self, proposals: Sequence[Proposal]) -> None:
        with self._telling():
            for one in proposals:
                known = {"edits": one.edits, "label": one.label, "stage": one.stage}
                self._study.enqueue_trial(one.params or {}, user_attrs=known)

    def ask(self, space: Sequence[Dimension], edits_of: Callable[[dict[str, Any]], dict[str, Any]]) -> Row:
        """Take the next trial that waits, or let the sampler draw one from `space`."""
        with self._telling():
            trial = self._study.ask()
            params = {one.key: self._drawn(trial, one) for one in space}
            if "edits" not in trial.user_attrs:
                trial.set_user_attr("edits", edits_of(params))
                trial.set_user_attr("stage", "search")
            return self._row(self._one(trial.number))

    def report(self, number: int, value: float, percent: int) -> bool:
        """Tell a trial's score after so much of it; returns whether it should end there.

        Trials of one study train on equally many rows, so that equal shares are equal tokens.
        """
        with self._telling():
            trial = self._trial(number)
            if not math.isfinite(value):
                return False
            trial.report(value, percent)
            return bool(trial.should_prune())

    def finish(self, row: Row) -> None:
        """End a trial as `row` says. One that cannot be trained counts as worse than every finished one."""
        state = self._optuna.trial.TrialState
        ends = {"finished": state.COMPLETE, "pruned": state.PRUNED, "infeasible": state.PRUNED, "failed": state.FAIL}
        names = ("state", "score", "best_step", "step", "steps", "seconds", "tokens", "peak_bytes", "reason", "run")
        with self._telling():
            # One write for all: each is flushed to disk.
            self._trial(row.number).set_user_attr("result", {name: getattr(row, name) for name in names})
            value = row.score if row.state == "finished" else None
            self._study.tell(row.number, value, state=ends[row.state])

    def importances(self) -> dict[str, float]:
        """Each key's share in what moved the score, largest first (fANOVA's trees need scikit-learn: PED-ANOVA does
        not)."""
        with self._telling():
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            return dict(self._optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    def _trial(self, number: int) -> Any:
        return self._optuna.trial.Trial(self._study, self._one(number)._trial_id)

    def _one(self, number: int) -> Any:
        return self._study.get_trials(deepcopy=False)[number]

    def _drawn(self, trial: Any, one: Dimension) -> Any:
        if one.values:
            return trial.suggest_categorical(one.key, list(one.values))
        if one.whole:
            return trial.suggest_int(one.key, int(one.low or 0), int(one.high or 0), log=one.log)
        return trial.suggest_float(one.key, one.low, one.high, log=one.log)

    def _row(self, trial: Any) -> Row:
        known = dict(trial.user_attrs)
        known |= known.pop("result", {})
        # A result was written just before a worker died: its trial goes on all the same.
        if not trial.state.is_finished():
            known["state"] = trial.state.name.lower()
        known.setdefault("state", "failed")
        return Row(number=trial.number, **known)


def _with_driver(url: str) -> str:
    """A PostgreSQL address with the driver that is installed, where it names none."""
    import importlib.util

    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql") and importlib.util.find_spec("psycopg") is not None:
        return f"postgresql+psycopg://{rest}"
    return url


def _pruner(pruners: Any, name: str) -> Any:
    match name:
        case "median":
            return pruners.MedianPruner(n_startup_trials=START_OF_PRUNING, n_warmup_steps=WARM)
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=FIRST_RUNG, max_resource=WHOLE, reduction_factor=2)
        case "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=2)
    return pruners.NopPruner()


def _told(error: Exception, storage: str, file: str) -> MachineLacksError:
    words = str(error.__cause__ or error)
    what = file if storage in ("sqlite", "journal") else storage.rpartition("@")[2]
    if "locked" in words:
        return MachineLacksError(
            f"the database of the study is locked by another program ({what})",
            hint="end what holds it, then name the study once more",
        )
    if "not a database" in words or "malformed" in words:
        return MachineLacksError(
            f"the database of the study is damaged ({what})", hint="`tuiwiz tune show` still tells what was found"
        )
    return MachineLacksError(
        f"the database of the study cannot be used ({what}): {clean_line(words.splitlines()[0], 160)}",
        hint="check that it is there and may be written",
    )
