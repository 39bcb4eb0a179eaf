"""The web process: puts the app together, and runs it. Knows no torch; the engine is a child process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.routing import BaseRoute

from app.engine import log
from app.engine.child import Child
from app.engine.client import EngineClient, EngineError
from app.services.catalogue import Catalogue
from app.services.dispatch import Dispatcher, Engine
from app.services.signal import Signal
from app.services.store import Store
from app.settings import Settings
from app.web import errors, events, files, pages
from app.web.api import health
from app.web.connections import Connection
from app.web.cors import Programs
from app.web.dependencies import EngineWatch
from app.web.later import Later, interfaces
from app.web.limits import RequestLimits, Streams
from app.web.metrics import CountRequests, Metrics
from app.web.owner import OwnerCookieMiddleware, OwnerCookies
from app.web.security import Guard, Headers
from app.web.templating import static_app, static_root

DESCRIPTION = "Ask for pictures, follow them, keep them, share them. No account: a signed cookie tells who you are."
API_VERSION = "1"
CONNECTIONS = 1000
HEADER_BYTES = 16 * 1024
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 20
STOP_SECONDS = 4.0  # for putting running jobs back


def create_app(settings: Settings, *, engine: Engine | None = None, child: Child | None = None) -> FastAPI:
    """Return the whole web application.

    With `engine` it uses that one; otherwise it minds its own, which is `child` if that was started already.
    """
    app = FastAPI(
        title="Mezzotint",
        version=API_VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(settings, engine, child),
        routes=_routes(),
    )
    app.state.settings = settings
    app.state.metrics = Metrics()
    app.state.streams = Streams()
    app.state.signal = Signal()
    app.state.later = Later(app.router, interfaces)
    errors.install(app)
    _add_middleware(app, settings)
    app.mount(static_root(), static_app(), name="static")
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add what every request passes; the last one added sees it first."""
    app.add_middleware(OwnerCookieMiddleware)
    app.add_middleware(RequestLimits)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Programs, settings=settings)
    app.add_middleware(errors.ErrorBorder)
    app.add_middleware(Headers)
    app.add_middleware(CountRequests, metrics=app.state.metrics)


@cache
def _routes() -> list[BaseRoute]:
    """The routes of pages, of what they show, and of health. Every app of this process has the same.

    They are taken out of their routers as they are: `include_router` would make each of them a second time at the first
    request, which took longer than all else that the first page needs.
    """
    routers = (health.router, files.router, events.router, *pages.PARTS)
    return [route for router in routers for route in router.routes]


def _lifespan(
    settings: Settings, engine: Engine | None, child: Child | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = await asyncio.to_thread(Store, settings, app.state.signal.notify)
        app.state.store = store
        catalogue = app.state.catalogue = Catalogue(settings)
        await asyncio.to_thread(catalogue.start)
        app.state.owner_cookies = OwnerCookies(settings.data)
        try:
            async with _engine(settings, catalogue, engine, child) as reached:
                app.state.engine_watch = EngineWatch(partial(_status, reached))
                app.state.dispatcher = Dispatcher(
                    store, reached, settings, app.state.signal, catalogue.sha256, catalogue.room.note
                )
                app.state.later.load_soon()
                async with _running(app.state.dispatcher):
                    yield
        finally:
            close_streams(app)
            await asyncio.to_thread(catalogue.close)
            await asyncio.to_thread(store.close)

    return lifespan


@asynccontextmanager
async def _engine(
    settings: Settings, catalogue: Catalogue, given: Engine | None, child: Child | None
) -> AsyncIterator[Engine]:
    if given is not None:
        yield given
        return
    from app.engine.supervisor import Supervisor

    async with Supervisor(settings, first=child) as supervisor:
        yield EngineClient(supervisor.socket, catalogue.path_of)


async def _status(engine: Engine) -> dict[str, Any] | None:
    try:
        return await engine.status()
    except EngineError:
        return None


@asynccontextmanager
async def _running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        while not task.done():  # asyncio.wait_for loses a cancellation that comes with its result (Python 3.11)
            task.cancel()
            await asyncio.wait((task,), timeout=STOP_SECONDS)


def close_streams(app: FastAPI) -> None:
    """Let every event stream say goodbye and end."""
    app.state.streams.is_closing = True
    app.state.signal.notify()


class Server(uvicorn.Server):
    """uvicorn that ends the event streams first, since they would otherwise hold up its shutdown.

    A first signal ends it in good order and with status 0 (uvicorn would raise the signal again), a second at once.
    `announce` is called once it answers.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002, uvicorn's signature
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        assert isinstance(app, FastAPI)
        close_streams(app)
        await super().shutdown(sockets)


def make_server(app: FastAPI, settings: Settings, announce: Callable[[], None] = lambda: None) -> Server:
    """Return a server with our limits, not yet running."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        http=Connection,
        ws="none",
    )
    return Server(config, announce)


def serve(
    settings: Settings, listener: socket.socket, *, child: Child | None = None, announce: Callable[[], None]
) -> bool:
    """Serve on a socket until SIGTERM or SIGINT. False: it could not start."""
    log.configure()
    server = make_server(create_app(settings, child=child), settings, announce)
    server.run(sockets=[listener])
    return server.started
