"""Which checkpoints there are, what they can do, and which is loaded."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.settings import Settings
from app.web.checkpoints import shelves
from app.web.dependencies import CatalogueDep, EngineStatus, EngineStatusDep, SettingsDep
from app.web.templating import is_fragment, render

router = APIRouter(include_in_schema=False)


@router.get("/checkpoints")
def checkpoints(
    request: Request, catalogue: CatalogueDep, settings: SettingsDep, engine: EngineStatusDep
) -> HTMLResponse:
    """List all checkpoints; while anything about them is about to change the list asks again."""
    return _page(request, catalogue, settings, engine)


@router.post("/checkpoints/rescan")
def rescan(request: Request, catalogue: CatalogueDep, settings: SettingsDep, engine: EngineStatusDep) -> Response:
    """Look at the folders anew."""
    catalogue.rescan()
    if not is_fragment(request):
        return RedirectResponse("/checkpoints", status_code=303)
    return _page(request, catalogue, settings, engine)


def _page(request: Request, catalogue: CatalogueDep, settings: Settings, engine: EngineStatus) -> HTMLResponse:
    return render(
        request,
        "checkpoints.html",
        part="_checkpoints.html",
        current_page="/checkpoints",
        shelves=shelves(catalogue, engine),
        folder=None if settings.public else settings.own_checkpoints.absolute(),
    )
