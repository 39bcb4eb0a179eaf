"""Stable Diffusion 1.5 on a GPU beside diffusers: one picture, a full engine, mixed and polite users.

Both read the same files. Ours is the engine itself with its scheduler, from the prompt to levels of 255; diffusers'
pipelines are given the prompt's states, which is to their advantage. On a CPU this can only be gone through in small.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench.clients import Wish
from app.cli.bench.fair import House, beside_a_greedy_one
from app.cli.bench.figure import Figure
from app.cli.bench.full_size import folder, ours, their_unet, their_vae, tuned
from app.cli.bench.measure import Timing, agree, gemm_peak, in_turns, prepare, ratios, timed
from app.cli.bench.serve import mixed
from app.cli.bench.unet import TIMESTEP
from app.settings import Settings

if TYPE_CHECKING:
    import torch

    from app.engine.limits import Limits
    from models.bundle import Bundle
    from models.recipe import Recipe

PROMPT, GUIDANCE = "a cabin under snowy mountains", 7.5
EXACT_ROWS = 8
STEP_TOLERANCE = 5e-2  # relative L2, for 16 bits; in float32 2.5e-6 is usual
ALONE_SECONDS, OVER_EAGER, OVER_COMPILED = 0.175, 0.5, 0.85
FULL_RATE, FULL_OVER_EAGER, FULL_OVER_COMPILED, SHARE_OF_PEAK = 9.0, 4.0, 2.5, 0.4
MIXED_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. Sides are pixels; each of `serve`'s eight clients wishes for `each` pictures."""

    side: int = 512
    steps: int = 20
    rounds: int = 5
    jobs: int = 64
    each: int = 6
    polite: int = 4


REHEARSAL = Extent(side=64, steps=2, rounds=1, jobs=3, each=1, polite=1)


def measure(settings: Settings, *, quick: bool = False) -> Iterator[Figure]:
    """Most of the time will be that of diffusers' compiler. Raises `RuntimeError` without a GPU.

    `quick` goes through it in small, for which nothing was set as a goal; minutes on a CPU.
    """
    from models.devices import pick_device, pick_dtype

    device = pick_device(settings.device)
    if device.type == "cpu" and not (quick and settings.device == "cpu"):
        raise RuntimeError("it needs a GPU, and torch has none here; --device cpu --quick goes its way in small")
    prepare()
    with folder() as path:
        for figure in beside(path, device, pick_dtype(settings.dtype, device), REHEARSAL if quick else Extent()):
            yield replace(figure, at_most=None, at_least=None) if quick else figure


def beside(path: Path, device: torch.device, dtype: torch.dtype, extent: Extent) -> Iterator[Figure]:
    """The figures of a checkpoint in diffusers' layout."""
    from models.recipe import Recipe, Sampler

    bundle = ours(path, dtype, device)
    recipe = Recipe(
        prompt=PROMPT,
        sampler=Sampler.DDIM,
        steps=extent.steps,
        guidance_scale=GUIDANCE,
        seed=1,
        width=extent.side,
        height=extent.side,
    )
    limits = _limits(bundle)
    eager, compiled = (theirs(path, bundle, recipe, is_compiled=is_compiled) for is_compiled in (False, True))
    yield _agree(bundle, eager, recipe)
    serial = yield from _alone(bundle, limits, {"eager": eager, "compiled": compiled}, recipe, extent)
    rate = yield from _full(bundle, limits, serial, recipe, extent)
    yield from _mixed(bundle, limits, rate, recipe, extent)
    yield from beside_a_greedy_one(partial(House, bundle, recipe, time.perf_counter, limits), extent.polite)
    yield from _exact(bundle, limits, recipe)


def at_once(bundle: Bundle, limits: Limits, recipes: Sequence[Recipe]) -> list[bytes]:
    """Have the engine make pictures, each for another user. Raises `RuntimeError` where it cannot."""
    from app.engine.engine import Engine
    from app.engine.task import Event, Failed, Finished, Task
    from models.pixels import to_rgb_bytes

    pictures, failures = dict[int, bytes](), list[str]()

    def hear(number: int, event: Event) -> None:
        if isinstance(event, Finished):
            pictures[number] = to_rgb_bytes(event.pixels)
        elif isinstance(event, Failed):
            failures.append(event.message)

    engine = Engine(lambda _: bundle, limits=limits)
    for number, recipe in enumerate(recipes):
        engine.submit(Task(recipe, partial(hear, number), owner=str(number)))
    while engine.step():
        pass
    if len(pictures) < len(recipes):
        raise RuntimeError(*failures[:1])
    return [pictures[number] for number in range(len(recipes))]


def _limits(bundle: Bundle) -> Limits:
    """The rows of a call that the engine finds best in its first quiet moment."""
    from app.engine.knee import Knees
    from app.engine.limits import Limits

    limits = Limits()
    knees = Knees(limits, None)
    while knees.go_on(bundle):
        pass
    return limits


def theirs(path: Path, bundle: Bundle, recipe: Recipe, *, is_compiled: bool) -> Any:
    """diffusers' pipeline as it comes, or as its pages on speed advise."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    networks = {"unet": their_unet(path, bundle.dtype), "vae": their_vae(path, bundle.dtype)}
    pipeline: Any = StableDiffusionPipeline(
        **networks,
        scheduler=DDIMScheduler.from_pretrained(path / "scheduler"),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(bundle.device)
    pipeline.set_progress_bar_config(disable=True)
    if is_compiled:
        pipeline.unet = tuned(pipeline.unet)
        pipeline.vae.to(memory_format=torch.channels_last)
        if bundle.device.type == "cuda":
            pipeline.vae.decode = torch.compile(pipeline.vae.decode, mode="max-autotune", fullgraph=True)
    pipeline.states = _states(bundle, recipe)
    return pipeline


def _states(bundle: Bundle, recipe: Recipe) -> list[torch.Tensor]:
    """Those (1, T, D) of a recipe's prompt and of none."""
    from models.calls import Encode

    found = bundle.answer([Encode(recipe.prompt), Encode("")])
    return [states[None].to(bundle.device, bundle.dtype) for states in found]


def picture(pipeline: Any, recipe: Recipe) -> bytes:
    """diffusers' picture of a recipe, as levels of 255."""
    import torch

    cond, uncond = pipeline.states
    found = pipeline(
        prompt_embeds=cond,
        negative_prompt_embeds=uncond,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        generator=torch.Generator().manual_seed(recipe.seed),
        width=recipe.width,
        height=recipe.height,
        output_type="pt",
    ).images[0]
    levels = found.float().mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
    return bytes(levels.numpy().tobytes())


def _agree(bundle: Bundle, pipeline: Any, recipe: Recipe) -> Figure:
    """Whether both sides predict the same. Raises `RuntimeError` otherwise."""
    import torch

    from models.calls import Predict

    config = bundle.config
    latents = torch.randn(
        (1, config.unet_in_channels, recipe.height // config.vae_factor, recipe.width // config.vae_factor),
        generator=torch.Generator().manual_seed(recipe.seed),
    )
    states = pipeline.states[0]
    (mine,) = bundle.answer([Predict(latents, float(TIMESTEP), (states[0].to("cpu", torch.float32),), step=0, steps=1)])
    with torch.inference_mode():
        other = pipeline.unet(latents.to(states), TIMESTEP, encoder_hidden_states=states, return_dict=False)[0]
    return agree("a step", mine, other.cpu(), STEP_TOLERANCE)


def _alone(
    bundle: Bundle, limits: Limits, pipelines: dict[str, Any], recipe: Recipe, extent: Extent
) -> Generator[Figure, None, list[Timing]]:
    """One job at a time. Returns the timings of diffusers' ways."""
    sides: dict[str, Callable[[], object]] = {"ours": lambda: at_once(bundle, limits, [recipe])}
    sides |= {f"diffusers {way}": partial(picture, pipeline, recipe) for way, pipeline in pipelines.items()}
    timings = in_turns(sides, rounds=extent.rounds)
    for side, timing in timings.items():
        yield timing.figure(f"one picture, {side}", at_most=ALONE_SECONDS if side == "ours" else None)
    mine, *others = timings.values()
    for way, other, wanted in zip(pipelines, others, (OVER_EAGER, OVER_COMPILED), strict=True):
        yield next(ratios(f"one picture, ours / diffusers {way}", mine, other, at_most=wanted))
    return others


def _full(
    bundle: Bundle, limits: Limits, serial: Sequence[Timing], recipe: Recipe, extent: Extent
) -> Generator[Figure, None, float]:
    """As many jobs as keep it busy. Returns operations a second."""
    recipes = [recipe.model_copy(update={"seed": 100 + seed}) for seed in range(extent.jobs)]
    seconds, _ = timed(lambda: at_once(bundle, limits, recipes))
    yield Figure(f"{extent.jobs} jobs at once", extent.jobs / seconds, "pictures/s", at_least=FULL_RATE)
    for way, timing, wanted in zip(("eager", "compiled"), serial, (FULL_OVER_EAGER, FULL_OVER_COMPILED), strict=True):
        rate = timing.median * extent.jobs / seconds
        yield Figure(f"the same over diffusers {way}, one after another", rate, "x", at_least=wanted)
    operations = sum(_operations(bundle, each) for each in recipes) / seconds
    share = operations / gemm_peak(bundle.dtype, bundle.device)
    yield Figure("its operations, share of what a matrix product reaches", share, "x", at_least=SHARE_OF_PEAK)
    return operations


def _mixed(bundle: Bundle, limits: Limits, rate: float, recipe: Recipe, extent: Extent) -> Iterator[Figure]:
    """Jobs of three sizes, four numbers of steps and four guidance scales, beside as many operations of one kind."""
    wishes = chain.from_iterable(mixed([recipe.prompt], extent.side, extent.each))
    recipes = [recipe.model_copy(update=_wish(wish, extent)) for wish in wishes]
    seconds, _ = timed(lambda: at_once(bundle, limits, recipes))
    share = sum(_operations(bundle, each) for each in recipes) / seconds / rate
    yield Figure("mixed jobs, operations a second over those of equal ones", share, "x", at_least=MIXED_SHARE)


def _exact(bundle: Bundle, limits: Limits, recipe: Recipe) -> Iterator[Figure]:
    """With `batch_rows_exact` a picture has equal bits alone and in company."""
    exact = replace(bundle, exact_rows=EXACT_ROWS)
    company = [recipe.model_copy(update={"seed": recipe.seed + number}) for number in range(EXACT_ROWS)]
    (alone,), (together, *_) = at_once(exact, limits, company[:1]), at_once(exact, limits, company)
    differing = sum(one != other for one, other in zip(alone, together, strict=True))
    yield Figure("levels that differ alone and in company, with exact rows", differing, "", at_most=0)


def _operations(bundle: Bundle, recipe: Recipe) -> float:
    height, width = recipe.height // bundle.config.vae_factor, recipe.width // bundle.config.vae_factor
    rows = recipe.steps * (1 if recipe.guidance_scale == 1 else 2)
    return rows * bundle.costs.row(height, width) + bundle.costs.decode(height, width)


def _wish(wish: Wish, extent: Extent) -> dict[str, Any]:
    return wish.request | {"steps": max(1, wish.steps * extent.steps // 20)}
