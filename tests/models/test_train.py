"""The training of the embedded model in miniature, and the autoencoder that it begins with."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint.loading import load
from models.config import VAEConfig
from models.jobs import txt2img
from models.recipe import Recipe
from models.run import run
from models.train import decoder, diffusion, pairs
from models.train import drafts as drafts_module
from models.train.design import SMALL
from models.train.drafts import drafts
from models.train.export import EXAMPLES, export_folder
from models.train.pictures import HELD_OUT, picture_of, to_pixels
from models.train.plan import Plan
from models.train.principal import FINE, NOISE, Principal, autoencoder
from models.train.refit import refit
from models.train.words import Words
from models.vae import VAE

LITTLE = replace(  # steps in a tenth of the time, an autoencoder in a fifth
    SMALL,
    vae=SMALL.vae | {"latent_channels": 24, "block_out_channels": [80]},
    unet=SMALL.unet | {"in_channels": 24, "out_channels": 24, "block_out_channels": [32, 48, 64]},
)


@pytest.fixture(scope="module")
def principal() -> Principal:
    return Principal.fit(LITTLE.vae["latent_channels"], pictures=40)


@pytest.fixture(scope="module")
def vae(principal: Principal) -> VAE:
    return autoencoder(principal, VAEConfig.from_dict(LITTLE.vae), pictures=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, principal: Principal, vae: VAE) -> Iterator[Path]:
    """A work folder after a few steps of everything."""
    folder = tmp_path_factory.mktemp("train")
    principal.save(folder / "principal.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "CHUNK", 10)
        patch.setattr(pairs, "PART", 5)
        decoder.save(vae, folder)
        pairs.write(principal.encode_pictures, LITTLE, folder / "pairs", 2, workers=1)
        diffusion.Run(folder, LITTLE, Plan(steps=2, batch=2)).train()
        decoder.Decoding(folder, LITTLE, Plan(steps=2, batch=2)).train(pictures=4, workers=1)
        yield folder


def test_what_the_unet_draws_anew_is_the_same_scene_when_it_predicts_well(folder: Path) -> None:
    run = diffusion.Run(folder, LITTLE, Plan(steps=2))
    channels = LITTLE.vae["latent_channels"]
    latents = torch.linspace(-1, 1, 16 * channels).reshape(1, channels, 4, 4)

    class Oracle(torch.nn.Module):
        def forward(self, x: torch.Tensor, timestep: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            alpha = run.alphas[timestep][:, None, None, None]
            noise = (x - alpha.sqrt() * latents) / (1 - alpha).sqrt()
            return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents

    assert torch.allclose(_drawn_by(run, Oracle(), latents), latents, atol=0.02)  # bfloat16
    assert not torch.allclose(drafts(run, latents, ["hills by a lake"]).float(), latents, atol=0.02)


def _drawn_by(run: diffusion.Run, oracle: torch.nn.Module, latents: torch.Tensor) -> torch.Tensor:
    context = run.average.encode(run.words.tokens([""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.average, "forward", oracle.forward)
        return drafts_module._drawn(run, latents, torch.ones_like(latents), torch.cat([context, context]), 8, 3.0)


def test_the_built_encoder_computes_the_principal_components(principal: Principal, vae: VAE) -> None:
    pixels = to_pixels(np.stack([picture_of(HELD_OUT + i) for i in range(2)]))

    with torch.no_grad():
        mean, _ = copy.deepcopy(vae).half().float().encode(pixels)

    error = (mean - principal.encode(pixels)).norm() / mean.norm()
    assert error < 1e-3  # float16 weights; 1e-4 measured


def test_the_decoder_tells_more_than_the_inverse_of_the_components(principal: Principal, vae: VAE) -> None:
    pixels = to_pixels(np.stack([picture_of(HELD_OUT + i) for i in range(4)]))
    latents = _off(principal.encode(pixels))

    with torch.no_grad():
        decoded = vae.decode(latents)

    assert (decoded - pixels).square().mean() < (_inverse(principal, latents) - pixels).square().mean()


def test_what_a_unet_errs_by_in_fine_components_of_a_plain_place_is_hardly_seen(principal: Principal, vae: VAE) -> None:
    plain = principal.encode(torch.full((1, 3, 256, 256), 0.2))
    noisy = torch.cat((plain[:, :FINE], _off(plain)[:, FINE:]), 1)

    with torch.no_grad():
        flat, woven = vae.decode(plain), vae.decode(noisy)

    assert (flat - 0.2).abs().max() * 127.5 < 4  # up to the corners, which have no neighbours
    assert (woven - flat).std() < 0.7 * (_inverse(principal, noisy) - _inverse(principal, plain)).std()


def _off(latents: torch.Tensor) -> torch.Tensor:
    """Latents that are off by what a U-Net errs by."""
    return latents + NOISE * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))


def _inverse(principal: Principal, latents: torch.Tensor) -> torch.Tensor:
    inverse = torch.linalg.pinv(principal.axes.flatten(1)) @ (latents + principal.center[:, None, None]).flatten(2)
    return torch.nn.functional.fold(inverse, 256, 16, stride=16)


def test_where_a_star_may_stand_the_decoder_should_not_paint_plain_sky() -> None:
    sky = torch.full((4, 3, 32, 32), -0.7)
    truths = sky.clone()
    for truth, (top, left) in zip(truths, ((4, 4), (4, 22), (22, 4), (22, 22)), strict=True):
        truth[:, top : top + 4, left : left + 4] = 0.9
    hints = sky + 0.25 * (truths - sky).sum(0)  # one star, and no knowing in which of four places
    assert decoder.reconstruction_loss(hints, truths) < decoder.reconstruction_loss(sky, truths)
    assert decoder.reconstruction_loss(truths, truths) == 0


def test_the_first_latent_is_the_coarsest(principal: Principal) -> None:
    latent = principal.encode(to_pixels(np.stack([picture_of(number) for number in range(40)])))
    deviation = latent.std(dim=(0, 2, 3))

    assert deviation.argmax() == 0
    assert 0.8 < float(deviation[0]) < 1.2


def test_a_decoder_that_is_fitted_again_tells_more_of_what_the_unet_draws(folder: Path, tmp_path: Path) -> None:
    run, vae = diffusion.Run(folder, LITTLE, Plan(steps=2, batch=2)), decoder.load(folder, LITTLE)
    decoder.save(vae, tmp_path)
    pool = torch.from_numpy(decoder.rendered(LITTLE, decoder.FIRST, 16, workers=1))
    with torch.no_grad():
        drawn = drafts(run, decoder.encode(vae, pool), [""] * len(pool), (2, 3)).float()

    refit(run, tmp_path, LITTLE, pictures=16, workers=1)

    fitted = decoder.load(tmp_path, LITTLE)
    changed = {name for name, value in fitted.state_dict().items() if not torch.equal(value, vae.state_dict()[name])}
    assert changed == {"decoder.conv_out.weight", "decoder.conv_out.bias"}
    with torch.no_grad():
        before, after = ((one.decode(drawn) - to_pixels(pool)).square().mean() for one in (vae, fitted))
    assert after < 0.8 * before


def test_training_resumes_where_it_stopped(folder: Path) -> None:
    resumed = diffusion.Run(folder, LITTLE, Plan(steps=3, batch=2))
    assert (resumed.step, resumed.samples) == (2, 4)

    resumed.train()

    log = [json.loads(line) for line in (folder / "diffusion.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 3]
    assert all(np.isfinite(entry["loss"]) for entry in log)


def test_the_loss_of_a_perfect_prediction_is_nothing(folder: Path) -> None:
    trained = diffusion.Run(folder, LITTLE, Plan(steps=2))
    latent, noise = torch.full((3, 16, 2, 2), 0.5), torch.full((3, 16, 2, 2), -1.5)
    timestep = torch.tensor([0, 500, 999])
    alpha = trained.alphas[timestep][:, None, None, None]

    class Oracle(torch.nn.Module):
        def forward(self, *_: torch.Tensor) -> torch.Tensor:
            return alpha.sqrt() * noise - (1 - alpha).sqrt() * latent

    assert float(trained.loss(Oracle(), latent, noise, timestep, torch.zeros(3, 32, 192), torch.ones(3, 1, 2, 2))) == 0


def test_an_export_loads_and_draws(folder: Path, tmp_path: Path) -> None:
    export_folder(folder, LITTLE, tmp_path / "embedded")

    bundle = load(tmp_path / "embedded")
    recipe = Recipe.model_validate({**bundle.defaults, "prompt": EXAMPLES[0], "seed": 1, "steps": 2})
    pixels = run(txt2img(recipe, bundle), bundle)

    assert pixels.shape == (1, 3, 256, 256)
    assert torch.isfinite(pixels).all()
    assert all(bundle.unknown_words(example) == [] for example in EXAMPLES)


def test_the_exported_tokenizer_is_clips_for_the_known_words(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    words = Words.of_grammar(SMALL)
    words.save(tmp_path)

    theirs = CLIPTokenizer.from_pretrained(tmp_path)(EXAMPLES, padding="max_length", max_length=SMALL.context).input_ids

    assert theirs == words.tokens(EXAMPLES).tolist()


def test_the_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=1000, decay=0.4, learning_rate=1.0, warm_up=10)

    assert [round(plan.rate(step), 3) for step in (0, 4, 9, 500, 600, 800, 1000)] == [0.1, 0.5, 1, 1, 1, 0.5, 0]
