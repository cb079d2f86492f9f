"""`tuiwiz serve [RUN]`: the same screens in a browser."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("serve")
    def serve(
        run: str | None = typer.Argument(None, help="Show this run; left out: the home screen."),
        host: str = typer.Option(
            "127.0.0.1", "--host", help="Address to listen on; others than this machine's ask a token."
        ),
        port: int = typer.Option(8000, "--port", min=1, max=65535, help="Port to listen on."),
        url: str = typer.Option("", "--url", help="The one address that browsers use, such as that of a proxy."),
    ) -> None:
        """Serve the screens to a browser, on this machine alone unless --host says otherwise."""
        import errno
        import socket
        from urllib.parse import urlsplit

        from tuiwiz.base.errors import MachineLacksError, UsageError
        from tuiwiz.cli.output import note, say
        from tuiwiz.runs.registry import find
        from tuiwiz.ui.serve import ANY, is_local, new_token, reached_by, server_for

        if url and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
            raise UsageError(
                f"{url!r} is no address of a page", hint="--url https://HOST, with a port where it has one"
            )
        folder = find(run).path if run is not None else None
        local = is_local(host)
        token = "" if local else new_token()
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE
                hint = (
                    "another program listens there: --port names another one"
                    if taken
                    else "--host and --port say where"
                )
                raise MachineLacksError(f"cannot listen on {host}:{port}: {error.strerror}", hint=hint) from error
        shown = reached_by() if host in ANY else f"[{host}]" if ":" in host else host
        address = (url or f"http://{shown}:{port}").rstrip("/")
        if not local:
            note("tuiwiz: WARNING: whoever has this address and its token acts on this machine with your rights,")
            note("tuiwiz: and without https in front of it the token can be read on the way.")
        say(f"{address}/{f'?token={token}' if token else ''}")
        note("tuiwiz: Ctrl-C ends it; runs go on")
        server_for(folder, host, port, url.rstrip("/"), token).serve()
