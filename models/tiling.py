"""Pictures whose opposite edges fit each other, so that they tile a plane."""

from __future__ import annotations

import copy
from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn

from models.blocks import Downsample
from models.calls import Call, Encode

Network = TypeVar("Network", bound=nn.Module)


def wrapped(network: Network) -> Network:
    """Return a network with the same tensors whose convolutions look beyond an edge at the opposite one.

    It takes no memory of its own and follows every change of the weights. The other network is left as it is, so
    that both can be asked in turns.
    """
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    twin = copy.deepcopy(network, shared)
    for part in twin.modules():
        if isinstance(part, Downsample) or (isinstance(part, nn.Conv2d) and any(part.padding)):
            part.padding_mode = "circular"
    return twin


def tiled(job: Generator[Call, Tensor, Tensor]) -> Generator[Call, Tensor, Tensor]:
    """Carry out a job with all its pictures and latents tiling."""
    try:
        call = next(job)
        while True:
            answer = yield call if isinstance(call, Encode) else replace(call, tiling=True)
            call = job.send(answer)
    except StopIteration as finished:
        pixels: Tensor = finished.value
        return pixels
    finally:
        job.close()
