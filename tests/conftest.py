"""Settings for the whole suite: a home of its own, no hub, and the switch for what takes minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tuiwiz.base.waiting import waiting

if TYPE_CHECKING:
    from tests.faults.conftest import Server

# Two busy OpenMP threads on two cores make everything slower unless waiting threads sleep; torch reads it at import.
os.environ.update(waiting(os.environ))
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_long = pytest.mark.skip(reason="takes minutes: run with --long")
    skip_real = pytest.mark.skip(reason="set TUIWIZ_REAL_DATA to the folder of real data sets")
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(skip_long)
        if "real_data" in item.keywords and not os.environ.get("TUIWIZ_REAL_DATA"):
            item.add_marker(skip_real)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has its own TUIWIZ_HOME; the download cache is shared, since a model takes a minute to bring."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("TUIWIZ_HOME", str(home))
    monkeypatch.setenv("TUIWIZ_CONFIG", str(tmp_path / "config.toml"))
    return home


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Forks executors that have all libraries loaded."""
    from tests.faults.conftest import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random tiny Llama."""
    from tests.support.tiny import make_model

    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with only a tokenizer; needs no torch."""
    from tests.support.tiny import make_tokenizer

    return make_tokenizer(tmp_path_factory.mktemp("tiny") / "tokenizer")


@pytest.fixture
def real_data() -> Path:
    return Path(os.environ["TUIWIZ_REAL_DATA"])
