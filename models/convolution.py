"""Convolutions by whichever way is quickest here. With the parameters of `nn.Conv2d`; knows no network.

On a CPU, where nobody asks for gradients, oneDNN's own convolution is only one of the ways: Winograd's (`winograd.py`,
float32) takes 0.4 to 0.7 of its time where pictures and channels are large enough, one product of matrices 0.5 to 0.9
of it for small pictures of many channels, and of a picture enlarged to twice its size four ninths of the operations do
(torch 2.13, AVX-512). The choice looks at one picture's shape, never at how many there are, so that no picture's bits
depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import winograd
from models.linear import flat, is_plain, is_widened, linear, linear_plus, wide
from models.norm import GroupNorm, bent
from models.packed import for_convolution, is_small, kept, ordered

LEAST_CHANNELS = 128  # on both sides; with fewer Winograd's transforms cost more than they save
LEAST_WORK = 2**22  # channels times channels times tiles, likewise
GATHERED_CHANNELS = 512  # on both sides, from which on neighbourhoods are gathered
MAX_GATHERED = 100  # pixels of a picture


class Convolution(nn.Conv2d):
    """A convolution of square kernels by torch's way, with small weights kept in oneDNN's order."""

    def forward(self, x: Tensor) -> Tensor:
        if self.padding_mode != "zeros":
            return super().forward(x)
        return _convolved(x, self.weight, self.bias, padding=int(self.padding[0]), stride=self.stride[0])


class Conv3x3(Convolution):
    """A 3x3 convolution of stride 1 that keeps the size."""

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, shift: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
        """Convolve x (B, C, h, w); `shift` (B, K), to each picture's channels, and `plus` (B, K, h, w) are added."""
        way = _way(x, self.weight, x.shape[2], x.shape[3])
        if way is not None:
            found = way(x, self.weight, self.bias if shift is None else self.bias + shift, edges=self.padding_mode)
        else:
            found = super().forward(x)
            found = found if shift is None else _sum(found, shift[:, :, None, None])
        return found if plus is None else _sum(found, plus)

    def bent(self, norm: nn.Module, x: Tensor, shift: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
        """Convolve the SiLU of what x is normalised to; a large map takes no memory for it, nor time to write it."""
        is_winograd = _way(x, self.weight, x.shape[2], x.shape[3]) is winograd.convolve
        if not (is_winograd and self.padding_mode == "zeros" and isinstance(norm, GroupNorm) and norm.is_large(x)):
            return self.forward(bent(norm(x)), shift, plus)
        bias = self.bias if shift is None else self.bias + shift
        found = winograd.convolve(x, self.weight, bias, fill=norm.bending(x))
        return found if plus is None else _sum(found, plus)

    def doubled(self, x: Tensor) -> Tensor:
        """Convolve x enlarged to twice its size by nearest neighbour."""
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        way = _way(x, self.weight, height, width)
        if way in (winograd.convolve, _widened):
            return way(x, self.weight, self.bias, edges=self.padding_mode, double=True)
        if is_plain(x, self.weight) and (x.dtype is torch.bfloat16 or _is_small(x, self.weight)):
            return _interleaved(x, self.weight, self.bias, edges=self.padding_mode)
        enlarged: Tensor = self(F.interpolate(x, size=(height, width), mode="nearest"))
        return enlarged


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution, which is a linear layer of each pixel's channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Convolve x (B, C, h, w); `plus` (B, K, h, w) is added to the answer."""
        pixels, weight = x.permute(0, 2, 3, 1), flat(self.weight)
        if plus is None:
            return linear(pixels, weight, self.bias).permute(0, 3, 1, 2)
        return linear_plus(pixels, weight, self.bias, plus.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int, stride: int = 1) -> Tensor:
    """Convolve x by torch's way, padded by zeros; small float32 weights are kept in oneDNN's order."""
    if is_widened(x, weight):
        added = None if bias is None else bias.float()
        return F.conv2d(x.float(), wide(weight), added, stride, padding).to(x.dtype)
    if not (x.dtype is torch.float32 and _is_small(x, weight) and is_plain(x, weight)):
        return F.conv2d(x, weight, bias, stride, padding)
    own = for_convolution(weight, (x.shape[2], x.shape[3]), stride=stride, padding=padding, rows=len(x))
    return _in_order(x, own, bias, padding, stride)


def _in_order(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, stride: int = 1) -> Tensor:
    """Convolve x by weights in oneDNN's order."""
    ask = torch.ops.mkldnn._convolution_pointwise.default
    found: Tensor = ask(x, weight, bias, [padding] * 2, [stride] * 2, [1, 1], 1, "none", [], "")
    return found


def _is_small(x: Tensor, weight: Tensor) -> bool:
    return is_small(weight.numel(), x.shape[2] * x.shape[3])


def _sum(own: Tensor, other: Tensor) -> Tensor:
    """Their sum, in the memory of the first, which nobody else has, where gradients need it no more."""
    return own + other if torch.is_grad_enabled() else own.add_(other)


def _way(x: Tensor, weight: Tensor, height: int, width: int) -> Callable[..., Tensor] | None:
    """The quickest way to convolve pictures of this size as x are; None for torch's own."""
    channels, is_narrow = min(weight.shape[:2]), is_widened(x, weight)
    if channels < LEAST_CHANNELS or not (is_narrow or is_plain(x, weight)):
        return None
    if height * width <= MAX_GATHERED:
        return _gathered if channels >= GATHERED_CHANNELS else None
    tiles = -(-height // winograd.OUT) * -(-width // winograd.OUT)
    is_exact = is_narrow or x.dtype is torch.float32  # Winograd's transforms are 1 % off in bfloat16
    if not is_exact or tiles * weight.shape[0] * weight.shape[1] < LEAST_WORK:
        return None
    return _widened if is_narrow else winograd.convolve


def _widened(x: Tensor, weight: Tensor, bias: Tensor, *, edges: str, double: bool = False) -> Tensor:
    """Convolve by Winograd's way in float32 what is in bfloat16."""
    return winograd.convolve(x.float(), wide(weight), bias.float(), edges=edges, double=double).to(x.dtype)


def _gathered(x: Tensor, weight: Tensor, bias: Tensor, *, edges: str) -> Tensor:
    """Convolve by one product of the neighbourhoods of all pixels, (B * h * w, 9 C), with the weights (9 C, K)."""
    padded = _padded(x, edges).permute(0, 2, 3, 1).contiguous()
    picture, row, column, channel = padded.stride()
    size = (len(x), *x.shape[2:], 3, 3, x.shape[1])
    neighbours = padded.as_strided(size, (picture, row, column, row, column, channel)).reshape(-1, 9 * x.shape[1])
    flat = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    one = bias if bias.ndim == 1 else None
    found = linear(neighbours, flat, one).view(len(x), *x.shape[2:], -1)
    return (found if one is not None else found + bias[:, None, None]).permute(0, 3, 1, 2)


def _interleaved(x: Tensor, weight: Tensor, bias: Tensor, *, edges: str) -> Tensor:
    """Convolve x enlarged to twice its size: each of four pixels looks at 2x2 of x, by sums of the weights, kept here.

    So five ninths of the operations fall away. Sums are taken in float32 and rounded to the number format once.
    """
    height, width = x.shape[2:]
    x, padding = (x, 1) if edges == "zeros" else (_padded(x, edges), 0)
    found = x.new_empty(len(x), height, 2, width, 2, len(weight))
    for place, quarter in enumerate(_of_quarters(x, weight, bias, padding)):
        down, right = divmod(place, 2)
        seen = quarter[:, :, down : down + height, right : right + width]
        found[:, :, down, :, right] = seen.permute(0, 2, 3, 1)
    return found.view(len(x), 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def _of_quarters(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Iterator[Tensor]:
    """Convolve x by each of the `_quarters` of the weight, which are kept; those in float32 in oneDNN's order alone."""
    if x.dtype is torch.float32:
        size = x.shape[2], x.shape[3]
        make = partial(ordered, size=size, stride=1, padding=padding)
        own = kept(weight, ("quarters", size, padding), lambda: tuple(map(make, _quarters(weight.detach()))))
        rows = x if len(x) > 1 else torch.cat((x, x))  # a lone one may get other bits (64 channels, 8 x 8, two threads)
        return (_in_order(rows, quarter, bias, padding)[: len(x)] for quarter in own)
    own = kept(weight, "quarters", lambda: _quarters(weight.detach()))
    return (F.conv2d(x, quarter, bias, padding=padding) for quarter in own)


def _quarters(weight: Tensor) -> tuple[Tensor, ...]:
    """The weights (K, C, 2, 2) for the upper left, upper right, lower left and lower right of four pixels."""
    exact = weight.float()
    return tuple(
        _paired(_paired(exact, 2, lower), 3, right).to(weight.dtype).contiguous(memory_format=torch.channels_last)
        for lower in (False, True)
        for right in (False, True)
    )


def _paired(weight: Tensor, dim: int, is_second: bool) -> Tensor:
    """Three taps along a side as two: of an enlarged picture's pixels, two next to each other are the same."""
    first, middle, last = weight.unbind(dim)
    return torch.stack((first + middle, last) if is_second else (first, middle + last), dim)


def _padded(x: Tensor, edges: str) -> Tensor:
    """x with a pixel more at each side, in its own order of memory."""
    return F.pad(x, (1, 1, 1, 1), mode="circular" if edges == "circular" else "constant")
