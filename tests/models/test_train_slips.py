"""What goes wrong with a training: wrong folders, wrong numbers, a full disk. A line says it, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoint.headers import CheckpointError
from models.config import VAEConfig
from models.train import artwork, decoder
from models.train.autoencoder import Autoencoding
from models.train.command import main
from models.train.design import LARGE, TINY
from models.train.diffusion import Run
from models.train.plan import Plan
from models.vae import VAE


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails. Returns what it says, which is no traceback."""
    assert main(argv) == 2
    told = capsys.readouterr().err
    assert "python3 -m app train: " in told
    return " ".join(told.split())


def test_the_work_of_another_design_is_not_taken_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoder.save(VAE(VAEConfig.from_dict(TINY.vae)), tmp_path)
    assert TINY.world == LARGE.world, "so that words tell no difference"
    told = said(["all", "--design=large", "--device=cpu", f"--folder={tmp_path}", "--steps=1"], capsys)
    assert f"{tmp_path / 'vae.safetensors'} is not of the design large; say with --design" in told
    Autoencoding(tmp_path, TINY, Plan())._save()
    with pytest.raises(CheckpointError, match=r"autoencoder.pt is not of the design large"):
        Autoencoding(tmp_path, LARGE, Plan())


@pytest.mark.parametrize("stage", ["decoder", "pairs", "polish", "export"])
def test_a_stage_without_the_one_before_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str) -> None:
    argv = [stage, "--design=tiny", "--device=cpu", f"--folder={tmp_path}", "--steps=1"]
    assert "has no autoencoder; make one with the stage 'autoencoder' first" in said(argv, capsys)


def test_a_tower_needs_an_exported_text_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["tower", "--design=tiny", "--device=cpu", f"--folder={tmp_path}", f"--checkpoint={tmp_path}"]
    assert "has no text encoder; write it with the stage 'export' first" in said(argv, capsys)


def test_a_network_that_was_never_trained_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoder.save(VAE(VAEConfig.from_dict(TINY.vae)), tmp_path)
    argv = ["export", "--design=tiny", "--device=cpu", f"--folder={tmp_path}", f"--checkpoint={tmp_path / 'out'}"]
    assert "has no U-Net; train one with the stage 'diffusion' first" in said(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_named_and_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, TINY, Plan())
    run.save()
    before = (tmp_path / "diffusion.pt").read_bytes()

    def fill(_state: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")

    monkeypatch.setattr(torch, "save", fill)
    with pytest.raises(CheckpointError, match=r"diffusion.pt cannot be written .*; is the disk full\?"):
        run.save()
    assert (tmp_path / "diffusion.pt").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["diffusion.pt"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("no picture")
    assert str(file) in said(["curves", "--device=cpu", f"--folder={file}"], capsys)
    assert str(file) in said(["--show-forward", str(file)], capsys)
    assert "lost.png" in said(["--show-forward", str(tmp_path / "lost.png")], capsys)


def test_lacking_artwork_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(artwork, "FOLDER", tmp_path / "nothing")
    argv = ["all", "--design=artwork", "--device=cpu", f"--folder={tmp_path}", "--steps=1", "--workers=1"]
    assert "fetch it with: python3 -m app train artwork" in said(argv, capsys)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "--minutes=-3",
            "--minutes=nan",
            "--stop-after=0",
            "--steps=0",
            "--steps=many",
            "--pictures=0",
            "--chunks=-1",
        ),
        *("--batch=0", "--learning-rate=0", "--decay=1.5", "--workers=0"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    flag, _, value = wrong.partition("=")
    with pytest.raises(SystemExit) as ended:
        main(["all", f"--folder={tmp_path / 'work'}", wrong])
    assert ended.value.code == 2
    assert f"{flag}: {value!r} is no " in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
