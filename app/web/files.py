"""Image bytes over HTTP: full images, thumbnails, shared images, previews. Only bytes that we encoded ourselves.

The path of a file comes from a row, never from the request; whatever is wrong is a 404, for a stranger and for a
damaged file alike.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from app.services import download, gallery, generate, share
from app.services.download import Kind
from app.services.errors import NotFound
from app.services.store import Store
from app.web.api.shapes import NOT_FOUND
from app.web.dependencies import Owner, StoreDep
from app.web.programs import ImageOwner
from app.web.security import IMAGE_POLICY

router = APIRouter(tags=["images"], responses=NOT_FOUND)

ALWAYS_ASK = "private, no-cache"  # so that a deleted or revoked image is gone at once
KEEP = "private, max-age=3600"
JPEG = "image/jpeg"
PNG = "image/png"
WEBP = "image/webp"


WithRecipe = Annotated[Literal["yes", "no"], Query(description="Whether prompt and settings are in the file.")]


def described(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of an answer that is an image."""
    return {200: {"content": {media_type: {}}, "description": "The image."}, 304: {"description": "Not changed."}}


@router.get("/images/{image_id}.png", responses=described(PNG), response_class=Response)
def image_png(
    request: Request, store: StoreDep, owner: ImageOwner, image_id: str, recipe: WithRecipe = "yes"
) -> Response:
    """The image as PNG with its recipe inside. Owner only."""
    if recipe == "no":
        return _converted(store, owner, image_id, "png", recipe)
    path = gallery.image_file(store, owner, image_id)
    return sent(request, path, PNG, _named(image_id, "png"))


@router.get("/images/{image_id}.jpg", responses=described(JPEG), response_class=Response)
def image_jpeg(store: StoreDep, owner: ImageOwner, image_id: str, recipe: WithRecipe = "yes") -> Response:
    """The image as JPEG, its recipe in EXIF and XMP. Owner only."""
    return _converted(store, owner, image_id, "jpeg", recipe)


@router.get("/images/{image_id}.webp", responses=described(WEBP), response_class=Response)
def image_webp(store: StoreDep, owner: ImageOwner, image_id: str, recipe: WithRecipe = "yes") -> Response:
    """The image as WebP, its recipe in EXIF and XMP. Owner only."""
    return _converted(store, owner, image_id, "webp", recipe)


@router.get("/images/{image_id}/thumbnail.webp", responses=described(WEBP), response_class=Response)
def thumbnail(request: Request, store: StoreDep, owner: ImageOwner, image_id: str) -> Response:
    """A WebP at most 320 pixels wide. Owner only."""
    return _tagged(request, gallery.thumbnail(store, owner, image_id), WEBP, {"Cache-Control": KEEP})


@router.get("/s/{token}.png", responses=described(PNG), response_class=Response)
def shared_png(request: Request, store: StoreDep, token: str) -> Response:
    """The image behind a share link, for whoever has the link; the recipe is inside only if its owner shows it."""
    headers = {"Cache-Control": ALWAYS_ASK, "Content-Disposition": 'inline; filename="mezzotint.png"'}
    return _tagged(request, share.shared_png(store, token), PNG, headers)


@router.get("/s/{token}.jpg", responses=described(JPEG), response_class=Response)
def shared_jpeg(store: StoreDep, token: str) -> Response:
    """The same as a JPEG; its recipe, if the owner shows it, is in EXIF and XMP."""
    return _shared(store, token, "jpeg")


@router.get("/s/{token}.webp", responses=described(WEBP), response_class=Response)
def shared_webp(store: StoreDep, token: str) -> Response:
    """The same as a WebP; its recipe, if the owner shows it, is in EXIF and XMP."""
    return _shared(store, token, "webp")


@router.get("/jobs/{job_id}/preview.png", responses=described(PNG), response_class=Response)
def preview_png(
    store: StoreDep,
    owner: Owner,
    job_id: str,
    v: Annotated[int | None, Query(description="The version wanted; a later one is sent if there is one.")] = None,
) -> Response:
    """The newest preview of a running job; of one that is done, the way to its image. Owner only."""
    found = generate.preview(store, owner, job_id)
    if found is None:
        image = generate.job_view(store, owner, job_id).image
        if image is None:
            raise NotFound("There is no preview of this job.")
        return RedirectResponse(f"/images/{image.id}.png", status_code=303, headers={"Cache-Control": "no-store"})
    version, png = found
    return _image(png, PNG, {"Cache-Control": KEEP if v == version else "private, no-store"})


for _path, _endpoint in (
    ("/images/{image_id}.png", image_png),
    ("/images/{image_id}.jpg", image_jpeg),
    ("/images/{image_id}.webp", image_webp),
    ("/images/{image_id}/thumbnail.webp", thumbnail),
    ("/s/{token}.png", shared_png),
    ("/s/{token}.jpg", shared_jpeg),
    ("/s/{token}.webp", shared_webp),
):
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False, response_class=Response)


def _converted(store: Store, owner: str, image_id: str, kind: Kind, recipe: str) -> Response:
    content = download.picture(store, owner, image_id, kind, with_recipe=recipe == "yes")
    return _image(content, f"image/{kind}", _named(image_id, download.ENDINGS[kind]))


def _shared(store: Store, token: str, kind: Literal["jpeg", "webp"]) -> Response:
    name = f'inline; filename="mezzotint.{download.ENDINGS[kind]}"'
    headers = {"Cache-Control": ALWAYS_ASK, "Content-Disposition": name}
    return _image(share.shared_as(store, token, kind), f"image/{kind}", headers)


def _named(image_id: str, ending: str) -> dict[str, str]:
    return {"Cache-Control": ALWAYS_ASK, "Content-Disposition": f'inline; filename="mezzotint-{image_id}.{ending}"'}


def sent(request: Request, path: Path, media_type: str, headers: dict[str, str]) -> Response:
    """Return the file, or 304 to whoever has it already. Raises `NotFound`."""
    try:
        content = _read(path)
    except OSError as error:
        raise NotFound("The file of this image is missing.") from error
    return _tagged(request, content, media_type, headers)


def _tagged(request: Request, content: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Return the content, or 304 to whoever has it already.

    The tag is of what is sent: the file's name is the hash of the one with the recipe, by which a stranger could tell
    whether a recipe that was guessed is right.
    """
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": headers["Cache-Control"]})
    return _image(content, media_type, {**headers, "ETag": etag})


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return file.read()


def _image(content: bytes, media_type: str, headers: dict[str, str]) -> Response:
    policy = {"Content-Security-Policy": IMAGE_POLICY, "Accept-Ranges": "none"}
    return Response(content, media_type=media_type, headers={**headers, **policy})
