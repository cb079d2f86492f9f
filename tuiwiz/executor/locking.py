"""The lock, seen from the run: compared before anything is trained, and written down where the bundle had none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.drift import drift, refuse
from tuiwiz.bundle.lock import absolute, lock_now
from tuiwiz.bundle.read import read_bundle
from tuiwiz.catalog.machine import hardware
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor.device import Device
from tuiwiz.executor.record import Recorder
from tuiwiz.spec.bundle import Bundle, Lock

PUT_BACK = "put the old files back, or go on all the same with --allow-drift"


def check_lock(
    folder: RunFolder,
    recorder: Recorder,
    bundle: Bundle,
    base: Path,
    model: Path,
    prepared: Prepared,
    own_rows: Sequence[Rows | None],
    device: Device,
    threads: int,
    *,
    allow: bool,
) -> Lock:
    """Compare with the bundle's lock and with that of the run's earlier attempts; returns the lock for `resolved.toml`.

    Libraries and hardware that differ are told as alerts, and so are data and model where `allow` is set.

    Raises:
        DriftError: data or model are not those of the lock, and `allow` is not set.
    """
    recorder.stage("loading", note="hashing data and model")
    train = bundle.data.train
    rows = {train: prepared.profile.usable_rows} if isinstance(train, str) else {}
    rows |= {
        phase.data: len(own)
        for phase, own in zip(bundle.phases, own_rows, strict=True)
        if phase.data is not None and own is not None and phase.data != train
    }
    facts = {**hardware(), "device": device.name, "threads": str(threads)}
    now = lock_now(bundle, base, model, hardware=facts, rows=rows)
    found = drift(bundle.lock, now) if bundle.lock is not None else []
    known = {one.name for one in found}
    earlier = lock_of_run(folder)
    if earlier is not None:
        found += [one for one in drift(earlier, absolute(now, base)) if Path(one.name).name not in known]
    if not allow:
        refuse(found, path=str(folder.bundle), hint=PUT_BACK)
    for one in found:
        recorder.alert("drift", one.message, locked=one.locked, now=one.now)
    return absolute(now, base)


def resolved_of(folder: RunFolder) -> Bundle | None:
    """What an earlier attempt of this run resolved its bundle to; None before the first."""
    try:
        return read_bundle(folder.resolved)
    except InvalidError:
        return None


def lock_of_run(folder: RunFolder) -> Lock | None:
    resolved = resolved_of(folder)
    return resolved.lock if resolved is not None else None


def locked_threads(bundle: Bundle | None) -> int | None:
    """The number of threads that a bundle is locked to."""
    found = bundle.lock.hardware.get("threads", "") if bundle is not None and bundle.lock is not None else ""
    return int(found) if found.isdigit() and int(found) else None
