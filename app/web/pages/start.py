"""Starting from a picture: an own image or a file is put on a canvas."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from app.services import canvas, gallery, upload
from app.services.errors import InvalidInput
from app.services.store import Store
from app.web import programs
from app.web.dependencies import Owner, StoreDep

router = APIRouter(include_in_schema=False)

MAX_FIELDS = 8


@router.post("/canvas")
async def start(request: Request, owner: Owner, store: StoreDep) -> RedirectResponse:
    """Go to the canvas of an image (`image_id`), or of a picture that is uploaded (`file`)."""
    async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
        file, image_id = form.get("file"), form.get("image_id")
        content = await file.read() if isinstance(file, UploadFile) else b""
    if isinstance(image_id, str) and image_id:
        canvas_id = await run_in_threadpool(_opened, request, store, owner, image_id)
    elif content:
        canvas_id = await run_in_threadpool(_uploaded, store, owner, content)
    else:
        raise InvalidInput([{"field": "file", "message": "Choose a picture: a PNG, JPEG or WebP file."}])
    return RedirectResponse(f"/canvas/{canvas_id}", status_code=303)


def _opened(request: Request, store: Store, owner: str, image_id: str) -> str:
    """Open the owner's image; of one that a program made here, a copy in the owner's gallery."""
    holder = programs.owner_of(request, store, owner, image_id)
    mine = image_id if holder == owner else gallery.adopt(store, holder, owner, image_id)
    return canvas.open_for(store, owner, mine)


def _uploaded(store: Store, owner: str, content: bytes) -> str:
    image = upload.add(store, owner, content)
    return canvas.open_for(store, owner, image.id)
