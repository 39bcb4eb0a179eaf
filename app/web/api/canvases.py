"""`/api/canvases`: pictures that are being edited, with mask, frame, candidates and history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Request
from starlette.responses import JSONResponse, Response

from app.services import canvas, discards
from app.services.errors import InvalidInput
from app.services.request import JobRequest
from app.services.views import CanvasView
from app.web import files
from app.web.api.canvas_shapes import (
    STALE,
    Canvas,
    CanvasChange,
    Canvases,
    CanvasVersion,
    ChosenImage,
    DiscardedJob,
    NewCanvas,
    RestoredJob,
)
from app.web.api.requests import FILE_BODY, FileBody, require_json
from app.web.api.shapes import BUSY, NOT_FOUND, REFUSED, Group
from app.web.caller import require_known
from app.web.dependencies import Before, CatalogueDep, Limit, Owner, StoreDep

router = APIRouter(prefix="/api/canvases", tags=["canvases"], dependencies=[Depends(require_known)])

CANDIDATES = [{"prompt": "a lighthouse on the cliff", "count": 4, "strength": 0.9, "grow": 12}]
ON_THE_CANVAS = ("image", "mask", "frame", "width", "height")
JSON_BODY = [Depends(require_json)]
CHANGED = {**NOT_FOUND, **REFUSED, **STALE}


def _version(
    if_match: Annotated[str | None, Header(description="The version that was read; without it any is changed.")] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidInput([{"field": "If-Match", "message": "Send the canvas's version, a whole number."}])
    return int(text)


Version = Annotated[int | None, Depends(_version)]


@router.get("", response_model=Canvases, responses={422: NOT_FOUND[422]})
def get_canvases(store: StoreDep, owner: Owner, before: Before = None, limit: Limit = 60) -> Canvases:
    """List canvases, the one used last first."""
    page = canvas.page(store, owner, before, limit)
    return Canvases(canvases=[Canvas.of(view) for view in page.canvases], next=page.next)


@router.post("", status_code=201, response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def post_canvas(store: StoreDep, owner: Owner, body: NewCanvas) -> Response:
    """Put an image of yours on a new canvas."""
    return _answer(canvas.create(store, owner, body.image_id), 201)


@router.get("/{canvas_id}", response_model=Canvas, responses=NOT_FOUND)
def get_canvas(store: StoreDep, owner: Owner, canvas_id: str) -> Response:
    """Tell everything about a canvas; its ETag is its version."""
    return _answer(canvas.view(store, owner, canvas_id))


@router.patch("/{canvas_id}", response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def patch_canvas(store: StoreDep, owner: Owner, canvas_id: str, body: CanvasChange, version: Version) -> Response:
    """Move the frame, or keep settings."""
    return _answer(canvas.change(store, owner, canvas_id, frame=body.frame, settings=body.settings, version=version))


@router.delete("/{canvas_id}", status_code=204, responses={403: REFUSED[403], **NOT_FOUND, **STALE})
def delete_canvas(store: StoreDep, owner: Owner, canvas_id: str, version: Version) -> None:
    """Delete a canvas. Its images stay in the gallery."""
    canvas.delete(store, owner, canvas_id, version)


@router.get("/{canvas_id}/mask", responses={**files.described(files.PNG), **NOT_FOUND}, response_class=Response)
def get_mask(request: Request, store: StoreDep, owner: Owner, canvas_id: str) -> Response:
    """The mask as a grey PNG of the image's size, white where it is to be repainted."""
    path = canvas.mask_file(store, owner, canvas_id)
    return files.sent(request, path, files.PNG, {"Cache-Control": files.ALWAYS_ASK})


@router.put("/{canvas_id}/mask", response_model=CanvasVersion, responses=CHANGED, openapi_extra=FILE_BODY)
def put_mask(store: StoreDep, owner: Owner, canvas_id: str, content: FileBody, version: Version) -> Response:
    """Keep a mask of exactly the image's size. One that is black all over counts as none."""
    return _versioned(canvas.set_mask(store, owner, canvas_id, content, version))


@router.delete("/{canvas_id}/mask", response_model=CanvasVersion, responses=CHANGED)
def delete_mask(store: StoreDep, owner: Owner, canvas_id: str, version: Version) -> Response:
    """Take the mask off."""
    return _versioned(canvas.clear_mask(store, owner, canvas_id, version))


@router.post(
    "/{canvas_id}/candidates",
    status_code=202,
    response_model=Group,
    responses={**CHANGED, **BUSY},
    dependencies=JSON_BODY,
)
def post_candidates(
    store: StoreDep,
    catalogue: CatalogueDep,
    owner: Owner,
    canvas_id: str,
    body: Annotated[JobRequest, Body(examples=CANDIDATES)],
    version: Version,
) -> Group:
    """Ask for images to choose from, made from the saved image, mask and frame. `count` says how many."""
    said = [name for name in ON_THE_CANVAS if getattr(body, name) is not None]
    if said:
        raise InvalidInput([{"field": name, "message": "The canvas says this; leave it out here."} for name in said])
    return Group.of(canvas.ask(store, catalogue, owner, canvas_id, body, version))


@router.post("/{canvas_id}/accept", response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def post_accept(store: StoreDep, owner: Owner, canvas_id: str, body: ChosenImage, version: Version) -> Response:
    """Go on from a candidate's image. The other candidates leave; those that are done stay in the gallery."""
    return _answer(canvas.accept(store, owner, canvas_id, body.image_id, version))


@router.post("/{canvas_id}/discard", response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def post_discard(store: StoreDep, owner: Owner, canvas_id: str, body: DiscardedJob, version: Version) -> Response:
    """Take a candidate, or all, off the canvas. Images that are done stay in the gallery, unless `delete` is said.

    What is deleted can be restored for ten minutes; an image that is on a canvas of its own is not deleted.
    """
    if body.job is not None and body.delete:
        return _answer(discards.discard(store, owner, canvas_id, body.job, version))
    return _answer(canvas.discard(store, owner, canvas_id, body.job, version))


@router.post("/{canvas_id}/restore", response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def post_restore(store: StoreDep, owner: Owner, canvas_id: str, body: RestoredJob, version: Version) -> Response:
    """Bring back a candidate that was deleted. One that was not done is cancelled, and can be tried again."""
    return _answer(discards.restore(store, owner, canvas_id, body.job, version))


@router.post("/{canvas_id}/checkout", response_model=Canvas, responses=CHANGED, dependencies=JSON_BODY)
def post_checkout(store: StoreDep, owner: Owner, canvas_id: str, body: ChosenImage, version: Version) -> Response:
    """Go to any image of the history, back or onto another branch. The mask is cleared, the frame is all of it."""
    return _answer(canvas.checkout(store, owner, canvas_id, body.image_id, version))


def _answer(view: CanvasView, status: int = 200) -> Response:
    body = Canvas.of(view).model_dump(mode="json")
    return JSONResponse(body, status, headers={"ETag": f'"{view.version}"'})


def _versioned(version: int) -> Response:
    return JSONResponse({"version": version}, headers={"ETag": f'"{version}"'})
