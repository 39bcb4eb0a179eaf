"""The server as a process: what it imports, and how it ends."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from fastapi import FastAPI

from app.cli.serve import listen
from app.main import make_server
from app.settings import Settings
from tests.api.conftest import port_of
from tests.api.reading import browser, stream, until

HEAVY = ("torch", "transformers", "diffusers", "alembic", "PIL.ImageFilter", "numpy")


def test_the_web_process_imports_nothing_heavy() -> None:
    code = (
        "import sys; from app.main import create_app; from app.settings import Settings; create_app(Settings()); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
