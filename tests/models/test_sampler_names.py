"""The names by which samplers and schedules are asked for."""

from __future__ import annotations

from itertools import chain

import pytest

from models.recipe import Sampler, Scheduler
from models.sampler_names import SAMPLERS, SCHEDULERS, sampler_of, scheduler_of, split


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("DDIM", Sampler.DDIM),
        ("euler", Sampler.EULER),
        ("k_euler", Sampler.EULER),
        ("Euler a", Sampler.EULER_ANCESTRAL),
        ("EULER A", Sampler.EULER_ANCESTRAL),
        ("euler_ancestral", Sampler.EULER_ANCESTRAL),
        ("K_EULER_A", Sampler.EULER_ANCESTRAL),
        ("Heun", Sampler.HEUN),
        ("DPM++ 2M", Sampler.DPMPP_2M),
        ("dpmpp_2m", Sampler.DPMPP_2M),
        ("dpm++ 2m sde", Sampler.DPMPP_2M_SDE),
        ("EulerAncestralDiscreteScheduler", Sampler.EULER_ANCESTRAL),
        ("LMS", None),
        ("", None),
        ("a", None),
    ],
)
def test_a_sampler_is_found_by_the_names_of_other_programs(name: str, sampler: Sampler | None) -> None:
    assert sampler_of(name) == sampler


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("Karras", Scheduler.KARRAS),
        ("Automatic", Scheduler.NORMAL),
        ("SGM Uniform", Scheduler.SGM_UNIFORM),
        ("sgm_uniform", Scheduler.SGM_UNIFORM),
        ("polyexponential", None),
    ],
)
def test_a_schedule_is_found_by_the_names_of_other_programs(name: str, scheduler: Scheduler | None) -> None:
    assert scheduler_of(name) == scheduler


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("DPM++ 2M Karras", (Sampler.DPMPP_2M, Scheduler.KARRAS)),
        ("DPM++ 2M SDE Exponential", (Sampler.DPMPP_2M_SDE, Scheduler.EXPONENTIAL)),
        ("k_dpmpp_2m_karras", (Sampler.DPMPP_2M, Scheduler.KARRAS)),
        ("Euler a SGM Uniform", (Sampler.EULER_ANCESTRAL, Scheduler.SGM_UNIFORM)),
        ("euler", (Sampler.EULER, None)),
        ("LMS Karras", None),
        ("Karras", None),
    ],
)
def test_a_name_may_say_the_schedule_too(name: str, parts: tuple[Sampler, Scheduler | None] | None) -> None:
    assert split(name) == parts


def test_every_sampler_and_schedule_has_a_name() -> None:
    assert set(SAMPLERS) == set(Sampler)
    assert set(SCHEDULERS) == set(Scheduler)


def test_no_name_means_two_things() -> None:
    for table, find in ((SAMPLERS, sampler_of), (SCHEDULERS, scheduler_of)):
        for value, name in table.items():
            for spelling in chain((value, name.label), name.aliases):
                assert find(spelling) == value
