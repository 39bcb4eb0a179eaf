"""Weights in the order that oneDNN computes in, kept beside small ones. Knows no network.

oneDNN brings plain weights into an order of its own at every use. For large maps that is nothing; of a small network's
step it is a fifth. So what is small is brought into that order once and kept for as long as the weights live and do
not change. The answers are equal to the bit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

MOST_WEIGHTS = 2**20  # of one layer, 4 MiB
MOST_POSITIONS = 2**10  # of a picture, or tokens: with more of them the order costs little at each use
MOST_MADE = 8  # of one tensor: orders for half as many sizes of pictures, for several and for one alone
HINT = 2  # pictures that oneDNN is told of; it takes one order for any number of them, but at times another for one

Made = TypeVar("Made")


class Kept:
    """What was made of tensors, which are told apart by identity, until they change or nobody else holds them."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[weakref.ref[Tensor], dict[Hashable, tuple[object, Any]]]] = {}

    def __call__(self, of: Tensor, key: Hashable, make: Callable[[], Made], *others: Tensor) -> Made:
        """Return what `make` made of a tensor, and maybe of others; `key` tells what is made of it apart."""
        mine = self._found.get(id(of))
        if mine is None or mine[0]() is not of:
            mine = self._found[id(of)] = weakref.ref(of, self._forgetting(id(of))), {}
        state = (_state(of), *map(_state, others)) if others else _state(of)
        known = mine[1].get(key)
        if known is None or known[0] != state:
            known = mine[1][key] = state, make()
            if len(mine[1]) > MOST_MADE:
                del mine[1][next(iter(mine[1]))]
        made: Made = known[1]
        return made

    def bytes_of(self, of: Tensor) -> int:
        """What was made of a tensor takes, and what was made of that, but for what shares its memory."""
        mine = self._found.get(id(of))
        if mine is None or mine[0]() is not of:
            return 0
        return sum(self._bytes(made, of) for _, made in list(mine[1].values()))

    def _bytes(self, made: Any, of: Tensor) -> int:
        if isinstance(made, tuple):
            return sum(self._bytes(part, of) for part in made)
        shares = not made.is_mkldnn and made.untyped_storage().data_ptr() == of.untyped_storage().data_ptr()
        return (0 if shares else made.numel() * made.element_size()) + self.bytes_of(made)

    def _forgetting(self, number: int) -> Callable[[weakref.ref[Tensor]], None]:
        def forget(gone: weakref.ref[Tensor]) -> None:
            if (mine := self._found.get(number)) is not None and mine[0] is gone:
                del self._found[number]

        return forget


def _state(tensor: Tensor) -> tuple[int, int]:
    """Where a tensor lies and how often it was changed in place."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


kept = Kept()


def is_small(weights: int, positions: int) -> bool:
    """Whether it pays to keep so many weights, which are used for so many positions of a picture."""
    return weights <= MOST_WEIGHTS and positions <= MOST_POSITIONS


def for_linear(weight: Tensor, positions: int) -> Tensor:
    """A linear layer's float32 weight (K, C) for so many tokens of a picture: in oneDNN's order where that pays."""
    if not is_small(weight.numel(), positions):
        return weight

    def make() -> Tensor:
        made: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), HINT * positions)
        return made

    return kept(weight, positions, make)


def for_convolution(weight: Tensor, size: tuple[int, int], *, stride: int, padding: int, rows: int) -> Tensor:
    """A convolution's float32 weight (K, C, k, k) in oneDNN's order for so many maps of this height and width.

    In the order for several, one map alone of 8 x 8 took thirty times as long (AVX2, two threads).
    """
    way = size, stride, padding

    def make(hint: int) -> Tensor:
        return ordered(weight, size, stride=stride, padding=padding, rows=hint)

    def alone() -> tuple[Tensor, ...]:
        made = make(1)
        return () if _order(made) == _order(make(HINT)) else (made,)

    if rows == 1 and (own := kept(weight, (way, "alone"), alone)):
        return own[0]
    return kept(weight, way, lambda: make(HINT))


def ordered(weight: Tensor, size: tuple[int, int], *, stride: int, padding: int, rows: int = HINT) -> Tensor:
    """The same, made anew."""
    ways, shape = ([padding] * 2, [stride] * 2, [1, 1], 1), [rows, weight.shape[1], *size]
    made: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight.detach(), *ways, shape)
    return made


def _order(made: Tensor) -> bytes:
    """What oneDNN says of how a weight lies in memory."""
    described: Tensor = torch.ops.mkldnn._get_mkldnn_serialized_md(made)
    return described.numpy().tobytes()
