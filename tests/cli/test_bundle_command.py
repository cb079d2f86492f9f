"""`bundle lock|pack|unpack` and the lock in `run`, as a user types them; and the executor's own look at the lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.processes import fake_executor, tuiwiz, write_bundle
from tests.support.training import ask_to_resume, events_of, make_run, of_kind, own_signals, run_here
from tuiwiz.base.errors import DriftError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events.job import write_job
from tuiwiz.events.types import Alert, Failed
from tuiwiz.executor import train
from tuiwiz.runs.names import run_root


def change_row(path: Path) -> None:
    path.write_text(path.read_text().replace("It is 20.", "It is 21."))


def test_a_locked_bundle_runs_until_a_byte_changes_and_then_names_the_file(tmp_path: Path, tiny_model: Path) -> None:
    bundle = write_bundle(tmp_path / "work", tiny_model)
    done = tuiwiz("bundle", "lock", bundle, "--json")
    assert done.returncode == 0, done.stderr
    lock = json.loads(done.stdout)["lock"]
    assert set(lock["data"]) == {"rows.jsonl"} and "model.safetensors" in lock["model"]
    assert {"torch", "transformers"} <= set(lock["libraries"]) and lock["tuiwiz"] and lock["hardware"]["device"]
    assert tuiwiz("run", bundle, env=fake_executor()).returncode == 0
    runs = sorted(run_root().iterdir())
    change_row(tmp_path / "work" / "rows.jsonl")
    refused = tuiwiz("run", bundle, env=fake_executor())
    assert refused.returncode == 5 and "rows.jsonl" in refused.stderr and "--allow-drift" in refused.stderr
    checked = tuiwiz("check", bundle)
    assert checked.returncode == 5 and "rows.jsonl has changed" in checked.stdout
    as_json = tuiwiz("run", bundle, "--detach", "--json", env=fake_executor())
    assert as_json.returncode == 5
    assert [one["key"] for one in json.loads(as_json.stdout)["problems"]] == ["lock.data"]
    assert sorted(run_root().iterdir()) == runs, "nothing is made for a run that is refused"
    assert tuiwiz("run", bundle, "--allow-drift", env=fake_executor()).returncode == 0
    again = tuiwiz("bundle", "lock", bundle)
    assert again.returncode == 0 and "rows.jsonl has changed" in again.stdout
    assert tuiwiz("run", bundle, env=fake_executor()).returncode == 0


def test_what_is_not_there_or_cannot_be_written_is_told(tmp_path: Path, tiny_model: Path) -> None:
    bundle = write_bundle(tmp_path / "work", tiny_model)
    refused = tuiwiz("bundle", "lock", bundle, "-o", bundle / "inside.toml")
    assert refused.returncode == 8 and "cannot be written" in refused.stderr
    (tmp_path / "work" / "rows.jsonl").unlink()
    before = bundle.read_text()
    refused = tuiwiz("bundle", "lock", bundle)
    assert refused.returncode == 3 and "rows.jsonl is not there" in refused.stderr and bundle.read_text() == before


def test_packed_here_it_runs_there(tmp_path: Path, tiny_model: Path) -> None:
    bundle = write_bundle(tmp_path / "work", tiny_model)
    assert tuiwiz("bundle", "lock", bundle).returncode == 0
    archive = tmp_path / "carried.tuiwiz.zip"
    done = tuiwiz("bundle", "pack", bundle, "-o", archive)
    assert done.returncode == 0 and "model" in done.stderr, done.stderr
    assert tuiwiz("bundle", "pack", bundle, "-o", archive).returncode == 2
    there = tuiwiz("bundle", "unpack", archive, cwd=tmp_path)
    assert there.returncode == 0 and "carried" in there.stdout, there.stderr
    unpacked = tmp_path / "carried" / "bundle.toml"
    assert tuiwiz("run", unpacked, env=fake_executor()).returncode == 0
    change_row(tmp_path / "carried" / "data" / "rows.jsonl")
    assert tuiwiz("run", unpacked, env=fake_executor()).returncode == 5
    for given in (tmp_path / "nothing.zip", archive):
        assert tuiwiz("bundle", "unpack", given, cwd=tmp_path).returncode == 2
    assert tuiwiz("bundle", "unpack", bundle, "-o", tmp_path / "x").returncode == 3


def test_the_run_folder_is_locked_where_the_bundle_was_not(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, schedule__steps=4, checkpoint__every=2)
    run_here(run)
    lock = read_bundle(run.resolved).lock
    assert (
        lock is not None
        and list(lock.data) == [str(tmp_path / "rows.jsonl")]
        and lock.rows == {str(tmp_path / "rows.jsonl"): 24}
    )
    assert lock.hardware["threads"].isdigit() and lock.model and lock.template
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace("It is two", "It is not two", 1))
    ask_to_resume(run, tmp_path)
    with own_signals(), pytest.raises(DriftError, match=r"rows\.jsonl has changed"):
        train.run(run.path)
    closing = events_of(run)[-1]
    assert isinstance(closing, Failed) and closing.summary["exit_code"] == 5 and closing.summary["problems"]
    write_job(run.path, "train", {"bundle_folder": str(tmp_path), "resume": True, "allow_drift": True})
    alerts = of_kind(run_here(run), Alert)
    assert any(alert.rule == "drift" and "rows.jsonl" in alert.message for alert in alerts)


def test_other_versions_are_told_and_nothing_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, schedule__steps=2)
    text = run.bundle.read_text()
    run.bundle.write_text(text + '\n[lock]\ntuiwiz = "0.0.1"\n[lock.libraries]\ntorch = "1.2.3"\n')
    told = [alert.message for alert in of_kind(run_here(run), Alert) if alert.rule == "drift"]
    assert any("torch 1.2.3" in one for one in told) and any("tuiwiz 0.0.1" in one for one in told)
