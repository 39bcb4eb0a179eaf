"""The forms that folders are found in: variants, shards, tokenizers and schedulers of any writer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models import bpe
from models.calls import Decode, Encode
from models.checkpoint.facts import CheckpointError, inspect, layout_of
from models.checkpoint.loading import load, schedule_of
from models.checkpoint.tokenizers import tokenizer_of
from models.text import EOS
from tests.models.checkpoint.conftest import Linked, Loaded, Written, family
from tests.models.checkpoint.test_families import their_tokenizer
from tests.reference.families import write_tokenizer

UNET, VAE, TEXT = "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"
PROMPTS = ["a photo of a cat", "Ein Mädchen mit 3 Äpfeln, 4k", "", "it's (odd): [signs] -- & words " * 20]


@pytest.fixture
def copied(written: Written, linked: Linked, tmp_path: Path) -> Path:
    """A folder of Stable Diffusion 1's shape that a test may change."""
    return linked(written(family("sd1"), "folder"), tmp_path / "dreams")


def unet_of(path: Path) -> dict[str, Tensor]:
    return dict(load(path).unet.state_dict())


def half(folder: Path, stem: str, *, keep: bool) -> None:
    """Write the weights in float16 as the variant of that name."""
    whole = folder / f"{stem}.safetensors"
    state = {key: t.half() if t.is_floating_point() else t for key, t in load_file(whole).items()}
    save_file(state, folder / f"{stem}.fp16.safetensors")
    if not keep:
        whole.unlink()


def test_variants_in_float16_are_taken_where_there_is_nothing_else(copied: Path, written: Written) -> None:
    for stem in (UNET, VAE, TEXT):
        half(copied, stem, keep=stem == VAE)
    facts = inspect(copied)
    assert facts.dtypes == ["F16", "F32"]
    assert [Path(file).name for file in facts.files] == [
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.safetensors",
        "model.fp16.safetensors",
    ]
    wanted = unet_of(written(family("sd1"), "folder"))
    assert all(torch.equal(tensor, wanted[key].half().float()) for key, tensor in unet_of(copied).items())


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_shards_are_put_together(copied: Path, written: Written, variant: str) -> None:
    state = load_file(copied / f"{UNET}.safetensors")
    places: dict[str, str] = {}
    (copied / f"{UNET}.safetensors").unlink()
    for number in (0, 1):
        part = dict(list(state.items())[number::2])
        name = f"diffusion_pytorch_model{variant}-0000{number + 1}-of-00002.safetensors"
        save_file(part, copied / "unet" / name)
        places |= dict.fromkeys(part, name)
    index = copied / f"{UNET}.safetensors.index{variant}.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    wanted = unet_of(written(family("sd1"), "folder"))
    assert all(torch.equal(tensor, wanted[key]) for key, tensor in unet_of(copied).items())

    (copied / "unet" / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        inspect(copied)


@pytest.mark.parametrize("name", ["../vae/diffusion_pytorch_model.safetensors", "/etc/passwd", 7, ".."])
def test_shards_lie_beside_their_list(copied: Path, name: object) -> None:
    (copied / f"{UNET}.safetensors").unlink()
    index = copied / f"{UNET}.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.bias": name}}))
    with pytest.raises(CheckpointError, match=r"must have a weight_map of .* names without folders"):
        inspect(copied)


def test_attention_of_the_vae_may_be_written_as_convolutions(copied: Path, written: Written, loaded: Loaded) -> None:
    file = copied / f"{VAE}.safetensors"
    state = load_file(file)
    for key, tensor in state.items():
        if ".attentions." in key and tensor.ndim == 2:
            state[key] = tensor[:, :, None, None].clone()
    file.unlink()
    save_file(state, file)
    calls = [Decode(torch.ones(1, 4, 2, 2))]
    assert torch.equal(load(copied).answer(calls)[0], loaded(written(family("sd1"), "folder")).answer(calls)[0])


def test_it_refuses_counts_of_layers_that_no_checkpoint_has(copied: Path) -> None:
    config = json.loads((copied / "unet/config.json").read_text())
    (copied / "unet/config.json").write_text(json.dumps(config | {"layers_per_block": 10**9}))
    with pytest.raises(CheckpointError, match="layers_per_block asks for more than 64 layers"):
        inspect(copied)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hidden_act": "swiglu"}, "hidden_act is 'swiglu'"),
        ({"num_attention_heads": 7}, "num_attention_heads 7 does not divide"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers must be a positive whole number"),
        ({"vocab_size": 49407}, "vocab_size of 49407"),
    ],
)
def test_it_refuses_text_encoders_that_are_none(copied: Path, changes: dict[str, Any], problem: str) -> None:
    config = json.loads((copied / "text_encoder/config.json").read_text())
    (copied / "text_encoder/config.json").write_text(json.dumps(config | changes))
    with pytest.raises(CheckpointError) as refused:
        load(copied)
    assert problem in str(refused.value)
    assert "text_encoder/config.json" in str(refused.value)


def one_file(folder: Path) -> None:
    """Turn the tokenizer's files into one `tokenizer.json`, as newer writers do."""
    their_tokenizer(folder.parent).save_pretrained(folder.parent / "new")
    shutil.rmtree(folder)
    (folder.parent / "new").rename(folder)
    assert (folder / "tokenizer.json").is_file()
    assert not (folder / "vocab.json").exists()


@pytest.mark.parametrize("form", [lambda _folder: None, one_file, shutil.rmtree], ids=["two files", "one file", "none"])
def test_tokenizers_of_all_forms_give_the_same_ids(copied: Path, form: Callable[[Path], None]) -> None:
    theirs = their_tokenizer(copied)
    wanted = [theirs(text, padding="max_length", max_length=77, truncation=True).input_ids for text in PROMPTS]
    form(copied / "tokenizer")
    assert tokenizer_of(layout_of(copied))(PROMPTS) == wanted
    assert inspect(copied).missing == ([] if (copied / "tokenizer").exists() else ["tokenizer"])


@pytest.mark.parametrize(
    ("name", "content", "pad"),
    [
        ("tokenizer_config.json", {"pad_token": "!"}, 0),
        ("tokenizer_config.json", {"pad_token": {"__type": "AddedToken", "content": "!"}}, 0),
        ("special_tokens_map.json", {"pad_token": "<|endoftext|>"}, EOS),
        ("special_tokens_map.json", {"pad_token": {"content": "!"}}, 0),
        ("tokenizer_config.json", {}, EOS),  # what the family has
    ],
)
def test_the_padding_is_what_the_files_say(copied: Path, name: str, content: dict[str, Any], pad: int) -> None:
    (copied / "tokenizer/tokenizer_config.json").unlink()
    (copied / "tokenizer" / name).write_text(json.dumps(content))
    assert tokenizer_of(layout_of(copied)).pad == pad


@pytest.mark.parametrize("broken", [{"a": 1}, {"a": None}, []])
def test_it_refuses_a_tokenizer_of_another_vocabulary(copied: Path, broken: object) -> None:
    assert tokenizer_of(layout_of(copied)).pad == EOS  # so far it is CLIP's, which is remembered
    (copied / "tokenizer/vocab.json").write_text(json.dumps(broken))
    with pytest.raises(CheckpointError, match=r"vocab\.json"):
        load(copied)


def test_tokens_beyond_clips_vocabulary_are_noted(copied: Path) -> None:
    config = json.loads((copied / "text_encoder/config.json").read_text())
    (copied / "text_encoder/config.json").write_text(json.dumps(config | {"vocab_size": 49410}))
    file = copied / f"{TEXT}.safetensors"
    state = load_file(file)
    state["embeddings.token_embedding.weight"] = torch.cat(
        (state["embeddings.token_embedding.weight"], torch.ones(2, 64))
    )
    file.unlink()
    save_file(state, file)
    assert inspect(copied).warnings == ["Its 2 tokens beyond CLIP's vocabulary cannot be asked for."]
    assert load(copied).answer([Encode("a cat")])[0].shape == (77, 64)


STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "PNDMScheduler": {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False},
    "DDIMScheduler": {"steps_offset": 1, "clip_sample": False, "prediction_type": "v_prediction"},
    "EulerDiscreteScheduler": {"timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    "EulerAncestralDiscreteScheduler": {"timestep_spacing": "linspace"},
    "DPMSolverMultistepScheduler": {"timestep_spacing": "leading", "steps_offset": 1},
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_scheduler_file_of_any_writer_is_honoured(copied: Path, name: str) -> None:
    import diffusers

    getattr(diffusers, name)(**STABLE_DIFFUSION, **SCHEDULERS[name]).save_pretrained(copied / "scheduler")
    config = json.loads((copied / "scheduler/scheduler_config.json").read_text())
    theirs, ours = diffusers.DDIMScheduler.from_config(config), schedule_of(layout_of(copied))
    assert torch.equal(ours.alphas_cumprod, theirs.alphas_cumprod)
    assert ours.prediction_type == theirs.config.prediction_type == inspect(copied).prediction_type
    for steps in (1, 7, 20, 50):
        theirs.set_timesteps(steps)
        assert ours.timesteps(steps) == theirs.timesteps.tolist()
    assert ours.set_alpha_to_one == bool(theirs.final_alpha_cumprod == 1)


def test_vocabularies_written_for_tests_are_clips(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, pad="!")
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    assert len(vocabulary) == bpe.CLIP_VOCABULARY
    assert (vocabulary["!"], vocabulary["cat</w>"], vocabulary["<|endoftext|>"]) == (0, 2368, EOS)


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("unet/config.json", {"down_block_types": 5}, "down_block_types must be a list"),
        ("unet/config.json", {"up_block_types": [["UpBlock2D"]]}, "up_block_types: ['UpBlock2D'] is not supported"),
        ("unet/config.json", {"norm_eps": 10**400}, "norm_eps must be a number"),
        ("vae/config.json", {"latents_std": [10**400] * 4}, "latents_std must be a list of numbers"),
        ("vae/config.json", {"scaling_factor": 0}, "scaling_factor must not be 0"),
        ("vae/config.json", {"scaling_factor": float("nan")}, "scaling_factor must be a number"),
        ("text_encoder/config.json", {"max_position_embeddings": None}, "max_position_embeddings must be a positive"),
        ("text_encoder/config.json", {"max_position_embeddings": "x"}, "max_position_embeddings must be a positive"),
        ("text_encoder/config.json", {"vocab_size": None}, "vocab_size must be a positive"),
        ("scheduler/scheduler_config.json", {"beta_end": 2}, "beta_end must be a number above 0 and below 1, not 2"),
        ("scheduler/scheduler_config.json", {"beta_start": "low"}, "beta_start must be a number"),
    ],
)
def test_it_names_the_value_that_is_none_of_its_kind(
    copied: Path, file: str, changes: dict[str, Any], problem: str
) -> None:
    config = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps(config | changes))
    for ask in (inspect, load):
        with pytest.raises(CheckpointError) as refused:
            ask(copied)
        assert f"{file}: {problem}" in str(refused.value)
