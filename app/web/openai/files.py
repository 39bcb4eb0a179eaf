"""`url` answers: an address that whoever has it may open for an hour, signed, so that no row is needed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.responses import Response

from app.services import download, keys
from app.services.download import Kind
from app.services.errors import NotFound
from app.web.dependencies import StoreDep
from app.web.owner import OwnerCookies
from app.web.security import IMAGE_POLICY

router = APIRouter(prefix="/v1/images/files", include_in_schema=False)

VALID_SECONDS = 3600
MAX_TOKEN = 1000
NO_ADDRESS = "This address was never given out, its hour has passed, or its key was revoked."
HEADERS = {
    "Content-Security-Policy": IMAGE_POLICY,
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",  # front ends put the address into pages of their own
}


def address(request: Request, owner: str, image_id: str, kind: Kind, quality: int | None) -> str:
    """Return the address of a picture, valid for an hour."""
    token = _signer(request).dumps([owner, image_id, kind, quality])
    return f"{str(request.base_url).rstrip('/')}/v1/images/files/{token}"


@router.head("/{token}")
@router.get("/{token}")
def linked_file(request: Request, store: StoreDep, token: str) -> Response:
    """The picture behind an address that we gave out within the last hour; any page may show it."""
    try:
        owner, image_id, kind, quality = _signer(request).loads(token[:MAX_TOKEN], max_age=VALID_SECONDS)
    except (BadSignature, ValueError, TypeError) as error:
        raise NotFound(NO_ADDRESS) from error
    if keys.has_ended(store, owner):
        raise NotFound(NO_ADDRESS)
    with_recipe = store.settings.prompt_in_files
    content = download.picture(store, owner, image_id, kind, with_recipe=with_recipe, quality=quality)
    return Response(content, media_type=f"image/{kind}", headers=HEADERS)


def _signer(request: Request) -> URLSafeTimedSerializer:
    cookies: OwnerCookies = request.app.state.owner_cookies
    return cookies.signer("file")
