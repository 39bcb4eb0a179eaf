"""Attention over the pixels of a feature map. Parameter names are those of diffusers' folder layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.convolution import Conv1x1
from models.linear import Linear, halves, linear, linear_gelu, linear_times, stacked
from models.norm import GroupNorm


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of (B, heads, N, d) to (B, heads, T, d).

    In bfloat16 on a CPU by way of float32, which takes 0.93 of the time: 336 against 362 ms for 4096 tokens of 8 heads
    of 40 (torch 2.13, AVX-512).
    """
    if q.dtype is torch.bfloat16 and q.device.type == "cpu" and not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float()).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    """Multi-head attention of tokens (B, N, C) to a context, or to themselves without one.

    With `upcast`, what is in float16 is attended to in float32: the scores of Stable Diffusion 2.1 exceed 65,504.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        context_channels: int | None = None,
        bias: bool = False,
        upcast: bool = False,
    ) -> None:
        super().__init__()
        context_channels = context_channels or channels
        self.heads, self.upcast = heads, upcast
        self.to_q = Linear(channels, channels, bias=bias)
        self.to_k = Linear(context_channels, channels, bias=bias)
        self.to_v = Linear(context_channels, channels, bias=bias)
        self.to_out = nn.ModuleList([Linear(channels, channels)])

    def forward(self, x: Tensor, plus: Tensor, memory: Tensor | None = None) -> Tensor:
        """Attend to what `remember` gave of a context, without one to x itself; `plus` (B, N, C) is added."""
        q, k, v = (self._split(part) for part in self._parts(x, memory))
        if self.upcast and x.dtype is torch.float16:
            q, k, v = q.float(), k.float(), v.float()
        attended = attend(q, k, v).transpose(1, 2).flatten(2)  # (B, N, C)
        out: Tensor = self.to_out[0](attended.to(x.dtype), plus)
        return out

    def _parts(self, x: Tensor, memory: Tensor | None) -> Sequence[Tensor]:
        """Queries, keys and values, (B, N or T, C) each."""
        if memory is not None:
            return self.to_q(x), *memory.chunk(2, dim=-1)
        layers = self.to_q, self.to_k, self.to_v
        weight = stacked(x, [layer.weight for layer in layers]) if self.to_q.bias is None else None
        return [layer(x) for layer in layers] if weight is None else linear(x, weight).chunk(3, dim=-1)

    def remember(self, context: Tensor) -> Tensor:
        """The keys and values of a context (B, T, D), side by side: (B, T, 2 C)."""
        return torch.cat((self.to_k(context), self.to_v(context)), dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)  # (B, heads, N, C / heads)


class GEGLU(nn.Module):
    """Linear layer gated by GELU, arXiv:2002.05202 section 2."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.proj = Linear(channels, 2 * hidden_channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden, gate = halves(self.proj.weight, self.proj.bias)
        return linear_times(x, *hidden, linear_gelu(x, *gate))


class FeedForward(nn.Module):
    """Two layers, four times as wide between them. `net.1` is diffusers' dropout, which holds no weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(channels, 4 * channels), nn.Identity(), Linear(4 * channels, channels))

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        """Transform tokens (B, N, C); `plus`, of their shape, is added."""
        out: Tensor = self.net[2](self.net[0](x), plus)
        return out


class Context:
    """What the transformers remember of a call's prompts, one after another, and whose rows are of one picture.

    `of_pictures` (B,) says of which picture each row is. Until the first look at a prompt, rows of one picture are
    equal, and only the pictures are asked for; from there on what comes of those before is spread over the rows.
    """

    def __init__(self, memories: Iterable[Tensor], of_pictures: Tensor | None = None) -> None:
        self._memories, self._of_pictures = iter(memories), of_pictures

    def __next__(self) -> Tensor:
        return next(self._memories)

    def spread(self, x: Tensor, like: Tensor) -> Tensor:
        """Return x with as many rows as `like`."""
        if self._of_pictures is None or x.shape[0] == like.shape[0]:
            return x
        if x.dim() != 4 or x.is_contiguous():
            return x.index_select(0, self._of_pictures)
        return x.permute(0, 2, 3, 1).index_select(0, self._of_pictures).permute(0, 3, 1, 2)  # the channels stay last


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each normalised before and added after."""

    def __init__(self, channels: int, *, heads: int, context_channels: int, upcast: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads=heads, upcast=upcast)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads=heads, context_channels=context_channels, upcast=upcast)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Transform tokens (B, N, C), taking what the second attention remembers of the context."""
        memory = next(context)
        x = context.spread(self.attn1(self.norm1(x), x), memory)
        x = self.attn2(self.norm2(x), x, memory)
        out: Tensor = self.ff(self.norm3(x), x)
        return out


class SpatialTransformer(nn.Module):
    """Transformer blocks over a feature map (B, C, h, w); `linear` projects tokens, else 1x1 convolutions do."""

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        context_channels: int,
        layers: int,
        groups: int,
        linear: bool,
        upcast: bool = False,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = Linear(channels, channels) if linear else Conv1x1(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, heads=heads, context_channels=context_channels, upcast=upcast)
            for _ in range(layers)
        )
        self.proj_out = Linear(channels, channels) if linear else Conv1x1(channels, channels)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Transform x (B, C, h, w), taking one memory of the context for each block."""
        hidden: Tensor = self.norm(x)
        tokens = self.proj_in(_tokens(hidden)) if self.linear else _tokens(self.proj_in(hidden))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        x, size = context.spread(x, tokens), (x.shape[2], x.shape[3])
        if self.linear:
            return _image(self.proj_out(tokens, _tokens(x)), size)
        out: Tensor = self.proj_out(_image(tokens, size), x)
        return out


class ImageAttention(Attention):
    """The VAE's attention: one head over all pixels of (B, C, h, w), with biases, around a shortcut."""

    def __init__(self, channels: int, *, groups: int, eps: float) -> None:
        super().__init__(channels, heads=1, bias=True)
        self.group_norm = GroupNorm(groups, channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        attended = super().forward(_tokens(self.group_norm(x)), _tokens(x))
        return _image(attended, (x.shape[2], x.shape[3]))


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h*w, C)


def _image(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    return tokens.view(tokens.shape[0], *size, -1).permute(0, 3, 1, 2)  # (B, h*w, C) -> (B, C, h, w), channels last
