"""Single files: what they say of themselves, the forms of their names, and what decides what they predict."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import models
from models.calls import Decode, Encode, Predict
from models.checkpoint import probe as probing
from models.checkpoint.facts import inspect
from models.checkpoint.headers import Slot
from models.checkpoint.keys import unet_keys, vae_keys
from models.checkpoint.loading import load
from models.checkpoint.shapes import open_clip_config
from models.config import UNetConfig, VAEConfig
from models.text import build_text_model
from models.unet import UNet
from models.vae import VAE
from tests.models.checkpoint.conftest import Loaded, Written, family, save_header
from tests.reference.families import original

CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SD_VAE = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
SECOND = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
CAT = "a photo of a cat"
LATENTS = torch.ones(1, 4, 8, 8)


def meta(network: Callable[[Any], nn.Module], config: Any) -> dict[str, Tensor]:
    with torch.device("meta"):
        built = network(config)
    return built.state_dict()


def full_size(unet: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of a real checkpoint, by their names in the original layout."""
    unet_config, vae_config = UNetConfig.from_dict(unet), VAEConfig.from_dict(SD_VAE)
    unet_names, vae_names = unet_keys(unet_config).reversed(), vae_keys(vae_config).reversed()
    shapes = {
        f"model.diffusion_model.{unet_names.rename(key)}": tuple(t.shape) for key, t in meta(UNet, unet_config).items()
    }
    for key, tensor in meta(VAE, vae_config).items():
        is_attention = ".attentions." in key and tensor.ndim == 2
        shape = (*tensor.shape, 1, 1) if is_attention else tuple(tensor.shape)
        shapes[f"first_stage_model.{vae_names.rename(key)}"] = shape
    if unet_config.cross_attention_dim == 768:
        prefix = "cond_stage_model.transformer.text_model."
        return shapes | {prefix + key: tuple(t.shape) for key, t in meta(build_text_model, CLIP_L).items()}
    return shapes | {f"cond_stage_model.model.{key}": shape for key, shape in vit_h().items()}


def vit_h() -> dict[str, tuple[int, ...]]:
    block: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3072, 1024),
        "attn.in_proj_bias": (3072,),
        "attn.out_proj.weight": (1024, 1024),
        "attn.out_proj.bias": (1024,),
        "mlp.c_fc.weight": (4096, 1024),
        "mlp.c_fc.bias": (4096,),
        "mlp.c_proj.weight": (1024, 4096),
        "mlp.c_proj.bias": (1024,),
        **{f"ln_{index}.{leaf}": (1024,) for index in (1, 2) for leaf in ("weight", "bias")},
    }
    blocks = {f"transformer.resblocks.{layer}.{key}": shape for layer in range(24) for key, shape in block.items()}
    return blocks | {
        "token_embedding.weight": (49408, 1024),
        "positional_embedding": (77, 1024),
        "ln_final.weight": (1024,),
        "ln_final.bias": (1024,),
        "text_projection": (1024, 1024),
        "logit_scale": (),
    }


def write_empty(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """Write a file of float16 tensors whose data is a hole, so that gigabytes take no room."""
    entries, end = {}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        entries[key] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + end)
    return file


@pytest.mark.parametrize(
    ("unet", "parameterization", "wanted"),
    [
        ({"cross_attention_dim": 768}, None, ("Stable Diffusion 1", "epsilon", 512, False)),
        ({"cross_attention_dim": 768, "in_channels": 9}, None, ("Stable Diffusion 1", "epsilon", 512, True)),
        (SECOND, None, ("Stable Diffusion 2", "unknown", 768, False)),
        (SECOND, "v", ("Stable Diffusion 2", "v_prediction", 768, False)),
        (SECOND, "eps", ("Stable Diffusion 2", "epsilon", 512, False)),
        (SECOND | {"in_channels": 9}, None, ("Stable Diffusion 2", "epsilon", 512, True)),
    ],
    ids=["sd1", "sd1 inpainting", "sd2", "sd2 v", "sd2 base", "sd2 inpainting"],
)
def test_it_tells_the_family_of_a_file_of_full_size(
    tmp_path: Path, unet: dict[str, Any], parameterization: str | None, wanted: tuple[object, ...]
) -> None:
    file = write_empty(tmp_path / "dreams.safetensors", full_size(unet))
    if parameterization:
        file.with_suffix(".yaml").write_text(f"    parameterization: {parameterization}  # as it was trained\n")
    facts = inspect(file)
    assert (facts.family, facts.prediction_type, facts.width, facts.inpainting) == wanted
    assert (facts.name, facts.bytes, facts.dtypes) == ("dreams", file.stat().st_size, ["F16"])
    assert bool(facts.warnings) == (facts.prediction_type == "unknown")


@pytest.mark.parametrize("layers", [23, 24])
def test_files_without_the_layer_that_is_left_out_have_the_others(layers: int) -> None:
    extra = "transformer.resblocks.23." if layers == 23 else "none"
    slots = {key: Slot(Path(), key, "F16", shape, 0, 0) for key, shape in vit_h().items() if not key.startswith(extra)}
    assert open_clip_config(slots)["num_hidden_layers"] == 23


@pytest.fixture(scope="module")
def first() -> dict[str, Tensor]:
    return original(family("sd1"))


@pytest.fixture(scope="module")
def second() -> dict[str, Tensor]:
    return original(family("sd2-base"))


def test_what_else_lies_in_a_file_is_counted_and_ignored(written: Written) -> None:
    # five at the top, the position ids
    assert inspect(written(family("sd1"), "file")).ignored == 6


def test_text_encoders_without_text_model_in_their_names_load_alike(
    tmp_path: Path, written: Written, first: dict[str, Tensor], loaded: Loaded
) -> None:
    renamed = {key.replace("transformer.text_model.", "transformer."): tensor for key, tensor in first.items()}
    save_file(renamed, tmp_path / "old.safetensors")
    calls = [Encode(CAT)]
    wanted = loaded(written(family("sd1"), "file")).answer(calls)[0]
    assert torch.equal(load(tmp_path / "old.safetensors").answer(calls)[0], wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_weights_of_any_number_format_are_cast(
    tmp_path: Path, written: Written, first: dict[str, Tensor], dtype: torch.dtype, loaded: Loaded
) -> None:
    file = tmp_path / "cast.safetensors"
    save_file({key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in first.items()}, file)
    found, wanted = load(file), loaded(written(family("sd1"), "file"))
    theirs = {key: tensor.to(dtype).float() for key, tensor in wanted.unet.state_dict().items()}
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in found.unet.state_dict().items())


def test_a_file_is_loaded_in_the_number_format_that_is_asked_for(written: Written) -> None:
    file = written(family("sd2-v"), "file")
    narrow, wide = load(file, dtype=torch.bfloat16), load(file)
    assert {tensor.dtype for net in (narrow.unet, narrow.vae) for tensor in net.parameters()} == {torch.bfloat16}
    cond = wide.answer([Encode(CAT)])[0]
    assert torch.allclose(narrow.answer([Encode(CAT)])[0], cond, atol=0.1)
    call = [Predict(LATENTS, 500.0, (cond,), 0, 1)]
    (found,), (wanted,) = narrow.answer(call), wide.answer(call)
    assert float((found - wanted).norm() / wanted.norm()) < 0.05  # bfloat16 keeps 8 bits


def test_the_card_beside_a_file_says_what_its_owner_knows(tmp_path: Path, second: dict[str, Tensor]) -> None:
    save_file(second, tmp_path / "dreams.safetensors")
    card = {"title": "My dreams", "prediction_type": "v_prediction", "defaults": {"width": 640, "steps": 9}}
    (tmp_path / "dreams.mezzotint.json").write_text(json.dumps(card))
    (tmp_path / "dreams.yaml").write_text("parameterization: eps")
    facts, bundle = inspect(tmp_path / "dreams.safetensors"), load(tmp_path / "dreams.safetensors")
    assert (facts.title, facts.prediction_type, facts.width) == ("My dreams", "v_prediction", 768)
    assert (facts.defaults["width"], facts.defaults["height"], facts.defaults["steps"]) == (640, 768, 9)
    assert bundle.schedule.prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("metadata", "extra", "wanted"),
    [
        ({"modelspec.prediction_type": "v"}, {}, "v_prediction"),
        ({"modelspec.prediction_type": "epsilon"}, {}, "epsilon"),
        (None, {"v_pred": torch.zeros(0)}, "v_prediction"),
    ],
)
def test_its_trainer_may_have_noted_what_it_predicts(
    tmp_path: Path, second: dict[str, Tensor], metadata: dict[str, str] | None, extra: dict[str, Tensor], wanted: str
) -> None:
    save_header(second | extra, tmp_path / "dreams.safetensors", metadata=metadata)
    assert inspect(tmp_path / "dreams.safetensors").prediction_type == wanted


def echoing(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A U-Net that gives its input back: only the way round the first level is open, as silu(x) - silu(-x) = x."""
    prefix = "model.diffusion_model."
    channels = 64
    silent = {key: torch.zeros_like(t) for key, t in state.items() if key.startswith(prefix)}
    inward, outward = torch.zeros(channels, 4, 3, 3), torch.zeros(4, channels, 3, 3)
    across = torch.zeros(channels, 2 * channels, 1, 1)
    for latent in range(4):
        for sign, channel in ((1, latent), (-1, 4 + latent)):
            inward[channel, latent, 1, 1] = sign
            across[channel, channels + channel] = 1
            outward[latent, channel, 1, 1] = sign
    silent[f"{prefix}input_blocks.0.0.weight"] = inward
    silent[f"{prefix}output_blocks.8.0.skip_connection.weight"] = across
    silent[f"{prefix}out.0.weight"] = torch.ones(channels)
    silent[f"{prefix}out.2.weight"] = outward
    return state | silent


def test_where_nothing_says_what_it_predicts_a_trial_does(tmp_path: Path, second: dict[str, Tensor]) -> None:
    save_file(echoing(second), tmp_path / "noise.safetensors")
    save_file(second, tmp_path / "other.safetensors")  # random weights: what comes out has nothing to do with the noise
    assert inspect(tmp_path / "noise.safetensors").prediction_type == "unknown"
    assert load(tmp_path / "noise.safetensors").schedule.prediction_type == "epsilon"
    assert load(tmp_path / "other.safetensors").schedule.prediction_type == "v_prediction"


def test_the_trial_tells_what_a_trained_network_predicts(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = loaded(next(iter(Path(folder) / "embedded" for folder in models.__path__)))
    assert probing.probe(bundle.unet, bundle.text, bundle.device, bundle.dtype) == "v_prediction"
    alpha = float(bundle.schedule.alphas_cumprod[-1])
    forward: Any = UNet.forward

    def predicts_noise(self: UNet, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        velocity: Tensor = forward(self, sample, timestep, context)
        noise: Tensor = velocity * alpha**0.5 + sample * (1 - alpha) ** 0.5
        return noise

    monkeypatch.setattr(UNet, "forward", predicts_noise)
    assert probing.probe(bundle.unet, bundle.text, bundle.device, bundle.dtype) == "epsilon"


def test_a_file_draws_with_the_schedule_of_its_family(written: Written, loaded: Loaded) -> None:
    folder, file = (loaded(written(family("sd2-v"), layout)) for layout in ("folder", "file"))
    assert torch.equal(folder.schedule.alphas_cumprod, file.schedule.alphas_cumprod)
    assert file.schedule.sigmas(20) == folder.schedule.sigmas(20)


def test_the_name_of_a_file_says_nothing(tmp_path: Path, written: Written, loaded: Loaded) -> None:
    named = tmp_path / "model.ckpt"
    os.link(written(family("sd1"), "file"), named)
    assert inspect(named).name == "model"
    decoded = load(named).answer([Decode(LATENTS)])[0]
    assert torch.equal(decoded, loaded(written(family("sd1"), "folder")).answer([Decode(LATENTS)])[0])
