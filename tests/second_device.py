"""A second device that every machine has: it is called "meta", has real values, and refuses to be mixed with the CPU.

As on CUDA and Metal, only what moves tensors, and an index, may name both. What is computed is computed by the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

SECOND = torch.device("meta")
MOVES = ("aten::to.", "aten::_to_copy", "aten::copy_", "aten::index.", "aten::index_put_")


class Elsewhere(Tensor):
    """A tensor of the second device; `real_values` are its numbers."""

    real_values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> Elsewhere:
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls, values.shape, values.stride(), values.storage_offset(), dtype=values.dtype, device=SECOND
        )
        made.real_values = values
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


class _Everywhere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Reach what names the device and no tensor of it."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to be skipped by torch's compiler is to import it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Pool:
    """Do at once what is given to other threads, in which the device is not known."""

    def __init__(self, *_: Any) -> None:
        self.map = map

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, ask: Callable[..., Any], *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(ask(*given))
        return done


@contextmanager
def second_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Let there be a second device for this thread. Raises `RuntimeError` where it is mixed with the CPU."""
    of_numbers = torch.tensor

    def tensor(numbers: Any, *, device: Any = "cpu", **options: Any) -> Tensor:
        return of_numbers(numbers, device="cpu", **options).to(device)

    with monkeypatch.context() as patch, torch.no_grad(), _Everywhere():  # type: ignore[no-untyped-call]
        patch.setattr(torch, "tensor", tensor)  # which asks nobody where it is to be
        patch.setattr(torch.inference_mode, "__enter__", lambda _: None)  # in which no tensor may have values of ours
        patch.setattr(torch.inference_mode, "__exit__", lambda *_: None)
        for module in ("loading", "weights"):
            patch.setattr(f"models.checkpoint.{module}.ThreadPoolExecutor", _Pool)
        yield SECOND


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """Let the CPU compute, and give what comes of it the device that was named, or else that of what went in."""
    given = tree_leaves((args, kwargs))
    tensors = [each for each in given if isinstance(each, Tensor)]
    devices = [each for each in given if isinstance(each, torch.device)]
    is_second = [isinstance(each, Elsewhere) for each in tensors]
    if any(is_second) and not all(is_second) and not func.name().startswith(MOVES):
        raise RuntimeError(f"{func} mixes devices: {[(each.device.type, *each.shape) for each in tensors]}")
    target = devices[0] == SECOND if devices else is_second[0] if func.name() == "aten::copy_" else any(is_second)
    known = {id(_values(each)): each for each in tensors}
    found = func(*tree_map(_values, args), **tree_map(_values, kwargs))

    def placed(each: Any) -> Any:
        if not isinstance(each, Tensor):
            return each
        if id(each) in known and isinstance(known[id(each)], Elsewhere) is target:
            return known[id(each)]  # it was changed in place, or is there already
        return Elsewhere(each) if target else each

    return tree_map(placed, found)


def _values(each: Any) -> Any:
    """The same as the CPU knows it."""
    if isinstance(each, torch.device):
        return torch.device("cpu")
    return each.real_values if isinstance(each, Elsewhere) else each
