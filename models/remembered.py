"""What has been computed, kept for as long as memory allows. Knows no network."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from torch import Tensor

Key = TypeVar("Key", bound=Hashable)


class Recent(Generic[Key]):
    """Compute tensors of keys, each once. Of more than `budget` bytes what was asked for longest ago is forgotten."""

    def __init__(self, compute: Callable[[Key], Tensor], budget: int) -> None:
        self._compute, self._budget = compute, budget
        self._found: OrderedDict[Key, Tensor] = OrderedDict()
        self.bytes = 0

    def __call__(self, key: Key) -> Tensor:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._compute(key)
            self.bytes += found.nbytes
        self._found.move_to_end(key)
        while len(self._found) > 1 and self.bytes > self._budget:
            self.bytes -= self._found.popitem(last=False)[1].nbytes
        return found


class Remembered:
    """Compute something of a tensor once. Tensors are told apart by identity, and must not be changed in place.

    Of more than `budget` bytes what was asked for longest ago is forgotten.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], budget: int) -> None:
        self._compute, self._budget = compute, budget
        self._found: OrderedDict[int, tuple[weakref.ref[Tensor], Tensor]] = OrderedDict()

    def __call__(self, of: Tensor) -> Tensor:
        known = self._found.get(id(of))
        if known is not None and known[0]() is of:
            self._found.move_to_end(id(of))
            return known[1]
        found = self._compute(of)
        self._found[id(of)] = weakref.ref(of), found
        self._found.move_to_end(id(of))
        self._forget()
        return found

    @property
    def bytes(self) -> int:
        """What is kept takes now."""
        return sum(found.nbytes for of, found in list(self._found.values()) if of() is not None)

    def _forget(self) -> None:
        for key in [key for key, (of, _) in self._found.items() if of() is None]:
            del self._found[key]
        while len(self._found) > 1 and sum(found.nbytes for _, found in self._found.values()) > self._budget:
            self._found.popitem(last=False)
