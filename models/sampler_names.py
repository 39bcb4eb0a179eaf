"""How samplers and schedules are called: here, in AUTOMATIC1111's web UI, in ComfyUI, k-diffusion and diffusers.

Imports no torch. One table, for the pages, the command line and every API: a name is looked up without regard to case,
spaces, underscores and hyphens, and `DPM++ 2M Karras` names a sampler and a schedule at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from models.recipe import Sampler, Scheduler


@dataclass(frozen=True, slots=True)
class Name:
    """`label` is what pages show and the web UI calls it; `aliases` are what else it is known by."""

    label: str
    aliases: tuple[str, ...] = ()


SAMPLERS: Mapping[Sampler, Name] = {
    Sampler.DDIM: Name("DDIM", ("DDIMScheduler",)),
    Sampler.DDPM: Name("DDPM", ("DDPMScheduler",)),
    Sampler.EULER: Name("Euler", ("k_euler", "sample_euler", "EulerDiscreteScheduler")),
    Sampler.EULER_ANCESTRAL: Name(
        "Euler a",
        (
            "euler_ancestral",
            "k_euler_a",
            "k_euler_ancestral",
            "sample_euler_ancestral",
            "EulerAncestralDiscreteScheduler",
        ),
    ),
    Sampler.HEUN: Name("Heun", ("k_heun", "sample_heun", "HeunDiscreteScheduler")),
    Sampler.DPMPP_2M: Name(
        "DPM++ 2M", ("k_dpmpp_2m", "k_dpm++_2m", "sample_dpmpp_2m", "DPMSolverMultistepScheduler", "dpmsolver++")
    ),
    Sampler.DPMPP_2M_SDE: Name("DPM++ 2M SDE", ("k_dpmpp_2m_sde", "sample_dpmpp_2m_sde", "sde-dpmsolver++")),
}
SCHEDULERS: Mapping[Scheduler, Name] = {
    Scheduler.NORMAL: Name("Normal", ("Automatic", "default")),
    Scheduler.KARRAS: Name("Karras"),
    Scheduler.EXPONENTIAL: Name("Exponential"),
    Scheduler.SGM_UNIFORM: Name("SGM Uniform", ("sgm",)),
    Scheduler.BETA: Name("Beta"),
}


def sampler_of(name: str) -> Sampler | None:
    """Return the sampler of this name, None for one that is not built."""
    return _samplers().get(_plain(name))


def scheduler_of(name: str) -> Scheduler | None:
    """Return the schedule of this name, None for one that is not built."""
    return _schedulers().get(_plain(name))


def split(name: str) -> tuple[Sampler, Scheduler | None] | None:
    """Return the sampler, and the schedule if `name` ends with one's, as in `DPM++ 2M Karras`. None: not built."""
    sampler = sampler_of(name)
    if sampler is not None:
        return sampler, None
    for suffix, scheduler in _schedulers().items():
        sampler = _samplers().get(_plain(name).removesuffix(suffix))
        if sampler is not None:
            return sampler, scheduler
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name).lower().replace("++", "pp")


def _spellings(value: str, name: Name) -> Iterator[str]:
    yield from (_plain(spelling) for spelling in (value, name.label, *name.aliases))


@cache
def _samplers() -> Mapping[str, Sampler]:
    return {spelling: sampler for sampler, name in SAMPLERS.items() for spelling in _spellings(sampler, name)}


@cache
def _schedulers() -> Mapping[str, Scheduler]:
    return {spelling: scheduler for scheduler, name in SCHEDULERS.items() for spelling in _spellings(scheduler, name)}
