"""The world that the embedded model is trained on, and the training itself in miniature."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from models.checkpoint.loading import load
from models.jobs import txt2img
from models.recipe import Recipe
from models.run import run
from models.train import decoder, diffusion, pairs
from models.train import drafts as drafts_module
from models.train.design import SMALL
from models.train.drafts import drafts
from models.train.export import EXAMPLES, export_folder
from models.train.pictures import HELD_OUT, picture_of, scene_of, to_pixels
from models.train.plan import Plan
from models.train.principal import FINE, NOISE, Principal, autoencoder
from models.train.render import TALL, WIDE, Shape, render
from models.train.scene import FIRST_WORLD, NEEDS, WATER, WORLDS, Scene, World, sample_scene, variant
from models.train.speech import caption, grammar_words, hint, vocabulary
from models.train.words import Words
from models.vae import VAE

LITTLE = replace(SMALL, unet={**SMALL.unet, "block_out_channels": [32, 48, 64]})  # steps in a tenth of the time
SCENE = Scene("sunset", "snowy mountains", "lake", "cabin", "left", "sun", "right", True, False, False)


@pytest.fixture(scope="module")
def principal() -> Principal:
    return Principal.fit(SMALL.vae["latent_channels"], pictures=40)


@pytest.fixture(scope="module")
def vae(principal: Principal) -> VAE:
    return autoencoder(principal, pictures=64)


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


def test_a_picture_is_the_same_each_time() -> None:
    assert np.array_equal(picture_of(7), picture_of(7))
    assert not np.array_equal(picture_of(7), picture_of(8))


@pytest.mark.parametrize("field", ["time", "terrain", "ground", "thing", "thing_at", "luminary_at"])
def test_each_part_of_a_scene_is_seen(field: str) -> None:
    other = {"time": "night", "terrain": "city", "ground": "snow", "thing": "cactus"}.get(field, "middle")
    changed = Scene(**{name: getattr(SCENE, name) for name in Scene.__slots__} | {field: other})

    difference = render(SCENE, Random(1), 64).astype(int) - render(changed, Random(1), 64)

    assert (np.abs(difference).max(axis=2) > 20).mean() > 0.01


@pytest.mark.parametrize("world", WORLDS.values())
def test_scenes_hold_together(world: World) -> None:
    for number in range(2000):
        scene = sample_scene(Random(number), world)
        assert scene.ground in NEEDS.get(scene.thing or "", world.grounds)
        assert scene.terrain != "islands" or scene.ground in WATER
        assert scene.luminary != "sun" or scene.time not in ("dusk", "night")
        assert not scene.stars or scene.time in ("dusk", "night")


@pytest.mark.parametrize("world", WORLDS.values())
def test_a_variant_differs_in_one_part(world: World) -> None:
    for number in range(500):
        scene = sample_scene(Random(number), world)
        other = variant(scene, Random(number), world)
        assert sum(getattr(scene, part) != getattr(other, part) for part in Scene.__slots__) == 1


def test_a_scene_is_drawn_alike_but_for_the_part_that_differs() -> None:
    moved, starry = (
        Scene(**{name: getattr(SCENE, name) for name in Scene.__slots__} | change)
        for change in ({"thing_at": "right"}, {"stars": True})
    )
    original = render(SCENE, Random(1), 64).astype(int)

    assert np.abs(render(moved, Random(1), 64) - original)[:20].max() == 0  # the sky
    assert np.abs(render(starry, Random(1), 64) - original)[44:].max() == 0  # the ground


@pytest.mark.parametrize(("shape", "size"), [(WIDE, (64, 96)), (TALL, (96, 64))])
def test_a_wide_or_tall_picture_keeps_the_proportions_of_the_sun(shape: Shape, size: tuple[int, int]) -> None:
    scene = replace(SCENE, thing=None, clouds=False)
    scenes = (scene, replace(scene, luminary=None))
    picture, without = (render(seen, Random(1), 64, shape).astype(int) for seen in scenes)
    sky = np.abs(picture - without).max(axis=2)[: size[0] // 2] > 40
    rows, columns = np.flatnonzero(sky.any(axis=1)), np.flatnonzero(sky.any(axis=0))

    assert picture.shape == (*size, 3)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2
    assert columns.mean() / size[1] == pytest.approx(0.78, abs=0.07)


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


def test_the_first_world_has_nothing_of_the_second() -> None:
    plain = (None, None, None, None, 1, None, False)
    for number in range(500):
        scene = sample_scene(Random(number))
        assert (
            scene.weather, scene.season, scene.style, scene.palette, scene.count, scene.size, scene.birds
        ) == plain  # fmt: skip


def test_a_caption_without_omissions_says_where() -> None:
    for number in range(200):
        said = caption(SCENE, Random(number), omissions=0)
        assert "on the left" in said
        assert "on the right" in said


def test_a_hint_names_one_or_two_parts_of_the_scene() -> None:
    said = [hint(SCENE, Random(number)) for number in range(200)]

    assert {text.count(",") for text in said} == {0, 1}
    for part in ("cabin", "the sun on the right", "clouds", "by a lake", "snowy mountains", "at sunset"):
        assert any(part in text for text in said)
    assert {"clouds", "snowy peaks"} <= set(said)
    assert not any(other in text for text in said for other in ("stars", "lighthouse", "moon"))


def test_captions_name_what_is_there_and_nothing_else() -> None:
    nouns = {
        noun: {said.split()[-1] for said in ways}
        for noun, ways in (("cactus", ["a cactus"]), ("tent", ["a tent"]), ("windmill", ["a windmill"]))
    }
    for number in range(1000):
        rng = Random(number)
        scene = sample_scene(rng)
        words = set(caption(scene, rng).replace(",", "").split())
        for thing, said in nouns.items():
            assert not (words & said) or scene.thing == thing


def test_the_words_of_every_caption_are_known() -> None:
    words = Words.of_grammar(SMALL)
    known = {word for ways in vocabulary().values() for way in ways for word in way.split()} | set(grammar_words())

    for number in range(HELD_OUT, HELD_OUT + 300):
        said = caption(scene_of(number), Random(number))
        assert words.tokenizer.unknown_words(said) == []
        assert set(said.replace(",", "").split()) <= known
    assert words.tokenizer.unknown_words("a purple elephant by a lake") == ["purple", "elephant"]


def test_no_caption_is_too_long() -> None:
    words = Words.of_grammar(SMALL)
    longest = [caption(scene_of(number), Random(number)) for number in range(2000)]

    assert all(words.tokens([said])[0, -1] == words.vocabulary.pad for said in longest)


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

    theirs = CLIPTokenizer.from_pretrained(tmp_path)(EXAMPLES, padding="max_length", max_length=32).input_ids

    assert theirs == words.tokens(EXAMPLES).tolist()


def test_every_thing_time_and_terrain_has_a_word() -> None:
    said = {way for ways in vocabulary().values() for way in ways}

    for name in (*FIRST_WORLD.things, *FIRST_WORLD.terrains, *FIRST_WORLD.times):
        assert any(name in way for way in said), name


def test_the_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=1000, decay=0.4, learning_rate=1.0, warm_up=10)

    assert [round(plan.rate(step), 3) for step in (0, 4, 9, 500, 600, 800, 1000)] == [0.1, 0.5, 1, 1, 1, 0.5, 0]
