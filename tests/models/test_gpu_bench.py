"""The GPU's bench, gone through on a CPU with a checkpoint of a few channels: both sides draw, and figures come out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from app.cli.bench import fair, gpu, measure, serve
from app.engine import knee
from app.engine.limits import Limits
from app.settings import Settings
from models.bundle import Bundle
from models.recipe import Recipe


def test_it_compares_pictures_of_one_and_of_many_and_in_company(
    checkpoint_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (knee, "SECONDS", 0.01),
        (fair, "POLITE", 2),
        (fair, "GREED", 3),
        (serve, "CLIENTS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("app.cli.bench.gpu.gemm_peak", partial(measure.gemm_peak, side=64))
    figures = {
        figure.name: figure
        for figure in gpu.beside(checkpoint_of("sd1"), torch.device("cpu"), torch.float32, gpu.REHEARSAL)
    }
    assert figures["a step: relative L2 distance from diffusers' x 1e6"].value < 10
    assert figures["levels that differ alone and in company, with exact rows"].value == 0
    for name in ("one picture, ours", "3 jobs at once", "mixed jobs, operations a second over those of equal ones"):
        assert figures[name].value > 0
    wanted = [figure for figure in figures.values() if figure.at_most is not None or figure.at_least is not None]
    assert len(wanted) == 11  # what was set as goals for a GPU, agreement, and equal bits


def test_both_sides_draw_the_same_picture(
    checkpoint_of: Callable[[str], Path], loaded: Callable[[Path], Bundle]
) -> None:
    path = checkpoint_of("sd1")
    bundle = loaded(path)
    recipe = Recipe(prompt="a lake", seed=3, steps=2, guidance_scale=7.5, width=64, height=64, sampler="ddim")
    (mine,) = gpu.at_once(bundle, Limits(), [recipe])
    other = gpu.picture(gpu.theirs(path, bundle, recipe, is_compiled=False), recipe)
    assert max(abs(one - two) for one, two in zip(mine, other, strict=True)) <= 1


def test_a_picture_that_cannot_be_made_is_told(
    checkpoint_of: Callable[[str], Path], loaded: Callable[[Path], Bundle]
) -> None:
    recipe = Recipe(prompt="a lake", seed=3, steps=2, width=64, height=64)
    with pytest.raises(RuntimeError, match="memory"):
        gpu.at_once(loaded(checkpoint_of("sd1")), Limits(memory=1), [recipe])


@pytest.mark.parametrize(("device", "quick"), [("auto", False), ("auto", True), ("cpu", False)])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(device: str, quick: bool) -> None:
    with pytest.raises(RuntimeError, match="needs a GPU"):
        next(gpu.measure(Settings(device=device), quick=quick))
