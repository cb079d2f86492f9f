"""One rehearsal, by a job of the executor: what it measured, in words, and kept for this machine."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import DoesNotFitError, MachineLacksError, TuiwizError
from tuiwiz.base.problems import Problem
from tuiwiz.base.units import gib, human_bytes
from tuiwiz.runs.folder import start_of
from tuiwiz.runs.launch import run_job

if TYPE_CHECKING:
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.spec.optimizer import Phase

STEPS = 3
MOMENTS = "worst batch, evaluation, save, reload, generation"
OUT_OF_MEMORY = "rehearsal.memory"
"""Key of the problem of a rehearsal for which there was no room."""
FAR = 0.15
"""Share by which the measured peak may differ from the plan before it is said."""


class RefusedError(Exception):
    """Raised by a `tick` to end a rehearsal that nobody waits for any more; passes through `rehearsal`."""


def rehearsal(
    path: Path, sets: list[str], *, tick: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Rehearse a bundle in a scratch folder; returns the figures, None where it failed, and what they mean.

    `tick` is called a few times a second.

    Raises:
        TuiwizError: the bundle cannot be read, or the scratch folder cannot be written.
        RefusedError: `tick` raised it; the job was ended.
    """
    from tuiwiz.bundle.change import apply_sets
    from tuiwiz.bundle.digest import digest
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.bundle.write import write_bundle
    from tuiwiz.catalog.measured import keep

    bundle = apply_sets(read_bundle(path), sets)
    try:
        places.cache().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=places.cache()))
        (scratch / "bundle.toml").write_text(write_bundle(hardest_phase(bundle, start_of(path))), encoding="utf-8")
    except OSError as error:
        raise MachineLacksError(f"{places.cache()} cannot be written: {error.strerror or error}") from error
    try:
        arguments = {"bundle_folder": str(start_of(path)), "replay": STEPS, "rehearse": True}
        found = run_job("rehearse", scratch, arguments, tick=tick)
    except DoesNotFitError as error:
        return None, [Problem(message=f"the rehearsal: {error.message}", key=OUT_OF_MEMORY, hint=error.hint)]
    except TuiwizError as error:
        return None, [Problem(message=f"the rehearsal: {error.message}", key="rehearsal", hint=error.hint)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    found.pop("ok", None)
    keep(
        {
            "time": time.time(),
            "digest": digest(bundle),
            "model": bundle.model.source,
            "method": bundle.adapter.method,
            **found,
        }
    )
    return found, _problems(found)


def hardest_phase(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with that of its phases alone that takes most memory, where they train different parts: a rehearsal
    has no time for the others."""
    from tuiwiz.catalog.machine import this_device
    from tuiwiz.catalog.sources import locate
    from tuiwiz.memory.estimate import hardest
    from tuiwiz.memory.setting import setting_of
    from tuiwiz.spec.parts import as_words

    shape = locate(bundle.model.source, bundle.model.revision, folder).shape if len(bundle.phases) > 1 else None
    if shape is None:
        return bundle
    setting = setting_of(bundle, this_device(), grouped=shape.grouped)
    if not setting.phases:
        return bundle
    words = hardest(shape, setting).phase
    found = next(one for one in bundle.phases if as_words(one.trainable or ()) == words or (not words and _all(one)))
    return msgspec.structs.replace(
        bundle, phases=(msgspec.structs.replace(found, share=None if found.share is None else 1.0),)
    )


def _all(phase: Phase) -> bool:
    return phase.trainable is None or "all" in phase.trainable


def _problems(found: dict[str, Any]) -> list[Problem]:
    measured, predicted = int(found["peak_bytes"]), found["predicted_bytes"]
    words = (
        f"rehearsed on {found['device']}: {STEPS} steps of the longest rows ({found['longest']} tokens), "
        f"{found['seconds_per_step']:.2f} s each, peak {human_bytes(measured)}"
    )
    if predicted is not None:
        words += f", {100 * measured / predicted - 100:+.0f} % of the plan's {human_bytes(predicted)}"
    problems = [Problem(severity="info", message=words, key="rehearsal")]
    for key, before, after in found["adjustments"]:
        problems.append(
            Problem(
                severity="warning",
                message=f"the rehearsal ran out of memory and went on with {key} = {after} in place of {before}",
                key="rehearsal",
                hint=f"set {key} = {after}" if "." in key else "the run will do the same",
            )
        )
    if predicted is not None and measured > predicted * (1 + FAR):
        problems.append(
            Problem(
                severity="warning",
                message=f"the run takes {gib(measured - predicted)} more than the plan says",
                key="rehearsal",
                hint="trust the measurement: leave that much room",
            )
        )
    return problems
