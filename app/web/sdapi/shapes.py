"""What A1111's clients send: its field names and defaults. What we do not know is ignored, `""` and null are absent."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.web.absent import without_absent

MAX_FILE = 30_000_000  # characters of base64
MAX_TEXT = 200_000  # characters
MAX_PICTURES = 16
MAX_DEPTH = 32  # of objects within each other, in what is only handed back
DENOISING = 0.75


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what could not be written into the answer: depth without end, numbers that are none, broken Unicode."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level for inner in _inner(item)]
    try:
        if level:
            raise ValueError("it is too deep")
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise PydanticCustomError("json", "This is no plain JSON: {reason}.", {"reason": str(error)}) from error
    return value


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


Text = Annotated[str, Field(max_length=MAX_TEXT)]  # whose length is counted, so that broken Unicode is refused
File = Annotated[str, Field(max_length=MAX_FILE)]
HiresSide = Annotated[int, Field(ge=0, le=8192)]
Mode = Annotated[int, Field(ge=0, le=3)]
Object = Annotated[dict[str, Any], AfterValidator(_plain)]


class Given(BaseModel):
    """A body of which unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_absent(cls, given: Any) -> Any:
        return without_absent(given)


class PictureRequest(Given):
    """The fields that txt2img and img2img share. What is None is the checkpoint's default."""

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: list[Text] = []
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = 0.0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: Text | None = None
    sampler_index: Text | None = None
    scheduler: Text | None = None
    batch_size: int = 1
    n_iter: int = 1
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    restore_faces: bool = False
    tiling: bool = False
    eta: float | None = None
    denoising_strength: float | None = None
    s_min_uncond: float = 0.0
    s_churn: float = 0.0
    s_noise: float = 1.0
    override_settings: Object = {}
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Text | None = None
    script_name: Text | None = None
    alwayson_scripts: Object = {}
    send_images: bool = True
    force_task_id: Text | None = None
    infotext: Text | None = None
    cancel_on_disconnect: bool = False


class TextRequest(PictureRequest):
    """txt2img."""

    enable_hr: bool = False
    hr_scale: float = 2.0
    hr_upscaler: Text | None = None
    hr_second_pass_steps: int = 0
    hr_resize_x: HiresSide = 0
    hr_resize_y: HiresSide = 0
    hr_sampler_name: Text | None = None
    hr_scheduler: Text | None = None
    hr_checkpoint_name: Text | None = None
    hr_prompt: Text = ""
    hr_negative_prompt: Text = ""
    firstpass_image: File | None = None


class ImageRequest(PictureRequest):
    """img2img; in a mask white is repainted."""

    init_images: Annotated[list[File], Field(max_length=MAX_PICTURES)] = []
    resize_mode: Mode = 0
    mask: File | None = None
    mask_blur: float | None = None
    mask_blur_x: float = 4
    mask_blur_y: float = 4
    mask_round: bool = True
    inpainting_fill: Mode = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: bool = False
    initial_noise_multiplier: float = 1.0
    latent_mask: File | None = None
    include_init_images: bool = False


class ExtrasRequest(Given):
    """What both kinds of upscaling share."""

    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    show_extras_results: bool = True
    gfpgan_visibility: float = 0
    codeformer_visibility: float = 0
    upscaling_resize: Annotated[float, Field(gt=0, le=8)] = 2.0
    upscaling_resize_w: Annotated[int, Field(ge=1, le=8192)] = 512
    upscaling_resize_h: Annotated[int, Field(ge=1, le=8192)] = 512
    upscaling_crop: bool = True
    upscaler_1: Text = "None"
    upscaler_2: Text = "None"
    extras_upscaler_2_visibility: Annotated[float, Field(ge=0, le=1)] = 0.0


class OneExtra(ExtrasRequest):
    """extra-single-image."""

    image: File | None = None


class NamedFile(Given):
    """One picture of extra-batch-images."""

    data: File
    name: Text = ""


class ManyExtras(ExtrasRequest):
    """extra-batch-images."""

    image_list: Annotated[list[NamedFile], Field(max_length=MAX_PICTURES, alias="imageList")] = []


class OneImage(Given):
    """png-info, interrogate."""

    image: File | None = None


class ProgressQuestion(Given):
    """/internal/progress."""

    id_task: Text | None = None
    id_live_preview: int = -1
    live_preview: bool = True
