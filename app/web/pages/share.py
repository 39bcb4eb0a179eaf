"""What a stranger sees who was given a link: one picture, and its recipe if the owner chose so."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.services import share
from app.web.dependencies import StoreDep
from app.web.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/s/{token}")
def shared(request: Request, store: StoreDep, token: str) -> HTMLResponse:
    """Show a shared picture. Takes no owner, and so sets no cookie."""
    response = render(request, "share.html", shared=share.resolve(store, token), token=token)
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "private, no-store"
    return response
