"""Files as their writers left them: diffusers and transformers in shards, the folders of 2022, what trainers added."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.calls import Decode, Encode, EncodeImage
from models.checkpoint.facts import inspect
from models.checkpoint.loading import load
from tests.models.checkpoint.conftest import Linked, Loaded, Written, family
from tests.reference.families import networks, original

FIRST = family("sd1")
SHARD = "150KB"
CALLS = [Encode("a lighthouse by the sea")], [Decode(torch.ones(1, 4, 8, 8))], [EncodeImage(torch.ones(1, 3, 64, 64))]

# The keys that the files of Stable Diffusion 1.4 have; what came later is absent in them.
UNET_2022 = (
    *("act_fn", "attention_head_dim", "block_out_channels", "center_input_sample", "cross_attention_dim"),
    *("down_block_types", "downsample_padding", "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block"),
    *("mid_block_scale_factor", "norm_eps", "norm_num_groups", "out_channels", "sample_size", "up_block_types"),
)
VAE_2022 = (
    *("act_fn", "block_out_channels", "down_block_types", "in_channels", "latent_channels", "layers_per_block"),
    *("norm_num_groups", "out_channels", "sample_size", "up_block_types"),
)
TEXT_2022 = (
    *("attention_dropout", "hidden_act", "hidden_size", "initializer_factor", "initializer_range"),
    *("intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads", "num_hidden_layers"),
    "vocab_size",
)
OLD_TOKENS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "model_type": "clip_text_model"}


@pytest.fixture
def copied(written: Written, linked: Linked, tmp_path: Path) -> Path:
    """A folder of Stable Diffusion 1's shape that a test may change."""
    return linked(written(FIRST, "folder"), tmp_path / "dreams")


def states(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    bundle = load(path)
    return {"unet": dict(bundle.unet.state_dict()), "vae": dict(bundle.vae.state_dict())}


def test_shards_of_a_variant_that_diffusers_and_transformers_write_are_put_together(
    copied: Path, written: Written
) -> None:
    wanted = states(written(FIRST, "folder"))
    for part, network in networks(FIRST).items():
        shutil.rmtree(copied / part)
        deepcopy(network).half().save_pretrained(copied / part, variant="fp16", max_shard_size=SHARD)
        assert list((copied / part).glob("*.index.fp16.json")), "its writer made shards"
    facts, found = inspect(copied), states(copied)
    assert facts.dtypes == ["F16"]
    assert len(facts.files) > len(networks(FIRST))
    for part, state in wanted.items():
        assert all(torch.equal(found[part][key], tensor.half().float()) for key, tensor in state.items())


def keep(file: Path, keys: tuple[str, ...], **more: Any) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps({key: content[key] for key in keys if key in content} | more))


def test_a_folder_of_2022_is_read_as_diffusers_read_it_then(copied: Path, written: Written, loaded: Loaded) -> None:
    keep(copied / "unet/config.json", UNET_2022, _diffusers_version="0.2.2")
    keep(copied / "vae/config.json", VAE_2022, _diffusers_version="0.2.2")
    keep(copied / "text_encoder/config.json", TEXT_2022, **OLD_TOKENS)
    assert "use_quant_conv" not in json.loads((copied / "vae/config.json").read_text())
    for name in ("safety_checker", "feature_extractor"):
        (copied / name).mkdir()
    (copied / "safety_checker/pytorch_model.bin").write_bytes(b"a pickle that nobody asks for")
    (copied / "feature_extractor/preprocessor_config.json").write_text("{}")
    index = {name: ["diffusers", "X"] for name in ("safety_checker", "unet")} | {"_diffusers_version": "0.2.2"}
    (copied / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"} | index))

    found, wanted = load(copied), loaded(written(FIRST, "folder"))

    assert (found.unet.config, found.vae.config) == (wanted.unet.config, wanted.vae.config)
    for calls in CALLS:
        assert torch.equal(found.answer(calls)[0], wanted.answer(calls)[0])


EXTRAS = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "posterior_variance"),
    *("posterior_log_variance_clipped", "posterior_mean_coef1", "logvar", "lvlb_weights", "model_ema.decay"),
    *("model_ema.num_updates", "model_ema.diffusion_modelinput_blocks00weight", "cond_stage_model.logit_scale"),
    *("embedding_manager.embedder.x", "cond_stage_model.transformer.text_model.embeddings.position_ids"),
    *("cond_stage_model.transformer.text_projection.weight", "first_stage_model.loss.logvar"),
)


@pytest.mark.parametrize("name", ["sd1", "sd2-base"])
def test_what_trainers_left_in_a_file_changes_nothing(tmp_path: Path, written: Written, name: str) -> None:
    kind, file = family(name), tmp_path / "dreams.safetensors"
    extras = EXTRAS if name == "sd1" else tuple(key for key in EXTRAS if ".transformer." not in key)
    save_file(original(kind) | {key: torch.ones(2) for key in extras}, file)
    if name == "sd2-base":
        file.with_suffix(".yaml").write_text("parameterization: eps")
    plain = {slot for slot in original(kind) if slot not in extras}
    assert inspect(file).ignored == inspect(written(kind, "file")).ignored + len({*extras} - {*original(kind)})
    assert len(plain) < len(original(kind)), "some of them are in every file that these tests write"
    found, wanted = states(file), states(written(kind, "file"))
    for part, state in wanted.items():
        assert all(torch.equal(found[part][key], tensor) for key, tensor in state.items())
