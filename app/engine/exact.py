"""Make a row's result independent of how many rows share its call, at a fraction of what separate calls would cost.

On a CPU, oneDNN and MKL choose kernels by shape, so that the same row differs in its last bits with the size of the
batch. Measured with PyTorch 2.13 (float32, AVX-512, 1 and 2 threads, a U-Net of (48, 96, 192, 256) channels at 32x32
latents, each operation of it alone and whole): convolutions differ, and linear layers on (B, C), those of the time
embedding; attention, norms, activations and linear layers on tokens (B, N, C), N of 4 to 256, C of 48 to 1280, never
did. Which rows share the batch never mattered, only how many.

So convolutions and (B, C) linears are done in portions of one picture's rows, everything else for all rows at once;
each row then equals bit for bit what its picture would get alone. ms a call, two threads beside a busy neighbour:

    rows                             2     4     8    16    32
    plain, differs by 2e-6          94   168   312   614  1193
    portions of 2 in these layers   95   176   339     -  1383
    portions of 1 in these layers  107   191   379   709  1424
    separate calls of 2 rows       114   216   419   903  1767

With one thread the portions cost 83, 154, 290, 588 and 1210 ms against 82, 151, 293, 540 and 1142 plain. Padding every
call to 8 or 16 rows was rejected: a picture alone would take four or eight times as long. Without oneDNN
(`torch.backends.mkldnn`) the rows differ as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class InPortions(TorchFunctionMode):
    """While active, do convolutions and linears on (B, C) in portions of `rows` rows."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d or (func is F.linear and args[0].ndim == 2):
            return self._divided(func, args, kwargs)
        return func(*args, **kwargs)

    def _divided(self, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        x, *others = args
        if x.shape[0] <= self.rows:
            return func(*args, **kwargs)
        return torch.cat([func(portion, *others, **kwargs) for portion in x.split(self.rows)])
