"""The part of a frame that is worked on, and the size at which that is done."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels within a frame."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, pixels: Tensor) -> Tensor:
        """Return the part of (1, C, H, W) that lies within."""
        return pixels[:, :, self.top : self.top + self.height, self.left : self.left + self.width]

    def put(self, part: Tensor, pixels: Tensor) -> Tensor:
        """Return pixels (1, C, H, W) with another part (1, C, height, width) in their place."""
        whole = pixels.clone()
        self.cut(whole).copy_(part)
        return whole


def surroundings(mask: Tensor, padding: int, *, width: int, height: int) -> Box:
    """The box around all of a mask (1, 1, H, W) above 0 and `padding` pixels more, in the shape of width x height.

    It is at least that large where the frame has room, since a network sees best what is as large as what it learnt
    from; it ends at the frame.
    """
    frame_height, frame_width = mask.shape[2:]
    rows, columns = torch.nonzero(mask[0, 0] > 0, as_tuple=True)
    top, bottom = int(rows.min()) - padding, int(rows.max()) + 1 + padding
    left, right = int(columns.min()) - padding, int(columns.max()) + 1 + padding
    scale = max((right - left) / width, (bottom - top) / height)
    x, wide = _interval(left, right, round(width * scale), frame_width)
    y, high = _interval(top, bottom, round(height * scale), frame_height)
    return Box(x, y, wide, high)


def _interval(first: int, last: int, length: int, limit: int) -> tuple[int, int]:
    """Begin and length of an interval of at least `length` around [first, last), moved and then cut to [0, limit)."""
    length = min(max(length, last - first), limit)
    begin = (first + last - length) // 2
    return min(max(begin, 0), limit - length), length
