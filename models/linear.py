"""Linear layers, with what follows them done in the same pass where the machine can. Parameters as of `nn.Linear`.

On a CPU, where nobody asks for gradients, oneDNN's products take 0.83 of the time of those that `nn.Linear` uses
(float32 and bfloat16, torch 2.13, AVX-512), and can multiply, add or bend their result while it is in the cache.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.devices import has_bfloat16
from models.packed import for_linear, is_small, kept


def is_bare() -> bool:
    """Whether only torch's usual operations may be asked for: by gradients, or by a compiler that looks on."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling()


def is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether this is on a CPU, nobody asks for gradients, and oneDNN is there and knows the number format."""
    if is_bare() or x.dtype is not weight.dtype or not x.device.type == weight.device.type == "cpu":
        return False
    return _knows(x.dtype)


def is_widened(x: Tensor, weight: Tensor) -> bool:
    """Whether this is in bfloat16 on a processor that has no arithmetic for it: computed by way of float32 then.

    torch's own way took ten times as long over a linear layer, and eighty times over a convolution (torch 2.13, AVX2).
    """
    is_narrow = x.dtype is weight.dtype is torch.bfloat16 and x.device.type == weight.device.type == "cpu"
    return is_narrow and not is_bare() and not _knows(torch.bfloat16)


class _Scratch(threading.local):
    """Memory of a thread, for one weight in float32 at a time: as much fresh memory at each use costs more than it."""

    room: Tensor | None = None


_scratch = _Scratch()


def wide(weight: Tensor) -> Tensor:
    """The weight in float32, until this thread asks for the next."""
    if _scratch.room is None or _scratch.room.numel() < weight.numel():
        with torch.inference_mode(False):  # what is made within that mode cannot be written to without
            _scratch.room = torch.empty(weight.numel(), device="cpu")
    is_dense = weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)
    dense = weight if is_dense else weight.contiguous()
    return torch.as_strided(_scratch.room, dense.shape, dense.stride()).copy_(dense)


@cache
def _knows(dtype: torch.dtype) -> bool:
    return has_bfloat16("cpu") if dtype is torch.bfloat16 else torch._C._has_mkldnn and dtype is torch.float32


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x (..., C) times `weight` (K, C), with `bias` (K,) added."""
    if not is_plain(x, weight):
        return _linear(x, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, _ordered(x, weight), bias, "none", [], "")
    return found


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the same, by torch's way."""
    if not is_widened(x, weight):
        return F.linear(x, weight, bias)
    return F.linear(x.float(), wide(weight), None if bias is None else bias.float()).to(x.dtype)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the GELU of a linear layer's answer."""
    if not is_plain(x, weight):
        return F.gelu(_linear(x, weight, bias))
    found: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, _ordered(x, weight), bias, "gelu", [], "none")
    return found


def linear_times(x: Tensor, weight: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
    """Return a linear layer's answer times `other`, of the same shape."""
    if not is_plain(x, weight):
        return _linear(x, weight, bias) * other
    found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, _ordered(x, weight), bias, "mul")
    return found


def linear_plus(x: Tensor, weight: Tensor, bias: Tensor | None, other: Tensor) -> Tensor:
    """Return a linear layer's answer plus `other`, of the same shape."""
    if not is_plain(x, weight):
        return _linear(x, weight, bias) + other
    found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, _ordered(x, weight), bias, "add")
    return found


def flat(weight: Tensor) -> Tensor:
    """The weight (K, C) of a 1x1 convolution's (K, C, 1, 1); the same tensor again without gradients."""
    if is_bare():
        return weight[:, :, 0, 0]
    return kept(weight, "flat", lambda: weight.detach()[:, :, 0, 0])


def halves(weight: Tensor, bias: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The two halves of a layer's outputs, (weight, bias) each; the same tensors again without gradients."""
    if is_bare():
        return _halved(weight, bias)
    return kept(weight, "halves", lambda: _halved(weight.detach(), bias.detach()), bias)


def _halved(weight: Tensor, bias: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    (first, second), (one, other) = weight.chunk(2), bias.chunk(2)
    return (first, one), (second, other)


def _ordered(x: Tensor, weight: Tensor) -> Tensor:
    """The weight in oneDNN's order where that is worth keeping."""
    return for_linear(weight, math.prod(x.shape[1:-1])) if x.dtype is torch.float32 and x.dim() > 2 else weight


def stacked(x: Tensor, weights: Sequence[Tensor]) -> Tensor | None:
    """Several small weights over each other, one product for x (B, N, C) then; None where that hardly pays."""
    first, *others = weights
    if len({weight.shape for weight in weights}) > 1 or not is_plain(x, first):
        return None
    if not is_small(len(weights) * first.numel(), x.shape[1]):
        return None
    return kept(first, "stacked", lambda: torch.cat([weight.detach() for weight in weights]), *others)


class Linear(nn.Linear):
    """A linear layer by whichever way is quickest here."""

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Transform x (..., C); `plus` (..., K) is added to the answer."""
        if plus is None:
            return linear(x, self.weight, self.bias)
        return linear_plus(x, self.weight, self.bias, plus)


class SelfAttention(nn.MultiheadAttention):
    """Attention within x (B, N, C), whose products go the way of `Linear`."""

    def forward(  # type: ignore[override]
        self, x: Tensor, *_same: Tensor, attn_mask: Tensor | None = None, **_options: bool
    ) -> tuple[Tensor, None]:
        """Answer as torch's does when asked with x as query, key and value, and for no weights of the attention."""
        parts = linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = parts.view(*x.shape[:2], 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask)
        return linear(found.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias), None


ADOPTED: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Linear, nn.MultiheadAttention: SelfAttention}


def adopt(network: nn.Module) -> None:
    """Let the plain linear layers and the self-attention of a text encoder of somebody else's compute as ours do."""
    for layer in network.modules():
        layer.__class__ = ADOPTED.get(type(layer), type(layer))  # which has nothing but another `forward`
