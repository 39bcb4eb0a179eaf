"""3x3 convolutions with a quarter of the multiplications, as matrix products: Winograd's F(4x4, 3x3), arXiv:1509.09308.

Sixteen outputs of a channel take 36 multiplications instead of 144. It is exact but for rounding: with the points of
interpolation 0, +-2/3, +-3/2 and infinity an answer is about 1.2e-6 from the true one (relative L2, float32), where
adding up directly is 0.25e-6 from it, and the usual points 0, +-1, +-2 and infinity are 2.6e-6. Weights are
transformed at each use, in parts that fit the cache: that is a few percent of the work, and takes no memory.

No picture's bits depend on how many there are, since no matrix product's row depends on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

POINTS = (Fraction(0), Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2))  # and infinity
OUT, SPAN = 4, 6  # pixels of a tile's answer and of what it looks at, each side
PRODUCTS = SPAN * SPAN
BLOCK = 2**22  # numbers that are transformed at once, 16 MiB: more of them miss the cache
LEAST_TILES = 128  # of a block: products of fewer rows are slow
KEPT_TAPS = 2**24  # numbers, 64 MiB: transformed weights up to here are kept for all blocks of one use

Fill = Callable[[slice, slice, Tensor], None]  # writes some rows of some pictures to a place (pictures, C, rows, w)


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    edges: str = "zeros",
    double: bool = False,
    fill: Fill | None = None,
) -> Tensor:
    """Convolve x (B, C, h, w) with `weight` (K, C, 3, 3), padded by one pixel; the answer has its channels last.

    `bias` is (K,), or (B, K) for one a picture.

    With `double` x is first enlarged to twice its size by nearest neighbour, at no cost: a tile of the enlarged
    picture is a linear function of a smaller one of x. float32 on a CPU.

    Instead of x itself, padded by zeros, what `fill` makes of it is convolved; it is asked for strips of some rows, so
    that no map is spent on it.
    """
    plan = _Plan.of(x, double=double)
    look = _wrapped(x, plan) if edges == "circular" else _filled(x, plan, fill or _copying(x))
    answer = x.new_empty(len(x), OUT * plan.rows, OUT * plan.columns, len(weight))
    blocks = list(_blocks(plan, len(x), x.shape[1]))
    keeps = len(blocks) > 1 and PRODUCTS * weight.shape[0] * weight.shape[1] <= KEPT_TAPS
    spans = [(0, len(weight))] if keeps else list(_spans(len(weight), max(64, BLOCK // (PRODUCTS * x.shape[1]))))
    taps = None
    for block in blocks:
        data = _transformed(look(block), plan, block)
        for first, last in spans:
            taps = _taps(weight[first:last]) if taps is None or not keeps else taps
            products = torch.bmm(data, taps)  # (36, tiles, K)
            _write(answer[..., first:last], products, plan, block, bias[..., first:last])
    return answer[:, : plan.height, : plan.width].contiguous().permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Plan:
    """How pictures fall into tiles: `rows` x `columns` of them; of x each takes `span` pixels, the next `step` on."""

    rows: int
    columns: int
    span: int
    step: int
    height: int
    width: int

    @classmethod
    def of(cls, x: Tensor, *, double: bool) -> _Plan:
        scale = 2 if double else 1
        height, width = scale * x.shape[2], scale * x.shape[3]
        span, step = (SPAN // 2 + 1, OUT // 2) if double else (SPAN, OUT)
        return cls(-(-height // OUT), -(-width // OUT), span, step, height, width)


@dataclass(frozen=True)
class _Block:
    """Tiles that are transformed at once: some rows of them of one picture, or all of several."""

    pictures: slice
    rows: slice
    shape: tuple[int, int]  # pictures, rows


def _blocks(plan: _Plan, pictures: int, channels: int) -> Iterator[_Block]:
    tiles = max(LEAST_TILES, BLOCK // (PRODUCTS * channels))
    if plan.rows * plan.columns >= tiles:
        for picture in range(pictures):
            for first, last in _spans(plan.rows, max(1, tiles // plan.columns)):
                yield _Block(slice(picture, picture + 1), slice(first, last), (1, last - first))
        return
    for first, last in _spans(pictures, tiles // (plan.rows * plan.columns)):
        yield _Block(slice(first, last), slice(0, plan.rows), (last - first, plan.rows))


def _spans(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Cover a length with spans of `size` at most that are about equal."""
    parts = -(-length // size)
    edges = [length * part // parts for part in range(parts + 1)]
    return pairwise(edges)


def _wrapped(x: Tensor, plan: _Plan) -> Callable[[_Block], Tensor]:
    """Return what gives the pixels from a block's first row on, (pictures, rows, W, C), opposite edges neighbours."""
    margin = plan.span - plan.step
    shape = (len(x), plan.rows * plan.step + margin, plan.columns * plan.step + margin, x.shape[1])
    padded = torch.zeros(shape, dtype=x.dtype)
    padded[:, : x.shape[2] + 2, : x.shape[3] + 2] = F.pad(x, (1, 1, 1, 1), mode="circular").permute(0, 2, 3, 1)
    return lambda block: padded[block.pictures, block.rows.start * plan.step :]


def _filled(x: Tensor, plan: _Plan, fill: Fill) -> Callable[[_Block], Tensor]:
    """Return what gives the pixels that a block looks at, (pictures, rows, W, C): what `fill` makes of x, and zeros."""
    margin, width = plan.span - plan.step, x.shape[3]

    def look(block: _Block) -> Tensor:
        pictures, rows = block.shape
        above = block.rows.start * plan.step - 1
        shape = (pictures, rows * plan.step + margin, plan.columns * plan.step + margin, x.shape[1])
        strip = torch.zeros(shape, dtype=x.dtype)
        first, last = max(above, 0), min(above + shape[1], x.shape[2])
        place = strip[:, first - above : last - above, 1 : width + 1].permute(0, 3, 1, 2)
        fill(block.pictures, slice(first, last), place)
        return strip

    return look


def _copying(x: Tensor) -> Fill:
    def copy(pictures: slice, rows: slice, place: Tensor) -> None:
        place.copy_(x[pictures, :, rows])

    return copy


def _transformed(part: Tensor, plan: _Plan, block: _Block) -> Tensor:
    """The transformed tiles of a block, (36, tiles, C), of the pixels from its first row on."""
    picture, row, column, channel = part.stride()
    size = (plan.span, plan.span, *block.shape, plan.columns, part.shape[3])
    stride = (row, column, picture, plan.step * row, plan.step * column, channel)
    tiles = part.as_strided(size, stride, part.storage_offset()).reshape(plan.span, -1)
    matrix = _matrices().data if plan.span == SPAN else _matrices().doubled
    along_rows = torch.mm(matrix, tiles).view(SPAN, plan.span, -1)
    return torch.bmm(matrix.expand(SPAN, -1, -1), along_rows).view(PRODUCTS, -1, part.shape[3])


def _taps(weight: Tensor) -> Tensor:
    """The transformed weights of some output channels, (36, C, k)."""
    nine = weight.permute(0, 2, 3, 1).reshape(len(weight), 9, -1)  # of channels-last weights a view
    return torch.bmm(_matrices().taps.expand(len(weight), -1, -1), nine).permute(1, 2, 0)


def _write(answer: Tensor, products: Tensor, plan: _Plan, block: _Block, bias: Tensor) -> None:
    """Turn products (36, tiles, k) into the pixels of a block of the answer (B, H, W, k)."""
    channels = products.shape[2]
    pixels = torch.mm(_matrices().answer, products.view(PRODUCTS, -1))
    tiles = pixels.view(OUT, OUT, *block.shape, plan.columns, channels)
    part = answer[block.pictures, block.rows.start * OUT : block.rows.stop * OUT]
    target = part.view(block.shape[0], block.shape[1], OUT, plan.columns, OUT, channels).permute(2, 4, 0, 1, 3, 5)
    torch.add(tiles, bias if bias.ndim == 1 else bias[block.pictures, None, None], out=target)


@dataclass(frozen=True)
class _Matrices:
    """The transforms: of data and of data that are doubled along one side, of weights and of the answer along both."""

    data: Tensor
    doubled: Tensor
    taps: Tensor
    answer: Tensor


@cache
def _matrices() -> _Matrices:
    answer, taps, data = _one_dimension()
    doubling = torch.zeros(SPAN, SPAN // 2 + 1, dtype=torch.float64)
    doubling[torch.arange(SPAN), (torch.arange(SPAN) + 1) // 2] = 1
    both = (torch.kron(matrix, matrix).float() for matrix in (taps, answer))
    return _Matrices(data.float(), (data @ doubling).float(), *both)


def _one_dimension() -> tuple[Tensor, Tensor, Tensor]:
    """A^T (4, 6), G (6, 3) and B^T (6, 6) of A^T [(G g) * (B^T d)], the convolution of d (6) with g (3).

    By transposing the multiplication of polynomials: evaluate at the points, multiply, interpolate.
    """
    points = torch.tensor([float(point) for point in POINTS], dtype=torch.float64)
    evaluated = torch.zeros(SPAN, SPAN, dtype=torch.float64)
    evaluated[:-1] = points[:, None] ** torch.arange(SPAN)
    evaluated[-1, -1] = 1  # infinity sees the highest power alone
    answer, taps = evaluated[:, :OUT].clone(), evaluated[:, : SPAN - OUT + 1].clone()
    answer[-1], taps[-1] = torch.eye(OUT)[-1], torch.eye(SPAN - OUT + 1)[-1]
    data = torch.linalg.inv(evaluated).T
    sizes = data.abs().amax(1, keepdim=True)
    return answer.T.contiguous(), taps * sizes, data / sizes
