"""A1111's options: the caller's own, of an allow-list; clients read all, change one, and post all back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from app.services import client_options
from app.services.catalogue import Catalogue
from app.services.client_options import Options
from app.web.api.requests import require_json
from app.web.caller import Caller
from app.web.dependencies import CatalogueDep, StoreDep

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False)

FIXED = {  # what clients look for, and what it is here whatever they post
    "sd_vae": "Automatic",
    "send_seed": True,
    "send_size": True,
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "return_grid": False,
    "grid_save": False,
    "enable_pnginfo": True,
    "randn_source": "CPU",
    "live_previews_enable": True,
    "show_progress_every_n_steps": 1,
    "save_images_add_number": False,
}


@router.get("/options")
def get_options(store: StoreDep, catalogue: CatalogueDep, caller: Caller) -> dict[str, Any]:
    """The options, flat, `sd_model_checkpoint` as the title of the one that is used."""
    return shown(catalogue, client_options.get(store, catalogue, caller))


@router.post("/options", dependencies=[Depends(require_json)])
def set_options(
    store: StoreDep, catalogue: CatalogueDep, caller: Caller, given: Annotated[dict[str, Any] | None, Body()] = None
) -> None:
    """Change what is named; a `sd_model_checkpoint` switches what this caller gets by default."""
    client_options.change(store, catalogue, caller, given or {})


def shown(catalogue: Catalogue, options: Options) -> dict[str, Any]:
    """Return all options that there are to see; no path, no secret."""
    facts = catalogue.get(options.sd_model_checkpoint)
    return {
        **FIXED,
        **options.model_dump(),
        "sd_model_checkpoint": client_options.title(facts),
        "sd_checkpoint_hash": facts.sha256 or "",
    }
