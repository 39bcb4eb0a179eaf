"""`serve`: the pages and the API, until a signal ends it.

The engine takes seconds to import what it needs, so it is started before the web process imports what that needs.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from types import ModuleType

from app.cli.flags import add_settings, settings_of
from app.cli.folder import require_folder
from app.collector import settled
from app.engine.child import start_engine
from app.exposure import UnsafeBind, require_safe_bind
from app.lean import built_when_used
from app.settings import Settings

BACKLOG = 2048


def main(argv: list[str]) -> int:
    """Serve. Returns 1 if the server could not start."""
    parser = argparse.ArgumentParser(
        prog="python3 -m app serve", usage="%(prog)s [options]", description="Serve the pages and the API."
    )
    add_settings(parser)
    settings = settings_of(parser, parser.parse_args(argv))
    try:
        require_safe_bind(settings)
    except UnsafeBind as error:
        parser.error(str(error))
    require_folder(parser, settings)
    listener = listen(parser, settings)
    child = start_engine(settings)
    serve = web().serve
    url = address(listener)
    started = serve(
        settings,
        listener,
        child=child,
        announce=lambda: print(f"Mezzotint is at {url}  (Ctrl-C stops it)", flush=True),
    )
    return 0 if started else 1


def web() -> ModuleType:
    """Import the web process's program. FastAPI's models of OpenAPI are built when somebody wants the schema."""
    with settled():
        with built_when_used():
            import fastapi  # noqa: F401
        from app import main

    return main


def address(listener: socket.socket) -> str:
    """The URL of a listening socket; one that listens everywhere is reached at this machine's own name for itself."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(parser: argparse.ArgumentParser, settings: Settings) -> socket.socket:
    """Bind before anything is started, so that the likeliest thing to be wrong is said first.

    Connections send at once: without that an answer's body waited 40 ms for its reader to acknowledge the head.
    (asyncio sees to it itself, but not for a socket that `create_server` made, which names no protocol.)
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        parser.error(f"--host {settings.host}: {error.strerror}")
    family, *_, target = found[0]
    try:
        listener = socket.create_server(target[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        parser.error(f"--port {settings.port} on {settings.host}: {error.strerror}. Choose another one, or 0 for any.")
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
