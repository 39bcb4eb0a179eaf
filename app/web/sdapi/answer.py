"""What A1111 answers: pictures in base64, the request as it was understood, and `info`, which is JSON in a string."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.metadata.a1111 import parameters
from app.services import client_options, download
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.services.download import Kind
from app.services.errors import InvalidInput
from app.services.store import Store
from app.services.views import ImageView, JobView
from app.web.sdapi.shapes import PictureRequest
from app.web.sdapi.translate import Translated
from models.recipe import Recipe
from models.sampler_names import SAMPLERS

KINDS: Mapping[str, Kind] = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
HIDDEN = ("init_images", "mask", "infotext")


def images(store: Store, owner: str, options: Options, done: Sequence[JobView]) -> list[str]:
    """The finished pictures in order, as plain base64 of the kind of file that the caller has chosen."""
    kind = KINDS[options.samples_format]
    quality = options.jpeg_quality if kind != "png" else None
    files = (
        download.picture(store, owner, job.image.id, kind, with_recipe=store.settings.prompt_in_files, quality=quality)
        for job in done
        if job.image
    )
    return [base64.b64encode(content).decode() for content in files]


def echo(given: PictureRequest) -> dict[str, Any]:
    """The request as it was read, without its pictures."""
    return {**given.model_dump(), **dict.fromkeys(HIDDEN)}


def info(catalogue: Catalogue, translated: Translated, all_jobs: Sequence[JobView], done: Sequence[JobView]) -> str:
    """`Processed.js()`: what clients parse for seeds and for the text to keep beside each picture."""
    recipes = [job.recipe for job in done] or [job.recipe for job in all_jobs]
    first = recipes[0]
    environment = done[0].image.environment if done and done[0].image else {}
    vary = first.subseed is not None
    body = {
        "prompt": first.prompt,
        "all_prompts": [recipe.prompt for recipe in recipes],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [recipe.negative_prompt for recipe in recipes],
        "seed": first.seed,
        "all_seeds": [recipe.seed for recipe in recipes],
        "subseed": first.subseed if vary else -1,
        "all_subseeds": [recipe.subseed if vary else -1 for recipe in recipes],
        "subseed_strength": first.subseed_strength,
        "width": first.width,
        "height": first.height,
        "sampler_name": SAMPLERS[first.sampler].label,
        "cfg_scale": first.guidance_scale,
        "steps": first.steps,
        "batch_size": len(recipes),
        **_fixed(first),
        **_model(catalogue, first, environment),
        "infotexts": [_infotext(job.image, job.recipe) for job in done],
        "job_timestamp": f"{all_jobs[0].created_at:%Y%m%d%H%M%S}",
        "warnings": translated.warnings,
    }
    return json.dumps(body, ensure_ascii=False)


def _infotext(image: ImageView | None, recipe: Recipe) -> str:
    return parameters(recipe, image.environment if image else {})


def _fixed(recipe: Recipe) -> dict[str, Any]:
    strength = recipe.edit.strength if recipe.edit else recipe.hires.strength if recipe.hires else None
    return {
        "restore_faces": False,
        "face_restoration_model": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": strength,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "styles": [],
        "clip_skip": recipe.clip_skip,
        "is_using_inpainting_conditioning": False,
    }


def _model(catalogue: Catalogue, recipe: Recipe, environment: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known = client_options.short_hash(catalogue.get(recipe.checkpoint))
    except InvalidInput:
        known = None
    return {
        "sd_model_name": recipe.checkpoint,
        "sd_model_hash": known or str(environment.get("fingerprint", ""))[: client_options.SHORT_HASH],
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "version": f"Mezzotint {environment.get('version', '')}".strip(),
    }
