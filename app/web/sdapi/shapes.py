"""What A1111's clients send: its field names and defaults. What we do not know is ignored, `""` and null are absent."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_FILE = 30_000_000  # characters of base64
DENOISING = 0.75


def _absent(value: Any) -> Any:
    return None if value == "" else value


File = Annotated[str, Field(max_length=MAX_FILE)]
OptionalFile = Annotated[File | None, BeforeValidator(_absent)]
OptionalText = Annotated[str | None, BeforeValidator(_absent)]
OptionalNumber = Annotated[float | None, BeforeValidator(_absent)]
OptionalMode = Annotated[Annotated[int, Field(ge=0, le=3)] | None, BeforeValidator(_absent)]
OptionalWhole = Annotated[int | None, BeforeValidator(_absent)]


class Given(BaseModel):
    """A body of which unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class PictureRequest(Given):
    """The fields that txt2img and img2img share. What is null or left out is the checkpoint's default."""

    prompt: str = ""
    negative_prompt: str | None = ""
    styles: list[str] | None = None
    seed: OptionalWhole = -1
    subseed: OptionalWhole = -1
    subseed_strength: OptionalNumber = 0.0
    sampler_name: OptionalText = None
    sampler_index: OptionalText = None
    scheduler: OptionalText = None
    batch_size: OptionalWhole = 1
    n_iter: OptionalWhole = 1
    steps: OptionalWhole = None
    cfg_scale: OptionalNumber = None
    width: OptionalWhole = None
    height: OptionalWhole = None
    restore_faces: bool | None = None
    tiling: bool | None = None
    eta: OptionalNumber = None
    denoising_strength: OptionalNumber = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool | None = True
    refiner_checkpoint: OptionalText = None
    script_name: OptionalText = None
    alwayson_scripts: dict[str, Any] | None = None
    send_images: bool | None = True
    force_task_id: OptionalText = None
    infotext: OptionalText = None
    cancel_on_disconnect: bool = False


class TextRequest(PictureRequest):
    """txt2img."""

    enable_hr: bool | None = False
    hr_scale: OptionalNumber = 2.0
    hr_upscaler: OptionalText = None
    hr_second_pass_steps: OptionalWhole = 0
    hr_resize_x: OptionalWhole = 0
    hr_resize_y: OptionalWhole = 0
    hr_sampler_name: OptionalText = None
    hr_scheduler: OptionalText = None
    hr_checkpoint_name: OptionalText = None
    hr_prompt: str | None = ""
    hr_negative_prompt: str | None = ""


class ImageRequest(PictureRequest):
    """img2img; in a mask white is repainted."""

    init_images: list[File] | None = None
    resize_mode: OptionalMode = 0
    mask: OptionalFile = None
    mask_blur: OptionalNumber = None
    mask_blur_x: OptionalNumber = 4
    mask_blur_y: OptionalNumber = 4
    mask_round: bool | None = True
    inpainting_fill: OptionalMode = 0
    inpaint_full_res: bool | None = True
    inpaint_full_res_padding: OptionalWhole = 0
    inpainting_mask_invert: Annotated[int | None, BeforeValidator(_absent)] = 0
    include_init_images: bool | None = False


class ExtrasRequest(Given):
    """What both kinds of upscaling share."""

    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    show_extras_results: bool | None = True
    gfpgan_visibility: OptionalNumber = 0
    codeformer_visibility: OptionalNumber = 0
    upscaling_resize: Annotated[float, Field(gt=0, le=8)] = 2.0
    upscaling_resize_w: Annotated[int, Field(ge=1, le=8192)] = 512
    upscaling_resize_h: Annotated[int, Field(ge=1, le=8192)] = 512
    upscaling_crop: bool | None = True
    upscaler_1: str | None = "None"
    upscaler_2: str | None = "None"
    extras_upscaler_2_visibility: Annotated[float, Field(ge=0, le=1)] = 0.0


class OneExtra(ExtrasRequest):
    """extra-single-image."""

    image: OptionalFile = None


class NamedFile(Given):
    """One picture of extra-batch-images."""

    data: File
    name: str = ""


class ManyExtras(ExtrasRequest):
    """extra-batch-images."""

    image_list: Annotated[list[NamedFile], Field(max_length=16, alias="imageList")] = []


class OneImage(Given):
    """png-info, interrogate."""

    image: OptionalFile = None


class ProgressQuestion(Given):
    """/internal/progress."""

    id_task: OptionalText = None
    id_live_preview: int = -1
    live_preview: bool = True
