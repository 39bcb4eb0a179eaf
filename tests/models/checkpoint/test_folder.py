"""Loading a diffusers folder: what it says of itself, the forms of its keys, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.calls import Decode, Encode
from models.checkpoint.facts import TEXT_WEIGHTS, UNET_WEIGHTS, VAE_WEIGHTS, CheckpointError, inspect
from models.checkpoint.loading import load
from models.text import BOS, EOS
from tests.models.checkpoint.conftest import Linked, Loaded
from tests.reference.oracle import make_text_encoder

CheckpointOf = Callable[[str], Path]
CARD = {
    "title": "Poster landscapes",
    "defaults": {"width": 256, "height": 192, "steps": 12, "guidance_scale": 4, "sampler": "euler"},
    "preview": {"weight": [[0.1, 0.2, 0.3]] * 4, "bias": [0, 0.5, 1]},
    "examples": ["a lake at dusk"],
    "words": {"times of day": ["dusk", "dawn"]},
    "grammar_words": ["a", "at"],
}


@pytest.fixture
def copied(checkpoint_of: CheckpointOf, linked: Linked, tmp_path: Path) -> Path:
    """A checkpoint of Stable Diffusion 1's shape that a test may damage."""
    return linked(checkpoint_of("sd1"), tmp_path / "landscapes")


def edit(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | changes))


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    tensors = {key: value.clone() for key, value in load_file(file).items()}
    file.unlink()
    save_file(change(tensors), file, metadata={"format": "pt"})


def refusal(path: Path) -> str:
    """The message with which both `inspect` and `load` refuse a checkpoint."""
    with pytest.raises(CheckpointError) as seen:
        inspect(path)
    with pytest.raises(CheckpointError) as loaded:
        load(path)
    assert str(seen.value) == str(loaded.value)
    return str(seen.value)


@pytest.mark.parametrize(
    ("kind", "prediction_type", "inpainting"),
    [("sd1", "epsilon", False), ("sd2-v", "v_prediction", False), ("sd2-inpainting", "epsilon", True)],
)
def test_it_says_what_a_checkpoint_is(
    checkpoint_of: CheckpointOf, kind: str, prediction_type: str, inpainting: bool
) -> None:
    path = checkpoint_of(kind)
    facts = inspect(path)
    assert (facts.name, facts.title, facts.path) == (kind, kind, str(path))
    assert (facts.width, facts.height, facts.latent_channels) == (64, 64, 4)
    assert (facts.prediction_type, facts.inpainting) == (prediction_type, inpainting)
    assert facts.bytes == sum((path / name).stat().st_size for name in (UNET_WEIGHTS, VAE_WEIGHTS, TEXT_WEIGHTS))
    assert facts.defaults == {
        "width": 64,
        "height": 64,
        "steps": 20,
        "guidance_scale": 7.5,
        "guidance_rescale": 0.0,
        "sampler": "ddim",
    }
    assert (facts.examples, facts.words) == ([], {})


def test_a_checkpoint_of_no_native_size_is_for_512_pixels(copied: Path) -> None:
    edit(copied / "unet/config.json", sample_size=None)
    assert (inspect(copied).width, inspect(copied).height) == (512, 512)


def test_its_card_says_what_its_maker_knows(copied: Path) -> None:
    edit(copied / "mezzotint.json", **CARD)
    facts, bundle = inspect(copied), load(copied)
    assert (facts.title, facts.examples, facts.words) == (CARD["title"], CARD["examples"], CARD["words"])
    assert facts.grammar_words == ["a", "at"]
    assert facts.defaults == {
        "width": 256,
        "height": 192,
        "steps": 12,
        "guidance_scale": 4.0,
        "guidance_rescale": 0.0,
        "sampler": "euler",
    }
    assert bundle.defaults == facts.defaults
    assert bundle.preview_factors == CARD["preview"]
    assert (bundle.examples, bundle.vocabulary) == (CARD["examples"], CARD["words"])


def test_the_bundle_knows_its_shapes_and_its_fingerprint(checkpoint_of: CheckpointOf) -> None:
    path = checkpoint_of("sd2-inpainting")
    bundle = load(path)
    config = bundle.config
    assert (config.latent_channels, config.unet_in_channels, config.vae_factor) == (4, 9, 8)
    assert (config.width, config.height, config.context_width, config.max_tokens) == (64, 64, 24, 77)
    assert bundle.fingerprint == hashlib.sha256((path / UNET_WEIGHTS).read_bytes()).hexdigest()
    assert (bundle.name, bundle.device.type, bundle.dtype) == ("sd2-inpainting", "cpu", torch.float32)
    assert bundle.preview_factors is None


def test_text_encoders_of_2022_load_alike(copied: Path, checkpoint_of: CheckpointOf, loaded: Loaded) -> None:
    rewrite(
        copied / TEXT_WEIGHTS,
        lambda state: (
            {f"text_model.{key}": tensor for key, tensor in state.items()}
            | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
        ),
    )
    question = [Encode("a photo of a cat")]
    assert torch.equal(load(copied).answer(question)[0], loaded(checkpoint_of("sd1")).answer(question)[0])


def test_autoencoders_of_2022_load_alike(copied: Path, checkpoint_of: CheckpointOf, loaded: Loaded) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(key: str) -> str:
        for new_name, old_name in old.items():
            key = key.replace(f"attentions.0.{new_name}.", f"attentions.0.{old_name}.")
        return key

    rewrite(copied / VAE_WEIGHTS, lambda state: {rename(key): tensor for key, tensor in state.items()})
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in load_file(copied / VAE_WEIGHTS)
    question = [Decode(torch.ones(1, 4, 2, 2))]
    assert torch.equal(load(copied).answer(question)[0], loaded(checkpoint_of("sd1")).answer(question)[0])


def test_weights_in_float16_are_worked_with_in_float32(
    copied: Path, checkpoint_of: CheckpointOf, loaded: Loaded
) -> None:
    rewrite(copied / VAE_WEIGHTS, lambda state: {key: tensor.half() for key, tensor in state.items()})
    question = [Decode(torch.ones(1, 4, 2, 2))]
    (found,), (wanted,) = load(copied).answer(question), loaded(checkpoint_of("sd1")).answer(question)
    assert torch.allclose(found, wanted, atol=0.02)  # float16 keeps 11 bits of each weight


def test_a_compact_vocabulary_is_used(copied: Path) -> None:
    ids = [2368, 320, BOS, EOS]  # cat, a
    shutil.rmtree(copied / "text_encoder")
    make_text_encoder(vocab_size=4).save_pretrained(copied / "text_encoder")
    edit(copied / "tokenizer/vocab_ids.json", ids=ids, bos=2, eos=3, pad=3)
    bundle = load(copied)
    assert bundle.unknown_words("a purple cat") == ["purple"]
    assert torch.equal(*bundle.answer([Encode("a cat"), Encode("a purple cat")]))


def test_padding_follows_the_family_where_the_tokenizer_says_nothing(
    copied: Path, checkpoint_of: CheckpointOf, linked: Linked, tmp_path: Path
) -> None:
    (copied / "tokenizer/tokenizer_config.json").unlink()
    assert load(copied).text.tokenizer.pad == EOS
    second = linked(checkpoint_of("sd2"), tmp_path / "second")
    (second / "tokenizer/tokenizer_config.json").unlink()
    assert load(second).text.tokenizer.pad == 0
    edit(second / "tokenizer/special_tokens_map.json", pad_token={"content": "<|endoftext|>"})
    assert load(second).text.tokenizer.pad == EOS


def test_it_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    assert "model_index.json is missing; give the path" in refusal(tmp_path)
    assert "nowhere is not there; put it back, or name another one" in refusal(tmp_path / "nowhere")
    (tmp_path / "dreams.safetensors").write_bytes(b"")
    assert f"give its path: {tmp_path / 'dreams.safetensors'}" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"])
def test_it_refuses_a_checkpoint_without_its_configs(copied: Path, name: str) -> None:
    (copied / name).unlink()
    message = refusal(copied)
    assert f"{name} is missing" in message
    assert "again" in message


@pytest.mark.parametrize("name", [UNET_WEIGHTS, VAE_WEIGHTS, TEXT_WEIGHTS])
def test_it_refuses_weights_that_are_missing_or_cut_off(copied: Path, name: str) -> None:
    file = copied / name
    content = file.read_bytes()
    file.unlink()
    assert f"{name} is missing" in refusal(copied)
    for cut in (content[:-100], content[:1000], content[:5], b""):
        file.write_bytes(cut)
        assert name in refusal(copied)
        assert "download it again" in refusal(copied)


def test_it_refuses_a_header_that_is_no_header(copied: Path) -> None:
    header = b'{"weight": 1}'
    (copied / VAE_WEIGHTS).unlink()
    (copied / VAE_WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)
    assert f"{VAE_WEIGHTS} has a damaged header" in refusal(copied)


def test_it_never_opens_a_pickle(copied: Path) -> None:
    (copied / UNET_WEIGHTS).unlink()
    (copied / "unet/diffusion_pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    message = refusal(copied)
    assert "diffusion_pytorch_model.bin is a pickle" in message
    assert message.endswith(f"python3 -m app checkpoints convert {copied / 'unet/diffusion_pytorch_model.bin'}")


def test_all_pickles_of_a_folder_are_named_in_one_command(copied: Path) -> None:
    pickles = [copied / UNET_WEIGHTS, copied / TEXT_WEIGHTS]
    for file in pickles:
        file.rename(file.with_suffix(".bin"))
    names = " ".join(str(file.with_suffix(".bin")) for file in pickles)
    assert refusal(copied).endswith(f"python3 -m app checkpoints convert {names}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: {key: value for key, value in state.items() if key != "conv_in.bias"}, "lacks conv_in.bias"),
        (lambda state: state | {"conv_mid.bias": torch.zeros(1)}, "has unknown conv_mid.bias"),
        (lambda state: state | {"conv_in.bias": torch.zeros(3)}, "conv_in.bias is (3,) and not (16,)"),
        (lambda state: {"conv_in.bias": state["conv_in.bias"]}, "more"),
    ],
    ids=["missing", "extra", "misshapen", "many missing"],
)
def test_it_names_tensors_that_do_not_fit(copied: Path, change: Any, problem: str) -> None:
    rewrite(copied / UNET_WEIGHTS, change)
    with pytest.raises(CheckpointError) as refused:
        load(copied)
    assert problem in str(refused.value)
    assert UNET_WEIGHTS in str(refused.value)
    assert "take both from one checkpoint" in str(refused.value)


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "StableDiffusionXLPipeline"),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "addition_embed_type"),
        ("unet/config.json", {"cross_attention_dim": 32}, "cross_attention_dim of 32"),
        ("unet/config.json", {"out_channels": 8}, "8 out_channels"),
        ("vae/config.json", {"latents_mean": [1.0]}, "latents_mean"),
        ("mezzotint.json", {"defaults": {"steps": 0}}, "defaults.steps"),
        ("mezzotint.json", {"defaults": {"sampler": "best"}}, "defaults.sampler"),
        ("mezzotint.json", {"preview": {"weight": "pink"}}, "preview.weight"),
    ],
)
def test_it_names_the_file_and_the_key_that_it_cannot_use(
    copied: Path, file: str, changes: dict[str, Any], problem: str
) -> None:
    edit(copied / file, **changes)
    message = refusal(copied)
    assert problem in message
    assert file in message


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("scheduler/scheduler_config.json", {"beta_schedule": "wavy"}, "beta_schedule"),
        ("tokenizer/vocab_ids.json", {"ids": [1], "bos": 4}, "bos"),
        ("text_encoder/config.json", {"vocab_size": 100}, "vocab_size of 100"),
    ],
)
def test_loading_names_the_file_and_the_key_that_it_cannot_use(
    copied: Path, file: str, changes: dict[str, Any], problem: str
) -> None:
    edit(copied / file, **changes)
    with pytest.raises(CheckpointError) as refused:
        load(copied)
    assert problem in str(refused.value)
    assert file in str(refused.value)


def test_it_refuses_a_config_that_is_no_json(copied: Path) -> None:
    (copied / "vae/config.json").write_text("{")
    assert "vae/config.json cannot be read as JSON" in refusal(copied)
    (copied / "vae/config.json").write_text("[]")
    assert "vae/config.json must hold a JSON object" in refusal(copied)


def test_facts_are_had_without_torch(checkpoint_of: CheckpointOf) -> None:
    code = (
        "import sys; from models.checkpoint.facts import inspect; inspect(sys.argv[1]); "
        "print([name for name in ('torch', 'numpy', 'transformers', 'safetensors') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(checkpoint_of("sd1"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
