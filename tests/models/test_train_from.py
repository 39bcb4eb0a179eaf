"""A training that begins with the weights of an exported checkpoint."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import bpe
from models.checkpoint.headers import CheckpointError
from models.config import VAEConfig
from models.train import command, decoder, origin
from models.train.design import SMALL, TINY
from models.train.diffusion import Run
from models.train.export import export
from models.train.plan import Plan
from models.train.stages import CPU_BUDGET, Training
from models.vae import VAE

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training of other seeds exported."""
    target = tmp_path_factory.mktemp("exported") / "checkpoint"
    run = Run(target.parent, TINY, Plan(seed=7))
    torch.manual_seed(8)
    export(run, VAE(VAEConfig.from_dict(TINY.vae)), target)
    return target


def _training(folder: Path) -> Training:
    return Training(folder, TINY, CPU_BUDGET, torch.device("cpu"), workers=1)


def test_it_begins_with_the_networks_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    _training(tmp_path).begin(checkpoint)

    run = Run(tmp_path, TINY, Plan())
    unet, text = load_file(checkpoint / "unet" / WEIGHTS), load_file(checkpoint / "text_encoder" / "model.safetensors")
    for networks in (run.networks, run.average):
        assert all(torch.equal(value.half(), unet[name]) for name, value in networks.unet.state_dict().items())
        states = networks.text_encoder.state_dict()
        assert all(torch.equal(value.half(), text[name][: len(value)]) for name, value in states.items())
    vae = load_file(checkpoint / "vae" / WEIGHTS)
    assert all(
        torch.equal(value.half(), vae[name]) for name, value in decoder.load(tmp_path, TINY).state_dict().items()
    )
    assert (run.step, run.clock.seconds) == (0, 0)


def test_each_word_keeps_its_row_and_new_ones_begin_at_random(checkpoint: Path, tmp_path: Path) -> None:
    """The checkpoint of this test lists its words the other way round, and knows none for a castle."""
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    listed = other / "tokenizer" / "vocab_ids.json"
    content = json.loads(listed.read_text())
    (castle,) = bpe.encode("castle")
    content["ids"] = [0 if token == castle else token for token in content["ids"]][::-1]
    listed.write_text(json.dumps(content))

    _training(tmp_path / "work").begin(other)

    run = Run(tmp_path / "work", TINY, Plan())
    rows = run.networks.text_encoder.state_dict()[origin.EMBEDDING]
    theirs = load_file(other / "text_encoder" / "model.safetensors")[origin.EMBEDDING].float()
    for row, token in enumerate(run.words.vocabulary.ids):
        if token == castle:
            assert not (rows[row] == theirs).all(1).any()
            assert 0 < float(rows[row].norm()) < 10 * float(theirs.norm(dim=1).mean())
        else:
            assert torch.equal(rows[row], theirs[content["ids"].index(token)])


def test_a_training_that_has_begun_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, TINY, Plan(seed=3))
    run.step = 5
    run.save()
    before = (tmp_path / "diffusion.pt").read_bytes()

    _training(tmp_path).begin(checkpoint)

    assert (tmp_path / "diffusion.pt").read_bytes() == before
    assert not (tmp_path / "vae.safetensors").exists()


@pytest.mark.parametrize("own", origin.OWN)
def test_a_folder_with_latents_of_its_own_is_refused(own: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / own).mkdir()

    with pytest.raises(CheckpointError, match=f"own in it \\({own}\\); name an empty --folder"):
        _training(tmp_path).begin(checkpoint)

    assert [path.name for path in tmp_path.iterdir()] == [own]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "is not there; put it back, or name another one"),
        (lambda folder: (folder / "unet" / WEIGHTS).unlink(), f"{WEIGHTS} is missing; copy or download"),
        (lambda folder: (folder / "unet" / WEIGHTS).write_bytes(b"no"), f"{WEIGHTS} is truncated or no safetensors"),
        (lambda folder: (folder / "vae" / "config.json").write_text("{}"), "must come from the same checkpoint"),
    ],
)  # fmt: skip
def test_it_says_what_it_cannot_begin_with(
    damage: object, said: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, work = tmp_path / "other", tmp_path / "work"
    shutil.copytree(checkpoint, other)
    assert callable(damage)
    damage(other)

    status = command.main(
        ["diffusion", "--design", "tiny", "--device", "cpu", "--folder", str(work), "--from", str(other)]
    )

    assert status == 2
    message = capsys.readouterr().err
    assert str(other) in message
    assert said in message
    assert not list(work.iterdir())


def test_a_checkpoint_of_another_design_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    training = replace(_training(tmp_path), design=SMALL)

    with pytest.raises(CheckpointError, match="its unet is not that of the design small"):
        training.begin(checkpoint)
