"""What somebody types who read one page of the manual: bare groups, presets beside bundles, odd homes and locales."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import tuiwiz, write_bundle
from tests.support.streams import finished_run
from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.hashes import cached_sha256
from tuiwiz.cli.main import main
from tuiwiz.cli.output import on_screen
from tuiwiz.doctor.finding import Finding
from tuiwiz.presets.find import forget
from tuiwiz.runs.folder import prepare
from tuiwiz.runs.names import run_root

LATIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def run(own_home: Path) -> Path:
    return finished_run(run_root() / "20260101-000000-one-aaaaaa").path


def document(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    assert main([*argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_bare_runs_lists_them_in_both_forms(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["name"] for one in document(capsys, "runs")] == [run.name]
    assert main(["runs"]) == 0 and run.name in capsys.readouterr().out
    assert main(["runs", "--json", "show", run.name]) == 2, "it would do nothing there"


@pytest.mark.parametrize("group", ["queue", "presets", "tune", "data", "bundle", "models"])
def test_a_group_without_a_word_is_told_its_words_and_nothing_else(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([group]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith(f"Usage: tuiwiz {group}") and "hint" not in said.err


def test_a_hint_names_the_very_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "trust"]) == 2
    assert "`tuiwiz presets trust --help`" in capsys.readouterr().err


def test_presets_are_compared_with_each_other_and_with_bundles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget()
    found = {one["key"]: one for one in document(capsys, "diff", "chat", "classify", "--task", "")["differences"]}
    assert {one["a_by"] for one in found.values()} <= {"preset chat", ""}
    bundle = str(write_bundle(tmp_path / "work", task__kind='"chat"', optimizer__learning_rate="3e-3"))
    (one,) = [one for one in document(capsys, "diff", bundle, "chat")["differences"] if one["key"].endswith("_rate")]
    assert one["a"] == 3e-3 and one["b"] != 3e-3 and one["b_by"] == "preset chat"
    assert document(capsys, "diff", "chat", "chat")["differences"] == []
    assert "bundle nothing.toml" in document(capsys, "diff", "chat", "nothing.toml", code=2)["message"]


def test_an_unknown_task_lists_no_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert "chat, instruct" in document(capsys, "presets", "list", "--task", "chatt", code=2)["problems"][0]["hint"]


def test_one_problem_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(tmp_path / "nothing.jsonl")]) == 3
    said = capsys.readouterr().err
    assert said.count("no such file") == 1 and said.count("hint:") == 1


def test_a_change_that_the_run_has_already_is_no_new_bundle(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "bundle.toml").write_text(write_bundle(tmp_path / "work", seed="7").read_text())

    def found(seed: int) -> None:
        one = msgspec.convert(
            {
                **dict.fromkeys(("rule", "id", "title", "advice", "why"), "x"),
                "family": "data",
                "severity": "info",
                "verdict": "yes",
                "evidence": {},
                "change": {"seed": seed},
            },
            Finding,
        )
        monkeypatch.setattr("tuiwiz.doctor.examine.examine", lambda *_: [one])

    found(7)
    assert main(["doctor", run.name, "--apply", "1", "-o", str(tmp_path / "new.toml")]) == 2
    assert "has that already" in capsys.readouterr().err and not (tmp_path / "new.toml").exists()
    found(8)
    assert main(["doctor", run.name, "--apply", "1", "-o", str(tmp_path / "new.toml")]) == 0
    assert (tmp_path / "new.toml").exists()


def test_printed_events_are_the_lines_of_the_file_also_without_utf8(run: Path) -> None:
    with (run / "events.jsonl").open("ab") as file:
        file.write('{"kind":"log","v":1,"seq":99999,"t":1.0,"level":"info","message":"± 😀"}\n'.encode())
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert tuiwiz("watch", "one", "--json").stdout.splitlines() == lines
    plain = tuiwiz("watch", "one", "--json", env=LATIN)
    assert plain.returncode == 0 and plain.stdout.isascii()
    assert [json.loads(line) for line in plain.stdout.splitlines()] == [json.loads(line) for line in lines]
    told = tuiwiz("watch", "one", "--plain", env=LATIN)
    assert told.returncode == 0 and told.stdout.isascii() and "note     ? ?" in told.stdout


def test_a_home_that_is_not_there_or_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.expanded("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert places.expanded("~/x") == Path.home() / "x"
    bundle = write_bundle(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "gone"))
    for words in (["check", str(bundle)], ["tune", "show", "~nobody-of-this-name"], ["data", "check", "~nobody-x/y"]):
        assert main(words) in (2, 3, 5), words

    def nowhere(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("TUIWIZ_HOME")
    monkeypatch.setattr("platformdirs.user_data_dir", nowhere)
    with pytest.raises(MachineLacksError, match="home"):
        places.home()
    assert main(["where"]) == 8


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_the_machine_refuses_is_no_bug(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        raise OSError(number, os.strerror(number), "/somewhere/x")

    monkeypatch.setattr("tuiwiz.base.places.all_places", refused)
    assert main(["where"]) == 8
    assert "/somewhere/x" in capsys.readouterr().err


def test_a_library_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def gone() -> None:
        raise ModuleNotFoundError("No module named 'yaml'", name="yaml")

    monkeypatch.setattr("tuiwiz.base.places.all_places", gone)
    assert "yaml is not installed" in document(capsys, "where", code=8)["message"]


def test_a_dumb_terminal_takes_lines(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for end in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{end}.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert main([]) == 2 and "needs a terminal" in capsys.readouterr().err
    assert main(["watch", run.name]) == 0
    said = capsys.readouterr()
    assert "finished at step" in said.out and "\x1b" not in said.out + said.err
    monkeypatch.setenv("TERM", "xterm")
    assert on_screen()


def test_a_project_with_a_bundle_is_no_run_to_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = write_bundle(tmp_path / "project").parent
    for more in ([], ["--for-good", "--yes"]):
        assert "no run" in document(capsys, "runs", "remove", str(project), *more, code=2)["message"]
    assert sorted(path.name for path in project.iterdir()) == ["bundle.toml", "rows.jsonl"]


def test_a_run_from_elsewhere_is_removed_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = finished_run(tmp_path / "copied" / "run").path
    assert document(capsys, "runs", "remove", str(copied)) == {"ok": True, "run": str(copied), "for_good": False}
    assert not copied.exists()
    assert document(capsys, "runs", "restore", "run") == {"ok": True, "run": str(copied)} and copied.is_dir()
    assert document(capsys, "runs", "remove", str(copied), "--for-good", code=2)["ok"] is False and copied.is_dir()


def test_names_that_no_text_file_can_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_bundle(tmp_path / "work")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    rows = Path(f"{odd}.jsonl")
    try:
        rows.write_bytes((bundle.parent / "rows.jsonl").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert document(capsys, "data", "check", str(rows), "--fix", "-o", f"{odd}-clean.jsonl")["ok"]
    assert Path(f"{odd}-clean.jsonl").is_file() and Path(f"{odd}-clean.report.json").is_file()
    words = ["new", "--task", "instruct", "--model", "8B", "--data", str(rows), "-o", str(tmp_path / "new.toml")]
    assert "no UTF-8" in document(capsys, *words, code=2)["message"]
    assert "no UTF-8" in document(capsys, "run", str(bundle), "--out", odd, code=2)["message"]
    assert not Path(odd).exists(), "nothing half-made stays"
    ready = prepare(bundle, out=tmp_path / "two\nlines")
    assert "line breaks" in ready.note and ready.folder.bundle.is_file()
    assert cached_sha256(rows) == cached_sha256(bundle.parent / "rows.jsonl")
