"""Who is let in to the screens in a browser, and that they are shown there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, WSMsgType, web

from tests.support import streams
from tuiwiz.cli.main import main
from tuiwiz.ui.serve import COOKIE, Door, is_local, reached_by, server_for

LOCAL = [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]


@pytest.mark.parametrize(("host", "local"), LOCAL)
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_a_door_wants_its_own_name_its_own_pages_and_its_token() -> None:
    door = Door(frozenset({"127.0.0.1", "localhost"}), "secret")
    assert door.refusal("localhost:8000", None, "secret") == ""
    assert door.refusal("localhost:8000", "http://localhost:8000", "secret") == ""
    assert "name" in door.refusal("evil.example:8000", None, "secret")
    assert "pages" in door.refusal("localhost:8000", "http://evil.example", "secret")
    assert "pages" in door.refusal("localhost:8000", "null", "secret")
    for wrong in ("", "secre", "Secret", "secret\u00e9"):
        assert "token" in door.refusal("localhost:8000", None, wrong)


async def test_a_visitor_sees_the_run_and_a_stranger_nothing(tmp_path: Path) -> None:
    run = streams.finished_run(tmp_path / "run")
    others = set(psutil.Process().children())  # such as the resource tracker that an earlier test started
    server = server_for(run.path, "127.0.0.1", 0, "http://127.0.0.1", "secret")
    runner = web.AppRunner(await server._make_app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    base = f"http://127.0.0.1:{port}"
    try:
        async with ClientSession() as stranger:
            for path in ("/", "/ws", "/static/js/textual.js"):
                async with stranger.get(base + path) as answer:
                    assert answer.status == 403
        from aiohttp import CookieJar

        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as visitor:
            async with visitor.get(f"{base}/?token=secret") as answer:
                assert answer.status == 200 and answer.cookies[COOKIE]["httponly"]
            shown = b""
            async with visitor.ws_connect(f"{base}/ws?width=80&height=24", headers={"Origin": base}) as stream:
                while b"gsm8k-qwen3-8b" not in shown:
                    message = await stream.receive(timeout=30)
                    assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), "the screen ended before it was drawn"
                    shown += message.data if isinstance(message.data, bytes) else b""
    finally:
        await runner.cleanup()
        # Each visitor's application must be over before the loop is, or its pipes are closed by nobody.
        for child in set(psutil.Process().children()) - others:
            await asyncio.to_thread(child.wait, 60)
        await asyncio.sleep(0)


async def test_every_name_of_the_machine_opens_a_page_whose_socket_has_the_same_name() -> None:
    server = server_for(None, "0.0.0.0", 0, "", "secret")
    runner = web.AppRunner(await server._make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    page = f"http://127.0.0.1:{port}/?token=secret"
    try:
        async with ClientSession() as browser:
            for name in sorted({"localhost", "127.0.0.1", socket.gethostname().lower(), reached_by()}):
                async with browser.get(page, headers={"Host": f"{name}:{port}"}) as answer:
                    assert answer.status == 200, name
                    assert f'"ws://{name}:{port}/ws"' in await answer.text()
            async with browser.get(page, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403 and "--url" in await answer.text()
            async with browser.get(page.replace("/?", "/ws?")) as answer:
                assert answer.status == 400
    finally:
        await runner.cleanup()


def test_one_address_is_one_name_and_must_be_one() -> None:
    door = server_for(None, "192.0.2.7", 80, "https://proxy.example", "secret").door
    assert door.refusal("proxy.example", "https://proxy.example", "secret") == ""
    assert door.refusal("192.0.2.7", None, "secret") == ""
    assert "name" in door.refusal("localhost", None, "secret")
    assert main(["serve", "--url", "proxy.example"]) == 2
