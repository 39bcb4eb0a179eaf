"""`/api/images/{id}/share` and `/api/shares`: links by which strangers see one image."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from app.services import share
from app.web.api.requests import require_json
from app.web.api.shapes import NOT_FOUND, REFUSED, ShareLink, ShareRequest
from app.web.caller import require_known
from app.web.dependencies import Owner, StoreDep

router = APIRouter(prefix="/api", tags=["shares"], dependencies=[Depends(require_known)])


@router.post(
    "/images/{image_id}/share",
    status_code=201,
    response_model=ShareLink,
    responses={**NOT_FOUND, **REFUSED},
    dependencies=[Depends(require_json)],
)
def post_share(
    request: Request, store: StoreDep, owner: Owner, image_id: str, body: ShareRequest | None = None
) -> ShareLink:
    """Make a link to an image. The body may be left out; the recipe then stays hidden."""
    chosen = body or ShareRequest()
    token = share.create(store, owner, image_id, show_recipe=chosen.show_recipe)
    return ShareLink(url=f"{request.base_url}s/{token}")


@router.delete("/shares/{token}", status_code=204, responses={403: REFUSED[403], **NOT_FOUND})
def delete_share(store: StoreDep, owner: Owner, token: str) -> None:
    """Revoke a link, by its token or by the `id` under which its image lists it."""
    share.revoke(store, owner, token)
