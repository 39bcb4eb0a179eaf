"""`/api/images`: the images of one owner."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from app.services import gallery, upload
from app.web.api.requests import FILE_BODY, FileBody
from app.web.api.shapes import BUSY, NOT_FOUND, REFUSED, Image, ImagePage
from app.web.caller import require_known
from app.web.dependencies import Before, Limit, Owner, Search, StoreDep

router = APIRouter(prefix="/api/images", tags=["images"], dependencies=[Depends(require_known)])


@router.get("", response_model=ImagePage, responses={422: NOT_FOUND[422]})
def get_images(store: StoreDep, owner: Owner, before: Before = None, limit: Limit = 60, q: Search = "") -> ImagePage:
    """List images, newest first, all or those that a search finds."""
    page = gallery.page(store, owner, before, limit, q)
    return ImagePage(images=[Image.of(view) for view in page.images], next=page.next)


@router.post(
    "",
    status_code=201,
    response_model=Image,
    responses={**REFUSED, **BUSY, 422: NOT_FOUND[422]},
    openapi_extra=FILE_BODY,
)
def post_image(store: StoreDep, owner: Owner, content: FileBody) -> Image:
    """Upload a PNG, JPEG or WebP of at most 20 MiB and 16.8 million pixels, to edit it.

    It is turned upright, brought to sRGB, made no larger than 2048 pixels a side and written anew without its metadata.
    """
    return Image.of(upload.add(store, owner, content))


@router.get("/{image_id}", response_model=Image, responses=NOT_FOUND)
def get_image(store: StoreDep, owner: Owner, image_id: str) -> Image:
    """Tell everything about one image, its recipe included."""
    return Image.of(gallery.image(store, owner, image_id))


@router.delete("/{image_id}", status_code=204, responses={403: REFUSED[403], **NOT_FOUND})
def delete_image(store: StoreDep, owner: Owner, image_id: str) -> None:
    """Delete an image, its file and its share links."""
    gallery.delete(store, owner, image_id)
