"""The server as a process: what it imports, and how it ends."""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from app.cli.serve import listen
from app.main import make_server
from app.settings import Settings
from app.web import later
from app.web.later import Later
from tests.api.conftest import port_of
from tests.api.reading import browser, stream, until

HEAVY = (
    *("torch", "transformers", "diffusers", "open_clip", "huggingface_hub", "numpy"),
    *("alembic", "PIL.ImageFilter", "rich", "app.web.sdapi", "app.web.openai", "app.web.api.canvases"),
)


def test_the_web_process_imports_nothing_heavy() -> None:
    code = (
        "import sys; from app.cli.serve import web; from app.settings import Settings; web().create_app(Settings()); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_routes_that_no_page_needs_come_soon_or_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "SOON_SECONDS", 0.0)
    more = [Route("/more", PlainTextResponse("more"))]
    asked, soon = Router(), Router()
    Later(asked, lambda: more)

    async def start() -> None:
        Later(soon, lambda: more).load_soon()
        while not soon.routes:
            await asyncio.sleep(0.001)

    client = TestClient(asked)
    assert (client.get("/none").status_code, client.get("/more/").text) == (404, "more")
    asyncio.run(asyncio.wait_for(start(), 20))


def test_answers_are_sent_at_once(settings: Settings) -> None:
    listener = listen(argparse.ArgumentParser(), settings.model_copy(update={"port": 0}))
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_sigterm_ends_streams_and_process_in_good_order(settings: Settings, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from app.engine.client import EngineClient
from app.main import create_app, make_server
from app.settings import Settings

settings = Settings(data=Path(sys.argv[1]), checkpoint=sys.argv[2], port=0)
app = create_app(settings, engine=EngineClient(Path(sys.argv[1]) / "nobody.sock"))
server = make_server(app, settings, lambda: print(server.servers[0].sockets[0].getsockname()[1], flush=True))
server.run()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "data"), settings.checkpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        with browser(address) as bob, stream(bob, "/events") as messages:
            next(messages)
            process.terminate()
            assert [message.event for message in messages] == ["bye"]
        assert process.wait(10) == 0


def test_open_streams_say_goodbye_and_do_not_hold_up_the_end(app: FastAPI, settings: Settings) -> None:
    server = make_server(app, settings.model_copy(update={"port": 0}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with browser(f"http://127.0.0.1:{port_of(server, thread)}") as bob, stream(bob, "/api/events") as messages:
        next(messages)
        began = time.monotonic()
        server.should_exit = True
        assert until(messages, "bye")[-1].event == "bye"
        assert list(messages) == []
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 8
