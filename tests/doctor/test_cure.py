"""Spoiled runs whose first proposed change, and nothing else, makes the next run better: the held-out loss says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.recipes import TRAIN
from tests.doctor.record import make_rows, models, run
from tests.support.training import own_signals
from tuiwiz.doctor.examine import examine, wrong
from tuiwiz.doctor.fork import fork
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job

pytestmark = pytest.mark.long

NAMES = (
    "rate-x30-lora",
    "rate-x100-lora",
    "rate-x30-full",
    "no-warm-up",
    "rate-x30-constant",
    "tiny-data-x20",
    "too-short",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    base = tmp_path_factory.mktemp("cures")
    return base, models(base, {"base"})


def last(folder: RunFolder) -> float:
    return view_of(folder).evals[-1].metrics["loss"]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_change_cures(
    found: tuple[Path, dict[str, Path]], name: str, record_property: Callable[[str, Any], None]
) -> None:
    from tuiwiz.executor import train

    base, known = found
    index, recipe = next((at, one) for at, one in enumerate(TRAIN) if one.name == name)
    spoiled = RunFolder(
        run(base, name, known[recipe.model], make_rows(*recipe.rows, index), {"seed": index, **recipe.edits}, "")
    )
    fault = wrong(examine(spoiled, view_of(spoiled)))[0]
    assert fault.id in recipe.expect
    cured = RunFolder(base / f"{name}-cured")
    cured.path.mkdir()
    written = fork(spoiled, fault, base / f"{name}-cured.toml")
    cured.bundle.write_bytes(written.read_bytes())
    write_job(cured.path, "train", {"bundle_folder": str(base), "resume": False})
    with own_signals():
        assert train.run(cured.path) == 0
    print(json.dumps({"run": name, "change": fault.change, "before": last(spoiled), "after": last(cured)}))
    assert last(cured) < 0.97 * last(spoiled)
    if fault.id == "D12":
        # Twice as long may still be short; what counts is that it went on getting better.
        return
    assert fault.id not in {one.id for one in wrong(examine(cured, view_of(cured)))}
