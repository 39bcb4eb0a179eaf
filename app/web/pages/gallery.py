"""The gallery of this browser's pictures, and one picture with its recipe and its links."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.services import canvas, gallery, keys, share
from app.services.neighbours import neighbours
from app.web import programs
from app.web.dependencies import Owner, StoreDep
from app.web.pages.recipe_form import form_fields
from app.web.programs import ImageOwner
from app.web.templating import fragment, is_fragment, render

router = APIRouter(include_in_schema=False)
Fields = Annotated[dict[str, str], Depends(form_fields)]

PAGE_SIZE = 60
MAX_SELECTION = 200


@router.get("/images")
def index(
    request: Request, owner: Owner, store: StoreDep, before: str | None = None, of: str | None = None, q: str = ""
) -> HTMLResponse:
    """Show a page of pictures, newest first; under htmx the tiles that follow. `of=programs` are the API's.

    With `q` only those that a search finds, which takes more than one page to look through very many.
    """
    has_programs, q = programs.has_pictures(request, store), q.strip()
    is_programs = has_programs and of == "programs"
    page = gallery.page(store, keys.LOCAL if is_programs else owner, before, PAGE_SIZE, q)
    here = ({"of": "programs"} if is_programs else {}) | ({"q": q} if q else {})
    return render(
        request,
        "gallery.html",
        part="_gallery_more.html",
        current_page="/images",
        page=page,
        q=q,
        max_query=gallery.MAX_QUERY,
        first_url=address(here),
        more_url=address(here | {"before": page.next or ""}),
        delete_url=address(here, "/images/delete"),
        query=_query(q),
        max_selection=MAX_SELECTION,
        all_url=address({"of": "programs"} if is_programs else {}),
        is_first=before is None,
        deleted=_deleted(request),
        has_programs=has_programs,
        is_programs=is_programs,
    )


def address(query: dict[str, str], path: str = "/images") -> str:
    """Return the address of the gallery, or of another path, with this query."""
    return f"{path}?{urlencode(query)}" if query else path


@router.get("/images/{image_id}")
def show(request: Request, owner: ImageOwner, store: StoreDep, image_id: str, q: str = "") -> HTMLResponse:
    """Show a picture with all that made it. With `q` its neighbours are those that a search finds."""
    return _picture(request, store, owner, image_id, q=q.strip())


@router.post("/images/{image_id}/share")
def create_share(request: Request, owner: ImageOwner, store: StoreDep, image_id: str, fields: Fields) -> HTMLResponse:
    """Make a link and show it, this once: only its hash is kept, so that a redirect could not show it."""
    token = share.create(store, owner, image_id, show_recipe=fields.get("show_recipe") == "yes")
    return _picture(request, store, owner, image_id, token=token, status_code=201)


@router.post("/images/{image_id}/shares/{share_id}/revoke")
def revoke_share(request: Request, owner: ImageOwner, store: StoreDep, image_id: str, share_id: str) -> Response:
    """End a link."""
    share.revoke(store, owner, share_id)
    if not is_fragment(request):
        return RedirectResponse(f"/images/{image_id}#share", status_code=303)
    return _picture(request, store, owner, image_id)


@router.get("/images/{image_id}/delete")
def confirm_delete(request: Request, owner: ImageOwner, store: StoreDep, image_id: str, q: str = "") -> HTMLResponse:
    """Ask before deleting, where no script could open the dialog."""
    image = gallery.image(store, owner, image_id)
    has_canvas = canvas.goes_with(store, image_id)
    here = {"current_page": "/images", "image": image, "has_canvas": has_canvas, "query": _query(q.strip())}
    return HTMLResponse(fragment(request, "delete.html", **here))


@router.post("/images/{image_id}/delete")
def delete(owner: ImageOwner, store: StoreDep, image_id: str, q: str = "") -> Response:
    """Delete a picture with its links, and go on to the next older one, or newer one, or the gallery; of a search."""
    q = q.strip()
    around = neighbours(store, owner, image_id, q)
    gallery.delete(store, owner, image_id)
    near = around.older or around.newer
    here = {"deleted": "1"} | ({"q": q} if q else {})
    return RedirectResponse(address(here, f"/images/{near}" if near else "/images"), status_code=303)


def _deleted(request: Request) -> int:
    """How many pictures were deleted just before, as the address says that led here."""
    count = request.query_params.get("deleted", "")
    return min(int(count), MAX_SELECTION) if re.fullmatch("[0-9]{1,3}", count) else 0


def _query(q: str) -> str:
    """What keeps to a search in the address of a picture; "" for none."""
    return address({"q": q}, "") if q else ""


def _picture(
    request: Request,
    store: StoreDep,
    owner: str,
    image_id: str,
    *,
    token: str | None = None,
    q: str = "",
    status_code: int = 200,
) -> HTMLResponse:
    return render(
        request,
        "image.html",
        part="_shares.html",
        status_code=status_code,
        current_page="/images",
        image=gallery.image(store, owner, image_id),
        neighbours=neighbours(store, owner, image_id, q),
        q=q,
        query=_query(q),
        search_url=address(({"of": "programs"} if owner == keys.LOCAL else {}) | {"q": q}),
        has_canvas=canvas.goes_with(store, image_id),
        family=gallery.family(store, owner, image_id),
        token=token,
        deleted=_deleted(request),
        is_own=owner != keys.LOCAL,
    )
