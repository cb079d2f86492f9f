"""`tuiwiz doctor` by hand: findings as JSON, the changed bundle, the machine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.doctor.judged import STREAMS
from tuiwiz.bundle.read import read_bundle
from tuiwiz.cli.main import main
from tuiwiz.doctor.live import Judge
from tuiwiz.doctor.machine import check_machine
from tuiwiz.events.fold import fold
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.view import RunView


@pytest.fixture
def diverged(tmp_path: Path) -> RunFolder:
    """A recorded run that left its rails, made from a bundle beside its data."""
    folder = RunFolder(tmp_path / "runs" / "diverged")
    folder.path.mkdir(parents=True)
    folder.events.write_bytes(gzip.decompress((STREAMS / "rate-x30-lora.jsonl.gz").read_bytes()))
    text = (STREAMS / "rate-x30-lora.toml").read_text(encoding="utf-8")
    folder.bundle.write_text(text, encoding="utf-8")
    base = tmp_path / "project"
    base.mkdir()
    (base / "rate-x30-lora.jsonl").write_text("{}\n", encoding="utf-8")
    write_job(folder.path, "train", {"bundle_folder": str(base)})
    return folder


def test_findings_as_json_have_the_documented_keys(diverged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(diverged.path), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    for one in findings:
        assert {"rule", "severity", "verdict", "evidence", "change", "why"} <= set(one)
        assert one["verdict"] in ("yes", "no", "unknown")
    first = findings[0]
    assert first["verdict"] == "yes" and first["rule"] in ("early_blow_up", "divergence")


def test_lines_that_could_not_be_read_are_told(diverged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with diverged.events.open("ab") as file:
        file.write(b"what is this\n")
    assert main(["doctor", str(diverged.path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "1 line of events.jsonl could not be read" in err and json.loads(out)["findings"]
    assert main(["watch", str(diverged.path), "--plain"]) in (0, 6)
    assert "1 line of events.jsonl could not be read" in capsys.readouterr().out


def test_lines_name_the_change_and_how_to_apply_it(diverged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(diverged.path)]) == 0
    text = capsys.readouterr().out
    assert "divergence" in text and "try " in text and "--apply 1" in text


def test_the_data_of_a_phase_go_along(diverged: RunFolder, tmp_path: Path) -> None:
    with diverged.bundle.open("a", encoding="utf-8") as file:
        file.write('\n[[phases]]\nname = "own"\nshare = 1.0\ndata = "own.jsonl"\n')
    text = diverged.bundle.read_text(encoding="utf-8").replace("steps = ", "epochs = 1 # ", 1)
    diverged.bundle.write_text(text, encoding="utf-8")
    target = tmp_path / "elsewhere" / "new.toml"
    assert main(["doctor", str(diverged.path), "--apply", "1", "-o", str(target)]) == 0
    (phase,) = read_bundle(target).phases
    assert phase.data is not None
    assert (target.parent / phase.data).resolve() == (tmp_path / "project" / "own.jsonl").resolve()


def test_apply_writes_one_change_with_its_origin_and_paths_that_still_lead_to_the_data(
    diverged: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "elsewhere" / "new.toml"
    assert main(["doctor", str(diverged.path), "--apply", "1", "-o", str(target)]) == 0
    before, after = read_bundle(diverged.bundle), read_bundle(target)
    assert (target.parent / str(after.data.train)).resolve() == (tmp_path / "project" / "rate-x30-lora.jsonl").resolve()
    changed = [key for key, who in after.origin.items() if who.startswith("doctor ")]
    assert len(changed) == 1 and "diverged" in after.origin[changed[0]]
    assert (after.optimizer, after.schedule) != (before.optimizer, before.schedule)
    assert after.adapter == before.adapter and after.batch == before.batch
    assert main(["doctor", str(diverged.path), "--apply", "1", "-o", str(target)]) == 2
    assert main(["doctor", str(diverged.path), "--apply", "99"]) == 2
    assert "there is no finding 99" in capsys.readouterr().err


def test_plain_lines_of_a_run_end_with_what_is_wrong(diverged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(diverged.path), "--plain"]) == 0
    text = capsys.readouterr().out
    assert "doctor   error" in text and "try optimizer.learning_rate" in text.replace(
        "schedule.warmup", "optimizer.learning_rate"
    )


def test_a_judge_tells_each_fault_once_and_looks_at_most_now_and_then(diverged: RunFolder) -> None:
    now = [0.0]
    judge = Judge(diverged, clock=lambda: now[0])
    events = EventReader(diverged.events).read(10_000)
    view = fold(RunView(), events[:-1])
    told = judge.look(view)
    assert told
    fold(view, events[-1:])
    assert not {one.id for one in judge.look(view)} & {one.id for one in told}
    view = fold(RunView(), events[:40])
    judge = Judge(diverged, clock=lambda: now[0])
    judge.look(view)
    before = judge.findings
    fold(view, events[40:60])
    assert judge.look(view) == [] and judge.findings is before
    now[0] += 60
    judge.look(view)
    assert judge.findings is not before


def test_the_machine_is_judged_from_what_the_probe_tells() -> None:
    good = {"ok": True, "said": "1.0"}
    probe = {
        "device": "CPU",
        "libraries": {"torch": good, "peft": {"ok": False, "said": "ImportError: no"}},
        "trials": {"attention sdpa": good, "attention flash": {"ok": False, "said": "RuntimeError: no kernel"}},
    }
    checks = {one.name: one for one in check_machine(probe)}
    assert checks["torch"].verdict == "good"
    assert checks["peft"].verdict == "bad" and "pip install" in checks["peft"].fix
    assert checks["attention flash"].verdict == "note"
    assert {"terminal", "GPU", "processor", "disk for runs"} <= set(checks)
    broken = {one.name: one for one in check_machine({"error": "torch is not installed"})}
    assert broken["libraries"].verdict == "bad"


def test_tmux_is_asked_about_its_clipboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "tmux"
    fake.write_text("#!/bin/sh\necho off\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    checks = {one.name: one for one in check_machine({})}
    assert checks["tmux clipboard"].verdict == "note" and "set-clipboard on" in checks["tmux clipboard"].fix


def test_without_a_run_it_tries_the_libraries_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) in (0, 8)
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["attention sdpa"]["verdict"] == "good"
    assert checks["attention eager"]["verdict"] == "good"


def test_a_run_goes_on_from_its_best_weights_where_they_still_fit(
    diverged: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "best.toml"
    assert main(["doctor", str(diverged.path), "--apply", "1", "--best", "-o", str(target)]) == 2
    assert "no best weights" in capsys.readouterr().err
    view = fold(RunView(), EventReader(diverged.events).read(10_000))
    assert view.best_eval is not None
    kept = diverged.checkpoint(view.best_eval.step)
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text("{}", encoding="utf-8")
    assert main(["doctor", str(diverged.path), "--apply", "1", "--best", "-o", str(target)]) == 0
    after = read_bundle(target)
    assert after.adapter.from_ == str(kept) and after.origin["adapter.from"].startswith("doctor ")
    diverged.adapter.mkdir()
    finished = tmp_path / "finished.toml"
    assert main(["doctor", str(diverged.path), "--apply", "1", "--best", "-o", str(finished)]) == 0
    assert read_bundle(finished).adapter.from_ == str(diverged.adapter)
    assert main(["doctor", str(diverged.path), "--best"]) == 2


def test_rules_are_listed_with_those_that_are_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--rules", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    judged, rest = ({one["id"] for one in told[name]} for name in ("rules", "not_judged"))
    assert judged | rest == {f"D{number}" for number in range(1, 47)} and not judged & rest
