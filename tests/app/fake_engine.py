"""An engine without torch: the same protocol on a Unix socket, in a thread, with pictures made from the seed.

Use it as a context manager and reach it with `EngineClient(fake.socket)`. Its attributes may be changed at any time
and hold for the jobs that start, or the steps that come, after that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import math
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn
from PIL import Image
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.engine.inputs import named_inputs
from models.recipe import Recipe, explain

PREVIEW_SECONDS = 0.2  # between two previews of a picture at least, as in the engine
ENVIRONMENT = {
    "fingerprint": "0" * 64,
    "device": "cpu",
    "dtype": "float32",
    "torch": "none",
    "version": "0",
}


def picture(recipe: Recipe) -> bytes:
    """Return the raw RGB bytes that the fake engine paints for `recipe`: they depend on every field of it."""
    size = recipe.width * recipe.height * 3
    return hashlib.shake_256(recipe.to_json().encode()).digest(size)


def pixel_sha256(recipe: Recipe) -> str:
    """Return the hash that the fake engine reports for `recipe`."""
    return hashlib.sha256(picture(recipe)).hexdigest()


class Killable(uvicorn.Server):
    """uvicorn looks ten times a second whether it is to end, and then waits as long; hundreds of tests would too."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell_to_end(self) -> None:
        """End it from another thread, whatever it is doing."""
        self.force_exit = self.should_exit = True
        assert self._loop is not None, "it has not started"
        self._loop.call_soon_threadsafe(self._told.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002, uvicorn's signature
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            with contextlib.suppress(AttributeError):
                connection.transport.abort()


class FakeEngine:
    """Serve `/status`, `/healthz` and `/generate` from a thread of this process.

    `step_delay` seconds a step; `state`, `error`, `fingerprint` as in `/status`; `die_at_step` breaks the stream of a
    job that reaches that step, `deaths` times in all; `fail_with` {code, message} ends each job with `failed`;
    `unknown` checkpoints answer 404. `started` and `finished` list recipes in order, `inputs` the pictures that came
    with each, `cancelled` those whose stream was closed early; `running` and `most_running` count jobs.
    """

    def __init__(self, socket: Path, *, step_delay: float = 0.0, checkpoints: tuple[str, ...] = ("embedded",)) -> None:
        self.socket = socket
        self.step_delay = step_delay
        self.checkpoints = checkpoints
        self.state = "ready"
        self.error: str | None = None
        self.die_at_step: int | None = None
        self.deaths = 1_000_000
        self.fingerprint: str | None = None
        self.fail_with: dict[str, str] | None = None
        self.inputs: list[dict[str, bytes]] = []
        self.started: list[Recipe] = []
        self.finished: list[Recipe] = []
        self.cancelled: list[Recipe] = []
        self.running = 0
        self.most_running = 0
        self._server: Killable | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FakeEngine:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Listen; also again after `kill`."""
        self.socket.unlink(missing_ok=True)
        config = uvicorn.Config(self._app(), uds=str(self.socket), log_level="critical", lifespan="off", ws="none")
        self._server = Killable(config)
        self._thread = threading.Thread(target=self._server.run, name="fake-engine", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the fake engine did not start on {self.socket}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Go away as after kill -9: streams break, nobody listens."""
        if self._server is None or self._thread is None:
            return
        self.socket.unlink(missing_ok=True)  # first: what is killed does not take a new connection while it dies
        for connection in list(self._server.server_state.connections):
            with contextlib.suppress(AttributeError, RuntimeError):
                self._server.servers[0].get_loop().call_soon_threadsafe(connection.transport.abort)
        self._server.tell_to_end()
        self._thread.join(10)
        self._server = self._thread = None

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/status", self._status),
                Route("/generate", self._generate, methods=["POST"]),
            ]
        )

    async def _healthz(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"ok": True})

    async def _status(self, request: Request) -> Response:  # noqa: ARG002
        steps = sum(recipe.steps for recipe in self.finished)
        names = [
            {"name": name, "state": self.state, "error": self.error, "fingerprint": self.fingerprint}
            for name in self.checkpoints
        ]
        return JSONResponse(
            {
                "state": self.state,
                "error": self.error,
                "device": "cpu",
                "dtype": "float32",
                "torch": "none",
                "checkpoints": names,
                "running": self.running,
                "metrics": {
                    "rows_total": 2 * steps,
                    "calls_total": steps,
                    "rows_per_call": 2.0,
                    "step_seconds_total": steps * self.step_delay,
                    "steps_total": steps,
                    "padding_total": steps,
                    "edges": [0.1, 1.0],
                    "call_seconds": {"counts": [steps, 1, 1], "total": 4.5},
                },
            }
        )

    async def _generate(self, request: Request) -> Response:
        try:
            body = await request.json()
            recipe = Recipe.model_validate(body["recipe"])
        except ValidationError as error:
            return JSONResponse(
                {"code": "invalid", "message": "the recipe is invalid", "fields": explain(error)}, status_code=422
            )
        if recipe.checkpoint not in self.checkpoints:
            message = f"there is no checkpoint {recipe.checkpoint!r}"
            return JSONResponse({"code": "checkpoint", "message": message}, status_code=404)
        inputs = {name: base64.b64decode(text) for name, text in body.get("inputs", {}).items()}
        if absent := [sha256 for sha256 in named_inputs(recipe).values() if sha256 not in inputs]:
            message = f"the picture {absent[0]} is not among the inputs"
            return JSONResponse({"code": "invalid", "message": message}, status_code=422)
        self.inputs.append(inputs)
        return StreamingResponse(self._lines(recipe), media_type="application/x-ndjson")

    async def _lines(self, recipe: Recipe) -> AsyncIterator[str]:
        self.started.append(recipe)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        complete = False
        try:
            async for event in self._events(recipe):
                complete = event["event"] in ("image", "failed")
                if complete:
                    self.finished.append(recipe)
                yield json.dumps(event) + "\n"
        finally:
            self.running -= 1
            if not complete:
                self.cancelled.append(recipe)

    async def _events(self, recipe: Recipe) -> AsyncIterator[dict[str, Any]]:
        yield {"event": "started"}
        rgb, previewed_at = picture(recipe), -math.inf
        for step in range(recipe.steps):
            await asyncio.sleep(self.step_delay)
            if step == self.die_at_step and self.deaths > 0:
                self.deaths -= 1
                raise ConnectionAbortedError("the fake engine dies, as it was told")
            preview = None
            if time.monotonic() - previewed_at >= PREVIEW_SECONDS:
                preview, previewed_at = _preview(rgb, step), time.monotonic()
            yield {"event": "progress", "step": step + 1, "steps": recipe.steps, "preview": preview}
        if self.fail_with is not None:
            yield {"event": "failed", **self.fail_with}
            return
        yield {
            "event": "image",
            "width": recipe.width,
            "height": recipe.height,
            "rgb": base64.b64encode(rgb).decode(),
            "pixel_sha256": hashlib.sha256(rgb).hexdigest(),
            "environment": {"checkpoint": recipe.checkpoint, **ENVIRONMENT},
        }


def _preview(rgb: bytes, step: int) -> str:
    """Return a base64 PNG of 8 by 8 pixels that differs from step to step."""
    image = Image.frombytes("RGB", (8, 8), bytes(value ^ (step & 0xFF) for value in rgb[:192]))
    png = io.BytesIO()
    image.save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()
