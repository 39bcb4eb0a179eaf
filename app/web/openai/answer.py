"""What OpenAI answers: pictures in base64 or as addresses, at once or as a stream with previews."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from anyio import CancelScope, to_thread
from fastapi import Request
from PIL import Image

from app.services import download, generate
from app.services.download import Kind
from app.services.errors import ServiceError
from app.services.store import Store
from app.services.views import JobView
from app.web import waiting
from app.web.dialects import openai_error
from app.web.openai import files
from app.web.openai.shapes import ImageRequest
from app.web.waiting import ENDED

FREE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}  # nothing is counted, since nothing is charged
FREE_DETAILS = {"input_tokens_details": {"image_tokens": 0, "text_tokens": 0}}


@dataclass(frozen=True)
class Wanted:
    """How the caller wants pictures: `event` is `image_generation` or `image_edit`."""

    owner: str
    group_id: str
    given: ImageRequest
    event: str = "image_generation"

    @property
    def kind(self) -> Kind:
        return self.given.output_format

    @property
    def quality(self) -> int | None:
        return None if self.kind == "png" or self.given.output_compression is None else self.given.output_compression


async def whole(request: Request, wanted: Wanted) -> dict[str, Any]:
    """Wait for all pictures and return them."""
    gone = wanted.given.cancel_on_disconnect
    ended = await waiting.result(request, wanted.owner, wanted.group_id, cancel_when_gone=gone)
    done = waiting.require_some(ended)
    if not done:
        raise ServiceError(409, "cancelled", "The pictures were cancelled before they were done.")
    data = await to_thread.run_sync(lambda: [_datum(request, wanted, job) for job in done])
    recipe = done[0].recipe
    return {
        "created": int(time.time()),
        "data": data,
        "background": "opaque",
        "output_format": wanted.kind,
        "size": f"{recipe.width}x{recipe.height}",
        "usage": {**FREE, **FREE_DETAILS},
    }


async def stream(request: Request, wanted: Wanted) -> AsyncIterator[str]:
    """Yield server-sent events: for each picture up to `partial_images` previews, then the picture."""
    partials, finished = dict[str, list[int]](), set[str]()
    try:
        async for group in waiting.changes(request, wanted.owner, wanted.group_id):
            for job in group.jobs:
                if job.id in finished:
                    continue
                for event in await to_thread.run_sync(_previews, request, wanted, job, partials.setdefault(job.id, [])):
                    yield event
                if job.status in ENDED:
                    finished.add(job.id)
                    yield await to_thread.run_sync(_ending, request, wanted, job)
    finally:
        if wanted.given.cancel_on_disconnect:
            with CancelScope(shield=True):
                await waiting.cancel(request, wanted.owner, wanted.group_id)


def _datum(request: Request, wanted: Wanted, job: JobView) -> dict[str, Any]:
    """One picture; both forms of it where the caller did not say which."""
    assert job.image is not None
    datum: dict[str, Any] = {"seed": job.recipe.seed}
    if wanted.given.response_format != "b64_json":
        datum["url"] = files.address(request, wanted.owner, job.image.id, wanted.kind, wanted.quality)
    if wanted.given.response_format != "url":
        datum["b64_json"] = _file(request, wanted, job)
    return datum


def _file(request: Request, wanted: Wanted, job: JobView) -> str:
    assert job.image is not None
    store: Store = request.app.state.store
    shown = store.settings.prompt_in_files
    content = download.picture(
        store, wanted.owner, job.image.id, wanted.kind, with_recipe=shown, quality=wanted.quality
    )
    return base64.b64encode(content).decode()


def _previews(request: Request, wanted: Wanted, job: JobView, sent: list[int]) -> Iterable[str]:
    """The preview that is due: they are spread evenly over the steps, and each is sent once."""
    count = wanted.given.partial_images
    due = job.step * (count + 1) // max(1, job.steps)
    if job.status != "running" or not len(sent) < min(due, count):
        return []
    found = generate.preview(request.app.state.store, wanted.owner, job.id)
    if found is None or found[0] in sent:
        return []
    sent.append(found[0])
    body = {"b64_json": _enlarged(found[1], job, wanted.kind), "partial_image_index": len(sent) - 1}
    return [_event(f"{wanted.event}.partial_image", wanted, job, body)]


def _ending(request: Request, wanted: Wanted, job: JobView) -> str:
    if job.status == "done" and job.image is not None:
        body = {"b64_json": _file(request, wanted, job), "usage": {**FREE, **FREE_DETAILS}}
        return _event(f"{wanted.event}.completed", wanted, job, body)
    code, message = (job.error.code, job.error.message) if job.error else ("cancelled", "The picture was cancelled.")
    return f"event: error\ndata: {json.dumps(openai_error(500, code, message))}\n\n"


def _event(kind: str, wanted: Wanted, job: JobView, body: dict[str, Any]) -> str:
    about = {
        "type": kind,
        "created_at": int(time.time()),
        "background": "opaque",
        "output_format": wanted.kind,
        "quality": "auto",
        "size": f"{job.recipe.width}x{job.recipe.height}",
    }
    return f"event: {kind}\ndata: {json.dumps({**about, **body})}\n\n"


def _enlarged(png: bytes, job: JobView, kind: Kind) -> str:
    """A preview, which is as small as the latents, at the size of the picture."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as small:
        picture = small.convert("RGB").resize((job.recipe.width, job.recipe.height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, kind.upper())
    return base64.b64encode(out.getvalue()).decode()
