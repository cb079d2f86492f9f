"""Texts of presets from elsewhere: a file, a folder, an https address or a git repository. Nothing is stored here.

What comes is only ever read as text: a git repository is never checked out (no links, no filters, no hooks), an address
is fetched over https alone, and both have a limit on size and on time.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.base.places import expanded
from tuiwiz.base.text import clean_line
from tuiwiz.presets.preset import LARGEST_FILE
from tuiwiz.presets.signature import LARGEST_SIGNATURE

MOST_FILES = 200
LARGEST_REPOSITORY = 50 << 20
"""Bytes of a fetched repository."""
LONGEST_S = 60.0
ANSWER_S = 15.0
"""Seconds that a server may stay silent."""

_GIT = re.compile(r"(?:ssh://|git@[\w.-]+:|git\+https://)\S+|https://\S+\.git/?")


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """One preset's text. `source` is what was asked for, `place` where in it this one lay, `version` a git commit;
    `signature` is the text of the `.sig` file beside it, empty where there is none, over the bytes `data`."""

    text: str
    source: str
    place: str
    version: str = ""
    signature: str = ""
    data: bytes = b""


def fetch(source: str) -> list[Fetched]:
    """Every preset that `source` holds.

    Raises:
        UsageError: there is nothing of that name.
        InvalidError: too large, too many, or no text.
        MachineLacksError: the network, the server or git failed.
    """
    if _GIT.fullmatch(source):
        return _git(source)
    if source.startswith("https://"):
        return [_fetched(_download(source), source, source.rpartition("/")[2], source, _signature_at(source))]
    if "://" in source:
        raise UsageError(f"{clean_line(source, 80)} is no address that presets come from", hint="https:// or git")
    path = expanded(source).absolute()
    if (path / ".git").exists() or (path.is_dir() and (path / "HEAD").is_file() and (path / "objects").is_dir()):
        return _git(str(path))
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UsageError(f"there is no file {clean_line(source, 200)}", hint="a file, a folder, https:// or git")
    return [_fetched(_read(path), str(path), path.name, str(path), _signature_beside(path))]


def _fetched(data: bytes, source: str, place: str, where: str, signature: bytes, version: str = "") -> Fetched:
    if len(signature) > LARGEST_SIGNATURE:
        raise InvalidError(f"{clean_line(where, 200)}.sig is too large for a signature")
    armored = signature.decode("ascii", "replace")
    return Fetched(text=_text(data, where), source=source, place=place, version=version, signature=armored, data=data)


def _signature_beside(path: Path) -> bytes:
    beside = path.with_name(f"{path.name}.sig")
    return _read(beside) if beside.is_file() else b""


def _signature_at(address: str) -> bytes:
    """The signature beside an address; a server that has none answers with an error, which is no fault."""
    try:
        return _download(f"{address}.sig")
    except MachineLacksError:
        return b""


def _folder(folder: Path) -> list[Fetched]:
    files = sorted([*folder.glob("*.toml"), *folder.glob("presets/*.toml")])
    inside = [path for path in files if path.resolve().is_relative_to(folder.resolve())]
    return _several(
        [
            _fetched(_read(path), str(folder), path.relative_to(folder).as_posix(), str(path), _signature_beside(path))
            for path in inside[: MOST_FILES + 1]
        ],
        str(folder),
    )


def _several(found: list[Fetched], where: str) -> list[Fetched]:
    if not found:
        raise InvalidError(f"{clean_line(where, 200)} holds no presets", hint="*.toml in it, or in its presets/")
    if len(found) > MOST_FILES:
        raise InvalidError(f"{clean_line(where, 200)} holds more than {MOST_FILES} presets", hint="add single files")
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise MachineLacksError(f"{path} cannot be read: {error.strerror or error}") from error


def _text(data: bytes, where: str) -> str:
    if len(data) > LARGEST_FILE:
        raise InvalidError(f"{clean_line(where, 200)} is too large for a preset (over {LARGEST_FILE // 1024} KiB)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(f"{clean_line(where, 200)} is not UTF-8 at byte {error.start}") from error


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A redirect must not lead to another protocol."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it redirects to {clean_line(newurl, 80)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(address: str) -> bytes:
    opener = urllib.request.build_opener(_HttpsOnly)
    begun, data = time.monotonic(), b""
    try:
        with opener.open(address, timeout=ANSWER_S) as answer:
            while len(data) <= LARGEST_FILE and (piece := answer.read(8192)):
                data += piece
                if time.monotonic() - begun > LONGEST_S:
                    raise MachineLacksError(f"{address} took more than {LONGEST_S:.0f} s")
    except (OSError, ValueError) as error:
        reason = clean_line(str(getattr(error, "reason", error)), 200)
        raise MachineLacksError(f"{clean_line(address, 200)} cannot be fetched: {reason}") from error
    return data


def _git(source: str) -> list[Fetched]:
    address = source.removeprefix("git+")
    with tempfile.TemporaryDirectory(prefix="tuiwiz-presets-") as scratch:
        bare = Path(scratch) / "repository"
        _clone(address, bare)
        commit = _ask(bare, "rev-parse", "HEAD").decode().strip()
        blobs: dict[str, tuple[str, int]] = {}
        for line in _ask(bare, "ls-tree", "-l", "-z", "HEAD", "./", "presets/").decode("utf-8", "replace").split("\0"):
            # Mode 100644 and 100755 are files; 120000 is a link, which is never followed.
            about, _, path = line.partition("\t")
            if about.startswith("100") and path.endswith((".toml", ".toml.sig")):
                size = about.split()[-1]
                if not size.isdigit() or int(size) > LARGEST_FILE:
                    raise InvalidError(f"{clean_line(path, 200)} is too large for a preset")
                blobs[path] = about.split()[2], int(size)
        found = []
        for path in [one for one in blobs if one.endswith(".toml")][: MOST_FILES + 1]:
            beside = blobs.get(f"{path}.sig")
            signature = _ask(bare, "cat-file", "blob", beside[0]) if beside is not None else b""
            data = _ask(bare, "cat-file", "blob", blobs[path][0])
            found.append(_fetched(data, source, clean_line(path, 200), path, signature, commit))
        return _several(found, source)


def _environment() -> dict[str, str]:
    """git without questions, without this machine's settings, and with harmless protocols only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return kept | quiet | {"GIT_ALLOW_PROTOCOL": "https:ssh:file", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}


def _clone(address: str, bare: Path) -> None:
    words = ["git", "clone", "--quiet", "--bare", "--depth", "1", "--no-tags", "--", address, str(bare)]
    try:
        process = subprocess.Popen(words, env=_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise MachineLacksError("git is not installed", hint="add single files instead") from error
    begun = time.monotonic()
    while True:
        try:
            _, stderr = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            size = sum(path.stat().st_size for path in bare.rglob("*") if path.is_file())
            if size > LARGEST_REPOSITORY or time.monotonic() - begun > LONGEST_S:
                process.kill()
                process.communicate()
                limit = f"{LARGEST_REPOSITORY >> 20} MiB or {LONGEST_S:.0f} s"
                raise InvalidError(f"{clean_line(address, 200)} is over {limit}") from None
    if process.returncode:
        reason = clean_line(stderr.decode("utf-8", "replace").strip(), 300)
        raise MachineLacksError(f"git cannot fetch {clean_line(address, 200)}: {reason}")


def _ask(bare: Path, *words: str) -> bytes:
    done = subprocess.run(
        ["git", "-C", str(bare), *words], env=_environment(), capture_output=True, timeout=LONGEST_S, check=False
    )
    if done.returncode:
        raise MachineLacksError(f"git cannot read it: {clean_line(done.stderr.decode('utf-8', 'replace'), 200)}")
    return done.stdout
