"""The stages of a training, in their order, each of which resumes where it stopped.

Knows which stage needs how much of the time and how large its batches are on which device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoint.image_tower import FOLDER
from ..config import VAEConfig
from . import decoder, tower
from . import pairs as drawn
from .autoencoder import Autoencoding
from .curves import curves
from .decoder import Decoding
from .design import Design
from .diffusion import Run
from .export import export_folder
from .origin import begin
from .plan import Plan
from .principal import Principal, autoencoder
from .refit import refit


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to train in all (`minutes`), and how much to render for it.

    `steps` above 0 ends each stage after so many, whatever the time; for rehearsals and tests.
    """

    minutes: float
    pictures: int  # for the autoencoder
    polished: int  # of them, drawn by the U-Net for the decoder
    chunks: int  # of pairs for the U-Net
    compared: int  # pairs for the image tower
    batch: int
    autoencoder_batch: int
    steps: int = 0
    learning_rate: float = 8e-4
    decay: float = 0.35
    is_compiled: bool = False


CPU_BUDGET = Budget(
    minutes=120, pictures=4000, polished=2000, chunks=40, compared=10_000, batch=16, autoencoder_batch=4
)
GPU_BUDGET = Budget(
    minutes=25, pictures=30_000, polished=10_000, chunks=120, compared=20_000, batch=512, autoencoder_batch=64
)
SHARES = {"autoencoder": 0.22, "decoder": 0.06, "diffusion": 0.64, "polish": 0.08}


@dataclass(frozen=True, slots=True)
class Training:
    """One training in one work folder. `deadline` (of `time.monotonic`) ends this call; the next one goes on."""

    folder: Path
    design: Design
    budget: Budget
    device: torch.device
    workers: int
    deadline: float | None = None

    def begin(self, checkpoint: Path) -> None:
        """Begin with the weights of an exported checkpoint; nothing if the training has begun. See `origin.py`."""
        begin(self.folder, self.design, checkpoint)

    def all(self, checkpoint: Path) -> bool:
        """Run every stage that is not over; export if all are. Returns whether the training is over."""
        for stage in (self.autoencoder, self.decoder, self.pairs, self.diffusion, self.polish):
            stage()
            if self.deadline is not None and time.monotonic() >= self.deadline:
                break
        self.curves()
        run = self._run()
        if (self.folder / "vae.safetensors").exists() and run.step > 0:
            export_folder(self.folder, self.design, checkpoint)  # of an unfinished run too, to look at
        if not (run.is_over and self._is_polished(run)):
            return False
        if not (checkpoint / FOLDER).exists():
            if self.deadline is not None and time.monotonic() >= self.deadline:
                return False
            self.tower(checkpoint)
        return True

    def _is_polished(self, run: Run) -> bool:
        return self._is_refitted(run) if self.design.patch > 1 else self._decoding("polish").is_over

    def tower(self, checkpoint: Path) -> None:
        """Train the image tower of an exported checkpoint."""
        pairs = self.budget.compared
        if self.budget.steps:
            pairs, passes = min(pairs, self.budget.steps * tower.BATCH), 1
        else:
            passes = tower.PASSES
        tower.train(checkpoint, self.design, pairs=pairs, passes=passes, workers=self.workers, device=self.device)

    def autoencoder(self) -> None:
        """Build the folded autoencoder from principal components, or train one that does not fold."""
        if (self.folder / "vae.safetensors").exists():
            return
        if self.design.patch > 1:
            principal = Principal.fit(self.design.vae["latent_channels"])
            principal.save(self.folder / "principal.safetensors")
            decoder.save(autoencoder(principal, VAEConfig.from_dict(self.design.vae)), self.folder)
            return
        plan = self._plan("autoencoder", self.budget.autoencoder_batch, 5e-4)
        Autoencoding(self.folder, self.design, plan, self.device).train(
            self.budget.pictures, self.workers, self.deadline
        )

    def decoder(self) -> None:
        """Train the decoder on noisy latents; not one of components, whose least squares that made worse."""
        if self.design.patch == 1:
            self._decoding("decoder").train(self.budget.pictures, self.workers, self.deadline)

    def polish(self) -> None:
        """Train the decoder on what the U-Net draws; fit one of components to it, once the U-Net is over."""
        if self.design.patch == 1:
            self._decoding("polish").polish(self._run(), self.budget.polished, self.workers, self.deadline)
        elif (run := self._run()).is_over and not self._is_refitted(run):
            refit(run, self.folder, self.design, self.budget.polished, self.workers)
            self._refitted.write_text(str(run.step))

    def _is_refitted(self, run: Run) -> bool:
        """Whether the decoder is fitted to the U-Net as it is; a longer plan trains that on."""
        return self._refitted.exists() and self._refitted.read_text() == str(run.step)

    @property
    def _refitted(self) -> Path:
        return self.folder / "polished"

    def _decoding(self, stage: str) -> Decoding:
        plan = self._plan(stage, self.budget.autoencoder_batch, 5e-4)
        return Decoding(self.folder, self.design, plan, self.device, stage)

    def pairs(self) -> None:
        drawn.write(
            self._encoder(), self.design, self.folder / "pairs", self.budget.chunks, self.workers, self.deadline
        )

    def diffusion(self) -> None:
        self._run().train(self.deadline, compiled=self.budget.is_compiled)

    def curves(self) -> None:
        """Draw the loss curves of what has been trained so far."""
        curves(self.folder)

    def _run(self) -> Run:
        plan = self._plan("diffusion", self.budget.batch, self.budget.learning_rate)
        return Run(self.folder, self.design, plan, self.device)

    def _plan(self, stage: str, batch: int, learning_rate: float) -> Plan:
        minutes = 0.0 if self.budget.steps else self.budget.minutes * SHARES[stage]
        return Plan(self.budget.steps, minutes, self.budget.decay, batch, learning_rate)

    def _encoder(self) -> drawn.Encoder:
        principal = self.folder / "principal.safetensors"
        if principal.exists():
            return Principal.load(principal).encode_pictures
        vae = decoder.load(self.folder, self.design).to(self.device)

        def encode(pictures: NDArray[np.uint8]) -> Tensor:
            return decoder.encode(vae, torch.from_numpy(pictures).to(self.device))

        return encode
