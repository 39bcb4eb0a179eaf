"""What there is to choose from, in A1111's lists. What is not here is an empty list."""

from __future__ import annotations

import os
import resource
from typing import Any

from fastapi import APIRouter, Depends

from app.services import client_options
from app.services.upscale import UPSCALERS
from app.web.api.requests import require_json
from app.web.caller import current_caller
from app.web.dependencies import CatalogueDep, EngineStatusDep
from models.recipe import Scheduler
from models.sampler_names import SAMPLERS, SCHEDULERS

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, dependencies=[Depends(current_caller)])

LATENT_MODES = ("Latent",)
AUTOMATIC = {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1, "need_inner_model": False}


@router.get("/samplers")
def samplers() -> list[dict[str, Any]]:
    """The samplers, with the other names that they are known by."""
    return [
        {"name": name.label, "aliases": [sampler.value, *name.aliases], "options": {}}
        for sampler, name in SAMPLERS.items()
    ]


@router.get("/schedulers")
def schedulers() -> list[dict[str, Any]]:
    """The noise schedules; `Automatic` is as the checkpoint says."""
    own = [
        {"name": scheduler.value, "label": name.label, "aliases": None, "default_rho": -1, "need_inner_model": False}
        for scheduler, name in SCHEDULERS.items()
        if scheduler is not Scheduler.NORMAL
    ]
    return [AUTOMATIC, *own]


@router.get("/sd-models")
def sd_models(catalogue: CatalogueDep) -> list[dict[str, Any]]:
    """The checkpoints that can be used; where their files lie is nobody's business."""
    return [
        {
            "title": client_options.title(facts),
            "model_name": facts.name,
            "hash": client_options.short_hash(facts),
            "sha256": facts.sha256,
            "filename": facts.name,
            "config": None,
        }
        for facts in catalogue.checkpoints()
    ]


@router.get("/upscalers")
def upscalers() -> list[dict[str, Any]]:
    """The ways to enlarge a picture."""
    return [{"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4} for name in UPSCALERS]


@router.get("/latent-upscale-modes")
def latent_upscale_modes() -> list[dict[str, Any]]:
    """The ways to enlarge latents between the two passes of `enable_hr`."""
    return [{"name": name} for name in LATENT_MODES]


@router.get("/sd-vae")
@router.get("/sd-modules")
@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/realesrgan-models")
@router.get("/prompt-styles")
@router.get("/extensions")
@router.get("/loras")
def none() -> list[dict[str, Any]]:
    """There are none of these here."""
    return []


@router.get("/embeddings")
def embeddings() -> dict[str, Any]:
    """There are no textual inversions here."""
    return {"loaded": {}, "skipped": {}}


@router.get("/scripts")
def scripts() -> dict[str, list[str]]:
    """There are no scripts here; clients look whether the lists are there."""
    return {"txt2img": [], "img2img": []}


@router.get("/script-info")
def script_info() -> list[dict[str, Any]]:
    """There are no scripts here."""
    return []


@router.get("/cmd-flags")
def cmd_flags() -> dict[str, Any]:
    """The flags that clients look at; none of them tells where anything lies."""
    return {"api": True, "listen": False, "share": False, "nowebui": False, "lowvram": False, "medvram": False}


@router.get("/memory")
def memory(engine: EngineStatusDep) -> dict[str, Any]:
    """The memory of this machine and, as far as the engine says, of its device."""
    page, used = os.sysconf("SC_PAGE_SIZE"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    device = f"on {engine.device}" if engine.device else "not known yet"
    return {
        "ram": {"free": free, "used": used, "total": total},
        "cuda": {"error": f"not told; the engine runs {device}"},
    }


@router.post("/refresh-checkpoints", dependencies=[Depends(require_json)])
def refresh_checkpoints(catalogue: CatalogueDep) -> None:
    """Look at the checkpoints anew."""
    catalogue.rescan()


@router.post("/refresh-loras", dependencies=[Depends(require_json)])
@router.post("/refresh-embeddings", dependencies=[Depends(require_json)])
@router.post("/refresh-vae", dependencies=[Depends(require_json)])
@router.post("/unload-checkpoint", dependencies=[Depends(require_json)])
@router.post("/reload-checkpoint", dependencies=[Depends(require_json)])
def nothing() -> dict[str, Any]:
    """Nothing has to be done: the engine keeps what fits into memory, whoever asks for what."""
    return {}
