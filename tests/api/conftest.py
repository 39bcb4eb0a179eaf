"""A whole server in this process, on a fake engine, and three browsers: Alice, Bob and Charlie, who is a stranger."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.engine.client import EngineClient
from app.main import Server, create_app, make_server
from app.services import catalogue, entries, hashes, pictures
from app.services.entries import Entry
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.storing import migrated
from tests.conftest import TINY_SCHEDULER, TINY_UNET, TINY_VAE
from tests.hollow import write_hollow

ADDRESS = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 20.0


_ask_once = cache(pictures._ask_child)


@pytest.fixture(autouse=True)
def decode_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start one child process for each picture instead of each test: `tests/app/test_pictures.py` is about those."""
    monkeypatch.setattr(pictures, "_ask_child", _ask_once)


_looked_at: dict[tuple[str, Path, object], Entry] = {}


def _read_once(name: str, path: Path) -> Entry:
    """Know a folder that was whole by what lies in it, as a server that goes on does; look at all else anew."""
    key = (name, path, entries.stamp_of(path))
    known = _looked_at.get(key)
    if known is None:
        known = entries.read(name, path)
        if known.facts is not None and path.is_dir():
            _looked_at[key] = known
    return known


@pytest.fixture(autouse=True)
def look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the embedded checkpoint once, not at each start: `tests/app/test_services_catalogue.py` is about it."""
    monkeypatch.setattr(catalogue, "read", _read_once)


@pytest.fixture(scope="session")
def bare_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder whose weights are zeros: enough for the web, which only reads headers."""
    folder = tmp_path_factory.mktemp("checkpoints") / "bare"
    jsons = {
        "model_index.json": {"_class_name": "StableDiffusionPipeline"},
        "unet/config.json": TINY_UNET,
        "vae/config.json": TINY_VAE,
        "text_encoder/config.json": {
            "hidden_size": TINY_UNET["cross_attention_dim"],
            "intermediate_size": 32,
        },
        "scheduler/scheduler_config.json": TINY_SCHEDULER,
        "mezzotint.json": {"title": "Bare", "defaults": {"steps": 6, "guidance_scale": 3.0}},
    }
    for name, content in jsons.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return write_hollow(folder)


@pytest.fixture(autouse=True)
def no_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave checkpoints without a hash, however long a test takes."""
    monkeypatch.setattr(hashes, "START_SECONDS", 3600.0)


@pytest.fixture
def settings(tmp_path: Path, bare_checkpoint: Path) -> Settings:
    return migrated(Settings(data=tmp_path / "data", checkpoint=str(bare_checkpoint), max_pending=12))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "engine.sock", checkpoints=("bare",)) as fake:
        yield fake


@pytest.fixture
def build(engine: FakeEngine) -> Callable[[Settings], FastAPI]:
    """Make a server with other settings on the same engine."""
    return lambda settings: create_app(settings, engine=EngineClient(engine.socket))


@pytest.fixture
def app(settings: Settings, build: Callable[[Settings], FastAPI]) -> FastAPI:
    return build(settings)


@pytest.fixture
def alice(app: FastAPI) -> Iterator[TestClient]:
    """The browser whose things the tests are about; it also starts and stops the server."""
    with TestClient(app, base_url=ADDRESS) as client:
        yield client


@pytest.fixture
def charlie(app: FastAPI, alice: TestClient) -> TestClient:  # noqa: ARG001, the server must run
    """A stranger's browser."""
    return TestClient(app, base_url=ADDRESS)


@pytest.fixture
def live(app: FastAPI, settings: Settings) -> Iterator[str]:
    """The address of the same server on a real port, for what only a real connection can show."""
    server = make_server(app, settings.model_copy(update={"port": 0}))
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port_of(server, thread)}"
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "the server did not end"


def port_of(server: Server, thread: threading.Thread) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
