"""The convolutional pieces that the U-Net and the VAE share. Parameter names are those of diffusers' folder layout."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.convolution import Conv1x1, Conv3x3, Convolution
from models.norm import GroupNorm


class ResnetBlock(nn.Module):
    """Norm, SiLU, convolution, twice, around a shortcut; with `time_channels`, a shift by time is added in between.

    The owner of the block applies `time_emb_proj`, since its result is the same for all pictures at a timestep.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, groups: int, eps: float, time_channels: int | None = None
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, in_channels, eps=eps)
        self.conv1 = Conv3x3(in_channels, out_channels)
        self.time_emb_proj = nn.Linear(time_channels, out_channels) if time_channels else None
        self.norm2 = GroupNorm(groups, out_channels, eps=eps)
        self.conv2 = Conv3x3(out_channels, out_channels)
        self.conv_shortcut = Conv1x1(in_channels, out_channels) if in_channels != out_channels else None

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """Transform x (B, C, h, w); `shift` is (B, out_channels)."""
        hidden = self.conv1.bent(self.norm1, x, shift)
        if self.conv_shortcut is None:
            return self.conv2.bent(self.norm2, hidden, plus=x)
        out: Tensor = self.conv_shortcut(x, plus=self.conv2.bent(self.norm2, hidden))
        return out


class Downsample(nn.Module):
    """Halve height and width by a strided convolution. `padding` 0 pads right and below only, as the VAE does."""

    def __init__(self, channels: int, *, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.padding_mode = "constant"
        self.conv = Convolution(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == 0:
            x = F.pad(x, (0, 1, 0, 1), mode=self.padding_mode)
        halved: Tensor = self.conv(x)
        return halved


class Upsample(nn.Module):
    """Enlarge to `size` (height, width), or to twice the size, by nearest neighbour; then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(channels, channels)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        if size is None or size == (2 * x.shape[2], 2 * x.shape[3]):
            return self.conv.doubled(x)
        enlarged: Tensor = self.conv(F.interpolate(x, size=size, mode="nearest"))
        return enlarged
