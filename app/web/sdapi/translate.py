"""From A1111's fields to our request, and our refusals back to A1111's names. Knows no HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.metadata import a1111
from app.services import client_options
from app.services.batch import Batch
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.services.edit import Sources
from app.services.errors import InvalidInput
from app.services.request import RANDOM_SEEDS, JobRequest
from app.services.views import Defaults
from app.web.sdapi.shapes import DENOISING, PictureRequest, TextRequest
from models.recipe import Scheduler, explain
from models.sampler_names import SAMPLERS, SCHEDULERS, scheduler_of, split

AUTOMATIC = "automatic"
HARMLESS_SCRIPTS = frozenset({"soft inpainting"})  # grey in a mask repaints in part here anyway
LATENT = "latent"
OF_SECOND_PASS = ("hr_prompt", "hr_negative_prompt", "hr_sampler_name", "hr_scheduler", "hr_checkpoint_name")
PIXEL_UPSCALERS = frozenset({"lanczos", "none", "nearest"})
THEIR_NAMES = {
    "guidance_scale": "cfg_scale",
    "sampler": "sampler_name",
    "checkpoint": "override_settings.sd_model_checkpoint",
    "clip_skip": "override_settings.CLIP_stop_at_last_layers",
    "count": "n_iter",
    "image": "init_images",
    "strength": "denoising_strength",
    "padding": "inpaint_full_res_padding",
    "hires.scale": "hr_scale",
    "hires.steps": "hr_second_pass_steps",
    "hires.strength": "denoising_strength",
    "edit.strength": "denoising_strength",
    "edit.mask_blur": "mask_blur",
    "edit.padding": "inpaint_full_res_padding",
    "frame": "width",
}
FROM_INFOTEXT = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "seed": "seed",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
    "width": "width",
    "height": "height",
    "subseed": "subseed",
    "subseed_strength": "subseed_strength",
    "strength": "denoising_strength",
    "eta": "eta",
}


@dataclass
class Translated:
    """What a request comes to: `warnings` say what was accepted and not done."""

    batch: Batch
    options: Options
    warnings: list[str] = field(default_factory=list)


@contextmanager
def their_names() -> Iterator[None]:
    """Let refusals within the block name fields as A1111 does."""
    try:
        yield
    except InvalidInput as error:
        renamed = [{**item, "field": THEIR_NAMES.get(item["field"], item["field"])} for item in error.errors]
        raise InvalidInput(renamed) from error


def with_infotext(given: PictureRequest) -> None:
    """Fill what was not sent from `infotext`, as A1111 does since 1.10."""
    found = a1111.read(given.infotext) if given.infotext else None
    for ours, theirs in FROM_INFOTEXT.items():
        if found and ours in found.values and theirs not in given.model_fields_set:
            setattr(given, theirs, found.values[ours])


def translate(
    catalogue: Catalogue, given: PictureRequest, options: Options, sources: Sources | None = None
) -> Translated:
    """Return what `given` asks for, for a caller who has set `options`. Raises `InvalidInput` with A1111's names."""
    warnings = list(_warnings(given))
    with their_names():
        defaults = catalogue.default_request(options.sd_model_checkpoint)
        request = _request(given, defaults, options, warnings, is_edit=sources is not None)
        batch = Batch(request, _count(given), sources, _more(given, options, defaults))
    return Translated(batch, options, warnings)


def sides(given: PictureRequest, defaults: Defaults, warnings: list[str]) -> tuple[int, int]:
    """Width and height, rounded down to what the checkpoint makes, as A1111 rounds to 8."""
    asked = (given.width or defaults.width, given.height or defaults.height)
    multiple = defaults.size_multiple
    width, height = (side // multiple * multiple if side > multiple else side for side in asked)
    if (width, height) != asked:
        warnings.append(f"{asked[0]}x{asked[1]} was rounded down to {width}x{height}, multiples of {multiple}.")
    return width, height


def sampling(given: PictureRequest) -> tuple[str | None, Scheduler | None]:
    """Sampler and schedule; `DPM++ 2M Karras` names both. Raises `InvalidInput` with the names that there are."""
    name = given.sampler_name or given.sampler_index
    schedule = given.scheduler if given.scheduler and given.scheduler.lower() != AUTOMATIC else None
    found = split(name) if name and name.lower() != AUTOMATIC else None
    if name and found is None and name.lower() != AUTOMATIC:
        raise _unknown("sampler_name", "Sampler not found", name, [item.label for item in SAMPLERS.values()])
    chosen = scheduler_of(schedule) if schedule else None
    if schedule and chosen is None:
        raise _unknown("scheduler", "Scheduler not found", schedule, [item.label for item in SCHEDULERS.values()])
    return (found[0].value if found else None), chosen or (found[1] if found else None)


def _request(
    given: PictureRequest, defaults: Defaults, options: Options, warnings: list[str], *, is_edit: bool
) -> JobRequest:
    sampler, _ = sampling(given)
    width, height = sides(given, defaults, warnings)
    fields = {
        "prompt": given.prompt,
        "negative_prompt": given.negative_prompt,
        "steps": given.steps,
        "guidance_scale": given.cfg_scale,
        "sampler": sampler,
        "eta": min(1.0, max(0.0, options.eta_ddim if given.eta is None else given.eta)),
        "seed": -1 if given.seed is None else given.seed,
        "checkpoint": options.sd_model_checkpoint,
        **({} if is_edit else {"width": width, "height": height}),
    }
    try:
        return JobRequest.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise InvalidInput(explain(error)) from error


def _more(given: PictureRequest, options: Options, defaults: Defaults) -> dict[str, Any]:
    _, scheduler = sampling(given)
    more: dict[str, Any] = {"tiling": bool(given.tiling), "clip_skip": options.CLIP_stop_at_last_layers}
    if scheduler is not None:
        more["scheduler"] = scheduler
    if given.subseed_strength:
        more["subseed_strength"] = given.subseed_strength
        more["subseed"] = _subseed(given)
    if isinstance(given, TextRequest) and given.enable_hr:
        more["hires"] = _hires(given, defaults)
    return more


def _subseed(given: PictureRequest) -> int:
    return secrets.randbelow(RANDOM_SEEDS) if given.subseed in (None, -1) else int(given.subseed)


def _hires(given: TextRequest, defaults: Defaults) -> dict[str, Any]:
    name = (given.hr_upscaler or LATENT).lower()
    if not name.startswith(LATENT) and name not in PIXEL_UPSCALERS:
        raise _unknown("hr_upscaler", "Upscaler not found", str(given.hr_upscaler), ["Latent", "Lanczos"])
    scale = given.hr_scale or 2.0
    if given.hr_resize_x:
        scale = given.hr_resize_x / (given.width or defaults.width)
    elif given.hr_resize_y:
        scale = given.hr_resize_y / (given.height or defaults.height)
    return {
        "scale": scale,
        "upscaler": "latent" if name.startswith(LATENT) else "lanczos",
        "strength": DENOISING if given.denoising_strength is None else given.denoising_strength,
        "steps": given.hr_second_pass_steps or None,
    }


def _count(given: PictureRequest) -> int:
    for name in ("batch_size", "n_iter"):
        if (value := getattr(given, name)) is not None and value < 1:
            raise InvalidInput([{"field": name, "message": f"{value} is too few; 1 is the least."}])
    return (given.batch_size or 1) * (given.n_iter or 1)


def _warnings(given: PictureRequest) -> Iterator[str]:
    """Say what is accepted and ignored; refuse scripts, since a picture without them is another one."""
    for script in (given.alwayson_scripts or {}).keys() - set(_harmless(given)):
        raise InvalidInput([{"field": "alwayson_scripts", "message": f"Always on script {script!r} not found."}])
    if given.script_name:
        raise InvalidInput([{"field": "script_name", "message": f"Script {given.script_name!r} not found."}])
    if given.restore_faces:
        yield "restore_faces was ignored: there is no face restoration here."
    if given.styles:
        yield "styles were ignored: this server keeps none."
    if given.refiner_checkpoint:
        yield "refiner_checkpoint was ignored: there is no refiner here."
    if isinstance(given, TextRequest) and given.enable_hr:
        for name in (name for name in OF_SECOND_PASS if getattr(given, name)):
            yield f"{name} was ignored: the second pass is like the first here."


def _harmless(given: PictureRequest) -> Iterator[str]:
    return (name for name in given.alwayson_scripts or {} if name.lower() in HARMLESS_SCRIPTS)


def _unknown(name: str, words: str, value: str, offered: list[str]) -> InvalidInput:
    return InvalidInput([{"field": name, "message": f"{words}: {value!r}; there is: {', '.join(offered)}."}])


def options_of(catalogue: Catalogue, given: PictureRequest, options: Options) -> Options:
    """Return the caller's options under the `override_settings` of one request. Raises `InvalidInput`."""
    return client_options.changed(catalogue, options, given.override_settings or {}, "override_settings.")
