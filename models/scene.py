"""What an edit begins from: the pixels within its frame, which of them are there, and which may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from models.crop import Box
from models.edit import Edit, Frame, MaskedContent
from models.infill import infill
from models.pixels import from_rgb
from models.recipe import Recipe
from models.resize import lanczos, largest

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class Scene:
    """The picture within the frame: `pixels` (1, 3, H, W) -1..1, filled in where there were none.

    `known` (1, 1, H, W) bool says where there were; `mask` (1, 1, H, W) 0..1 where they may change, and all that was
    not known may. `content` is what the network begins from, which differs from `pixels` under the mask alone.
    `beyond` (1, 1, H, W) bool is where the frame shows nothing of the image.
    """

    pixels: Tensor
    content: Tensor
    known: Tensor
    mask: Tensor
    beyond: Tensor

    def cut(self, box: Box) -> Scene:
        """Return the part that lies within a box."""
        pixels, known, mask, beyond = (box.cut(part) for part in (self.pixels, self.known, self.mask, self.beyond))
        return Scene(pixels, pixels if self.content is self.pixels else box.cut(self.content), known, mask, beyond)

    @cached_property
    def is_unchanged(self) -> bool:
        return not bool((self.mask > 0).any())

    @cached_property
    def is_all_new(self) -> bool:
        return bool((self.mask >= 1).all())

    @cached_property
    def shorter_side(self) -> int:
        """Of the image, as far as the frame shows it."""
        shown = ~self.beyond
        return int(min(shown.any(3).sum(), shown.any(2).sum()))


def scene_of(recipe: Recipe, edit: Edit, inputs: Mapping[str, Tensor]) -> Scene:
    """Lay the image and its mask into the frame; without one the whole image is scaled to the recipe's size.

    Raises `ValueError` for a mask of another size than the image and for a frame that shows nothing of it.
    """
    image = inputs[edit.image]
    mask = None if edit.mask is None else inputs[edit.mask]
    if mask is not None and mask.shape[:2] != image.shape[:2]:
        raise ValueError(f"edit.mask is {_size(mask)}, the image is {_size(image)}; they must be of one size")
    pixels, known = _colours(image), _is_opaque(image)
    white = (~known).float() if mask is None else torch.maximum(_luminance(mask), (~known).float())
    beyond = torch.zeros_like(known)
    if edit.frame is not None:
        pixels, known, white, beyond = _framed(pixels, known, white, edit.frame)
    elif image.shape[:2] != (recipe.height, recipe.width):
        height, width = recipe.height, recipe.width
        pixels, white = lanczos(pixels, height, width).clamp(-1, 1), largest(white, height, width)
        known = largest((~known).float(), height, width) == 0
        beyond = torch.zeros_like(known)
    if mask is None and not bool((white > 0).any()):
        white = torch.ones_like(white)
    whole = infill(pixels, known, edit.infill, recipe.seed)
    content = whole
    if edit.masked_content is MaskedContent.FILL:
        content = infill(pixels, known & (white == 0), edit.infill, recipe.seed)
    return Scene(whole, content, known, white, beyond)


def _framed(pixels: Tensor, known: Tensor, white: Tensor, frame: Frame) -> tuple[Tensor, ...]:
    height, width = known.shape[2:]
    if frame.x >= width or frame.y >= height or frame.x + frame.width <= 0 or frame.y + frame.height <= 0:
        raise ValueError(f"edit.frame shows nothing of the image, which is {width} x {height}")
    pad = (-frame.x, frame.x + frame.width - width, -frame.y, frame.y + frame.height - height)
    return (
        F.pad(pixels, pad),
        F.pad(known.float(), pad) > 0,
        F.pad(white, pad, value=1.0),
        F.pad(torch.zeros_like(white), pad, value=1.0) > 0,
    )


def _colours(image: Tensor) -> Tensor:
    return from_rgb(image.expand(-1, -1, 3) if image.shape[2] == 1 else image[:, :, :3])


def _is_opaque(image: Tensor) -> Tensor:
    if image.shape[2] < 4:
        return torch.ones(1, 1, *image.shape[:2], dtype=torch.bool)
    return (image[:, :, 3] == 255)[None, None]


def _luminance(mask: Tensor) -> Tensor:
    """The brightness (1, 1, H, W) 0..1 of a mask; what is transparent in it is black."""
    levels = mask.to(torch.float32).permute(2, 0, 1)[None] / 255
    if levels.shape[1] == 1:
        return levels
    brightness = (levels[:, :3] * levels.new_tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    if levels.shape[1] == 4:
        brightness = brightness * levels[:, 3:]
    return (brightness * 255).round() / 255


def _size(image: Tensor) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
