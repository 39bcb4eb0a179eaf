"""Find out by a trial what a U-Net predicts, where nothing beside its weights says so.

At the last training timestep its input is nearly pure noise. A network that predicts the noise gives it back; one that
predicts v gives nearly the negative picture, which has nothing to do with the noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.text import Tower
from models.unet import UNet

LAST = 999.0  # training timestep
SIDE = 32  # latents; few, since only the sameness of two fields is asked for
SEED = 0
BORDER = 0.5  # of the cosine; about 1 for the noise, about 0 for v


@torch.inference_mode()
def probe(unet: UNet, text: Tower, device: torch.device, dtype: torch.dtype) -> str:
    """Return "epsilon" or "v_prediction"."""
    ids = torch.tensor([text.tokenizer([""])[0]], dtype=torch.int64)
    context = text.states(ids, clip_skip=1).to(device, dtype)
    generator = torch.Generator("cpu").manual_seed(SEED)
    noise = torch.randn((1, unet.config.in_channels, SIDE, SIDE), generator=generator)
    prediction = unet(noise.to(device, dtype), torch.tensor([LAST], device=device), context)
    return "epsilon" if cosine(prediction.to("cpu", torch.float32), noise) > BORDER else "v_prediction"


def cosine(first: Tensor, second: Tensor) -> float:
    """Return the cosine of the angle between two fields, each taken as one vector."""
    return float(torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0))
