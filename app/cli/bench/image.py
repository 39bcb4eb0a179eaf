"""One picture at a time, without a server: what networks and samplers cost, beside diffusers with the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.bench.clients import Wish
from app.cli.bench.figure import Figure
from app.cli.bench.measure import in_turns, loaded, ratios, spread_figure, timed
from app.services.catalogue import Catalogue
from app.services.request import JobRequest
from app.settings import Settings

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.checkpoint.facts import CheckpointFacts
    from models.recipe import Recipe

PROMPT = "a lake"
RUNS = 5
ROUNDS = 6
WANTED = 0.6
MAX_DIFFERENCE = 2  # of 255 levels: more is another picture


def measure(settings: Settings) -> Iterator[Figure]:
    """Load the checkpoint, make one picture to warm up, then the next, each of another seed."""
    began = time.perf_counter()
    catalogue = Catalogue(settings)
    bundle = loaded(settings, catalogue)
    yield Figure("import of torch and transformers, and loading", time.perf_counter() - began, "s")
    prompts = catalogue.default.examples or [PROMPT]
    recipe, *_ = JobRequest(prompt=prompts[0], seed=1).recipes(catalogue)
    first, *later = [timed(_ours(bundle, recipe.model_copy(update={"seed": seed})))[0] for seed in range(RUNS + 1)]
    what = f"{recipe.width} x {recipe.height}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}"
    yield spread_figure(f"{what}, median", later, "s")
    yield Figure("the first one", first, "s")
    yield from _beside_diffusers(bundle, recipe, catalogue.default, settings)


def _beside_diffusers(bundle: Bundle, recipe: Recipe, facts: CheckpointFacts, settings: Settings) -> Iterator[Figure]:
    try:
        from app.cli.bench.locked import LockedDiffusers

        theirs = LockedDiffusers(Path(facts.path), facts.defaults, settings.device)
    except (ImportError, OSError) as error:
        raise RuntimeError(f"diffusers, which the tests bring, cannot be asked for the same: {error}") from error
    prompts = list(islice(cycle(facts.examples or [PROMPT]), ROUNDS + 1))
    wishes = [_wish(recipe, prompt, seed) for seed, prompt in enumerate(prompts)]
    ours = [_ours(bundle, recipe.model_copy(update={"seed": wish.seed, "prompt": wish.prompt})) for wish in wishes]
    difference = max(abs(mine - other) for mine, other in zip(ours[0](), theirs.picture(wishes[0]), strict=True))
    if difference > MAX_DIFFERENCE:
        raise RuntimeError(f"the pictures differ by {difference} of 255 levels: no timing counts")
    yield Figure("largest difference from diffusers' picture", difference, "of 255", at_most=MAX_DIFFERENCE)
    mine, others = iter(ours[1:]), iter(wishes[1:])
    sides = {"ours": lambda: next(mine)(), "diffusers": lambda: theirs.picture(next(others))}
    timings = in_turns(sides, rounds=ROUNDS, warm=False)
    for side, timing in timings.items():
        yield timing.figure(f"the same picture, {side}")
    yield from ratios("one picture, ours / diffusers eager", timings["ours"], timings["diffusers"], at_most=WANTED)


def _wish(recipe: Recipe, prompt: str, seed: int) -> Wish:
    return Wish(
        prompt=prompt,
        width=recipe.width,
        height=recipe.height,
        steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        seed=seed,
    )


def _ours(bundle: Bundle, recipe: Recipe) -> Callable[[], bytes]:
    from models.jobs import txt2img
    from models.pixels import to_rgb_bytes
    from models.run import run

    return lambda: to_rgb_bytes(run(txt2img(recipe, bundle), bundle))
