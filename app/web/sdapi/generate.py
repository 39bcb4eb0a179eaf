"""`txt2img` and `img2img`: the answer is the pictures, so the request waits, in the same queue as all others."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request

from app.services import batch, client_options
from app.services.fitting import ResizeMode
from app.services.store import Store
from app.web import waiting
from app.web.api.requests import require_json
from app.web.caller import Caller
from app.web.dependencies import CatalogueDep, StoreDep
from app.web.sdapi import answer, beginning, tasks, translate
from app.web.sdapi.shapes import ImageRequest, PictureRequest, TextRequest
from app.web.sdapi.translate import Translated

router = APIRouter(prefix="/sdapi/v1", dependencies=[Depends(require_json)])

IdempotencyKey = Annotated[str | None, Header()]


@router.post("/txt2img")
async def txt2img(
    request: Request,
    store: StoreDep,
    catalogue: CatalogueDep,
    caller: Caller,
    given: TextRequest,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make pictures of a prompt."""

    def read() -> Translated:
        translate.with_infotext(given)
        options = translate.options_of(catalogue, given, client_options.get(store, caller))
        return translate.translate(catalogue, given, options)

    return await _made(request, caller, given, await to_thread.run_sync(read), idempotency_key)


@router.post("/img2img")
async def img2img(
    request: Request,
    store: StoreDep,
    catalogue: CatalogueDep,
    caller: Caller,
    given: ImageRequest,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Make pictures from a picture, all of it or what a mask says."""

    def read() -> Translated:
        translate.with_infotext(given)
        options = translate.options_of(catalogue, given, client_options.get(store, caller))
        sources = beginning.sources(given, options, catalogue.default_request(options.sd_model_checkpoint))
        translated = translate.translate(catalogue, given, options, sources)
        if given.resize_mode == ResizeMode.LATENT:
            translated.warnings.append("resize_mode 3 stretches the picture here, not the latents.")
        return translated

    return await _made(request, caller, given, await to_thread.run_sync(read), idempotency_key)


async def _made(
    request: Request, owner: str, given: PictureRequest, translated: Translated, key: str | None
) -> dict[str, Any]:
    state = request.app.state
    store: Store = state.store
    with translate.their_names():
        group = await to_thread.run_sync(batch.submit, store, state.catalogue, owner, translated.batch, key)
    if given.override_settings and given.override_settings_restore_afterwards is False:
        await to_thread.run_sync(client_options.put, store, owner, translated.options)
    with tasks.of(request.app).named(owner, given.force_task_id, group.id):
        ended = await waiting.result(request, owner, group.id, cancel_when_gone=given.cancel_on_disconnect)
    done = waiting.require_some(ended)

    def answered() -> dict[str, Any]:
        images = answer.images(store, owner, translated.options, done) if given.send_images is not False else []
        info = answer.info(state.catalogue, translated, ended.jobs, done)
        return {"images": images, "parameters": _echo(given), "info": info}

    return await to_thread.run_sync(answered)


def _echo(given: PictureRequest) -> dict[str, Any]:
    shown = answer.echo(given)
    if isinstance(given, ImageRequest) and given.include_init_images:
        shown |= {"init_images": given.init_images, "mask": given.mask}
    return shown
