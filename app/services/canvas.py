"""Canvases: a picture, what is to be repainted of it, the candidates, and the way that led there, kept on the server.

Every change counts the version up. Whoever says which version was read is refused if that is no longer the one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from app.services import edit, gallery, generate, pictures, read
from app.services.catalogue import Catalogue
from app.services.errors import Conflict, InvalidInput, NotFound, Stale
from app.services.request import JobRequest
from app.services.views import CanvasPage, CanvasView, GroupView, utc
from app.storage import canvases, discards, images, jobs, references
from app.storage.store import Store
from models.edit import MAX_SIDE, Frame

MAX_SETTINGS = 16 * 1024  # bytes of JSON
MAX_DEPTH = 16
MAX_HISTORY = 500
RESTORABLE_MS = 10 * 60 * 1000  # from when a candidate was thrown away


def create(store: Store, owner: str, image_id: str) -> CanvasView:
    """Put an image on a new canvas. Raises `NotFound`, `InvalidInput` and, where there are too many, `Conflict`."""
    with store.write() as tx:
        return _view(tx, _add(store, tx, owner, image_id))


def open_for(store: Store, owner: str, image_id: str) -> str:
    """Return the id of the canvas that holds this image, of a new one if there is none."""
    with store.write() as tx:
        known = canvases.of_image(tx, owner, image_id)
        return str((known or _add(store, tx, owner, image_id)).id)


def view(store: Store, owner: str, canvas_id: str) -> CanvasView:
    """The owner's canvas. Raises `NotFound`."""
    with store.read() as tx:
        return _view(tx, _mine(tx, owner, canvas_id))


def goes_with(store: Store, *image_ids: str) -> bool:
    """Whether a canvas holds nothing but these images, so that deleting them deletes it."""
    with store.read() as tx:
        return canvases.go_with(tx, image_ids)


def page(store: Store, owner: str, before: str | None = None, limit: int = 60) -> CanvasPage:
    """Up to `limit` canvases, the one used last first, from the key `before` (the `next` of the page before) on.

    Raises `InvalidInput` for a key that we did not give out.
    """
    limit = min(max(limit, 1), gallery.MAX_PAGE)
    with store.read() as tx:
        rows = canvases.page(tx, owner, None if before is None else gallery.key(before), limit + 1)
        views = tuple(_view(tx, row) for row in rows[:limit])
    last = rows[limit - 1] if len(rows) > limit else None
    return CanvasPage(views, None if last is None else f"{last.updated_at}.{last.id}")


def delete(store: Store, owner: str, canvas_id: str, version: int | None = None) -> None:
    """Delete a canvas with its mask and all candidates that are not done; images stay."""
    with store.write() as tx:
        row = _mine(tx, owner, canvas_id, version)
        for job in canvases.candidates(tx, canvas_id):
            jobs.cancel(tx, job)
        canvases.forget(tx, canvas_id)
        _drop(store, tx, row.mask_sha256)


def mask_file(store: Store, owner: str, canvas_id: str) -> Path:
    """The PNG of the mask, grey. Raises `NotFound`."""
    with store.read() as tx:
        sha256 = _mine(tx, owner, canvas_id).mask_sha256
    try:
        if sha256 is not None:
            return store.files.find(sha256)
    except FileNotFoundError as error:
        raise NotFound("The file of this mask is missing or damaged.") from error
    raise NotFound("There is no mask on this canvas.")


def set_mask(store: Store, owner: str, canvas_id: str, content: bytes, version: int | None = None) -> int:
    """Keep a mask as large as the picture, white where it is to be repainted; one that is all black counts as none.

    Returns the new version. Raises `InvalidInput`, `NotFound` and `Stale`.
    """
    with store.read() as tx:
        image = _image(tx, _mine(tx, owner, canvas_id, version))
    mask = pictures.mask(content, "mask", image.width, image.height)
    with store.write() as tx:
        row = _mine(tx, owner, canvas_id, version)
        if row.image_id != image.id:
            raise Stale(row.version)
        sha256 = None if mask.is_blank else store.files.put(mask.png)
        return _replace_mask(store, tx, row, sha256)


def clear_mask(store: Store, owner: str, canvas_id: str, version: int | None = None) -> int:
    """Take the mask off. Returns the new version."""
    with store.write() as tx:
        return _replace_mask(store, tx, _mine(tx, owner, canvas_id, version), None)


def change(
    store: Store,
    owner: str,
    canvas_id: str,
    *,
    frame: Frame | None = None,
    settings: dict[str, Any] | None = None,
    version: int | None = None,
) -> CanvasView:
    """Move the frame or keep other settings, which are anything that the page wants to find again."""
    values: dict[str, str] = {}
    if settings is not None:
        values["settings"] = _settings(settings)
    if frame is not None:
        values["frame"] = frame.model_dump_json()

    def apply(tx: Connection, row: Row[Any]) -> None:
        if frame is not None:
            image = _image(tx, row)
            edit.require_touch(frame, image.width, image.height)
        canvases.change(tx, row.id, **values)

    return changed(store, owner, canvas_id, version, apply)


def ask(
    store: Store, catalogue: Catalogue, owner: str, canvas_id: str, request: JobRequest, version: int | None = None
) -> GroupView:
    """Queue candidates: the saved picture, mask and frame, edited as the request says, which itself names none."""
    with store.read() as tx:
        row = _mine(tx, owner, canvas_id, version)
        image = _image(tx, row)
    mask = None if row.mask_sha256 is None else f"sha256:{row.mask_sha256}"
    frame = None if row.frame == canvases.WHOLE else Frame.model_validate_json(row.frame)
    whole = request.model_copy(update={"image": image.id, "mask": mask, "frame": frame})
    order = generate.prepare(store, catalogue, owner, whole)
    with store.write() as tx:
        if _mine(tx, owner, canvas_id, version).version != row.version:
            raise Stale(_mine(tx, owner, canvas_id).version)
        group_id = generate.queue(store, tx, owner, order, canvas_id)
        canvases.change(tx, canvas_id)
        return generate.group_view(tx, owner, group_id)


def accept(store: Store, owner: str, canvas_id: str, image_id: str, version: int | None = None) -> CanvasView:
    """Go on from a candidate: the others leave the canvas and stay in the gallery, mask and frame begin anew."""

    def apply(tx: Connection, row: Row[Any]) -> None:
        chosen = images.one(tx, owner, image_id)
        if chosen is None or chosen.job_id not in {job.id for job in canvases.candidates(tx, row.id)}:
            raise NotFound("This canvas has no such candidate.")
        if len(canvases.history(tx, row.id)) >= MAX_HISTORY:
            raise Conflict(f"This canvas has held {MAX_HISTORY} pictures; go on with this one on a new canvas.")
        _dismiss(tx, row.id, None)
        canvases.remember(tx, row.id, chosen.id)
        _put(store, tx, row, chosen.id)

    return changed(store, owner, canvas_id, version, apply)


def discard(
    store: Store, owner: str, canvas_id: str, job_id: str | None = None, version: int | None = None
) -> CanvasView:
    """Take one candidate, or all, off the canvas: what is not done is cancelled, what is done stays in the gallery."""

    def apply(tx: Connection, row: Row[Any]) -> None:
        if job_id is not None and job_id not in {job.id for job in canvases.candidates(tx, row.id)}:
            raise NotFound("This canvas has no such candidate.")
        _dismiss(tx, row.id, job_id)
        canvases.change(tx, row.id)

    return changed(store, owner, canvas_id, version, apply)


def checkout(store: Store, owner: str, canvas_id: str, image_id: str, version: int | None = None) -> CanvasView:
    """Go to another picture of the history, from which a new branch may begin; candidates stay."""

    def apply(tx: Connection, row: Row[Any]) -> None:
        if image_id not in {image.id for image in canvases.history(tx, row.id)}:
            raise NotFound("This canvas has never held that image.")
        _put(store, tx, row, image_id)

    return changed(store, owner, canvas_id, version, apply)


def changed(
    store: Store, owner: str, canvas_id: str, version: int | None, apply: Callable[[Connection, Row[Any]], None]
) -> CanvasView:
    """Change the owner's canvas, and return it. Raises `NotFound` and `Stale`."""
    with store.write() as tx:
        apply(tx, _mine(tx, owner, canvas_id, version))
        return _view(tx, _mine(tx, owner, canvas_id))


def _add(store: Store, tx: Connection, owner: str, image_id: str) -> Row[Any]:
    image = images.one(tx, owner, image_id)
    if image is None:
        raise NotFound("There is no such image.")
    if not read.image_view(image).fits_canvas:
        message = f"It is {image.width} x {image.height}; a canvas holds pictures of up to {MAX_SIDE} pixels a side."
        raise InvalidInput([{"field": "image_id", "message": message}])
    limit = store.settings.max_canvases
    if canvases.count(tx, owner) >= limit:
        raise Conflict(f"You have {limit} canvases and may have no more; delete one.")
    canvas_id = jobs.new_id()
    canvases.add(tx, canvas_id, owner, image_id)
    return _mine(tx, owner, canvas_id)


def _put(store: Store, tx: Connection, row: Row[Any], image_id: str) -> None:
    canvases.change(tx, row.id, image_id=image_id, mask_sha256=None, frame=canvases.WHOLE)
    _drop(store, tx, row.mask_sha256)


def _dismiss(tx: Connection, canvas_id: str, job_id: str | None) -> None:
    for job in canvases.candidates(tx, canvas_id):
        if job_id in (None, job.id):
            jobs.cancel(tx, job)
    canvases.dismiss(tx, canvas_id, job_id)


def _replace_mask(store: Store, tx: Connection, row: Row[Any], sha256: str | None) -> int:
    version = canvases.change(tx, row.id, mask_sha256=sha256)
    _drop(store, tx, row.mask_sha256)
    return version


def _drop(store: Store, tx: Connection, sha256: str | None) -> None:
    """Remove a file that this transaction has ceased to need, unless something else needs it."""
    if sha256 is not None and not references.is_used(tx, sha256):
        store.files.remove(sha256)


def _mine(tx: Connection, owner: str, canvas_id: str, version: int | None = None) -> Row[Any]:
    row = canvases.one(tx, owner, canvas_id)
    if row is None:
        raise NotFound("There is no such canvas.")
    if version is not None and row.version != version:
        raise Stale(row.version)
    return row


def _image(tx: Connection, row: Row[Any]) -> Row[Any]:
    image = images.one(tx, row.owner, row.image_id)
    assert image is not None  # `images.bury` takes it off all canvases
    return image


def _frame(row: Row[Any], image: Row[Any]) -> Frame:
    if row.frame == canvases.WHOLE:
        return edit.whole(image.width, image.height)
    return Frame.model_validate_json(row.frame)


def _settings(settings: dict[str, Any]) -> str:
    try:
        text = json.dumps(settings, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        is_kept = len(text.encode()) <= MAX_SETTINGS and _is_shallow(settings, MAX_DEPTH)
    except (ValueError, RecursionError):  # NaN, half a character, a well without a bottom
        is_kept = False
    if is_kept:
        return text
    message = f"At most {MAX_SETTINGS} bytes of plain JSON can be kept, {MAX_DEPTH} objects deep."
    raise InvalidInput([{"field": "settings", "message": message}])


def _is_shallow(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is None or (depth > 0 and all(_is_shallow(item, depth - 1) for item in inner))


def _view(tx: Connection, row: Row[Any]) -> CanvasView:
    image = _image(tx, row)
    return CanvasView(
        id=row.id,
        version=row.version,
        image=read.image_view(image),
        has_mask=row.mask_sha256 is not None,
        frame=_frame(row, image),
        settings=json.loads(row.settings),
        candidates=tuple(read.job_views(tx, canvases.candidates(tx, row.id))),
        discarded=tuple(discards.of_canvas(tx, row.id, RESTORABLE_MS)),
        history=tuple(read.image_views(tx, canvases.history(tx, row.id))),
        created_at=utc(row.created_at),
        updated_at=utc(row.updated_at),
    )
