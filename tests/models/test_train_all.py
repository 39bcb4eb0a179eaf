"""The whole training in miniature: every stage of the design for GPUs, on the CPU, with networks that learn nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.checkpoint.loading import load
from models.config import VAEConfig
from models.torchvision_guard import declare_missing_operators
from models.train import autoencoder, decoder, pairs, stages
from models.train.autoencoder import settle
from models.train.command import main
from models.train.curves import curves
from models.train.design import DESIGNS, LARGE, SMALL, TINY
from models.train.diffusion import DIFFERENCE_WEIGHT, THING_WEIGHT, Networks, Run, timestep_shares, weights_of
from models.train.forward import forward_process
from models.train.gallery import draw, recipes_of
from models.train.plan import Plan
from models.train.probe import IGNORED
from models.train.render import SQUARE, TALL, WIDE
from models.train.scene import WORLDS
from models.train.stages import Budget, Training
from models.train.words import Words
from models.vae import VAE

BUDGET = Budget(minutes=0, pictures=8, polished=4, chunks=1, compared=8, batch=4, autoencoder_batch=2, steps=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Training, Path]]:
    """A finished training and its checkpoint."""
    folder = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "CHUNK", 4)
        patch.setattr(pairs, "PART", 4)
        patch.setattr(autoencoder, "SETTLED_ON", 8)
        training = Training(folder, TINY, BUDGET, torch.device("cpu"), workers=1)
        assert training.all(folder / "checkpoint")
        yield training, folder / "checkpoint"


def test_the_whole_training_ends_in_a_checkpoint_that_loads(trained: tuple[Training, Path]) -> None:
    training, checkpoint = trained
    bundle = load(checkpoint)

    assert bundle.config.latent_channels == 8
    assert bundle.unknown_words("a castle in the rain as a woodcut") == []
    assert 0 < (bundle.match("a castle in the rain", torch.zeros(1, 3, 64, 64)) or 0) < 1
    assert {path.name for path in training.folder.iterdir()} >= {
        "curves.png", "diffusion.jsonl", "autoencoder.jsonl", "polish.jsonl"
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers' Euler
def test_diffusers_draws_the_same_picture_by_itself(trained: tuple[Training, Path]) -> None:
    declare_missing_operators()
    from diffusers import StableDiffusionPipeline

    _, checkpoint = trained
    bundle = load(checkpoint)
    prompt, seed, steps = "a castle in the rain", 3, 3
    theirs = StableDiffusionPipeline.from_pretrained(checkpoint, dtype=torch.float32)
    theirs.set_progress_bar_config(disable=True)

    wanted = theirs(
        prompt,
        height=64,
        width=64,
        num_inference_steps=steps,
        guidance_scale=4.0,
        guidance_rescale=0.5,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).images[0]
    facts = {"width": 64, "height": 64, "steps": steps, "seed": seed, "guidance_scale": 4.0, "guidance_rescale": 0.5}
    ours = draw(bundle, recipes_of(bundle, [prompt], **facts))[0]

    assert np.abs(ours - np.round(wanted * 255)).max() <= 1


def test_a_second_call_does_nothing_more(trained: tuple[Training, Path]) -> None:
    training, checkpoint = trained
    log = (training.folder / "diffusion.jsonl").read_text()

    assert training.all(checkpoint)

    assert (training.folder / "diffusion.jsonl").read_text() == log


def test_a_call_that_ran_out_of_time_is_taken_up_by_the_next(tmp_path: Path, trained: tuple[Training, Path]) -> None:
    training, _ = trained
    late = Training(tmp_path, TINY, BUDGET, torch.device("cpu"), workers=1, deadline=0.0)

    assert not late.all(tmp_path / "checkpoint")

    assert not (tmp_path / "vae.safetensors").exists()
    assert (tmp_path / "autoencoder.pt").exists()
    assert training.folder != tmp_path


def test_time_ends_a_plan_as_steps_do() -> None:
    plan = Plan(minutes=10, decay=0.5, learning_rate=1.0, warm_up=1)

    assert [round(plan.rate(5, seconds), 2) for seconds in (0, 300, 450, 600)] == [1, 1, 0.5, 0]
    assert plan.progress(10**9, 599) < 1 <= plan.progress(0, 600)
    assert Plan().progress(0, 0) == 1


def test_settled_latents_decode_to_the_same_pictures() -> None:
    torch.manual_seed(0)
    vae = VAE(VAEConfig.from_dict(TINY.vae)).eval()
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        latents = vae.encode(pixels)[0]
        before = vae.decode(latents)

        settle(vae, latents)

        settled, logvar = vae.encode(pixels)
        assert torch.allclose(vae.decode(settled), before, atol=1e-4)
    deviation = settled.std(dim=(0, 2, 3))
    assert float(deviation[0]) == pytest.approx(1, abs=0.01)
    assert bool((deviation.diff() <= 1e-3).all())
    assert bool((logvar < 0).all())


def test_weights_are_on_the_thing_and_on_what_differs_from_its_twin() -> None:
    latents = torch.zeros(4, 3, 16, 16)
    latents[1, 0, 4, 4] = 1
    places = torch.tensor([0, 0, IGNORED, IGNORED])  # on the left; captions dropped

    weights = weights_of(latents, places)[:, 0]

    assert weights[0, 4, 4] == weights[1, 4, 4] == weights[0, 3, 5] == DIFFERENCE_WEIGHT
    assert weights[0, 10, 3] == THING_WEIGHT
    assert weights[0, 10, 12] == 1
    assert bool((weights[2:] == 1).all())


def test_a_tenth_of_the_timesteps_is_the_last() -> None:
    shares = timestep_shares(20_000, np.random.default_rng(0))

    assert (shares >= 0).all()
    assert (shares < 1).all()
    assert (shares * 1000 >= 999).mean() == pytest.approx(0.1, abs=0.01)


def test_the_two_of_a_pair_get_equal_noise_and_differ_in_one_part(trained: tuple[Training, Path]) -> None:
    training, _ = trained
    run = Run(training.folder, TINY, Plan(steps=2, batch=4))
    square = pairs.Pairs.load(training.folder / "pairs", TINY.world, run.device)[0]
    latents, tokens, labels = run._batch(square, np.random.default_rng(3))
    noise = run._noise(latents)

    assert latents.shape[0] == tokens.shape[0] == labels.shape[0] == 4
    assert torch.equal(noise[::2], noise[1::2])
    assert not torch.equal(latents[::2], latents[1::2])


def test_training_takes_pictures_of_every_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "CHUNK", 2)
    monkeypatch.setattr(pairs, "PART", 2)
    monkeypatch.setattr(pairs, "SHAPES", (SQUARE, WIDE, TALL))
    monkeypatch.setattr(pairs, "label_of", lambda *_: 0)  # so that a place of something is known in each

    pairs.write(_halves, TINY, tmp_path / "pairs", 3, workers=1)

    groups = pairs.Pairs.load(tmp_path / "pairs", TINY.world, torch.device("cpu"))
    assert [tuple(group.latents.shape) for group in groups] == [(2, 2, 8, 32, 32), (2, 2, 8, 32, 48), (2, 2, 8, 48, 32)]
    run = Run(tmp_path, TINY, Plan(steps=6, batch=2))
    run.train()
    assert run.samples == 12


def test_what_was_made_for_other_words_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pairs, "CHUNK", 2)
    monkeypatch.setattr(pairs, "PART", 2)
    train = ["diffusion", "--folder", str(tmp_path), "--design", "tiny", "--steps", "1", "--batch", "2"]
    assert main(train) == 2
    assert "pairs has no pairs; draw them with the stage 'pairs' first" in capsys.readouterr().err

    with monkeypatch.context() as before:
        before.setitem(WORLDS, TINY.world, replace(WORLDS[TINY.world], has_birds=False))
        pairs.write(_halves, TINY, tmp_path / "pairs", 1, workers=1)
        Run(tmp_path, TINY, Plan()).save()
    for file, said in (("diffusion.pt", "was trained on"), ("pairs/0000.npz", "was drawn for")):
        assert main(train) == 2
        assert f"{tmp_path / file} {said} other words or scenes than those of now; name" in capsys.readouterr().err
        (tmp_path / file).unlink()


def test_a_step_on_larger_pictures_takes_fewer(trained: tuple[Training, Path]) -> None:
    training, _ = trained
    run = Run(training.folder, TINY, Plan(steps=2, batch=8))
    square = pairs.Pairs.load(training.folder / "pairs", TINY.world, run.device)[0]
    larger = replace(square, latents=square.latents.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2))

    taken = [run._batch(group, np.random.default_rng(3))[0].shape for group in (square, larger)]

    assert taken == [(8, 8, 32, 32), (2, 8, 64, 64)]


def _halves(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures[:, ::2, ::2, :1]).permute(0, 3, 1, 2).expand(-1, 8, -1, -1) / 255


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_a_design_is_small_enough_to_ship(name: str) -> None:
    design = DESIGNS[name]
    with torch.device("meta"):
        vae = VAE(VAEConfig.from_dict(design.vae))
    networks = Networks(design, Words.of_grammar(design))

    parameters = sum(p.numel() for network in (vae, networks) for p in network.parameters())

    assert 2 * parameters < 60e6  # bytes in float16
    assert design.vae["latent_channels"] == design.unet["in_channels"] == design.unet["out_channels"]


def test_the_design_for_gpus_folds_no_pixels() -> None:
    assert LARGE.patch == TINY.patch == 1


def test_curves_show_what_was_logged(tmp_path: Path) -> None:
    assert curves(tmp_path) is None
    lines = [json.dumps({"step": step, "loss": 1 / step}) for step in (1, 10, 100)]
    (tmp_path / "diffusion.jsonl").write_text("\n".join(lines))

    drawn = curves(tmp_path)

    assert drawn is not None
    with Image.open(drawn) as picture:
        assert len(picture.getcolors(1 << 20) or []) > 3


def test_the_forward_process_ends_in_noise(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "grey.png")

    with Image.open(forward_process(tmp_path / "grey.png")) as sheet:
        first, last = (np.asarray(sheet.crop((x, 0, x + 256, 256))).std() for x in (0, 5 * 264))

    assert sheet.size[0] == 6 * 264
    assert first != last


def test_the_command_says_what_it_can_do_without_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--show-forward" in capsys.readouterr().err


def test_it_refuses_a_device_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    assert main(["curves", "--folder", str(tmp_path), "--device", "cuda"]) == 2
    assert "'cuda'" in capsys.readouterr().err


def test_decoder_pictures_are_those_of_the_design() -> None:
    assert decoder.rendered(TINY, 5, 2, 1).shape == (2, 64, 64, 3)


def test_a_decoder_of_components_stays_as_it_was_built_until_the_unet_is_over(tmp_path: Path) -> None:
    training = Training(tmp_path, SMALL, BUDGET, torch.device("cpu"), workers=1)
    training.decoder()  # which without this would ask for files that are not there
    training.polish()
    assert list(tmp_path.iterdir()) == []


def test_a_decoder_of_components_is_refitted_once_for_a_unet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(stages, "refit", lambda *given: asked.append(given[3]))
    monkeypatch.setattr(Run, "is_over", True)
    training = Training(tmp_path, SMALL, BUDGET, torch.device("cpu"), workers=1)

    training.polish()
    training.polish()
    assert asked == [BUDGET.polished]

    run = Run(tmp_path, SMALL, Plan())
    run.step = 1
    run.save()
    training.polish()
    assert asked == 2 * [BUDGET.polished]  # since the U-Net was trained on
