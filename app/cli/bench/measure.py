"""How benches measure: sides in turns in one process, medians with their spread, and this machine's own peak.

Sides alternate as A B, B A, A B ..., so that a machine that grows slower meanwhile is as slow for both. Each run is
timed by the clock and by the processor time of all its threads, which other processes disturb less.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bench.figure import Figure
from app.services.catalogue import Catalogue
from app.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.bundle import Bundle

GEMM_SIDE = 2048
GEMM_RUNS = 7
GPU_TIMES = 8


@dataclass(frozen=True, slots=True)
class Timing:
    """The runs of one side, in their order: seconds by the clock, and of processor time."""

    clock: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.clock)

    def figure(self, name: str, *, at_most: float | None = None) -> Figure:
        return spread_figure(name, self.clock, "s", at_most=at_most)


def in_turns(sides: Mapping[str, Callable[[], object]], *, rounds: int, warm: bool = True) -> dict[str, Timing]:
    """Run every side `rounds` times, in alternating order, after one run of each that does not count."""
    if warm:
        for work in sides.values():
            work()
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
            runs[name].append(timed(sides[name]))
    return {name: Timing(*(tuple(column) for column in zip(*found, strict=True))) for name, found in runs.items()}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of processor time that something takes."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def ratios(name: str, ours: Timing, theirs: Timing, *, at_most: float | None = None) -> Iterator[Figure]:
    """Our time over theirs, run by run, so that what disturbed a round is in both."""
    yield spread_figure(name, _over(ours.clock, theirs.clock), "x", at_most=at_most)
    yield spread_figure(f"{name}, processor time", _over(ours.processor, theirs.processor), "x", at_most=at_most)


def spread_figure(
    name: str, values: Sequence[float], unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> Figure:
    """The median of values, with the least and the greatest of them."""
    found = statistics.median(values), unit, min(values), max(values)
    return Figure(name, *found, at_most=at_most, at_least=at_least)


def agree(what: str, ours: Tensor, theirs: Tensor, tolerance: float) -> Figure:
    """The relative L2 distance of two answers. Raises `RuntimeError` beyond the tolerance: then no timing counts."""
    error = float((ours.float() - theirs.float()).norm() / theirs.float().norm())
    if not error <= tolerance:
        raise RuntimeError(
            f"{what} differs from diffusers' by {error:.2e}, more than {tolerance:.0e}: no timing counts"
        )
    return Figure(f"{what}: relative L2 distance from diffusers' x 1e6", error * 1e6, "", at_most=tolerance * 1e6)


def gemm_peak(dtype: torch.dtype, device: torch.device | str = "cpu", *, side: int = GEMM_SIDE) -> float:
    """The best rate of a large matrix product on a device, on a CPU with torch's threads, in operations a second.

    On a GPU of a much larger one, whose last number is asked for, so that it is waited for.
    """
    import torch

    side *= 1 if torch.device(device).type == "cpu" else GPU_TIMES
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def multiply() -> float:
        return float((a @ b)[-1, -1])

    multiply()
    return 2 * side**3 / min(timed(multiply)[0] for _ in range(GEMM_RUNS))


def apart(work: Callable[..., Any], *args: Any) -> Any:
    """Do something in a fresh process, whose memory is all given back; for peaks of memory."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=prepare) as pool:
        return pool.apply(work, args)


def prepare() -> None:
    """Give torch as many threads as the engine has, and let diffusers be imported beside a torch without CUDA."""
    from app.engine.threads import set_threads
    from models.torchvision_guard import declare_missing_operators

    declare_missing_operators()
    set_threads()


def resident_bytes() -> int:
    """Bytes that this process has in memory now (Linux)."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Bytes that this process has had in memory at most since it began or `forget_peak` (Linux)."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Begin to count the peak of memory from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def _over(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def loaded(settings: Settings, catalogue: Catalogue) -> Bundle:
    """Load the default checkpoint as the engine does. Raises `RuntimeError` where that cannot be."""
    from app.engine.threads import set_threads
    from models.checkpoint.loading import CheckpointError, load
    from models.devices import pick_device, pick_dtype

    set_threads()
    device = pick_device(settings.device)
    try:
        return load(catalogue.default.path, device=device, dtype=pick_dtype(settings.dtype, device))
    except CheckpointError as error:
        raise RuntimeError(str(error)) from error
