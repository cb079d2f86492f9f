"""A study's folder: what is searched, on what base, with which budget, and where its trials lie.

study.toml      the question; bundle.toml: the base that trials change; given.toml: the bundle it was
                    made from, at its full length
study.db        Optuna's storage, unless the study has another
trials/0007/    a run folder like any other; 0007.toml: its bundle; 0007.claim: held by the worker that runs it
trials.jsonl    the result table, which screens read in place of the storage
"""

from __future__ import annotations

import fcntl
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomli_w

from tuiwiz.base.errors import DriftError, InvalidError, MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.places import expanded, studies
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.task import FALLING
from tuiwiz.tune.rows import Row
from tuiwiz.tune.space import Dimension

STUDY = "study.toml"
BASE = "bundle.toml"
GIVEN = "given.toml"
TABLE = "trials.jsonl"
TRIALS = "trials"
LOCK = ".lock"

Method = Literal["grid", "bayes", "ablate"]
PRUNERS = ("median", "hyperband", "halving", "none")
"""Which trials end early, at their evaluations: worse than the median there; the worse half at each rung, with brackets
that begin at different rungs or without."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What may be spent, all commands on the study together; None is no limit. `until`: HH:MM or an ISO time."""

    trials: int | None = None
    hours: float | None = None
    tokens: int | None = None
    until: str | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """From the first steps of the base, on this machine. `load_s`: until the first step, libraries included."""

    load_s: float
    step_s: float
    tokens_per_step: float
    rows: int
    validation_rows: int
    full_steps: int
    micro: int | None = None
    """The micro-batch that was chosen where the bundle leaves it open."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`study.toml`. `digest`: of the bundle that was given, `folder`: where its relative paths start; `options`: the
    method's own (factors, seeds, retune, margin, first, pruner)."""

    format: int = 1
    method: Method
    digest: str
    folder: str
    metric: str
    seed: int
    steps: int
    storage: str = "sqlite"
    over: tuple[Dimension, ...] = ()
    budget: Budget = Budget()
    options: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    measured: Measured | None = None

    @property
    def pruner(self) -> str:
        return str(self.options.get("pruner") or ("median" if self.method == "bayes" else "none"))

    @property
    def lower(self) -> bool:
        """Whether a lower score is better."""
        return self.metric in FALLING


class StudyFolder:
    """Paths of one study, and the lock that whoever takes or ends a trial holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, number: int) -> Path:
        return self.path / TRIALS / f"{number:04d}"

    def bundle(self, number: int) -> Path:
        return self.path / TRIALS / f"{number:04d}.toml"

    def claim(self, number: int) -> Path:
        return self.path / TRIALS / f"{number:04d}.claim"

    @property
    def question(self) -> Question:
        """What the study asks.

        Raises:
            UsageError: there is no study.
            InvalidError: its file is damaged.
        """
        path = self.path / STUDY
        if not path.is_file():
            raise UsageError(f"there is no study in {self.path}", hint="`tuiwiz tune grid BUNDLE` makes one")
        try:
            return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Question, strict=False)
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise InvalidError(f"{path} cannot be read: {error}", hint="put back the file that tuiwiz wrote") from error

    @property
    def base(self) -> Bundle:
        return read_bundle(self.path / BASE)

    @property
    def given(self) -> Bundle:
        return read_bundle(self.path / GIVEN)

    @property
    def rows(self) -> list[Row]:
        """The result table; empty before the first trial.

        Raises:
            InvalidError: it is damaged.
        """
        path = self.path / TABLE
        if not path.exists():
            return []
        try:
            return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines() if line.strip()]
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidError(
                f"{path} cannot be read: {error}", hint="remove it: the next command on the study writes it anew"
            ) from error

    def write_rows(self, rows: list[Row]) -> None:
        write_atomic(self.path / TABLE, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def write_question(self, question: Question) -> None:
        plain = msgspec.to_builtins(question)
        write_atomic(self.path / STUDY, tomli_w.dumps(_without_none(plain)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the study; the kernel lets go of it with the process.

        Raises:
            MachineLacksError: the folder cannot be written.
        """
        file = _open(self.path / LOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def take(self, number: int) -> int | None:
        """Become the worker of a trial: an open file that is the claim, None while another process has it."""
        file = _open(self.claim(number))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file


def create(folder: StudyFolder, question: Question, base: Bundle, given: Bundle | None = None) -> None:
    """Write a new study.

    Raises:
        UsageError: the folder holds something else.
        MachineLacksError: it cannot be written.
    """
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise UsageError(f"{folder.path} is not empty and no study", hint="name another folder with --out")
    try:
        (folder.path / TRIALS).mkdir(parents=True, exist_ok=True)
        write_atomic(folder.path / BASE, write_bundle(base))
        write_atomic(folder.path / GIVEN, write_bundle(given or base))
        folder.write_question(question)
    except OSError as error:
        raise MachineLacksError(
            f"the study {folder.path} cannot be written: {error.strerror or error}",
            hint="name a folder that you may write to with --out",
        ) from error


def is_study(path: Path) -> bool:
    return (path / STUDY).is_file()


def newest() -> StudyFolder | None:
    """The study of the user's whose table changed last."""
    known = [path for path in studies().glob("*") if is_study(path)]
    return StudyFolder(max(known, key=_changed)) if known else None


def _changed(path: Path) -> float:
    table = path / TABLE
    return (table if table.exists() else path / STUDY).stat().st_mtime


def find(name: str) -> StudyFolder:
    """A study by path or by its name among the user's.

    Raises:
        UsageError: there is none.
    """
    for path in (expanded(name).absolute(), studies() / name):
        if is_study(path):
            return StudyFolder(path)
    known = sorted(path.name for path in studies().glob("*") if is_study(path))
    raise UsageError(f"there is no study {name!r}", hint=f"known are {', '.join(known[-4:])}" if known else "")


def refuse_other(folder: StudyFolder, bundle: Bundle, method: Method) -> None:
    """Refuse to go on with a study that was made by another bundle or asks another question.

    Raises:
        DriftError: it was made by another bundle.
        UsageError: it is another method's.
    """
    question = folder.question
    if question.digest != digest(bundle):
        raise DriftError(
            f"the study in {folder.path} was made with another bundle",
            hint="name another folder with --out, or go on with the study by naming it in place of the bundle",
        )
    refuse_method(folder, method)


def refuse_method(folder: StudyFolder, method: Method) -> None:
    if folder.question.method != method:
        asked = folder.question.method
        raise UsageError(f"the study in {folder.path} is of `tune {asked}`", hint=f"go on with `tuiwiz tune {asked}`")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise MachineLacksError(f"{path} cannot be written: {error.strerror or error}") from error


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list | tuple) else value
