"""Every component of the pages in every state, for those who build them and for the tests that look at them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.services.gallery import Family
from app.services.prompts import PromptNotes, TokenCount
from app.services.views import ErrorView, GalleryPage, ImageView, JobView, ShareView
from app.web.checkpoints import CheckpointView
from app.web.pages import recipe_form
from app.web.pages.recipe_form import RecipeForm
from app.web.templating import render, static_url
from models.checkpoint.facts import CheckpointFacts
from models.recipe import Recipe, Sampler

router = APIRouter(include_in_schema=False)

MOMENT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
RECIPE = Recipe(
    prompt="snowy mountains behind a lake at sunset with a cabin on the left",
    negative_prompt="clouds",
    seed=1722,
    width=192,
    height=192,
)
LINKS = (
    ShareView(id="with", show_recipe=True, created_at=MOMENT, revoked_at=None),
    ShareView(id="alone", show_recipe=False, created_at=MOMENT, revoked_at=None),
)
IMAGE = ImageView(
    id="sample",
    width=192,
    height=192,
    pixel_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    recipe=RECIPE,
    environment={"device": "cpu", "dtype": "float32"},
    created_at=MOMENT,
    shares=LINKS,
)
UPLOAD = replace(IMAGE, id="upload", recipe=None, origin="upload", shares=())
QUEUED = JobView(
    id="queued",
    group="sample",
    status="queued",
    step=0,
    steps=20,
    position=3,
    attempt=0,
    recipe=RECIPE,
    image=None,
    error=None,
    preview_version=0,
    created_at=MOMENT,
)
NOTES = PromptNotes(["dragon", "over"], TokenCount(33, 30), is_small=True)
WORDS = {
    "times of day": ["at dawn", "by day", "at sunset", "at dusk", "at night"],
    "far away": ["mountains", "snowy mountains", "hills", "dunes", "a city", "islands"],
    "in front": ["pine trees", "palm trees", "a cabin", "a lighthouse", "a sailboat", "a tent"],
}
EXAMPLES = [
    "snowy mountains behind a lake at sunset with a cabin on the left",
    "dunes at dawn with a cactus",
    "a city by the sea at night with a crescent moon and stars",
    "islands by the sea by day with a sailboat in the middle",
    "hills behind a field of flowers by day with a windmill on the right",
]


@router.get("/patterns")
def patterns(request: Request) -> HTMLResponse:
    """Show them all, with made-up content."""
    return render(
        request,
        "patterns.html",
        jobs=jobs(),
        form=form(),
        image=IMAGE,
        has_canvas=True,
        query="",
        page=GalleryPage(images=(*(replace(IMAGE, id=f"sample-{number}") for number in range(4)), UPLOAD), next="key"),
        q="",
        more_url="/patterns",
        family=Family(UPLOAD, tuple(replace(IMAGE, id=f"child-{number}") for number in range(3))),
        edit_form=edit_form(),
        checkpoints=checkpoints(),
        image_url=_picture,
        thumbnail_url=_picture,
        preview_url=_picture,
        aside={"state": "loading", "error": None, "element_id": "engine-loading"},
        broken={"state": "failed", "error": "unet/ has no weights.", "element_id": "engine-failed"},
    )


def jobs() -> list[JobView]:
    """Return a job in each state."""
    running = replace(QUEUED, id="running", status="running", position=None, attempt=1)
    failed = ErrorView("out_of_memory", "The device has too little memory for this size; 768 × 768 fits.")
    tall = RECIPE.model_copy(update={"width": 128, "height": 192, "sampler": Sampler.EULER_ANCESTRAL})
    return [
        QUEUED,
        replace(QUEUED, id="next", position=1),
        running,
        replace(running, id="previewed", step=7, preview_version=3),
        replace(running, id="second-try", step=2, attempt=2, preview_version=1, recipe=tall),
        replace(running, id="done", status="done", step=20, image=IMAGE),
        replace(running, id="failed", status="failed", step=7, error=failed),
        replace(running, id="cancelled", status="cancelled", step=3, preview_version=2),
        replace(running, id="deleted", status="done", step=20),
    ]


def form() -> RecipeForm:
    """Return the form with faults, and with words that the model does not know."""
    facts = facts_of("embedded", title="Landscapes", words=WORDS, examples=EXAMPLES)
    values = dict.fromkeys((*recipe_form.FIELDS, *recipe_form.EDIT_FIELDS), "") | {
        "prompt": "a dragon over snowy mountains at night",
        "steps": "400",
        "guidance_scale": "3",
        "guidance_rescale": "0.5",
        "guidance_start": "0.1",
        "guidance_end": "0.8",
        "sampler": "ddim",
        "eta": "0",
        "scheduler": "karras",
        "subseed_strength": "0.2",
        "clip_skip": "1",
        "hires_scale": "2",
        "hires_upscaler": "lanczos",
        "hires_strength": "0.5",
        "width": "192",
        "height": "190",
        "count": "2",
    }
    errors = {
        "steps": "Input should be less than or equal to 150",
        "height": "Input should be a multiple of 8",
    }
    return RecipeForm(values, facts, [facts, facts_of("dreamy", title="Dreamy")], errors, NOTES)


def edit_form() -> RecipeForm:
    """Return the form of an edit, whose mask has gone."""
    made = form()
    values = {**made.values, "image": "sha256:0", "mask": "sha256:1", "strength": "0.75"}
    return replace(made, values=values, errors={"mask": "There is no such image of yours."})


def checkpoints() -> list[CheckpointView]:
    """Return a checkpoint in each state."""
    landscapes = facts_of("embedded", title="Landscapes", words=WORDS, dtypes=["F16"], sha256="3f" * 32)
    failed = "text_encoder/model.safetensors is cut short: 12 MB of 246 MB. Copy it again."
    return [
        CheckpointView(landscapes, state="ready", error=None, is_default=True, memory=34_000_000),
        CheckpointView(facts=facts_of("dreamy"), state="loading", error=None, hashing=0.4),
        CheckpointView(facts=facts_of("inky"), state="available", error=None),
        CheckpointView(facts=facts_of("torn"), state="failed", error=failed),
    ]


def facts_of(name: str, **given: Any) -> CheckpointFacts:
    """Return the facts of a checkpoint that is nowhere."""
    known: dict[str, Any] = {
        "title": name,
        "path": name,
        "family": "SD 1",
        "latent_channels": 8,
        "width": 192,
        "height": 192,
        "defaults": {},
        "examples": [],
        "words": {},
        "grammar_words": [],
        "prediction_type": "v_prediction",
        "inpainting": False,
        "bytes": 34_000_000,
    }
    return CheckpointFacts(name=name, **known | given)


def _picture(_: Any) -> str:
    return static_url("patterns/landscape.svg")
