"""How many operations a U-Net call should have: few more rows a second come of more. Measured while nothing is to do.

What was found is kept in a file, by checkpoint, device, number format and threads, so that it is measured once.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Generator
from pathlib import Path

import structlog
import torch

from app.engine.failures import free_memory, is_out_of_memory
from app.engine.limits import LEAST_ROWS, MAX_ROWS, ROWS_UNMEASURED, Limits, native_row
from models.bundle import Bundle
from models.calls import Predict

ENOUGH = 0.9  # of the most rows a second that there are to be had
FLAT = 1.03  # twice the rows that are so little faster promise no more
RUNS = 3
SECONDS = 2.0  # for the whole search, and so for a checkpoint's first quiet moment
SLOW_OPERATIONS = 5e10  # take a CPU half a second: there a larger call costs no less a row, but a smaller one may
TIMESTEP = 500.0

Search = Generator[None, None, int]

log = structlog.get_logger()


def search(seconds_of: Callable[[int], float], *, most: int = MAX_ROWS) -> Search:
    """Find the fewest rows with `ENOUGH` of the best rate, one call a turn; `seconds_of` asks for so many rows.

    It ends where the memory does.
    """
    seconds_of(LEAST_ROWS)
    yield
    rates: dict[int, float] = {}
    rows, spent = LEAST_ROWS, 0.0
    while rows <= most:
        times = []
        try:
            for _ in range(RUNS):
                times.append(seconds_of(rows))
                yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free_memory(error)
            break
        rates[rows] = rows / min(times)
        spent += sum(times)
        is_flat = rows > LEAST_ROWS and rates[rows] < FLAT * rates[rows // 2]
        if is_flat or spent + 2 * sum(times) > SECONDS:
            break
        rows *= 2
    enough = ENOUGH * max(rates.values(), default=0.0)
    return min((rows for rows, rate in rates.items() if rate >= enough), default=LEAST_ROWS)


class Knees:
    """Tell the engine's limits the knee of each checkpoint that is loaded, from the file or by a search."""

    def __init__(self, limits: Limits, path: Path | None) -> None:
        self._limits, self._path = limits, path
        self._search: tuple[Bundle, Search] | None = None
        self._found: dict[str, int] = _read(path)

    def drop(self) -> None:
        """There is work to do: a search that is under way begins anew another time."""
        self._search = None

    def go_on(self, bundle: Bundle) -> bool:
        """Make one call of the search for a checkpoint. False: there is nothing to search for."""
        if bundle.fingerprint in self._limits.knees or bundle.exact_rows:
            return False
        if self._search is None or self._search[0] is not bundle:
            known = LEAST_ROWS if _is_slow(bundle) else self._found.get(_name(bundle))
            if known is not None:
                self._settle(bundle, known)
                return False
            self._search = bundle, search(lambda rows: _seconds(bundle, rows), most=self._limits.max_rows)
        try:
            with torch.inference_mode():
                next(self._search[1])
        except (StopIteration, RuntimeError) as end:
            self._search = None
            self._settle(bundle, end.value if isinstance(end, StopIteration) else LEAST_ROWS)
            self._write()
        return True

    def _settle(self, bundle: Bundle, rows: int) -> None:
        """Take what was found, but no less than what keeps nobody waiting: a busy machine makes any call look slow."""
        rows = max(rows, min(ROWS_UNMEASURED, math.floor(SLOW_OPERATIONS / native_row(bundle))))
        self._found[_name(bundle)] = rows
        self._limits.knees[bundle.fingerprint] = rows * native_row(bundle)
        log.info("rows a call are settled", checkpoint=bundle.name, rows=rows)

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            self._path.write_text(json.dumps(self._found, indent=2) + "\n")
        except OSError:
            log.warning("what was measured could not be kept", path=str(self._path))


def _seconds(bundle: Bundle, rows: int) -> float:
    config = bundle.config
    latents = (config.height // config.vae_factor, config.width // config.vae_factor)
    sample = torch.linspace(-1, 1, config.unet_in_channels * latents[0] * latents[1])
    sample = sample.reshape(1, config.unet_in_channels, *latents)
    cond = torch.linspace(-1, 1, config.max_tokens * config.context_width)
    cond = cond.reshape(config.max_tokens, config.context_width)
    calls = [Predict(sample, TIMESTEP, (cond, cond), step=0, steps=1) for _ in range(rows // 2)]
    began = time.perf_counter()
    bundle.answer(calls)
    return time.perf_counter() - began


def _is_slow(bundle: Bundle) -> bool:
    return bundle.device.type == "cpu" and LEAST_ROWS * native_row(bundle) > SLOW_OPERATIONS


def _name(bundle: Bundle) -> str:
    device = torch.cuda.get_device_name() if bundle.device.type == "cuda" else platform.node()
    threads = torch.get_num_threads()
    dtype = str(bundle.dtype).removeprefix("torch.")
    return (
        f"{bundle.fingerprint[:16]} {bundle.device.type} {device} {dtype} {threads} threads torch {torch.__version__}"
    )


def _read(path: Path | None) -> dict[str, int]:
    """What was found before; whatever else stands in the file is as if there were none."""
    try:
        found = json.loads(path.read_text()) if path else {}
        return {str(name): max(LEAST_ROWS, int(rows)) for name, rows in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
