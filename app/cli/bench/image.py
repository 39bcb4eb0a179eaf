"""One picture at a time, without a server: what networks and samplers cost, beside diffusers with the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.bench.clients import Wish
from app.cli.bench.figure import Figure
from app.cli.bench.measure import in_turns, loaded, ratios, resident_bytes, spread_figure, timed
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
LOOK_SECONDS = 0.2
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
    compiled = None
    if settings.compile:
        compiled = yield from _with_libraries(bundle, Path(catalogue.default.path), recipe, settings)
    yield from _beside_diffusers(bundle, compiled, recipe, catalogue.default, settings)


def _beside_diffusers(
    bundle: Bundle, compiled: Bundle | None, recipe: Recipe, facts: CheckpointFacts, settings: Settings
) -> Iterator[Figure]:
    try:
        from app.cli.bench.locked import LockedDiffusers

        theirs = LockedDiffusers(Path(facts.path), facts.defaults, settings.device)
    except (ImportError, OSError) as error:
        raise RuntimeError(f"diffusers, which the tests bring, cannot be asked for the same: {error}") from error
    prompts = list(islice(cycle(facts.examples or [PROMPT]), ROUNDS + 1))
    wishes = [_wish(recipe, prompt, seed) for seed, prompt in enumerate(prompts)]
    ours, quick = (_all_of(each, recipe, wishes) for each in (bundle, compiled or bundle))
    difference = _apart(ours[0](), theirs.picture(wishes[0]))
    if difference > MAX_DIFFERENCE:
        raise RuntimeError(f"the pictures differ by {difference} of 255 levels: no timing counts")
    yield Figure("largest difference from diffusers' picture", difference, "of 255", at_most=MAX_DIFFERENCE)
    mine, fast, others = iter(ours[1:]), iter(quick[1:]), iter(wishes[1:])
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: next(mine)(),
        "diffusers": lambda: theirs.picture(next(others)),
    }
    if compiled is not None:
        yield Figure("largest difference of the compiled picture from ours", _apart(ours[0](), quick[0]()), "of 255")
        sides["ours compiled"] = lambda: next(fast)()
    timings = in_turns(sides, rounds=ROUNDS, warm=False)
    for side, timing in timings.items():
        yield timing.figure(f"the same picture, {side}")
    yield from ratios("one picture, ours / diffusers eager", timings["ours"], timings["diffusers"], at_most=WANTED)
    if compiled is not None:
        quickest = timings["ours compiled"]
        yield from ratios("one picture, compiled / ours", quickest, timings["ours"])
        yield from ratios("one picture, compiled / diffusers eager", quickest, timings["diffusers"], at_most=WANTED)


def _with_libraries(
    bundle: Bundle, path: Path, recipe: Recipe, settings: Settings
) -> Generator[Figure, None, Bundle | None]:
    """The same bundle with its U-Net compiled for one picture at a time; minutes, where that was not done before."""
    from app.engine.compiling import Compiler

    began, memory = time.perf_counter(), resident_bytes()
    compiler = Compiler(settings.libraries)
    compiling = replace(bundle, compiled=compiler.compiled(bundle, path))
    if compiling.compiled is None:
        return None
    _ours(compiling, recipe)()
    while not compiling.compiled.bytes:
        if compiler.status()["state"] == "failed":
            raise RuntimeError(f"it cannot be compiled: {compiler.status()['reason']}")
        time.sleep(LOOK_SECONDS)
    yield Figure("until the compiled U-Net is ready", time.perf_counter() - began, "s")
    _ours(compiling, recipe)()
    yield Figure("memory that it takes", (resident_bytes() - memory) / 2**20, "MiB")
    return compiling


def _all_of(bundle: Bundle, recipe: Recipe, wishes: Sequence[Wish]) -> list[Callable[[], bytes]]:
    return [_ours(bundle, recipe.model_copy(update={"seed": wish.seed, "prompt": wish.prompt})) for wish in wishes]


def _apart(one: bytes, other: bytes) -> int:
    return max(abs(mine - others) for mine, others in zip(one, other, strict=True))


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
