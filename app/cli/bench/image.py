"""One picture at a time, without a server: what the networks and samplers cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from app.cli.bench import Figure
from app.services.catalogue import Catalogue
from app.services.request import JobRequest
from app.settings import Settings

PROMPT = "a lake"
RUNS = 5


def measure(settings: Settings) -> Iterator[Figure]:
    """Load the checkpoint, make one picture to warm up, then the median of the next."""
    began = time.perf_counter()
    from app.engine.threads import set_threads
    from models.checkpoint.loading import CheckpointError, load
    from models.devices import pick_device, pick_dtype
    from models.jobs import txt2img
    from models.pixels import to_rgb_bytes
    from models.run import run

    catalogue = Catalogue(settings)
    prompt = next(iter(catalogue.default.examples), PROMPT)
    recipe, *_ = JobRequest(prompt=prompt, seed=1).recipes(catalogue)
    set_threads()
    device = pick_device(settings.device)
    try:
        bundle = load(catalogue.default.path, device=device, dtype=pick_dtype(settings.dtype, device))
    except CheckpointError as error:
        raise RuntimeError(str(error)) from error
    yield Figure("import of torch and transformers, and loading", time.perf_counter() - began, "s")
    seconds = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        to_rgb_bytes(run(txt2img(recipe, bundle), bundle))
        seconds.append(time.perf_counter() - began)
    what = f"{recipe.width} x {recipe.height}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}"
    yield Figure(f"{what}, median", statistics.median(seconds[1:]), "s")
    yield Figure("the first one", seconds[0], "s")
