"""Verdicts on two curves, and on a real run of which one weight, row, value or nothing at all has changed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.processes import tuiwiz, write_bundle
from tuiwiz.base.errors import DriftError
from tuiwiz.bundle.drift import Drift, drift
from tuiwiz.bundle.lock import lock_now
from tuiwiz.bundle.pack import pack
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.unpack import unpack
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.folder import as_it_ran, base_of
from tuiwiz.runs.verify import judge, verify

CURVE = {1: (2.0, 0.5), 2: (1.5, 0.25), 3: (math.nan, math.inf)}


def drifted(kind: Any) -> Drift:
    return Drift(kind=kind, name="x", locked="a", now="b", message="x has changed")


def test_the_same_numbers_are_exact_and_what_differs_a_little_is_not() -> None:
    found = judge(CURVE, dict(CURVE), 3, [])
    assert (found.ok, found.verdict, found.exact, found.compared) == (True, "exact", True, 3)
    assert found.max_abs_difference == 0 and not found.differences
    close = {**CURVE, 2: (math.nextafter(1.5, 2), 0.25)}
    found = judge(CURVE, close, 3, [drifted("library")])
    assert (found.ok, found.verdict, found.exact) == (True, "within tolerance", False)
    assert [one.step for one in found.differences] == [2]
    found = judge(CURVE, {**CURVE, 2: (1.6, 0.25)}, 3, [])
    assert (found.ok, found.verdict) == (False, "different")
    assert found.max_abs_difference == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["data", "model", "setting"])
def test_other_inputs_are_different_whatever_the_numbers(kind: str) -> None:
    found = judge(CURVE, dict(CURVE), 3, [drifted(kind)])
    assert (found.ok, found.verdict, found.exact) == (False, "different", True)


def test_nothing_to_compare_is_never_fine() -> None:
    assert judge(CURVE, {}, 3, []).ok is False


_FLOATS = st.floats(min_value=1e-3, max_value=1e3)


@given(st.dictionaries(st.integers(1, 9), st.tuples(_FLOATS, _FLOATS), min_size=1), st.floats(0.02, 10))
def test_a_loss_that_is_off_by_two_percent_is_always_different(
    curve: dict[int, tuple[float, float]], off: float
) -> None:
    step = min(curve)
    other = {**curve, step: (curve[step][0] * (1 + off), curve[step][1])}
    assert judge(curve, curve, 9, []).verdict == "exact"
    assert judge(curve, other, 9, []).verdict == "different"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with a model of its own, a bundle, and a run of it; tests work on copies."""
    root = tmp_path_factory.mktemp("verify")
    shutil.copytree(tiny_model, root / "model")
    bundle = write_bundle(root / "work", "../model", evaluation__samples="1", adapter__dropout="0.1")
    ran = tuiwiz("run", bundle, "--out", root / "run", "--json", env={"TUIWIZ_HOME": str(root / "home")})
    assert ran.returncode == 0, ran.stderr
    return root


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    shutil.copytree(done, root)
    job = root / "run" / "job.toml"
    job.write_text(job.read_text().replace(str(done), str(root)))
    resolved = root / "run" / "resolved.toml"
    resolved.write_text(resolved.read_text().replace(str(done), str(root)))
    return root


def test_a_fresh_run_is_repeated_exactly_and_its_folder_is_not_touched(copy: Path) -> None:
    before = {path: path.read_bytes() for path in (copy / "run").rglob("*") if path.is_file()}
    found = verify(RunFolder(copy / "run"), steps=3)
    assert (found.verdict, found.exact, found.compared, found.drift) == ("exact", True, 3, [])
    assert {path: path.read_bytes() for path in (copy / "run").rglob("*") if path.is_file()} == before


def change_weight(root: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = root / "model" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "q_proj" in name)
    with torch.no_grad():
        weights[name][0, 0] += 0.5
    save_file(weights, path, metadata={"format": "pt"})


def change_row(root: Path) -> None:
    rows = root / "work" / "rows.jsonl"
    rows.write_text(rows.read_text().replace("It is 20.", "It is 21."))


def change_value(old: str, new: str, root: Path) -> None:
    bundle = root / "run" / "bundle.toml"
    assert old in bundle.read_text()
    bundle.write_text(bundle.read_text().replace(old, new))


CHANGES: dict[str, Any] = {
    "model": change_weight,
    "data": change_row,
    "seed": lambda root: change_value("seed = 1", "seed = 2", root),
    "optimizer.learning_rate": lambda root: change_value("1e-3", "1.1e-3", root),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_changed_weight_row_seed_or_rate_is_different_and_named(copy: Path, name: str) -> None:
    CHANGES[name](copy)
    done = tuiwiz("verify", copy / "run", "--steps", "3", "--json")
    assert done.returncode == 5, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is False and found["verdict"] == "different" and found["compared"] == 3
    assert any(name in (one["kind"], one["name"]) for one in found["drift"])
    if name != "data":
        assert found["exact"] is False and found["max_abs_difference"] > 0


def test_the_same_run_anew_or_not_at_all(copy: Path, tmp_path: Path) -> None:
    again = tuiwiz("rerun", copy / "run", "--out", tmp_path / "again", "--json")
    assert again.returncode == 0, again.stderr
    one, other = (copy / "run" / "adapter", tmp_path / "again" / "adapter")
    name = "adapter_model.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()
    change_row(copy)
    refused = tuiwiz("rerun", copy / "run", "--json")
    assert refused.returncode == 5 and "rows.jsonl" in refused.stdout
    assert tuiwiz("verify", tmp_path / "absent").returncode == 2


def test_a_run_is_packed_as_it_really_ran_and_not_with_other_data(copy: Path, tmp_path: Path) -> None:
    run = RunFolder(copy / "run")
    resolved = read_bundle(run.resolved)
    pack(as_it_ran(run), base_of(run), tmp_path / "x.zip")
    found, _ = unpack(tmp_path / "x.zip", tmp_path / "there")
    assert found.model.source == "../model" and found.data.train == "data/rows.jsonl"
    assert (found.batch, found.model.dtype) == (resolved.batch, resolved.model.dtype)
    assert found.lock is not None and resolved.lock is not None
    assert found.lock.model == resolved.lock.model and found.lock.hardware["threads"]
    assert list(found.lock.data) == ["data/rows.jsonl"] and list(found.lock.rows) == ["data/rows.jsonl"]
    now = lock_now(found, tmp_path / "there", copy / "model")
    assert not [one for one in drift(found.lock, now) if one.fatal]
    change_row(copy)
    with pytest.raises(DriftError, match=r"rows\.jsonl"):
        pack(as_it_ran(run), base_of(run), tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()
