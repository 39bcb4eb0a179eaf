"""The pictures that come with a recipe, from base64 in a request's body to tensors."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from models.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor


class InputError(ValueError):
    """A picture that a recipe names is absent or cannot be read. `field` is the recipe's field that names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def named_inputs(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of each picture that the recipe names, by the recipe's field."""
    edit = recipe.edit
    if edit is None:
        return {}
    return {"edit.image": edit.image} | ({"edit.mask": edit.mask} if edit.mask else {})


def decode_inputs(recipe: Recipe, given: Any) -> dict[str, Tensor]:
    """Decode the pictures that `recipe` names out of `given`, base64 of PNG files by their SHA-256.

    Returns uint8 (H, W, channels) by SHA-256. Raises `InputError`. Imports torch if there is anything to decode.
    """
    names = named_inputs(recipe)
    if not names:
        return {}
    if not isinstance(given, dict):
        raise InputError("inputs", "inputs must be an object of base64 PNG files by their SHA-256")
    return {sha256: _decode(field, sha256, given.get(sha256)) for field, sha256 in names.items()}


def _decode(field: str, sha256: str, text: Any) -> Tensor:
    from models.pixels import decode_png

    if not isinstance(text, str):
        raise InputError(field, f"the picture {sha256} is not among the inputs")
    try:
        png = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError(field, f"the picture {sha256} is not base64: {error}") from error
    if hashlib.sha256(png).hexdigest() != sha256:
        raise InputError(field, f"what was given as the picture {sha256} has another SHA-256")
    try:
        return decode_png(png)
    except ValueError as error:
        raise InputError(field, f"the picture {sha256}: {error}") from error
