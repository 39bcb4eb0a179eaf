"""The networks of one checkpoint on one device, answering the calls of jobs.

The only place where tensors change device and number format: what comes in and goes out is float32 on the CPU. Knows
neither samplers nor guidance nor recipes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from models import tiles
from models.calls import Call, Decode, Encode, EncodeImage, Predict
from models.compiled import Compiled
from models.config import BundleConfig, VAEConfig
from models.cost import Costs
from models.emphasis import weigh
from models.image_tower import ImageTower
from models.packed import is_small, kept
from models.remembered import Recent, Remembered
from models.schedule import Schedule
from models.text import Tower
from models.tiling import wrapped
from models.unet import UNet
from models.vae import VAE

REMEMBERED_STATES = 2**26  # bytes of the text encoder's: 283 chunks of Stable Diffusion 1
REMEMBERED_TIMESTEPS = 256
REMEMBERED_BYTES = 2**28  # of keys and values: 34 prompts of Stable Diffusion 1 in float32
MAX_ROWS_A_THREAD = 15


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle:
    """A loaded checkpoint. `fingerprint` tells the file of the U-Net's weights from others: its SHA-256, or of a
    large one that of parts spread over it (`checkpoint/headers.py`), in hexadecimal.

    `defaults`, `preview_factors`, `examples` and `vocabulary` (words by topic) are what the checkpoint says of itself.
    With `exact_rows` every U-Net call has that many rows, filled up with copies, so that on any device and in any
    number format a row's bits do not depend on how many others there are.

    `image_tower` lies on the CPU, in float32, whatever the device is.

    With `compiled`, calls of a size that there is a library for are answered by that: in another rounding, which
    depends on the size, so that no picture's bits are promised then.
    """

    name: str
    config: BundleConfig
    schedule: Schedule
    unet: UNet
    vae: VAE
    text: Tower
    device: torch.device
    dtype: torch.dtype
    fingerprint: str
    defaults: Mapping[str, Any]
    preview_factors: Mapping[str, Any] | None = None
    examples: Sequence[str] = ()
    vocabulary: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exact_rows: int = 0
    compiled: Compiled | None = None
    image_tower: ImageTower | None = None

    @torch.inference_mode()
    def answer(self, calls: Sequence[Call]) -> list[Tensor]:
        """Answer calls of one kind, in their order; `Predict`s must share their latent shape, tokens and tiling.

        The rows of all `Predict`s go through the U-Net together; prompts and pictures are taken one by one, which
        bounds the memory. In float32 on a CPU an answer is equal to the bit whatever it is answered with, on other
        devices up to rounding, or with `exact_rows` to the bit, too. Answers must not be changed in place.
        """
        if not calls:
            return []
        if any(type(call) is not type(calls[0]) for call in calls):
            raise TypeError("calls of different kinds cannot be answered together")
        match calls[0]:
            case Encode():
                return [self._encode(call.text, call.clip_skip) for call in calls if isinstance(call, Encode)]
            case Predict():
                return self._predict([call for call in calls if isinstance(call, Predict)])
            case Decode():
                return [tiles.finished(self.decode_in_parts(call)) for call in calls if isinstance(call, Decode)]
            case EncodeImage():
                return [self._encode_image(call.pixels, call.tiling) for call in calls if isinstance(call, EncodeImage)]
            case _:
                assert_never(calls[0])

    @cached_property
    def costs(self) -> Costs:
        """What the calls cost in operations and memory."""
        return Costs(self.unet.config, self.vae.config, self.config.max_tokens, self.dtype.itemsize)

    @property
    def bytes(self) -> int:
        """What it takes now: the tensors of all networks, what is kept of them, and what is remembered of prompts."""
        remembered = self._states.bytes + self._memory.bytes + (self.compiled.bytes if self.compiled else 0)
        wide: VAE | None = vars(self).get("_wide_vae")  # which is there once a picture has asked for it
        tensors: list[Tensor] = [*self._tensors, *(wide.parameters() if wide else ())]
        return remembered + sum(tensor.nbytes + kept.bytes_of(tensor) for tensor in tensors)

    @cached_property
    def _tensors(self) -> list[Tensor]:
        """The tensors of all networks, each once."""
        networks = [part for owner in (self, self.text) for part in vars(owner).values() if isinstance(part, nn.Module)]
        tensors = {id(tensor): tensor for net in networks for tensor in (*net.parameters(), *net.buffers())}
        return list(tensors.values())

    def unknown_words(self, prompt: str) -> list[str]:
        """List the words of a prompt that this checkpoint's vocabulary lacks."""
        return self.text.tokenizer.unknown_words(prompt)

    @torch.inference_mode()
    def match(self, prompt: str, pixels: Tensor) -> float | None:
        """How probably pixels (1, 3, H, W) in -1..1 show what the prompt asks for, 0..1.

        None without an image tower, and for a prompt without words. Emphasis and clip skip do not count.
        """
        if self.image_tower is None or not prompt.strip():
            return None
        chunks = self.text.tokenizer.chunks(prompt)
        return self.image_tower.match(pixels, torch.cat([self._states((chunk.ids, 1)) for chunk in chunks]))

    def _encode(self, prompt: str, clip_skip: int) -> Tensor:
        chunks = self.text.tokenizer.chunks(prompt)
        states = [weigh(self._states((chunk.ids, clip_skip)), chunk.weights) for chunk in chunks]
        return states[0] if len(states) == 1 else torch.cat(states)

    @cached_property
    def _states(self) -> Recent[tuple[tuple[int, ...], int]]:
        """The states (max_tokens, D) of one chunk, remembered; alone, so that they do not depend on their company."""

        def states(chunk: tuple[tuple[int, ...], int]) -> Tensor:
            ids, clip_skip = chunk
            found = self.text.states(torch.tensor([ids], dtype=torch.int64), clip_skip=clip_skip)
            return found[0].to("cpu", torch.float32)

        return Recent(states, REMEMBERED_STATES)

    def _predict(self, calls: list[Predict]) -> list[Tensor]:
        """Ask the U-Net in such numbers of rows that on a CPU no row's bits depend on how many there are.

        oneDNN (torch 2.13, AVX-512) rounds 16 rows or more a thread, and a lone one of a large network, differently
        from all numbers between. So such a row is asked twice over, and many in several calls.
        """
        owners = [place for place, call in enumerate(calls) for _ in call.conds]
        memories = [self._memory(cond) for call in calls for cond in call.conds]
        small = self._is_small(calls[0])
        groups = [
            self._ask([calls[owners[row]] for row in rows], [memories[row] for row in rows], small=small)
            for rows in self._groups(len(owners), small=small)
        ]
        prediction = (groups[0] if len(groups) == 1 else torch.cat(groups))[: len(owners)]
        return list(torch.split(prediction.to("cpu", torch.float32), [call.rows for call in calls]))

    def _ask(self, calls: Sequence[Predict], memories: Sequence[Tensor], *, small: bool) -> Tensor:
        """Ask for one row of each of these calls. What several rows have in common, until prompts come in, is asked
        once a call, but where that would be a lone row whose bits are others (`_predict`) or rows must be so many."""
        if self.compiled is not None and small:
            found = self.compiled.ask(*self._latents(calls), torch.cat(list(memories)))
            if found is not None:
                return found
        unet = self._wrapped_unet if calls[0].tiling else self.unet
        pictures = list(dict.fromkeys(calls))
        is_shared = len(pictures) < len(calls) and (small or len(pictures) > 1) and not self.exact_rows
        asked = pictures if is_shared else calls
        samples, shifts = self._latents(asked)
        places = {call: place for place, call in enumerate(pictures)}
        of_pictures = torch.tensor([places[call] for call in calls], device=self.device) if is_shared else None
        return unet.predict(samples, shifts, torch.cat(list(memories)), of_pictures)

    def _latents(self, calls: Sequence[Predict]) -> tuple[Tensor, Tensor]:
        """What the U-Net predicts from, and its shifts, a row for each call."""
        samples = self._inward(torch.cat([_input(call) for call in calls]))
        return samples, torch.cat([self._shifts(call.timestep) for call in calls])

    def asked_rows(self, calls: Sequence[Predict]) -> int:
        """How many rows the U-Net is asked for these: some of them are there for the sake of equal bits only."""
        groups = self._groups(sum(call.rows for call in calls), small=self._is_small(calls[0]))
        return sum(map(len, groups))

    def _is_small(self, call: Predict) -> bool:
        """Whether all of the U-Net's weights are kept in oneDNN's order for this size, by which a lone row is exact."""
        is_kept = is_small(self._largest_layer, call.sample.shape[2] * call.sample.shape[3])
        return is_kept and self.device.type == "cpu" and self.dtype is torch.float32 and not call.tiling

    @cached_property
    def _largest_layer(self) -> int:
        return max(weight.numel() for weight in self.unet.parameters())

    def _groups(self, count: int, *, small: bool) -> list[list[int]]:
        """The rows of each call, by their places; those that are only asked to fill a call up come last."""
        if self.exact_rows:
            size = self.exact_rows
            return [[min(first + row, count - 1) for row in range(size)] for first in range(0, count, size)]
        if self.device.type != "cpu":
            return [list(range(count))]
        if count == 1:
            return [[0]] if small else [[0, 0]]
        parts = math.ceil(count / (MAX_ROWS_A_THREAD * torch.get_num_threads()))
        edges = [-(-count * part // parts) for part in range(parts + 1)]  # the first parts are the larger ones
        return [list(range(*span)) for span in pairwise(edges)]

    @cached_property
    def _memory(self) -> Remembered:
        """The U-Net's keys and values (1, T, M) of a prompt's states; alone, so that no bit depends on the others."""
        return Remembered(lambda cond: self.unet.remember(self._inward(cond[None])), REMEMBERED_BYTES)

    @cached_property
    def _shifts(self) -> Callable[[float], Tensor]:
        """The U-Net's shifts (1, S) at a timestep, remembered; each alone, so that no bit depends on the others."""
        return lru_cache(maxsize=REMEMBERED_TIMESTEPS)(
            lambda timestep: self.unet.shifts(torch.tensor([timestep], dtype=torch.float32, device=self.device))
        )

    def decode_in_parts(self, call: Decode) -> tiles.Parts:
        """Answer a `Decode` as `answer` does, to the bit, but stop between parts, so that others are not kept waiting.

        Where numbers grow too large for the VAE's format, as they do in float16, it is asked again in float32.
        """
        scaled = unscale(call.latents, self.vae.config)
        vae = self._wrapped_vae if call.tiling else self.vae
        tiling = tiles.WHOLE if call.tiling else None
        pixels = yield from tiles.decode_in_parts(vae, self._inward(scaled), tiling)
        pixels = pixels.to("cpu", torch.float32)
        if self.dtype is torch.float32 or bool(pixels.isfinite().all()) or not bool(scaled.isfinite().all()):
            return pixels
        wide = wrapped(self._wide_vae) if call.tiling else self._wide_vae
        pixels = yield from tiles.decode_in_parts(wide, scaled.to(self.device, torch.float32), tiling)
        return pixels.to("cpu", torch.float32)

    def _encode_image(self, pixels: Tensor, tiling: bool) -> Tensor:
        ask = tiles.mean_at_once if tiling else tiles.encode
        mean = ask(self._wrapped_vae if tiling else self.vae, self._inward(pixels)).to("cpu", torch.float32)
        if self.dtype is not torch.float32 and not bool(mean.isfinite().all()) and bool(pixels.isfinite().all()):
            wide = wrapped(self._wide_vae) if tiling else self._wide_vae
            mean = ask(wide, pixels.to(self.device, torch.float32)).to("cpu", torch.float32)
        return rescale(mean, self.vae.config)

    @cached_property
    def _wide_vae(self) -> VAE:
        return copy.deepcopy(self.vae).float()

    @cached_property
    def _wrapped_unet(self) -> UNet:
        return wrapped(self.unet)

    @cached_property
    def _wrapped_vae(self) -> VAE:
        return wrapped(self.vae)

    def _inward(self, x: Tensor) -> Tensor:
        return x.to(self.device, self.dtype)


def unscale(latents: Tensor, config: VAEConfig) -> Tensor:
    """Turn latents (B, C, h, w) as the U-Net knows them into those that the VAE decodes."""
    latents = latents / config.scaling_factor
    if config.latents_std is not None:
        latents = latents * latents.new_tensor(config.latents_std)[:, None, None]
    if config.latents_mean is not None:
        latents = latents + latents.new_tensor(config.latents_mean)[:, None, None]
    return latents


def rescale(latents: Tensor, config: VAEConfig) -> Tensor:
    """Turn latents (B, C, h, w) of the VAE's encoder into those that the U-Net knows; undoes `unscale`."""
    if config.latents_mean is not None:
        latents = latents - latents.new_tensor(config.latents_mean)[:, None, None]
    if config.latents_std is not None:
        latents = latents / latents.new_tensor(config.latents_std)[:, None, None]
    return latents * config.scaling_factor


def _input(call: Predict) -> Tensor:
    return call.sample if call.extra is None else torch.cat((call.sample, call.extra), dim=1)
