"""From A1111's fields to our request, and our refusals back to A1111's names. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.metadata import a1111
from app.services import client_options
from app.services.batch import MAX_IMAGES, Batch
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.services.edit import Sources
from app.services.errors import InvalidInput, ServiceError
from app.services.request import JobRequest
from app.services.views import Defaults
from app.web.sdapi.shapes import DENOISING, PictureRequest, TextRequest
from models.edit import MAX_SIDE, MIN_SIDE
from models.recipe import Prompt, Scheduler, explain
from models.sampler_names import SAMPLERS, SCHEDULERS, scheduler_of, split

AUTOMATIC = "automatic"
HARMLESS_SCRIPTS = frozenset({"soft inpainting"})  # grey in a mask repaints in part here anyway
LATENT = "latent"
MAX_HIRES = 4
OF_SECOND_PASS = ("hr_prompt", "hr_negative_prompt", "hr_sampler_name", "hr_scheduler", "hr_checkpoint_name")
NOT_BUILT: Mapping[str, tuple[object, ...]] = {  # and what is harmless to ask for
    "seed_resize_from_h": (-1, 0),
    "seed_resize_from_w": (-1, 0),
    "s_min_uncond": (0,),
    "s_churn": (0,),
    "s_noise": (1,),
    "initial_noise_multiplier": (1,),
    "latent_mask": (None,),
    "firstpass_image": (None,),
}
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
    "hires_scale": "hr_scale",
    "hires_steps": "hr_second_pass_steps",
    "hires_strength": "denoising_strength",
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


class AnyRequest(JobRequest):
    """A request that may have an empty prompt, as those of A1111's clients may."""

    prompt: Prompt = ""


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
    catalogue: Catalogue, given: PictureRequest, options: Options, sources: Sequence[Sources] = ()
) -> Translated:
    """Return what `given` asks for, for a caller who has set `options`. Raises `InvalidInput` with A1111's names."""
    warnings = list(_warnings(given))
    with their_names():
        defaults = catalogue.default_request(options.sd_model_checkpoint)
        request = _request(given, defaults, options, warnings, is_edit=bool(sources))
        batch = Batch(request, _count(given, len(sources)), sources)
    return Translated(batch, options, warnings)


def sides(given: PictureRequest, defaults: Defaults, warnings: list[str]) -> tuple[int, int]:
    """Width and height, rounded down to what the checkpoint makes, as A1111 rounds to 8. Raises `InvalidInput`."""
    asked = (given.width or defaults.width, given.height or defaults.height)
    for name, side in zip(("width", "height"), asked, strict=True):
        if not MIN_SIDE <= side <= MAX_SIDE:
            raise InvalidInput([{"field": name, "message": f"{side} is not from {MIN_SIDE} to {MAX_SIDE} pixels."}])
    multiple = defaults.size_multiple
    width, height = (side // multiple * multiple if side > multiple else side for side in asked)
    if (width, height) != asked:
        warnings.append(f"{asked[0]}x{asked[1]} was rounded down to {width}x{height}, multiples of {multiple}.")
    return width, height


def sampling(given: PictureRequest) -> tuple[str | None, Scheduler | None]:
    """Sampler and schedule; `DPM++ 2M Karras` names both. Raises `InvalidInput` with the names that there are."""
    field = "sampler_name" if given.sampler_name else "sampler_index"
    name = given.sampler_name or given.sampler_index
    schedule = given.scheduler if given.scheduler and given.scheduler.lower() != AUTOMATIC else None
    found = split(name) if name and name.lower() != AUTOMATIC else None
    if name and found is None and name.lower() != AUTOMATIC:
        raise _unknown(field, "Sampler not found", name, [item.label for item in SAMPLERS.values()], 400)
    chosen = scheduler_of(schedule) if schedule else None
    if schedule and chosen is None:
        raise _unknown("scheduler", "Scheduler not found", schedule, [item.label for item in SCHEDULERS.values()], 400)
    return (found[0].value if found else None), chosen or (found[1] if found else None)


def _request(
    given: PictureRequest, defaults: Defaults, options: Options, warnings: list[str], *, is_edit: bool
) -> JobRequest:
    sampler, scheduler = sampling(given)
    width, height = sides(given, defaults, warnings)
    fields = {
        "prompt": given.prompt,
        "negative_prompt": given.negative_prompt,
        "steps": given.steps,
        "guidance_scale": given.cfg_scale,
        "sampler": sampler,
        "scheduler": scheduler,
        "eta": min(1.0, max(0.0, options.eta_ddim if given.eta is None else given.eta)),
        "seed": given.seed,
        "subseed": given.subseed,
        "subseed_strength": given.subseed_strength,
        "tiling": given.tiling,
        "clip_skip": options.CLIP_stop_at_last_layers,
        "checkpoint": options.sd_model_checkpoint,
        **({} if is_edit else {"width": width, "height": height}),
        **(_hires(given, defaults) if isinstance(given, TextRequest) and given.enable_hr else {}),
    }
    try:
        return AnyRequest.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise InvalidInput(explain(error)) from error


def _hires(given: TextRequest, defaults: Defaults) -> dict[str, Any]:
    scale, name = given.hr_scale, "hr_scale"
    if given.hr_resize_x:
        scale, name = given.hr_resize_x / (given.width or defaults.width), "hr_resize_x"
    elif given.hr_resize_y:
        scale, name = given.hr_resize_y / (given.height or defaults.height), "hr_resize_y"
    if not 1 < scale <= MAX_HIRES:
        raise InvalidInput(
            [{"field": name, "message": f"{scale:g} times as large; 1 to {MAX_HIRES} times can be made."}]
        )
    return {
        "hires_scale": scale,
        "hires_upscaler": _hr_upscaler(given),
        "hires_strength": DENOISING if given.denoising_strength is None else given.denoising_strength,
        "hires_steps": given.hr_second_pass_steps or None,
    }


def _hr_upscaler(given: TextRequest) -> str:
    """Raises `ServiceError` with those that there are."""
    name = (given.hr_upscaler or LATENT).lower()
    if not name.startswith(LATENT) and name not in PIXEL_UPSCALERS:
        raise _unknown("hr_upscaler", "Upscaler not found", str(given.hr_upscaler), ["Latent", "Lanczos"])
    return LATENT if name.startswith(LATENT) else "lanczos"


def _count(given: PictureRequest, begun_from: int) -> int:
    """How many pictures; several to begin from are a batch of one each."""
    for name in ("batch_size", "n_iter"):
        if not 1 <= (value := getattr(given, name)) <= MAX_IMAGES:
            raise InvalidInput([{"field": name, "message": f"{value} is not from 1 to {MAX_IMAGES}."}])
    batch_size: int = begun_from if begun_from > 1 else given.batch_size
    return batch_size * given.n_iter


def _warnings(given: PictureRequest) -> Iterator[str]:
    """Say what is accepted and ignored; refuse scripts, since a picture without them is another one."""
    for script in given.alwayson_scripts.keys() - set(_harmless(given)):
        raise InvalidInput([{"field": "alwayson_scripts", "message": f"Always on script {script!r} not found."}])
    if given.script_name:
        raise InvalidInput([{"field": "script_name", "message": f"Script {given.script_name!r} not found."}])
    if any(given.alwayson_scripts.values()):
        yield "Soft Inpainting was ignored: grey in a mask repaints in part here, where mask_round is off."
    if given.restore_faces:
        yield "restore_faces was ignored: there is no face restoration here."
    if given.styles:
        yield "styles were ignored: this server keeps none."
    if given.refiner_checkpoint:
        yield "refiner_checkpoint was ignored: there is no refiner here."
    for name, harmless in NOT_BUILT.items():
        if getattr(given, name, harmless[0]) not in harmless:
            yield f"{name} was ignored: it is not built here."
    if isinstance(given, TextRequest) and given.enable_hr:
        for name in (name for name in OF_SECOND_PASS if getattr(given, name)):
            yield f"{name} was ignored: the second pass is like the first here."
        asked, taken = given.hr_upscaler or LATENT, _hr_upscaler(given)
        if asked.lower() != taken:
            yield f"hr_upscaler {asked!r} was taken as {taken.capitalize()}."
        if given.hr_resize_x and given.hr_resize_y:
            yield "hr_resize_y was ignored: the picture keeps its shape here."


def _harmless(given: PictureRequest) -> Iterator[str]:
    return (name for name in given.alwayson_scripts if name.lower() in HARMLESS_SCRIPTS)


def _unknown(name: str, words: str, value: str, offered: list[str], status: int = 422) -> ServiceError:
    """Refuse as A1111 does, which says 400 of a sampler."""
    return ServiceError(status, "not_found", f"{words}: {value!r}; there is: {', '.join(offered)}.", field=name)


def options_of(catalogue: Catalogue, given: PictureRequest, options: Options) -> Options:
    """Return the caller's options under the `override_settings` of one request. Raises `InvalidInput`."""
    return client_options.changed(catalogue, options, given.override_settings, "override_settings.")
