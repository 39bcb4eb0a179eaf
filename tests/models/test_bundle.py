"""`Bundle.answer`: the loaded networks against diffusers and transformers, and many calls against single ones."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models import packed
from models.bundle import Bundle, unscale
from models.calls import Decode, Encode, Predict
from models.checkpoint.loading import load
from models.config import VAEConfig
from models.text import Tokenizer
from tests.reference.oracle import relative_error

TOLERANCE = 1e-5  # relative L2, float32
Loaded = Callable[[Path], Bundle]
PROMPTS = ("a photo of a cat", "", "snowy mountains at sunset")
CheckpointOf = Callable[[str], Path]


@pytest.fixture(scope="module")
def bundle(checkpoint_of: Callable[[str], Path], loaded: Loaded) -> Bundle:
    return loaded(checkpoint_of("sd1"))


@pytest.fixture(scope="module")
def latents() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 4, 8, 6, generator=generator) for _ in range(4)]


def predicts(bundle: Bundle, latents: list[Tensor]) -> list[Predict]:
    conds = bundle.answer([Encode(prompt) for prompt in PROMPTS])
    pairs = [(conds[0], conds[1]), (conds[2],), (conds[2], conds[0]), (conds[1],)]
    return [
        Predict(sample, timestep, pair, step=0, steps=20)
        for sample, timestep, pair in zip(latents, (981.0, 1.0, 500.25, 20.0), pairs, strict=True)
    ]


def unet_of(path: Path) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(path / "unet").eval()


@pytest.mark.parametrize("name", ["sd1", "sd2"])  # whose text encoders the others have, too
@torch.no_grad()
def test_it_encodes_as_transformers_does(checkpoint_of: CheckpointOf, loaded: Loaded, name: str) -> None:
    from transformers.models.clip.modeling_clip import CLIPTextModel

    theirs = CLIPTextModel.from_pretrained(checkpoint_of(name) / "text_encoder")
    pad = 0 if name == "sd2" else 49407
    wanted = theirs(torch.tensor(Tokenizer(pad=pad)(PROMPTS))).last_hidden_state
    found = torch.stack(loaded(checkpoint_of(name)).answer([Encode(prompt) for prompt in PROMPTS]))
    assert relative_error(found, wanted) <= TOLERANCE


@pytest.mark.parametrize("name", ["sd1", "sd1-inpainting", "sd2", "sd2-inpainting"])  # sd2-v's U-Net is that of sd2
@torch.no_grad()
def test_it_predicts_as_diffusers_does(checkpoint_of: CheckpointOf, loaded: Loaded, name: str) -> None:
    bundle, theirs = loaded(checkpoint_of(name)), unet_of(checkpoint_of(name))
    generator = torch.Generator().manual_seed(2)
    sample = torch.randn(1, 4, 7, 9, generator=generator)
    extra = torch.randn(1, 5, 7, 9, generator=generator) if "inpainting" in name else None
    conds = bundle.answer([Encode(prompt) for prompt in PROMPTS[:2]])
    (found,) = bundle.answer([Predict(sample, 321.5, tuple(conds), step=0, steps=1, extra=extra)])
    rows = (sample if extra is None else torch.cat((sample, extra), 1)).expand(2, -1, -1, -1)
    wanted = theirs(rows, torch.tensor([321.5, 321.5]), torch.stack(conds)).sample
    assert relative_error(found, wanted) <= TOLERANCE


@torch.no_grad()
def test_it_decodes_as_diffusers_does(checkpoint_of: CheckpointOf, loaded: Loaded) -> None:
    from diffusers import AutoencoderKL

    theirs = AutoencoderKL.from_pretrained(checkpoint_of("sd1") / "vae").eval()
    latents = torch.randn(1, 4, 5, 8, generator=torch.Generator().manual_seed(3))
    (found,) = loaded(checkpoint_of("sd1")).answer([Decode(latents)])
    assert relative_error(found, theirs.decode(latents / theirs.config.scaling_factor).sample) <= TOLERANCE


def counted(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each U-Net call from now on."""
    counts: list[int] = []
    predict = bundle.unet.predict

    def count(samples: Tensor, shifts: Tensor, memory: Tensor, of_pictures: Tensor | None = None) -> Tensor:
        counts.append(len(memory))
        return predict(samples, shifts, memory, of_pictures)

    monkeypatch.setattr(bundle.unet, "predict", count)
    return counts


@torch.no_grad()
def test_the_rows_of_all_jobs_go_through_the_unet_at_once(
    bundle: Bundle, latents: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counted(bundle, monkeypatch)
    calls = predicts(bundle, latents)
    assert [answer.shape for answer in bundle.answer(calls)] == [(call.rows, 4, 8, 6) for call in calls]
    assert counts == [6]


@pytest.mark.parametrize("most_positions", [0, 2**10], ids=["large", "small"])
def test_what_rows_of_a_picture_share_is_asked_once(
    bundle: Bundle, latents: list[Tensor], monkeypatch: pytest.MonkeyPatch, most_positions: int
) -> None:
    monkeypatch.setattr(packed, "MOST_POSITIONS", most_positions)
    calls = predicts(bundle, latents)
    pictures: list[int] = []
    noting = bundle.unet.conv_in.register_forward_pre_hook(lambda _, given: pictures.append(len(given[0])))
    together = bundle.answer(calls)
    assert pictures == [len(calls)]
    for call, answer in zip(calls, together, strict=True):
        (alone,) = bundle.answer([call])
        assert torch.equal(answer, alone)
        rows = bundle.answer([replace(call, conds=(cond,)) for cond in call.conds])
        torch.testing.assert_close(torch.cat(rows), answer, atol=2e-6, rtol=0)
    noting.remove()
    assert pictures[1] == (1 if most_positions else 2)


@pytest.mark.parametrize("jobs", [2, 3, 4, 13])
def test_predictions_equal_single_ones_to_the_bit(bundle: Bundle, latents: list[Tensor], jobs: int) -> None:
    calls = (predicts(bundle, latents) * jobs)[:jobs]
    for call, answer in zip(calls, bundle.answer(calls), strict=True):
        assert torch.equal(answer, bundle.answer([call])[0])


def test_a_prediction_does_not_depend_on_who_else_is_in_the_batch(bundle: Bundle, latents: list[Tensor]) -> None:
    one, other = predicts(bundle, latents), predicts(bundle, latents[::-1])
    assert torch.equal(bundle.answer([one[0], one[2]])[0], bundle.answer([other[2], other[1], one[0]])[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_with_exact_rows_every_call_is_as_large_and_no_bit_depends_on_company(
    checkpoint_of: Callable[[str], Path], latents: list[Tensor], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = replace(load(checkpoint_of("sd1"), dtype=dtype), exact_rows=4)
    counts = counted(bundle, monkeypatch)
    calls = predicts(bundle, latents)
    together = bundle.answer(calls)
    alone = [bundle.answer([call])[0] for call in calls]
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert counts == [4, 4] + [4] * len(calls)
    assert bundle.asked_rows(calls) == 8


def test_pictures_and_prompts_are_equal_to_the_bit_in_any_company(bundle: Bundle, latents: list[Tensor]) -> None:
    together = bundle.answer([Decode(item) for item in latents])
    assert all(
        torch.equal(bundle.answer([Decode(item)])[0], found) for item, found in zip(latents, together, strict=True)
    )
    states = bundle.answer([Encode(prompt) for prompt in PROMPTS])
    assert all(
        torch.equal(bundle.answer([Encode(text)])[0], found) for text, found in zip(PROMPTS, states, strict=True)
    )


def test_pictures_of_different_sizes_are_decoded_together(bundle: Bundle) -> None:
    wide, tall = bundle.answer([Decode(torch.zeros(1, 4, 2, 5)), Decode(torch.zeros(1, 4, 6, 3))])
    assert (wide.shape, tall.shape) == ((1, 3, 16, 40), (1, 3, 48, 24))


def test_a_prompt_is_encoded_once(bundle: Bundle) -> None:
    first, again = bundle.answer([Encode("a cat by a lake"), Encode("a cat by a lake")])
    assert first is again


def test_its_bytes_count_what_is_kept_of_weights_and_remembered_of_prompts(
    bundle: Bundle, latents: list[Tensor]
) -> None:
    bare = replace(bundle, unet=deepcopy(bundle.unet))
    networks = bare.bytes
    states = bare.answer([Encode("a lighthouse nobody asked for before")])[0]
    assert bare.bytes == networks + states.nbytes
    bare.answer([Predict(latents[0], 500.0, (states,), step=0, steps=20)])
    memory = bare._memory(states).nbytes
    orders = bare.bytes - networks - states.nbytes - memory
    small = sum(weight.nbytes for weight in bare.unet.parameters())
    assert 0.5 * small < orders <= 2 * small


def test_in_bfloat16_what_goes_in_and_comes_out_stays_float32(
    checkpoint_of: Callable[[str], Path], bundle: Bundle, latents: list[Tensor]
) -> None:
    half = load(checkpoint_of("sd1"), dtype=torch.bfloat16)
    call = predicts(bundle, latents)[0]
    for question in (Encode("a cat"), call, Decode(latents[0])):
        (found,), (wanted,) = half.answer([question]), bundle.answer([question])
        assert found.dtype == torch.float32
        assert 0 < relative_error(found, wanted) < 0.05  # bfloat16 keeps 8 bits


def test_answers_ask_for_no_gradient(bundle: Bundle, latents: list[Tensor]) -> None:
    assert not any(answer.requires_grad for answer in bundle.answer(predicts(bundle, latents)))
    assert torch.is_grad_enabled()


def test_no_calls_have_no_answers(bundle: Bundle) -> None:
    assert bundle.answer([]) == []


def test_it_refuses_calls_of_different_kinds(bundle: Bundle, latents: list[Tensor]) -> None:
    with pytest.raises(TypeError, match="different kinds"):
        bundle.answer([Encode("a cat"), Decode(latents[0])])


def test_latents_are_scaled_by_channel_where_the_checkpoint_says_so() -> None:
    config = VAEConfig.from_dict({"scaling_factor": 0.5, "latent_channels": 2, "norm_num_groups": 32})
    z = torch.tensor([3.0, -1.0]).reshape(1, 2, 1, 1)
    assert torch.equal(unscale(z * 0.5, config), z)
    config = VAEConfig.from_dict(
        {"scaling_factor": 0.5, "latent_channels": 2, "latents_mean": [1, -2], "latents_std": [4, 0.25]}
    )
    mean, std = torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1), torch.tensor([4.0, 0.25]).reshape(1, 2, 1, 1)
    assert torch.equal(unscale((z - mean) / std * 0.5, config), z)
