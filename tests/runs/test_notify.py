"""Messages to the user's own webhook: what, when, in which form, and never a secret anywhere else."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import fake_executor, tuiwiz, write_bundle
from tests.support.streams import finished_run
from tuiwiz.events import types
from tuiwiz.events.writer import EventWriter
from tuiwiz.runs import notify
from tuiwiz.runs.notify import Settings, Watcher, send, settings, trouble


class Webhook:
    """A server that remembers what was posted; `redirect` sends everyone elsewhere."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.redirect = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                outer.got.append((self.path, dict(self.headers), self.rfile.read(size)))
                self.send_response(307 if outer.redirect else 200)
                if outer.redirect:
                    self.send_header("Location", outer.redirect)
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token-s3cret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_what_is_configured_is_read_and_nonsense_is_nothing(config: Path) -> None:
    assert settings() == Settings()
    config.write_text('[notify]\nurl = "https://ntfy.sh/mine"\non = ["failed"]\n')
    assert settings().url == "https://ntfy.sh/mine" and settings().on == ("failed",)
    for bad in (
        "notify = 3",
        '[notify]\nurl = "file:///etc/passwd"',
        '[notify]\nurl = "ftp://x/y"',
        '[notify]\nurl = "http://[::s3cret"',
        '[notify]\nurl = "https://ntfy.sh/s3cret"\non = ["finish"]',
        "[notify]\nurl = 3",
        "[",
    ):
        config.write_text(bad)
        assert settings() == Settings()
        assert trouble() and "s3cret" not in trouble()
    config.write_text("")
    assert not trouble()


def test_each_service_gets_its_own_form(webhook: Webhook) -> None:
    assert send(Settings(url=webhook.url), "finished", "run", "all well\x1b[31m")
    assert send(Settings(url=webhook.url, kind="ntfy"), "failed", "rün", "höh")
    assert send(Settings(url=webhook.url, kind="slack"), "alert", "run", "loss is <!channel>")
    document, ntfy, slack = webhook.got
    found = json.loads(document[2])
    assert (found["event"], found["run"], found["message"]) == ("finished", "run", "all well")
    assert ntfy[1]["Title"] == "tuiwiz: r?n failed" and ntfy[2].decode() == "höh"
    assert json.loads(slack[2]) == {"text": "tuiwiz: run alert: loss is &lt;!channel&gt;"}


def test_only_what_was_asked_for_is_sent_and_nowhere_else(webhook: Webhook) -> None:
    assert not send(Settings(url=webhook.url, on=("failed",)), "finished", "run", "x")
    assert not send(Settings(), "failed", "run", "x")
    assert not webhook.got
    webhook.redirect = webhook.url.replace("token", "elsewhere")
    assert not send(Settings(url=webhook.url), "failed", "run", "x")
    assert [path for path, _, _ in webhook.got] == ["/token-s3cret"]
    assert not send(Settings(url="http://127.0.0.1:9/nobody"), "failed", "run", "x")


def test_a_run_tells_its_alerts_once_and_its_end(webhook: Webhook, config: Path, tmp_path: Path) -> None:
    config.write_text(f'[notify]\nurl = "{webhook.url}"\n')
    run = finished_run(tmp_path / "run", steps=3)
    watcher = Watcher(run)
    watcher.start()
    writer = EventWriter(run.events)
    for _ in range(3):
        writer.write(types.Alert, rule="spike", severity="warning", message="the loss jumped")
    writer.write(types.Alert, rule="hint", severity="info", message="nothing")
    writer.write(types.Failed, summary={"message": "the loss is not a number"})
    writer.close()
    watcher.end("exit code 6")
    told = [json.loads(body) for _, _, body in webhook.got]
    assert [(one["event"], one["message"]) for one in told] == [
        ("alert", "the loss jumped"),
        ("failed", "the loss is not a number"),
    ]


def test_a_run_that_dies_without_a_word_is_told_by_its_supervisor(
    webhook: Webhook, config: Path, tmp_path: Path
) -> None:
    config.write_text(f'[notify]\nurl = "{webhook.url}"\non = ["finished", "failed"]\n')
    bundle = write_bundle(tmp_path / "work")
    for name, options in (("dead", ("--at", 3)), ("fine", ())):
        tuiwiz("run", bundle, "--out", tmp_path / name, env=fake_executor(*options))
    told = [json.loads(body) for _, _, body in webhook.got]
    assert [(one["event"], one["run"]) for one in told] == [("failed", "dead"), ("finished", "fine")]
    assert "SIGKILL" in told[0]["message"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != config]
    assert written and not [path for path in written if b"s3cret" in path.read_bytes()], "the address stays a secret"


def test_the_terminal_is_rung_only_where_there_is_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notify.ring("run", "finished")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    notify.ring("evil\x07\x1b]52;c;ZXZpbA==\x07", "finished")
    told = capsys.readouterr().err
    assert told.startswith("\x07\x1b]9;tuiwiz: evil") and told.count("\x1b") == 1 and "]52" not in told


def test_an_answer_that_is_no_http_and_addresses_that_are_none_fail_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"\x00\x1b[2J no http\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not send(Settings(url=f"http://127.0.0.1:{server.getsockname()[1]}/"), "failed", "run", "x")
        thread.join()
    for url in ("http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1/a b", "http://x:y@127.0.0.1:9/"):
        assert not send(Settings(url=url), "failed", "run", "x")
