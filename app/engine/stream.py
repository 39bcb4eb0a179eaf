"""One picture as a stream of JSON lines. Pictures and previews are encoded off the engine's thread and the loop's."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.engine.environment import environment
from app.engine.task import Cancelled, Event, Failed, Finished, Progress, Started, Task
from app.engine.worker import Worker
from models.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from models.bundle import Bundle
    from models.calls import Backdrop

KEEP_ALIVE_SECONDS = 5.0
PNG_LEVEL = 1  # a preview lives for a fraction of a second

Line = dict[str, Any]

log = structlog.get_logger()


class PictureStream(StreamingResponse):
    """Submit a recipe and stream what becomes of it; the task is cancelled when the client goes."""

    def __init__(self, worker: Worker, recipe: Recipe, inputs: Mapping[str, Tensor], owner: str = "") -> None:
        self._worker = worker
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def listener(event: Event) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        self._task = Task(recipe, listener, inputs, owner)
        super().__init__(self._lines(), media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._worker.submit(self._task)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._worker.cancel(self._task)

    async def _lines(self) -> AsyncIterator[bytes]:
        began = time.monotonic()
        while True:
            try:
                event = await asyncio.wait_for(self._events.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b"\n"
                continue
            line = await self._line(event)
            yield json.dumps(line).encode() + b"\n"
            if line["event"] in ("image", "failed"):
                self._log(line, time.monotonic() - began)
                return

    async def _line(self, event: Event) -> Line:
        match event:
            case Started():
                return {"event": "started"}
            case Progress(latents=None):
                return {"event": "progress", "step": event.step, "steps": event.steps, "preview": None}
            case Progress():
                return await asyncio.to_thread(_progress, event)
            case Finished():
                return await asyncio.to_thread(_image, event)
            case Failed():
                return {"event": "failed", "code": event.code, "message": event.message}
            case Cancelled():
                raise ConnectionAbortedError("the engine stops")  # breaks the stream: the job may be done elsewhere

    def _log(self, line: Line, seconds: float) -> None:
        recipe = self._task.recipe
        log.info(
            "a picture is over",
            task=self._task.id,
            outcome=line.get("code", "image"),
            checkpoint=recipe.checkpoint,
            seed=recipe.seed,
            steps=recipe.steps,
            seconds=round(seconds, 3),
        )


def _progress(event: Progress) -> Line:
    assert event.latents is not None
    preview = base64.b64encode(_preview_png(event.latents, event.bundle, event.backdrop)).decode()
    return {"event": "progress", "step": event.step, "steps": event.steps, "preview": preview}


def _preview_png(latents: Tensor, bundle: Bundle, backdrop: Backdrop | None) -> bytes:
    """One pixel for each of the latents, or the picture that they are a part of; whoever shows it enlarges it."""
    from PIL import Image

    from models.pixels import to_rgb_bytes
    from models.preview import preview, within

    pixels = preview(latents, bundle.preview_factors).nan_to_num()
    if backdrop is not None:
        pixels = within(pixels, backdrop)
    png = io.BytesIO()
    Image.frombytes("RGB", (pixels.shape[3], pixels.shape[2]), to_rgb_bytes(pixels)).save(
        png, "PNG", compress_level=PNG_LEVEL
    )
    return png.getvalue()


def _image(event: Finished) -> Line:
    from models.pixels import pixel_sha256, to_rgb_bytes

    rgb, height, width = to_rgb_bytes(event.pixels), event.pixels.shape[2], event.pixels.shape[3]
    return {
        "event": "image",
        "width": width,
        "height": height,
        "rgb": base64.b64encode(rgb).decode(),
        "pixel_sha256": pixel_sha256(rgb, width, height),
        "environment": environment(event.bundle, event.compiled),
        "match": None if event.match is None else round(event.match, 3),
    }
