"""The studio: the form that makes pictures, and the cards of those that are being made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.services import gallery, generate, prompts, share
from app.services.catalogue import Catalogue
from app.services.edit_request import BY_HASH
from app.services.entries import Download
from app.services.errors import InvalidInput
from app.web import programs
from app.web.dependencies import CatalogueDep, EngineStatus, EngineStatusDep, Owner, StoreDep
from app.web.pages import recipe_form
from app.web.pages.recipe_form import RecipeForm
from app.web.templating import fragment, is_fragment, render, render_job_card, render_jobs

router = APIRouter(include_in_schema=False)
Fields = Annotated[dict[str, str], Depends(recipe_form.form_fields)]


@router.get("/")
def studio(
    request: Request, owner: Owner, store: StoreDep, catalogue: CatalogueDep, engine: EngineStatusDep
) -> HTMLResponse:
    """Show the form, filled from `?image=`, `?job=`, `?share=` or its own fields, and the latest cards."""
    form = _filled(request, store, catalogue, owner)
    return page_of(request, store, owner, engine, form)


@router.post("/jobs")
def submit(
    request: Request, owner: Owner, store: StoreDep, catalogue: CatalogueDep, engine: EngineStatusDep, fields: Fields
) -> Response:
    """Queue what the form asks for. Its cards come by the stream: a late answer must not undo what that has shown."""
    try:
        group = generate.submit(store, catalogue, owner, recipe_form.request_of(fields))
    except InvalidInput as error:
        form = recipe_form.returned(catalogue, fields, error.errors)
        return page_of(request, store, owner, engine, form, status_code=422)
    if not is_fragment(request):
        seed = "" if fields.get("seed", "").strip() else "&new_seed=1"
        return RedirectResponse(f"/?job={group.jobs[0].id}{seed}", status_code=303)
    form = recipe_form.with_failures(recipe_form.returned(catalogue, fields), engine)
    return HTMLResponse(fragment(request, "_recipe_form.html", form=form))


@router.post("/prompt/check")
def check(request: Request, catalogue: CatalogueDep, fields: Fields) -> HTMLResponse:
    """Count the tokens of a prompt, and name the words that its checkpoint does not know."""
    notes = prompts.notes(catalogue, fields.get("checkpoint") or None, fields.get("prompt", ""))
    return HTMLResponse(fragment(request, "_prompt_notes.html", notes=notes))


@router.get("/engine")
def engine_state(request: Request, engine: EngineStatusDep) -> HTMLResponse:
    """Say whether the model is loaded; the fragment asks again until it is."""
    return HTMLResponse(fragment(request, "_engine.html", engine=engine, downloads=_downloads(request)))


@router.post("/jobs/{job_id}/cancel")
def cancel(request: Request, owner: Owner, store: StoreDep, job_id: str) -> Response:
    """Stop a job."""
    job = generate.cancel(store, owner, job_id)
    return HTMLResponse(render_job_card(request, job)) if is_fragment(request) else _back()


@router.post("/jobs/{job_id}/retry")
def retry(request: Request, owner: Owner, store: StoreDep, job_id: str) -> Response:
    """Queue a failed or cancelled job again; its card comes by the stream."""
    generate.retry(store, owner, job_id)
    return Response(status_code=204) if is_fragment(request) else _back()


@router.post("/jobs/{job_id}/dismiss")
def dismiss(request: Request, owner: Owner, store: StoreDep, job_id: str) -> Response:
    """Take a card off the page."""
    generate.dismiss(store, owner, job_id)
    return _cards(request, store, owner)


@router.post("/jobs/clear")
def clear(request: Request, owner: Owner, store: StoreDep) -> Response:
    """Take all cards of ended jobs off the page."""
    generate.clear_finished(store, owner)
    return _cards(request, store, owner)


def _filled(request: Request, store: StoreDep, catalogue: CatalogueDep, owner: str) -> RecipeForm:
    """Return the form that the query asks for. Raises `NotFound` for an image, job or link that is not theirs."""
    query = request.query_params
    recipe = None
    image_id = query.get("image", "")
    is_edit = image_id.startswith(BY_HASH)  # the form itself asks, for another checkpoint's defaults
    if image_id and not is_edit:
        recipe = gallery.image(store, programs.owner_of(request, store, owner, image_id), image_id).recipe
    elif job_id := query.get("job"):
        recipe = generate.job_view(store, owner, job_id).recipe
    elif token := query.get("share"):
        recipe = share.resolve(store, token).image.recipe
    if recipe is not None:
        return recipe_form.of_recipe(catalogue, recipe, with_seed="new_seed" not in query)
    kept = {*recipe_form.FIELDS, *(recipe_form.EDIT_FIELDS if is_edit else ())} - {"checkpoint"}
    given = {name: query[name] for name in kept if name in query}
    return recipe_form.blank(catalogue, checkpoint=query.get("checkpoint"), **given)


def page_of(
    request: Request,
    store: StoreDep,
    owner: str,
    engine: EngineStatus,
    form: RecipeForm,
    status_code: int = 200,
    **more: Any,
) -> HTMLResponse:
    """Return the studio with this form; `more` is for its template."""
    last_event_id = generate.last_event_id(store, owner)
    return render(
        request,
        "studio.html",
        part="_recipe_form.html",
        status_code=status_code,
        current_page="/",
        form=recipe_form.with_failures(form, engine),
        engine=engine,
        downloads=_downloads(request),
        last_event_id=last_event_id,
        jobs=generate.recent_jobs(store, owner),
        **more,
    )


def _downloads(request: Request) -> list[Download]:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue.downloads


def _cards(request: Request, store: StoreDep, owner: str) -> Response:
    if not is_fragment(request):
        return _back()
    return HTMLResponse(render_jobs(request, generate.recent_jobs(store, owner)))


def _back() -> Response:
    return RedirectResponse("/", status_code=303)
