"""Word to the user who is not there: bell and OSC 9 in the terminal, and the webhook of his own `config.toml`.

The address may hold a secret: it is never written anywhere, and a bundle cannot name one.
"""

from __future__ import annotations

import html
import os
import socket
import sys
import threading
import tomllib
import urllib.request
from http.client import HTTPException
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from tuiwiz.base import places
from tuiwiz.base.text import clean_line, terminal_notice
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader

TIMEOUT_S = 10.0
PERIOD_S = 2.0
What = Literal["finished", "stopped", "failed", "alert"]
USUAL: tuple[What, ...] = ("finished", "failed", "alert")


class Settings(msgspec.Struct, frozen=True):
    """`[notify]` of `config.toml`. `kind` is guessed from the address where it is empty."""

    url: str = ""
    kind: Literal["", "ntfy", "slack", "json"] = ""
    on: tuple[What, ...] = USUAL


def settings() -> Settings:
    """What the user configured; nothing where it cannot be used."""
    return _configured()[0]


def trouble() -> str:
    """Why nobody will be told although the user configured something; empty where all is well. Names no address."""
    return _configured()[1]


def _configured() -> tuple[Settings, str]:
    try:
        config = tomllib.loads(places.config_file().read_text(encoding="utf-8"))
        found = msgspec.convert(config.get("notify", {}), Settings)
    except FileNotFoundError:
        return Settings(), ""
    except msgspec.ValidationError as error:
        return Settings(), f"[notify] is not understood: {clean_line(str(error), 120)}"
    except (OSError, ValueError, RecursionError):
        return Settings(), "it is no TOML that can be read"
    try:
        usable = urlsplit(found.url).scheme in ("http", "https")
    except ValueError:
        usable = False
    if usable or not found.url:
        return found, ""
    return Settings(), "notify.url is no http or https address"


def send(given: Settings, what: What, run: str, text: str) -> bool:
    """Post one message; False where that failed, which never fails a run."""
    if not given.url or what not in given.on:
        return False
    run = clean_line(run, 80)
    try:
        body, headers = _content(given, what, run, f"tuiwiz: {run} {what}", clean_line(text, 500))
        request = urllib.request.Request(given.url, data=body, headers=headers, method="POST")
        with _opener().open(request, timeout=TIMEOUT_S):
            return True
    except (OSError, ValueError, HTTPException):
        # Nobody there, an address that is none, an answer that is no HTTP.
        return False


class Watcher:
    """Sends the alerts of a run while it goes on, each rule once; a thread of the supervisor."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._settings = settings()
        self._reader = EventReader(folder.events)
        self._over = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="notify", daemon=True)
        self._last: types.Finished | types.Stopped | types.Failed | None = None

    def start(self) -> None:
        """Begin, unless nobody wants to be told."""
        if self._settings.url:
            # What earlier attempts said was told then.
            while self._reader.read(10_000):
                pass
            self._thread.start()

    def end(self, died: str) -> None:
        """Send how the run ended: by its last event, or by `died` where it left none."""
        if not self._settings.url:
            return
        self._over.set()
        self._thread.join(TIMEOUT_S)
        self._look()
        match self._last:
            case types.Finished(summary=summary):
                self._send("finished", _result(summary))
            case types.Stopped(summary=summary):
                self._send("stopped", str(summary.get("reason", "")))
            case types.Failed(summary=summary):
                self._send("failed", str(summary.get("message", "")))
            case _:
                self._send("failed", died)

    def _watch(self) -> None:
        while not self._over.wait(PERIOD_S):
            self._look()

    def _look(self) -> None:
        while events := self._reader.read():
            for event in events:
                if isinstance(event, types.Alert) and event.severity != "info" and event.rule not in self._told:
                    self._told.add(event.rule)
                    self._send("alert", event.message)
                elif isinstance(event, types.Finished | types.Stopped | types.Failed):
                    self._last = event

    def _send(self, what: What, text: str) -> None:
        send(self._settings, what, self._folder.path.name, text)


def ring(run: str, what: str) -> None:
    """Bell and desktop notice (OSC 9) in the terminal behind standard error; nothing where there is none."""
    if sys.stderr.isatty():
        sys.stderr.write(terminal_notice(f"tuiwiz: {clean_line(run, 80)} {what}", tmux=bool(os.environ.get("TMUX"))))
        sys.stderr.flush()


def _result(summary: dict[str, Any]) -> str:
    first, best = summary.get("first_loss"), summary.get("best_loss")
    if isinstance(first, float) and isinstance(best, float):
        return f"held-out loss {first:.4f} -> {best:.4f} after {summary.get('step')} steps"
    return f"{summary.get('step')} steps"


def _content(given: Settings, what: What, run: str, title: str, text: str) -> tuple[bytes, dict[str, str]]:
    host = urlsplit(given.url).hostname or ""
    kind = given.kind or ("slack" if host == "hooks.slack.com" else "ntfy" if host.startswith("ntfy.") else "json")
    agent = {"User-Agent": "tuiwiz"}
    if kind == "ntfy":
        # Headers are Latin-1; the name of a run may be anything.
        return text.encode(), {**agent, "Title": title.encode("ascii", "replace").decode("ascii")}
    json = {**agent, "Content-Type": "application/json"}
    if kind == "slack":
        # Slack reads `<!channel>` and links out of a text unless these three are escaped.
        return msgspec.json.encode({"text": html.escape(f"{title}: {text}", quote=False)}), json
    document = {"event": what, "run": run, "title": title, "message": text, "host": socket.gethostname()}
    return msgspec.json.encode(document), json


class _SamePlace(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a message goes where the user said and nowhere else."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SamePlace)
