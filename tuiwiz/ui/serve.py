"""The screens in a browser, through textual-serve: on this machine alone, or elsewhere for whoever has the token.

Whoever reaches the page acts with this user's rights. So the page answers only requests that name the host it was
started for (a foreign site cannot point its own name at it), the socket only pages of its own, and beyond this machine
both want a token, which the first visit turns into a cookie.

`python -m tuiwiz.ui.serve [RUN]` is the application that each visitor gets.
"""

from __future__ import annotations

import copy
import hmac
import ipaddress
import logging
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

COOKIE = "tuiwiz-token"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
ANY = frozenset({"0.0.0.0", "::"})
"""Hosts that mean all addresses of this machine."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_local(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of_this_machine() -> frozenset[str]:
    """All that browsers may call this machine: its names and the addresses of its network cards."""
    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    cards = (card for cards in psutil.net_if_addrs().values() for card in cards if card.family in families)
    addresses = {card.address.partition("%")[0].lower() for card in cards}
    return LOCAL | addresses | {socket.gethostname().lower(), socket.getfqdn().lower()}


def reached_by() -> str:
    """The address by which others most likely reach this machine: that of the card that leads to them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of documentation; nothing is sent
        except OSError:
            return socket.getfqdn()
        return str(probe.getsockname()[0])


def new_token() -> str:
    return secrets.token_urlsafe(24)


class Door:
    """Who is let in: by the host that a request names, its page of origin, and the token where there is one."""

    def __init__(self, hosts: frozenset[str], token: str = "") -> None:
        self._hosts = hosts
        self._token = token

    def refusal(self, host: str, origin: str | None, given: str) -> str:
        """Why a request is refused; empty where it is let in. `host` and `origin` are the headers of these names."""
        if (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            return "this name is not the one that the page was started for: `tuiwiz serve --url ADDRESS` names another"
        if origin is not None and (urlsplit(origin).hostname or "") not in self._hosts:
            return "only pages of this server may ask"
        if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
            return "the token is missing or wrong: open the address that `tuiwiz serve` printed"
        return ""


class TuiwizServer(Server):  # type: ignore[misc]
    """textual-serve behind a door, without its banner."""

    def __init__(self, command: str, host: str, port: int, url: str, door: Door) -> None:
        super().__init__(command, host=host, port=port, title="tuiwiz", public_url=url)
        self.door = door
        self._any_name = not url

    def initialize_logging(self) -> None:
        logging.basicConfig(level="WARNING")
        logging.getLogger("aiohttp.server").addFilter(_no_nonsense)

    async def handle_index(self, request: web.Request) -> Any:
        """The page, whose socket goes to the name that the page was asked by: the cookie holds for that one."""
        page = copy.copy(self)
        if self._any_name:
            page.public_url = f"{request.scheme}://{request.host}"
        return await Server.handle_index(page, request)

    async def on_startup(self, app: web.Application) -> None:
        """Nothing: the command has said where it serves."""

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @property
    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            asked = request.query.get("token", "")
            refusal = self.door.refusal(
                request.headers.get("Host", ""),
                request.headers.get("Origin"),
                asked or request.cookies.get(COOKIE, ""),
            )
            if refusal:
                raise web.HTTPForbidden(text=refusal)
            if request.path == "/ws" and request.headers.get("Upgrade", "").lower() != "websocket":
                raise web.HTTPBadRequest(text="this is a socket, no page")
            response = await handler(request)
            if asked and not response.prepared:
                response.set_cookie(COOKIE, asked, httponly=True, samesite="Strict")
            return response

        return guard


def _no_nonsense(record: logging.LogRecord) -> bool:
    """What is no HTTP, such as a browser that tries https, is answered by a refusal and worth no traceback."""
    from aiohttp.http_exceptions import HttpProcessingError

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def server_for(run: Path | None, host: str, port: int, url: str, token: str) -> TuiwizServer:
    """A server whose visitors see the home screen, or `run`. `url`: the one address that browsers use; empty: any name
    of this machine, where `host` means all of its addresses, else `host` itself."""
    command = shlex.join([sys.executable, "-m", "tuiwiz.ui.serve", *([str(run)] if run is not None else [])])
    hosts = {urlsplit(url).hostname or host.lower(), host.lower()} | (LOCAL if is_local(host) else set())
    if host in ANY:
        hosts |= names_of_this_machine()
    return TuiwizServer(command, host, port, url, Door(frozenset(hosts), token))


def main(argv: list[str]) -> int:
    from tuiwiz.ui.app import run_app

    return run_app(screen="run", run=Path(argv[0])) if argv else run_app()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
