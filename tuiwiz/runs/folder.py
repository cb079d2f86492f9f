"""Makes a run folder ready to be executed, or says in one sentence why it cannot be."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tuiwiz.base.errors import DriftError, InternalError, MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.places import expanded
from tuiwiz.base.text import is_utf8
from tuiwiz.bundle.change import apply_sets
from tuiwiz.bundle.diff import diff
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.events.control import clear
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import BUNDLE, CONTROL, JOB, RunFolder
from tuiwiz.events.job import read_job, write_job
from tuiwiz.events.process import is_alive, read_process
from tuiwiz.runs.names import new_folder, register, run_root
from tuiwiz.spec.bundle import Bundle

FULL = (errno.ENOSPC, errno.EDQUOT)
LEAVE_S = 20.0
"""How long an executor that has told its end is given to leave: it closes its libraries and threads."""


class Ready(msgspec.Struct, frozen=True):
    """A folder that the executor can take. `done`: it holds a finished run and there is nothing to do."""

    path: Path
    resume: bool
    done: bool = False
    note: str = ""

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)


def prepare(
    bundle: Path | None,
    *,
    out: Path | None = None,
    sets: Sequence[str] = (),
    resume: bool = False,
    allow_drift: bool = False,
    base: Path | None = None,
) -> Ready:
    """Create a run folder from a bundle, or take up an existing one.

    `base` is where the bundle's relative paths start: as `start_of` says, unless it is a copy.
    `allow_drift`: train also where data or model are not those of the lock.

    Raises:
        InvalidError: the bundle has problems.
        UsageError: the folder is not empty, or its executor lives, or nothing says what to run.
        DriftError: `resume` with a bundle that is not the folder's own.
        MachineLacksError: the folder cannot be written.
    """
    if bundle is not None and bundle.is_dir() and resume and out is None:
        bundle, out = None, bundle
    if resume and out is None:
        raise UsageError("--resume needs the run folder", hint="name it with --out DIR, or use `tuiwiz resume RUN`")
    if out is not None:
        out = expanded(out).absolute()
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file", hint="--out names a folder")
        _refuse_living(RunFolder(out))
        if resume and RunFolder(out).bundle.is_file():
            return _take_up(RunFolder(out), bundle, sets, allow_drift=allow_drift)
        if _has_content(out):
            raise UsageError(f"{out} is not empty", hint="name another folder, or continue the run in it with --resume")
    if bundle is None:
        raise UsageError(f"there is no run in {out}", hint="name the bundle: tuiwiz run BUNDLE --out DIR --resume")
    given = read_bundle(bundle)
    changed = apply_sets(given, sets)
    path = out or new_folder(changed.name, digest(changed))
    for each in (path, bundle.absolute()):
        if not is_utf8(str(each)):
            raise UsageError(f"the path {each} is no UTF-8", hint="rename what is not: a run's files could not name it")
    folder = RunFolder(path)
    existed = path.exists()
    text = bundle.read_text(encoding="utf-8-sig") if changed is given else write_bundle(changed)
    try:
        write_atomic(folder.bundle, text)
        folder.control.mkdir(exist_ok=True)
        start = str(base or start_of(bundle))
        write_job(path, "train", {"bundle_folder": start, "resume": False, "allow_drift": allow_drift or None})
    except OSError as error:
        _empty(path, remove=not existed)
        raise MachineLacksError(
            f"the run folder {path} cannot be written: {error.strerror or error}",
            hint="free some space" if error.errno in FULL else "name a folder that you may write to with --out",
        ) from error
    notes = ["no run to resume there yet: starting at step 0"] if resume else []
    try:
        register(path)
    except OSError as error:
        notes.append(f"the run is found by its path only, since {run_root()} cannot take it: {error.strerror}")
    return Ready(path, False, note="; ".join(notes))


def take_up(folder: RunFolder, *, allow_drift: bool = False) -> Ready:
    """Make an existing run ready to go on.

    Raises:
        UsageError: its executor lives, or it is no run.
    """
    _refuse_living(folder)
    if not folder.bundle.is_file():
        raise UsageError(f"there is no run in {folder.path}", hint="`tuiwiz runs list` names the runs")
    return _take_up(folder, None, (), allow_drift=allow_drift)


def base_of(folder: RunFolder) -> Path:
    """Where the relative paths of a run's bundle start: the folder that its bundle came from, else its own."""
    given = read_job(folder.path).get("bundle_folder") if folder.job.exists() else None
    return Path(given) if isinstance(given, str) and Path(given).is_dir() else folder.path


def start_of(bundle: Path) -> Path:
    """Where the relative paths of a bundle's file start: in its own folder, but for the copy that a run folder holds,
    which is named by hand too."""
    place = bundle.resolve()
    with suppress(InternalError):
        # No readable job: a folder of the user's own, who calls files as we do.
        return base_of(RunFolder(place.parent)) if place.name == BUNDLE else place.parent
    return place.parent


def as_it_ran(folder: RunFolder) -> Bundle:
    """The run's bundle with every value that was decided when it ran, and the lock of what it ran with.

    The model stays as the user named it, since another machine keeps it elsewhere. A run that never came so far as to
    be resolved gives its bundle.

    Raises:
        InvalidError: the bundle cannot be read.
    """
    given = read_bundle(folder.bundle)
    if not folder.resolved.is_file():
        return given
    resolved = read_bundle(folder.resolved)
    model = msgspec.structs.replace(resolved.model, source=given.model.source, revision=given.model.revision)
    origin = {**resolved.origin, "model.source": given.origin.get("model.source", "user")}
    return msgspec.structs.replace(resolved, model=model, origin=origin)


def _take_up(folder: RunFolder, bundle: Path | None, sets: Sequence[str], *, allow_drift: bool) -> Ready:
    own = read_bundle(folder.bundle)
    if bundle is not None or sets:
        asked = apply_sets(read_bundle(bundle) if bundle is not None else own, sets)
        if digest(asked) != digest(own):
            different = ", ".join(one.key for one in diff(own, asked)[:6])
            raise DriftError(
                f"the bundle is not that of the run in {folder.path}: {different} differ",
                hint="leave the bundle out to go on with the run's own, or start a new run",
            )
    view = view_of(folder)
    if view.closing is not None and type(view.closing).__name__ == "Finished":
        return Ready(folder.path, True, done=True, note="the run is finished: nothing to do")
    try:
        job = read_job(folder.path) if folder.job.exists() else {"bundle_folder": str(folder.path)}
        start, allow = job.get("bundle_folder"), allow_drift or None
        write_job(folder.path, "train", {"bundle_folder": start, "resume": True, "allow_drift": allow})
        folder.exit.unlink(missing_ok=True)
        folder.pid.unlink(missing_ok=True)
        folder.control.mkdir(exist_ok=True)
        clear(folder)
    except OSError as error:
        raise MachineLacksError(
            f"the run folder {folder.path} cannot be written: {error.strerror or error}",
            hint="free some space" if error.errno in FULL else "copy the folder to a place that you may write to",
        ) from error
    if not any(folder.checkpoints.glob("step-*")):
        return Ready(folder.path, True, note="no checkpoint yet: starting at step 0")
    return Ready(folder.path, True)


def _empty(folder: Path, *, remove: bool) -> None:
    """Take back a preparation that failed, so that nothing half-written stays."""
    for name in (BUNDLE, JOB, CONTROL):
        shutil.rmtree(folder / name, ignore_errors=True)
        with suppress(OSError):
            (folder / name).unlink()
    if remove:
        with suppress(OSError):
            folder.rmdir()


def _has_content(folder: Path) -> bool:
    try:
        return folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise MachineLacksError(
            f"the run folder {folder} cannot be read: {error.strerror}",
            hint="name a folder that you may write to with --out",
        ) from error


def _refuse_living(folder: RunFolder) -> None:
    process = read_process(folder.pid)
    if process is not None and is_alive(process) and view_of(folder).closing is not None:
        # It has told its end and takes leave: whoever saw that may go on at once. One that begins anew tells more.
        until, told = time.monotonic() + LEAVE_S, folder.events.stat().st_size
        while is_alive(process) and folder.events.stat().st_size == told and time.monotonic() < until:
            time.sleep(0.05)
    if process is not None and is_alive(process):
        raise UsageError(
            f"the run in {folder.path} is being executed by process {process.pid}",
            hint="`tuiwiz watch` shows it, `tuiwiz stop` ends it",
        )
