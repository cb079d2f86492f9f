"""Where a run lies and what it is called."""

from __future__ import annotations

import errno
import hashlib
import re
import time
import tomllib
from pathlib import Path

from tuiwiz.base import places
from tuiwiz.base.places import expanded

REGISTERED = "registered.txt"
"""In the run root: absolute paths of runs that lie elsewhere, one a line."""


def run_root() -> Path:
    """Where runs without `--out` lie: `run_root` of the user's `config.toml`, else the data folder's `runs`."""
    try:
        config = tomllib.loads(places.config_file().read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return places.runs()
    given = config.get("run_root")
    return expanded(given).absolute() if isinstance(given, str) and given else places.runs()


def slug(text: str) -> str:
    """`text` as a part of a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "run"


def new_folder(name: str, digest: str) -> Path:
    """`<date>-<name>-<hash6>` in the run root; the hash tells runs of the same bundle apart."""
    now = time.time_ns()
    tail = hashlib.sha256(f"{digest}{now}".encode()).hexdigest()[:6]
    return run_root() / f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(name)}-{tail}"


def register(folder: Path) -> None:
    """Remember a run that lies outside the run root, so that it is found by name.

    Raises:
        OSError: it cannot be.
    """
    root = run_root()
    if folder.parent == root:
        return
    if len(str(folder).splitlines()) > 1:
        raise OSError(errno.EINVAL, "its path has line breaks")
    root.mkdir(parents=True, exist_ok=True)
    known = registered()
    if folder not in known:
        with (root / REGISTERED).open("a", encoding="utf-8") as file:
            file.write(f"{folder}\n")


def registered() -> list[Path]:
    """Registered runs whose folder is still there."""
    return [path for path in ever_registered() if path.is_dir()]


def ever_registered() -> list[Path]:
    """Every run that was ever registered, whether or not it is still there."""
    try:
        lines = (run_root() / REGISTERED).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [Path(line) for line in dict.fromkeys(lines) if line]
