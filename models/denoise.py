"""From noise to latents with a network: scaling, timestep, guidance and prediction type live here and nowhere else.

Does not know how a sampler steps (`samplers.py`) nor who answers a `Predict` (`bundle.py`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.calls import Backdrop, Predict
from models.known import Known
from models.samplers import Steps
from models.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Guidance:
    """What steers the network: `conds` is the prompt alone or, for guidance, the prompt and the negative prompt.

    `scale` is that of classifier-free guidance (arXiv:2207.12598); `rescale` 0..1 pulls the contrast back to that of
    the unguided prediction (arXiv:2305.08891 section 3.4). Both need two conds and do nothing with one. Steps whose
    share of all is not in `start` <= share < `end` are not guided, and ask for one row (arXiv:2404.07724).
    """

    conds: tuple[Tensor, ...]
    scale: float = 1.0
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0

    def at(self, share: float) -> Guidance:
        """What steers the step that so much of the walk is behind."""
        return self if self.start <= share < self.end else Guidance(self.conds[:1])

    def apply(self, prediction: Tensor) -> Tensor:
        """Combine the network's raw rows (len(conds), C, h, w) into one (1, C, h, w)."""
        if len(self.conds) == 1:
            return prediction
        cond, uncond = prediction.chunk(2)
        guided = uncond + (cond - uncond) * self.scale
        if self.rescale == 0:
            return guided
        axes = (1, 2, 3)
        rescaled = guided * (cond.std(axes, keepdim=True) / guided.std(axes, keepdim=True))
        return rescaled * self.rescale + guided * (1 - self.rescale)


@dataclass(frozen=True, eq=False)
class Showing:
    """What progress and previews tell of a walk: the steps of the walks `before` and `after` it, and its `backdrop`."""

    before: int = 0
    after: int = 0
    backdrop: Backdrop | None = None


def denoise(
    sampler: Steps,
    sigmas: Sequence[float],
    *,
    schedule: Schedule,
    guidance: Guidance,
    known: Known | None = None,
    extra: Tensor | None = None,
    showing: Showing | None = None,
) -> Generator[Predict, Tensor, Tensor]:
    """Drive a sampler that was begun on these sigmas; return the latents that it ends with, (1, C, h, w) float32.

    Yields one `Predict` for each use of the network; its `step` is the position of the noise level among the sigmas,
    so that a sampler with two predictions a step still counts to `len(sigmas) - 1`. What is `known` is put into each x
    but the first, which is taken as it was begun, into each prediction, and into the result.
    """
    showing = showing or Showing()
    position = {sigma: index for index, sigma in reversed(list(enumerate(sigmas)))}
    steps, denoised = len(sigmas) - 1, None
    x, sigma = next(sampler)
    while True:
        step = min(position[sigma], steps - 1)
        if known is not None and denoised is not None:
            x = known.renoise(x, sigma, remaining=1 - step / steps)
        guided = guidance.at(step / steps)
        prediction = yield Predict(
            sample=x / math.sqrt(sigma**2 + 1),
            timestep=schedule.timestep(sigma),
            conds=guided.conds,
            step=showing.before + step,
            steps=showing.before + steps + showing.after,
            denoised=denoised,
            extra=extra,
            backdrop=showing.backdrop,
        )
        denoised = schedule.denoised(x, sigma, guided.apply(prediction))
        if known is not None:
            denoised = known.keep(denoised, remaining=1 - step / steps)
        try:
            x, sigma = sampler.send(denoised)
        except StopIteration as finished:
            latents: Tensor = finished.value
            return latents if known is None else known.finish(latents)
