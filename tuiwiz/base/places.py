"""Where things lie on disk. `TUIWIZ_HOME` moves everything; `XDG_CACHE_HOME` moves the cache alone."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP = "tuiwiz"


def home() -> Path:
    """The user's data folder: runs, studies, presets, catalog, drafts."""
    given = os.environ.get("TUIWIZ_HOME")
    return Path(given).expanduser().absolute() if given else Path(platformdirs.user_data_dir(APP, appauthor=False))


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
    return Path(given).expanduser().absolute() / APP if given else home() / "cache"


def config_file() -> Path:
    """`config.toml`: theme, price of a kWh, run root."""
    given = os.environ.get("TUIWIZ_CONFIG")
    if given:
        return Path(given).expanduser().absolute()
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


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
