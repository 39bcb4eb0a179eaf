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
from app.web.sdapi import answer, beginning, translate
from app.web.sdapi.answer import Made
from app.web.sdapi.shapes import ImageRequest, PictureRequest, TextRequest
from app.web.sdapi.translate import Translated
from app.web.sdapi.unfinished import Unfinished

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, dependencies=[Depends(require_json)])

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
        options = translate.options_of(catalogue, given, client_options.get(store, catalogue, caller))
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
        options = translate.options_of(catalogue, given, client_options.get(store, catalogue, caller))
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
    if given.override_settings and not given.override_settings_restore_afterwards:
        await to_thread.run_sync(client_options.change, store, state.catalogue, owner, given.override_settings)
    if given.force_task_id is not None:
        await to_thread.run_sync(batch.name, store, owner, given.force_task_id, group.id)
    ended = await waiting.result(request, owner, group.id, cancel_when_gone=given.cancel_on_disconnect)
    waiting.require_some(ended)

    def answered() -> dict[str, Any]:
        made = Made(store, owner, ended, Unfinished.of(store, owner, ended))
        return answer.whole(state.catalogue, given, translated, made)

    return await to_thread.run_sync(answered)
