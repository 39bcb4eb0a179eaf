"""The canvas: where one is begun, and the page on which a picture is painted over and carried on beyond its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.services import canvas
from app.services.catalogue import Catalogue
from app.services.views import CanvasView
from app.web.dependencies import CatalogueDep, EngineStatusDep, Owner, StoreDep
from app.web.pages import recipe_form
from app.web.pages.recipe_form import RecipeForm
from app.web.templating import number, render
from models.edit import Edit, Infill, MaskedContent

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 24
EDIT_FIELDS = ("strength", "grow", "mask_blur", "overlap", "padding")
MASKED_CONTENTS = {
    MaskedContent.ORIGINAL: "The picture itself",
    MaskedContent.FILL: "Its surroundings, blurred",
    MaskedContent.LATENT_NOISE: "Noise",
    MaskedContent.LATENT_NOTHING: "Nothing",
}
INFILLS = {
    Infill.EDGE: "The edge, carried on",
    Infill.BLUR: "The edge, blurred",
    Infill.MIRROR: "The picture, mirrored",
    Infill.NOISE: "Noise",
    Infill.COLOUR: "The mean colour",
}


@router.get("/canvas")
def index(request: Request, owner: Owner, store: StoreDep, before: str | None = None) -> HTMLResponse:
    """Show where a canvas is begun, and a page of those of lately; under htmx the ones that follow."""
    return render(
        request,
        "canvases.html",
        part="_canvases_more.html",
        current_page="/canvas",
        page=canvas.page(store, owner, before, PAGE_SIZE),
        is_first=before is None,
    )


@router.get("/canvas/{canvas_id}")
def show(
    request: Request,
    owner: Owner,
    store: StoreDep,
    catalogue: CatalogueDep,
    engine: EngineStatusDep,
    canvas_id: str,
) -> HTMLResponse:
    """Show one canvas; its picture, mask, frame and candidates are fetched by its scripts."""
    view = canvas.view(store, owner, canvas_id)
    form = recipe_form.with_failures(filled(catalogue, view), engine)
    return render(
        request,
        "canvas.html",
        current_page="/canvas",
        canvas_id=view.id,
        grain=catalogue.default_request(form.checkpoint.name).size_multiple,
        form=form,
        masked_contents=MASKED_CONTENTS,
        infills=INFILLS,
    )


def filled(catalogue: Catalogue, view: CanvasView) -> RecipeForm:
    """Return the form with the checkpoint's defaults, those of an edit, and what the picture itself was asked with."""
    recipe = view.image.recipe
    given: Mapping[str, str] = (
        {"prompt": recipe.prompt, "negative_prompt": recipe.negative_prompt} if recipe is not None else {}
    )
    form = recipe_form.blank(catalogue, checkpoint=recipe.checkpoint if recipe else None, **given)
    edits = {name: number(Edit.model_fields[name].default) for name in EDIT_FIELDS}
    return replace(form, values={**form.values, **edits})
