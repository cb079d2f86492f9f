"""Whatever strangers write into bundles, data, presets and events, no command sends it to the terminal as it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import fake_executor, write_bundle
from tests.support.streams import Recorder, training
from tuiwiz.base import places
from tuiwiz.cli.main import main
from tuiwiz.events import types as ev
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs import queue
from tuiwiz.runs.names import run_root

EVIL = (
    "\x1b[2J\x1b[31mred\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1b]8;;http://evil\x1b\\link\x9b2J\x90q\x9c"
    "\u202eright-to-left\u2066\x08\x08\x7f\r[bold red]markup[/] \x00end"
)
TOML_EVIL = json.dumps(EVIL)
DANGER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
"""Nothing but line feeds and tabs may reach a terminal of all control characters."""


@pytest.fixture
def evil_run(own_home: Path) -> RunFolder:
    """A run whose every text is hostile."""
    run = RunFolder(run_root() / "20260101-000000-evil-aaaaaa")
    run.path.mkdir(parents=True)
    run.control.mkdir()
    write_bundle(run.path, "model", name=TOML_EVIL, model__source=TOML_EVIL, data__template=TOML_EVIL)
    run.bundle.write_text(run.bundle.read_text() + f'\n[origin]\n"adapter.rank" = {TOML_EVIL}\n', encoding="utf-8")
    recorder = Recorder()
    recorder.add(
        ev.RunStarted, attempt=1, from_step=0, steps=9, name=EVIL, device=EVIL, model=EVIL, method=EVIL, task=EVIL
    )
    recorder.add(ev.Stage, name=EVIL, note=EVIL)
    training(recorder, steps=9, until=5, every=2)
    recorder.add(ev.Sample, step=1, prompt=EVIL, base=EVIL, now=EVIL, expected=EVIL)
    recorder.add(ev.Checkpoint, step=2, path=EVIL, bytes=1)
    recorder.add(ev.Alert, rule=EVIL, severity="warning", message=EVIL)
    recorder.add(ev.Control, request=EVIL, answer=EVIL)
    recorder.add(ev.Adjusted, step=1, key=EVIL, from_=EVIL, to=EVIL, reason=EVIL)
    recorder.add(ev.Log, level="warning", message=EVIL)
    problem = {"message": EVIL + "1", "place": EVIL, "hint": EVIL}
    recorder.add(ev.Failed, summary={"message": EVIL, "hint": EVIL, "problems": [problem], "reason": EVIL})
    run.events.write_bytes(recorder.text())
    run.log.write_text(EVIL, encoding="utf-8")
    (run.path / "notes.toml").write_text(f"note = {TOML_EVIL}\ntags = [{TOML_EVIL}]\n", encoding="utf-8")
    return run


@pytest.fixture
def evil_files(tmp_path: Path) -> Path:
    """Data, a bundle, a preset and an archive whose every text is hostile."""
    folder = tmp_path / "files"
    write_bundle(folder, "model", name=TOML_EVIL)
    rows = [{"question": EVIL, "answer": EVIL, EVIL[:40]: EVIL} for _ in range(30)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"question": ' + EVIL, encoding="utf-8")
    (folder / "odd.toml").write_text(f"{TOML_EVIL} = 1\n[task]\nkind = {TOML_EVIL}\n", encoding="utf-8")
    preset = f'name = "evil"\n[when]\ntask = {TOML_EVIL}\n[optimizer]\nlearning_rate = {TOML_EVIL}\n{TOML_EVIL} = 1\n'
    (folder / "evil-preset.toml").write_text(preset, encoding="utf-8")
    places.presets().mkdir(parents=True)
    (places.presets() / "evil.toml").write_text(preset, encoding="utf-8")
    (places.presets() / "sly.toml").write_text(SLY, encoding="utf-8")
    (folder / "sly-preset.toml").write_text(SLY.replace('"sly"', '"other"'), encoding="utf-8")
    odd = {"base_model": EVIL, "datasets": [{"path": EVIL, "type": EVIL}], EVIL: EVIL, "learning_rate": EVIL}
    zero = '"a\\u0000b"'
    write_bundle(folder / "zero", "a\x00b", data__train=zero, validation__path=zero, data__template=zero)
    text = (folder / "zero" / "bundle.toml").read_text(encoding="utf-8").replace("validation.fraction = 0.1\n", "")
    (folder / "zero.toml").write_text(text, encoding="utf-8")
    (folder / "axolotl.yaml").write_text(json.dumps(odd), encoding="utf-8")
    (folder / "notes.jsonl").write_text(json.dumps({"text": EVIL}) + "\n", encoding="utf-8")
    (folder / "archive.zip").write_text(EVIL, encoding="utf-8")
    return folder


SLY = f"""name = "sly"
[when]
task = "chat"
band = "S"
method = "lora"
[optimizer]
learning_rate = 1e-4
[why."optimizer.learning_rate"]
reason = {TOML_EVIL}
source = {TOML_EVIL}
grade = "B"
[[results]]
model = "tiny"
hardware = "L4"
first = 2.0
value = 0.5
rows = 800
"""
"""A preset that is valid, and hostile in every text it may have."""

Clean = Callable[..., str]


@pytest.fixture
def assert_clean(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Clean:
    """Carries out a command and gives what it printed, which has nothing in it that a terminal would obey."""
    for name, value in fake_executor().items():
        monkeypatch.setenv(name, value)

    def clean(*words: str | Path) -> str:
        capfd.readouterr()
        assert main([str(word) for word in words]) != 1
        told = "".join(capfd.readouterr())
        found = DANGER.search(told)
        assert found is None, (words, told[max(0, found.start() - 60) : found.end() + 20])
        assert "Traceback" not in told and "internal error" not in told, told
        return told

    return clean


OF_RUNS: tuple[tuple[str, ...], ...] = (
    ("runs",),
    ("runs", "list", "--tag", EVIL.replace("\x00", "")),
    ("runs", "show", "evil"),
    ("runs", "compare", "evil", "evil"),
    ("watch", "evil", "--plain"),
    ("diff", "evil", "{files}/bundle.toml"),
    ("resume", "evil"),
    ("stop", "evil"),
    ("verify", "evil"),
    ("rerun", "evil", "--plain"),
    ("bundle", "pack", "{run}", "-o", "{files}/x.zip"),
    ("runs", "note", "evil", EVIL.replace("\x00", "")),
    ("runs", "tag", "evil", EVIL.replace("\x00", "")),
    ("runs", "remove", "evil"),
    ("pause", "evil"),
    ("checkpoint", "evil"),
    ("extend", "evil", "--steps", "3"),
    ("doctor", "evil", "--all"),
    ("doctor", "evil", "--apply", "1", "-o", "{files}/b.toml"),
    ("report", "evil", "--format", "markdown", "-o", "{files}/r.md"),
    ("compare", "{run}", "{other}", "--plain"),
    ("presets", "from-run", "evil", "--name", "of-evil"),
    ("watch", "evil", "--json"),
    ("runs", "show", "evil", "--json"),
)


@pytest.mark.parametrize("words", OF_RUNS, ids=lambda words: " ".join(words[:2]).replace("\x1b", ""))
def test_commands_that_show_a_run(
    evil_run: RunFolder, evil_files: Path, words: tuple[str, ...], assert_clean: Clean
) -> None:
    other = evil_run.path.with_name("20260102-000000-other-bbbbbb")
    if "{other}" in words:
        shutil.copytree(evil_run.path, other)
    places = {"files": evil_files, "run": evil_run.path, "other": other}
    told = assert_clean(*(word.format(**places) if "{" in word else word for word in words))
    assert told


OF_FILES: tuple[tuple[str, ...], ...] = (
    ("check", "{files}/bundle.toml"),
    ("check", "{files}/odd.toml"),
    ("plan", "{files}/bundle.toml"),
    ("run", "{files}/bundle.toml", "--plain"),
    ("run", "{files}/odd.toml"),
    ("data", "check", "{files}/rows.jsonl"),
    ("data", "show", "{files}/rows.jsonl"),
    (
        "new",
        "--task",
        "instruct",
        "--model",
        "nowhere/" + EVIL[:9],
        "--data",
        "{files}/rows.jsonl",
        "-o",
        "{files}/n.toml",
    ),
    ("presets", "list"),
    ("presets", "validate", "{files}/evil-preset.toml"),
    ("presets", "show", "evil"),
    ("bundle", "lock", "{files}/bundle.toml"),
    ("bundle", "pack", "{files}/bundle.toml", "-o", "{files}/y.zip"),
    ("bundle", "unpack", "{files}/archive.zip", "-o", "{files}/there"),
    ("schema", "--explain", EVIL.replace("\x00", "")),
    ("models", "get", EVIL.replace("\x00", "")),
    ("queue", "add", "{files}/odd.toml"),
    ("check", "{files}/zero.toml"),
    ("plan", "{files}/zero.toml"),
    ("run", "{files}/zero.toml", "--plain"),
    ("bundle", "lock", "{files}/zero.toml"),
    ("bundle", "pack", "{files}/zero.toml", "-o", "{files}/z.zip"),
    ("queue", "remove", EVIL.replace("\x00", "")),
    ("presets", "list", "--json"),
    ("presets", "show", "sly", "--task", "chat", "--band", "S", "--method", "lora"),
    ("presets", "why", "optimizer.learning_rate", "--preset", "sly", "--band", "S", "--method", "lora"),
    ("presets", "copy", "sly", "mine"),
    ("presets", "copy", "sly", EVIL.replace("\x00", "")),
    ("presets", "export", "sly"),
    ("presets", "add", "{files}/sly-preset.toml", "--yes"),
    ("presets", "remove", "sly"),
    ("import", "{files}/axolotl.yaml", "-o", "{files}/i.toml"),
    ("data", "check", "{files}/notes.jsonl", "--task", "pretrain"),
    ("data", "check", "{files}/rows.jsonl", "--json"),
    ("diff", "{files}/bundle.toml", "{files}/odd.toml"),
    ("tune", "grid", "{files}/odd.toml", "--dry-run"),
    ("tune", "show", EVIL.replace("\x00", "")),
    ("plan", "--model", EVIL.replace("\x00", ""), "--task", "chat"),
    ("run", "{files}/bundle.toml", "--set", EVIL.replace("\x00", "")),
    (EVIL.replace("\x00", ""),),
)


@pytest.mark.parametrize("words", OF_FILES, ids=lambda words: " ".join(words[:2]).replace("\x1b", "")[:40])
def test_commands_that_read_a_stranger_s_file(evil_files: Path, words: tuple[str, ...], assert_clean: Clean) -> None:
    assert assert_clean(*(word.format(files=evil_files) if "{files}" in word else word for word in words))


def test_the_queue_shows_names_cleaned(own_home: Path, assert_clean: Clean) -> None:
    queue.folder().mkdir(parents=True)
    queue.store(queue.Entry(id="0" * 20, bundle=EVIL, state="done", code=3, message=EVIL))
    assert "exit code 3" in assert_clean("queue", "list")


def test_folders_with_hostile_names(tmp_path: Path, assert_clean: Clean) -> None:
    name = EVIL.replace("\x00", "").replace("/", "")[:120]
    write_bundle(run_root() / name)
    write_bundle(tmp_path / name)
    for words in (
        ("runs",),
        ("runs", "show", name),
        ("check", tmp_path / name / "bundle.toml"),
        ("runs", "remove", name),
    ):
        assert_clean(*words)
    assert_clean("runs", "trash")
