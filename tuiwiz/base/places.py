"""Where things lie on disk. `TUIWIZ_HOME` moves everything; `XDG_CACHE_HOME` moves the cache alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from tuiwiz.base.errors import MachineLacksError

APP = "tuiwiz"


def expanded(path: str | Path) -> Path:
    """`path` with `~` and `~user` at its start resolved; an unknown user's stays as it is written."""
    return Path(os.path.expanduser(path))


def home() -> Path:
    """The user's data folder: runs, studies, presets, catalog, drafts.

    Raises:
        MachineLacksError: nothing says where; likewise of the other places.
    """
    given = os.environ.get("TUIWIZ_HOME")
    return expanded(given).absolute() if given else _of_the_user(platformdirs.user_data_dir)


def runs() -> Path:
    return home() / "runs"


def studies() -> Path:
    return home() / "studies"


def presets() -> Path:
    return home() / "presets"


def catalog() -> Path:
    return home() / "catalog"


def drafts() -> Path:
    return home() / "drafts"


def logs() -> Path:
    """Crash reports of the screen and of commands."""
    return home() / "logs"


def cache() -> Path:
    """Downloads and conversions that can be made again."""
    given = os.environ.get("XDG_CACHE_HOME")
    return expanded(given).absolute() / APP if given else home() / "cache"


def config_file() -> Path:
    """`config.toml`: theme, price of a kWh, run root."""
    given = os.environ.get("TUIWIZ_CONFIG")
    if given:
        return expanded(given).absolute()
    return _of_the_user(platformdirs.user_config_dir) / "config.toml"


def _of_the_user(folder: Callable[..., str]) -> Path:
    try:
        return Path(folder(APP, appauthor=False))
    except RuntimeError as error:
        # A container's user may have neither HOME nor an entry among the users.
        raise MachineLacksError(
            "this user has no home folder", hint="set HOME to a folder that you may write"
        ) from error


def all_places() -> dict[str, Path]:
    """Every place by name, for `tuiwiz where`."""
    return {
        "home": home(),
        "runs": runs(),
        "studies": studies(),
        "presets": presets(),
        "catalog": catalog(),
        "drafts": drafts(),
        "logs": logs(),
        "cache": cache(),
        "config": config_file(),
    }
