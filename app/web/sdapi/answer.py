"""What A1111 answers: pictures in base64, the request as it was understood, and `info`, which is JSON in a string."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.metadata.a1111 import extras, parameters
from app.metadata.write import convert
from app.services import client_options, download
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.services.download import Kind
from app.services.errors import InvalidInput
from app.services.pasted import at_full_size
from app.services.store import Store
from app.services.views import GroupView, JobView
from app.web.sdapi.shapes import ImageRequest, PictureRequest
from app.web.sdapi.translate import Translated
from app.web.sdapi.unfinished import Unfinished
from models.recipe import Recipe
from models.sampler_names import SAMPLERS

KINDS: Mapping[str, Kind] = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
HIDDEN = ("init_images", "mask", "latent_mask", "firstpass_image", "infotext")


@dataclass(frozen=True)
class Made:
    """What came of a request: its jobs as they ended, and what was seen of those that were interrupted."""

    store: Store
    owner: str
    ended: GroupView
    unfinished: Unfinished

    @property
    def shown(self) -> list[JobView]:
        """The jobs of which there is a picture, in order."""
        return [job for job in self.ended.jobs if self.is_done(job) or job.id in self.unfinished.previews]

    @staticmethod
    def is_done(job: JobView) -> bool:
        return job.status == "done" and job.image is not None


def whole(catalogue: Catalogue, given: PictureRequest, translated: Translated, made: Made) -> dict[str, Any]:
    """The answer to `txt2img` and `img2img`."""
    images = [_image(made, job, translated.options) for job in made.shown] if given.send_images else []
    return {"images": images, "parameters": echo(given), "info": info(catalogue, translated, made)}


def _image(made: Made, job: JobView, options: Options) -> str:
    """A picture as plain base64 of the kind of file that the caller has chosen."""
    kind = KINDS[options.samples_format]
    shown = made.store.settings.prompt_in_files
    if job.image is not None:
        png = download.picture(made.store, made.owner, job.image.id, with_recipe=shown)
    else:
        png = made.unfinished.picture(job)
    png = at_full_size(made.store, job, png)
    content = png if kind == "png" else convert(png, kind, with_recipe=shown, quality=options.jpeg_quality)
    return base64.b64encode(content).decode()


def echo(given: PictureRequest) -> dict[str, Any]:
    """The request as it was read, without its pictures unless they are asked for."""
    shown = given.model_dump()
    hidden: dict[str, Any] = {name: None for name in HIDDEN if name in shown}
    if isinstance(given, ImageRequest) and given.include_init_images:
        del hidden["init_images"], hidden["mask"]
    return {**shown, **hidden}


def info(catalogue: Catalogue, translated: Translated, made: Made) -> str:
    """`Processed.js()`: what clients parse for seeds and for the text to keep beside each picture."""
    shown = made.shown
    recipes = [job.recipe for job in shown or made.ended.jobs]
    first = recipes[0]
    environment = _environment(shown[0]) if shown else {}
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
        "infotexts": [parameters(job.recipe, _environment(job)) for job in shown],
        "job_timestamp": f"{made.ended.jobs[0].created_at:%Y%m%d%H%M%S}",
        "warnings": [*translated.warnings, *_interrupted(made, shown)],
    }
    return json.dumps(body, ensure_ascii=False)


def _interrupted(made: Made, shown: Sequence[JobView]) -> list[str]:
    count = sum(not made.is_done(job) for job in shown)
    return [f"{count} of the pictures were interrupted; these are previews, and not in the gallery."] if count else []


def _environment(job: JobView) -> Mapping[str, Any]:
    return job.image.environment if job.image else {}


def _fixed(recipe: Recipe) -> dict[str, Any]:
    strength = recipe.edit.strength if recipe.edit else recipe.hires.strength if recipe.hires else None
    return {
        "restore_faces": False,
        "face_restoration_model": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": strength,
        "extra_generation_params": extras(recipe),
        "index_of_first_image": 0,
        "styles": [],
        "clip_skip": recipe.clip_skip,
        "is_using_inpainting_conditioning": False,
    }


def _model(catalogue: Catalogue, recipe: Recipe, environment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sd_model_name": recipe.checkpoint,
        "sd_model_hash": _model_hash(catalogue, recipe, environment),
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "version": f"Mezzotint {environment.get('version', '')}".strip(),
    }


def _model_hash(catalogue: Catalogue, recipe: Recipe, environment: Mapping[str, Any]) -> str | None:
    """The first digits of the file's SHA-256, as it was or is; None, not some other hash, while that is not known."""
    if sha256 := environment.get("model_sha256"):
        return str(sha256)[: client_options.SHORT_HASH]
    try:
        return client_options.short_hash(catalogue.get(recipe.checkpoint))
    except InvalidInput:
        return None
