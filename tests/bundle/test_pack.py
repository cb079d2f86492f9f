"""Bundles as archives: there and back, and archives that want more than to be unpacked."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import write_bundle
from tuiwiz.base.errors import InvalidError, MachineLacksError, TuiwizError, UsageError
from tuiwiz.base.files import sha256_file
from tuiwiz.bundle import unpack as unpacking
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.drift import drift
from tuiwiz.bundle.lock import lock_now
from tuiwiz.bundle.pack import pack
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.relock import with_lock
from tuiwiz.bundle.unpack import unpack


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    path = write_bundle(folder, data__train='"../data/rows.jsonl"', validation__fraction="0.1")
    (tmp_path / "data").mkdir()
    (folder / "rows.jsonl").rename(tmp_path / "data" / "rows.jsonl")
    return path


def packed(bundle: Path, target: Path, **more: Any) -> Path:
    pack(read_bundle(bundle), bundle.parent, target, **more)
    return target


def test_there_and_back_it_is_the_same_run(bundle: Path, tmp_path: Path) -> None:
    given = read_bundle(bundle)
    lock = lock_now(given, bundle.parent, None, rows={"../data/rows.jsonl": 60})
    bundle.write_text(with_lock(bundle.read_text(), given, lock))
    preset = tmp_path / "mine.toml"
    preset.write_text('name = "mine"\n')
    archive = packed(bundle, tmp_path / "x.zip", preset=preset)
    found, _ = unpack(archive, tmp_path / "there")
    assert digest(found) == digest(read_bundle(bundle))
    assert found.data.train == "data/rows.jsonl" and found.lock is not None
    assert found.lock.data == {"data/rows.jsonl": lock.data["../data/rows.jsonl"]}
    assert found.lock.rows == {"data/rows.jsonl": 60}
    assert sha256_file(tmp_path / "there" / "data/rows.jsonl") == sha256_file(tmp_path / "data" / "rows.jsonl")
    assert (tmp_path / "there" / "preset.toml").read_text() == 'name = "mine"\n'
    assert read_bundle(tmp_path / "there" / "bundle.toml") == found


def test_folders_templates_adapters_and_equal_names_come_along(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "rows.jsonl").write_text("{}\n")
    (tmp_path / "b" / "rows.jsonl").write_text("[]\n")
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "adapter_config.json").write_text("{}")
    (tmp_path / "old" / "adapter_model.safetensors").write_bytes(b"x")
    (tmp_path / "old" / "adapter_model.bin").write_bytes(b"pickle")
    path = write_bundle(
        tmp_path / "work",
        data__train='"../a"',
        validation__fraction='0.0\nvalidation.path = "../b/rows.jsonl"',
        data__template='"../chat.jinja"',
        adapter__from='"../old"',
    )
    path.write_text(path.read_text().replace("validation.fraction = 0.0\n", ""))
    found, manifest = unpack(packed(path, tmp_path / "x.zip"), tmp_path / "there")
    assert found.data.train == "data/a" and found.validation.path == "data/rows.jsonl"
    assert found.data.template == "template/chat.jinja" and found.adapter.from_ == "adapter"
    assert set(manifest.files) == {
        "data/a/rows.jsonl",
        "data/rows.jsonl",
        "template/chat.jinja",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    }


def test_data_of_a_phase_comes_along(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "work")
    (tmp_path / "other.jsonl").write_text("{}\n")
    text = path.read_text().replace("schedule.steps = 6\n", "")
    phases = '[[phases]]\nname = "a"\nsteps = 3\n[[phases]]\nname = "b"\nsteps = 3\ndata = "../other.jsonl"\n'
    path.write_text(text + phases)
    found, manifest = unpack(packed(path, tmp_path / "x.zip"), tmp_path / "there")
    assert [phase.data for phase in found.phases] == [None, "data/other.jsonl"]
    assert set(manifest.files) == {"data/rows.jsonl", "data/other.jsonl"}
    assert set(lock_now(found, tmp_path / "there", None).data) == set(manifest.files)


def test_what_is_not_there_cannot_be_packed_and_leaves_no_archive(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "rows.jsonl").unlink()
    with pytest.raises(InvalidError, match="not there"):
        packed(bundle, tmp_path / "x.zip")
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".*.tmp"))


def test_a_folder_that_is_there_is_not_touched(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    with pytest.raises(UsageError):
        unpack(packed(bundle, tmp_path / "x.zip"), tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine"]


Forge = Callable[[zipfile.ZipFile], None]


def forged(source: Path, target: Path, add: Forge, *, listed: dict[str, Any] | None = None) -> Path:
    """A good archive with something more in it, which its manifest lists."""
    with zipfile.ZipFile(source) as good, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bad:
        manifest = json.loads(good.read("pack.json"))
        manifest["files"].update(listed or {})
        for name in good.namelist():
            bad.writestr(name, json.dumps(manifest) if name == "pack.json" else good.read(name))
        add(bad)
    return target


def named(name: str, mode: int = stat.S_IFREG | 0o644, content: bytes = b"evil") -> Forge:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        # Past the clean-up that ZipInfo does to names.
        info.filename = name
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, content)

    return add


def both(one: str, other: str) -> Forge:
    def add(archive: zipfile.ZipFile) -> None:
        named(one)(archive)
        named(other)(archive)

    return add


TRAVERSALS = (
    "../evil",
    "data/../../evil",
    "/tmp/evil",
    "data//evil",
    "data/./evil",
    "C:/evil",
    "data\\..\\..\\evil",
    "..",
    "data/\u0000evil",
    "data/\x1b[2Jevil",
    "data/.bashrc",
    "evil.py",
    "model/evil.bin",
    "adapter/evil.py",
    "adapter/pytorch_model.bin",
    "data/a:b",
    "data/",
    "data/" + "a/" * 1900 + "f",
    "data/" + "a" * 300,
    "data/\u202egnp.jsonl",
    "data/\x9b2J",
    "data/rows.jsonl/x",
)


@pytest.mark.parametrize("name", TRAVERSALS)
def test_names_that_lead_outside_or_have_no_place_are_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    cell = tmp_path / "cell"
    cell.mkdir()
    archive = packed(bundle, tmp_path / "x.zip")
    bad = forged(archive, cell / "bad.zip", named(name), listed={name: {"bytes": 4, "sha256": "0"}})
    with pytest.raises(InvalidError) as caught:
        unpack(bad, cell / "there")
    assert "\x1b" not in str(caught.value.problems[0].message)
    assert [path.name for path in cell.iterdir()] == ["bad.zip"]
    assert not (tmp_path / "evil").exists() and not Path("/tmp/evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_are_refused(bundle: Path, tmp_path: Path, kind: int) -> None:
    archive = packed(bundle, tmp_path / "x.zip")
    bad = forged(archive, tmp_path / "bad.zip", named("data/link", kind | 0o777, b"/etc/passwd"))
    with pytest.raises(InvalidError):
        unpack(bad, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_bombs_are_refused_before_a_byte_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "GIB", 1 << 20)
    archive = packed(bundle, tmp_path / "x.zip")
    content = bytes(64 << 20)
    bad = forged(archive, tmp_path / "bad.zip", named("data/bomb.txt", content=content))
    assert bad.stat().st_size < 200_000
    with pytest.raises(InvalidError, match="would grow"):
        unpack(bad, tmp_path / "there")
    monkeypatch.setattr(unpacking, "MOST_FILES", 3)

    def five(archive: zipfile.ZipFile) -> None:
        for number in range(5):
            named(f"data/{number}")(archive)

    many = forged(archive, tmp_path / "many.zip", five)
    with pytest.raises(InvalidError, match="holds 8 files"):
        unpack(many, tmp_path / "there")


def test_a_size_that_lies_is_found_out(bundle: Path, tmp_path: Path) -> None:
    archive = packed(bundle, tmp_path / "x.zip")
    bad = forged(archive, tmp_path / "bad.zip", named("data/a", content=bytes(100_000)), listed={})
    raw = bytearray(bad.read_bytes())
    size = (100_000).to_bytes(4, "little")
    at = raw.find(size)
    while at >= 0:
        raw[at : at + 4] = (10).to_bytes(4, "little")
        at = raw.find(size)
    bad.write_bytes(raw)
    with pytest.raises(TuiwizError):
        unpack(bad, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_what_is_not_what_was_packed_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = packed(bundle, tmp_path / "x.zip")
    evil = {"bytes": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    cases: list[tuple[Forge, dict[str, Any]]] = [
        (named("data/extra"), {}),
        (lambda z: None, {"data/absent": {"bytes": 1, "sha256": "0"}}),
        (named("data/a"), {"data/a": {"bytes": 4, "sha256": "0" * 64}}),
        (named("data/ROWS.jsonl"), {"data/ROWS.jsonl": {"bytes": 4, "sha256": "0" * 64}}),
        (both("data/\u00e9", "data/e\u0301"), {"data/\u00e9": evil, "data/e\u0301": evil}),
        (both("data/\ufb01", "data/fi"), {"data/\ufb01": evil, "data/fi": evil}),
        (both("data/a", "data/a/b"), {"data/a": evil, "data/a/b": evil}),
    ]
    for number, (add, listed) in enumerate(cases):
        with pytest.raises(InvalidError):
            unpack(forged(archive, tmp_path / f"bad{number}.zip", add, listed=listed), tmp_path / "there")
    for junk in (b"", b"PK\x03\x04 not", archive.read_bytes()[: archive.stat().st_size // 2]):
        (tmp_path / "junk.zip").write_bytes(junk)
        with pytest.raises(InvalidError):
            unpack(tmp_path / "junk.zip", tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("train", ["/etc/passwd", "../../etc/passwd", "~/secret.jsonl"])
def test_a_packed_bundle_may_not_name_files_of_the_one_who_unpacks(bundle: Path, tmp_path: Path, train: str) -> None:
    archive = packed(bundle, tmp_path / "x.zip")
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(bad, "w") as written:
        for name in good.namelist():
            text = good.read(name)
            written.writestr(name, text.replace(b"data/rows.jsonl", train.encode()) if "toml" in name else text)
    with pytest.raises(InvalidError, match="outside its archive"):
        unpack(bad, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_without_room_nothing_is_written(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(bundle, tmp_path / "x.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(MachineLacksError, match="are free"):
        unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_phases_data_counts_in_lock_and_digest_wherever_it_lies(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    tables = '\n[[phases]]\nname = "a"\nshare = 0.5\n[[phases]]\nname = "b"\nshare = 0.5\ndata = "../more.jsonl"\n'
    bundle.write_text(bundle.read_text() + tables)
    given = read_bundle(bundle)
    lock = lock_now(given, bundle.parent, None, rows={"../data/rows.jsonl": 60, "../more.jsonl": 1})
    assert "../more.jsonl" in lock.data
    locked = msgspec.structs.replace(given, lock=lock)
    bundle.write_text(with_lock(bundle.read_text(), given, lock))
    found, _ = unpack(packed(bundle, tmp_path / "x.zip"), tmp_path / "there")
    assert found.lock is not None and found.lock.data["data/more.jsonl"] == lock.data["../more.jsonl"]
    assert found.lock.rows["data/more.jsonl"] == 1 and digest(found) == digest(locked)
    (tmp_path / "more.jsonl").write_text('{"prompt": "a", "completion": "c"}\n')
    again = lock_now(given, bundle.parent, None)
    assert digest(msgspec.structs.replace(given, lock=again)) != digest(locked)
    assert [one.name for one in drift(lock, again)] == ["../more.jsonl"]
