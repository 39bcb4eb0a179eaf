"""A picture that is dropped on the studio: what it says fills the form, and the page says what it could not use."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from app.services import edit, restore
from app.services.errors import InvalidInput
from app.services.restore import Inspection
from app.web.dependencies import CatalogueDep, EngineStatusDep, Owner, StoreDep
from app.web.pages import recipe_form, studio
from app.web.pages.recipe_form import RecipeForm
from app.web.templating import fragment, is_fragment, partial

router = APIRouter(include_in_schema=False)

MAX_FIELDS = 4
NO_FIELD = "{}: this page has no field for it."


@router.post("/inspect")
async def inspect(
    request: Request, owner: Owner, store: StoreDep, catalogue: CatalogueDep, engine: EngineStatusDep
) -> HTMLResponse:
    """Fill the form with what the picture says; the picture itself is not kept."""
    async with request.form(max_files=1, max_fields=MAX_FIELDS) as sent:
        file = sent.get("file")
        content = await file.read() if isinstance(file, UploadFile) else b""
    if not content:
        raise InvalidInput([{"field": "file", "message": "Choose a picture: a PNG, JPEG or WebP file."}])

    def answer() -> HTMLResponse:
        found = restore.inspect(catalogue, content, lambda sha256: edit.is_kept(store, owner, sha256))
        form = _filled(catalogue, found)
        if not is_fragment(request):
            return studio.page_of(request, store, owner, engine, form, inspection=found)
        panel = partial("inspected", fragment(request, "_inspected.html", inspection=found))
        form = recipe_form.with_failures(form, engine)
        return HTMLResponse(panel + partial("recipe", fragment(request, "_recipe_form.html", form=form)))

    return await run_in_threadpool(answer)


def _filled(catalogue: CatalogueDep, found: Inspection) -> RecipeForm:
    """Return the form; what it has no field for is moved to what is impossible."""
    known = recipe_form.blank(catalogue).values
    for name in [name for name in found.restored if name not in known]:
        found.impossible[name] = NO_FIELD.format(found.restored.pop(name))
    return recipe_form.restored(catalogue, found.restored)
