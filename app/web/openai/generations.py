"""`POST /v1/images/generations`."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.services import batch
from app.services.batch import Batch
from app.web.api.requests import require_json
from app.web.caller import Caller
from app.web.dependencies import CatalogueDep
from app.web.openai import answer, translate
from app.web.openai.answer import Wanted
from app.web.openai.shapes import ImageRequest, PromptRequest

router = APIRouter(prefix="/v1/images", include_in_schema=False)

IdempotencyKey = Annotated[str | None, Header()]


@router.post("/generations", dependencies=[Depends(require_json)])
async def generations(
    request: Request,
    catalogue: CatalogueDep,
    caller: Caller,
    given: PromptRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make pictures of a prompt."""

    def prepared() -> Batch:
        checkpoint = translate.checkpoint_of(catalogue, given.model).name
        return translate.batch_of(given, given.prompt, checkpoint)

    order = await to_thread.run_sync(prepared)
    return await answered(request, caller, given, order, idempotency_key)


async def answered(
    request: Request, owner: str, given: ImageRequest, order: Batch, key: str | None, event: str = "image_generation"
) -> Response:
    """Queue, wait, and answer as the caller wants it."""
    state = request.app.state
    with translate.their_names():
        group = await to_thread.run_sync(batch.submit, state.store, state.catalogue, owner, order, key)
    wanted = Wanted(owner, group.id, given, event)
    if given.stream:
        return StreamingResponse(answer.stream(request, wanted), media_type="text/event-stream")
    return JSONResponse(await answer.whole(request, wanted))
