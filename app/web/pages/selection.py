"""Several pictures of the gallery: as one zip file, written while it is sent, or deleted."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import StreamingResponse

from app.services import canvas, download, gallery
from app.services.download import Kind
from app.services.errors import InvalidInput, NotFound
from app.web import programs
from app.web.dependencies import Owner, StoreDep
from app.web.pages.gallery import MAX_SELECTION, address
from app.web.templating import is_fragment, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the form asks for, and of the pictures those that are there, each with its owner."""

    asked: list[str]
    owners: dict[str, str]
    kind: Kind
    is_sure: bool


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


async def _form(request: Request) -> tuple[list[str], Kind, bool]:
    async with request.form(max_files=0) as form:
        ids = [value for value in form.getlist("image") if isinstance(value, str)]
        kind, is_sure = form.get("format") or "png", form.get("sure") == "yes"
    if not 1 <= len(ids) <= MAX_SELECTION:
        message = f"Select 1 to {MAX_SELECTION} pictures; these are {len(ids)}."
        raise InvalidInput([{"field": "image", "message": message}])
    for known in get_args(Kind):
        if kind == known:
            return list(dict.fromkeys(ids)), known, is_sure
    raise InvalidInput([{"field": "format", "message": "This is none of png, jpeg and webp."}])


def _selected(
    request: Request, store: StoreDep, owner: Owner, form: Annotated[tuple[list[str], Kind, bool], Depends(_form)]
) -> Selection:
    """Keep what this browser may have of what it asks for. Raises `NotFound` if that is nothing."""
    ids, kind, is_sure = form
    owners = {image_id: programs.owner_of(request, store, owner, image_id) for image_id in ids}
    found = {image_id: its for image_id, its in owners.items() if gallery.has(store, its, image_id)}
    if not found:
        raise NotFound("None of these pictures is there.")
    return Selection(ids, found, kind, is_sure)


Selected = Annotated[Selection, Depends(_selected)]


@router.post("/images/zip")
def zipped(store: StoreDep, selected: Selected) -> StreamingResponse:
    """Send the selected pictures that are there."""

    def files() -> Iterator[tuple[str, bytes]]:
        for image_id, its in selected.owners.items():
            yield from download.pictures(store, its, [image_id], selected.kind)

    headers = {"Content-Disposition": 'attachment; filename="mezzotint.zip"'}
    return StreamingResponse(_zip(files()), media_type="application/zip", headers=headers)


@router.post("/images/delete")
def delete(request: Request, store: StoreDep, selected: Selected, of: str = "", q: str = "") -> Response:
    """Ask whether the selected pictures shall go, all at once, and delete them where the answer is there.

    `of` and `q` are those of the gallery that this leads back to. Under htmx the question goes into its dialog, and
    what is deleted off its page.
    """
    here = {name: value for name, value in (("of", of), ("q", q)) if value}
    if not selected.is_sure:
        return _question(request, store, selected, here)
    count = gallery.delete_all(store, selected.owners)
    if not is_fragment(request):
        return RedirectResponse(address(here | {"deleted": str(count)}), status_code=303)
    return render(request, "_deleted_many.html", ids=selected.asked, count=count)


def _question(request: Request, store: StoreDep, selected: Selection, here: dict[str, str]) -> HTMLResponse:
    return render(
        request,
        "delete_many.html",
        part="_delete_many.html",
        current_page="/images",
        images=gallery.several(store, selected.owners),
        has_canvas=canvas.goes_with(store, *selected.owners),
        back_url=address(here),
        delete_url=address(here, "/images/delete"),
    )


def _zip(files: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield a zip file piece by piece; pictures are compressed already, so they are only stored."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, content in files:
            archive.writestr(name, content)
            yield pipe.taken()
    yield pipe.taken()
