"""Several pictures of the gallery as one zip file, written while it is sent."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from app.services import download, gallery
from app.services.download import Kind
from app.services.errors import InvalidInput, NotFound
from app.web import programs
from app.web.dependencies import Owner, StoreDep

router = APIRouter(include_in_schema=False)

MAX_SELECTION = 200
MAX_FIELDS = MAX_SELECTION + 8


class _Pipe:
    """A file that can only be written, and gives what was written since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def _selected(request: Request) -> tuple[list[str], Kind]:
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        ids = [value for value in form.getlist("image") if isinstance(value, str)]
        kind = form.get("format") or "png"
    if not 1 <= len(ids) <= MAX_SELECTION:
        raise InvalidInput([{"field": "image", "message": f"Select 1 to {MAX_SELECTION} pictures."}])
    for known in get_args(Kind):
        if kind == known:
            return list(dict.fromkeys(ids)), known
    raise InvalidInput([{"field": "format", "message": "This is none of png, jpeg and webp."}])


Selected = Annotated[tuple[list[str], Kind], Depends(_selected)]


@router.post("/images/zip")
def zipped(request: Request, store: StoreDep, owner: Owner, selected: Selected) -> StreamingResponse:
    """Send the selected pictures that are there."""
    ids, kind = selected
    owners = {image_id: programs.owner_of(request, store, owner, image_id) for image_id in ids}
    found = {image_id: its for image_id, its in owners.items() if gallery.has(store, its, image_id)}
    if not found:
        raise NotFound("None of these pictures is there.")

    def files() -> Iterator[tuple[str, bytes]]:
        for image_id, its in found.items():
            yield from download.pictures(store, its, [image_id], kind)

    headers = {"Content-Disposition": 'attachment; filename="mezzotint.zip"'}
    return StreamingResponse(_zip(files()), media_type="application/zip", headers=headers)


def _zip(files: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield a zip file piece by piece; pictures are compressed already, so they are only stored."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, content in files:
            archive.writestr(name, content)
            yield pipe.taken()
    yield pipe.taken()
