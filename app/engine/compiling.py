"""Compiled U-Nets for sizes of calls that are often asked for: made in a child process, kept in a folder, opened here.

Pictures are drawn by the networks as they are until a library is there, and for ever where none can be made.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import astuple, dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.compiled import Compiled, Form

OFTEN = 20  # calls of a form: the steps of a picture
LEFT_SECONDS = 24 * 3600.0
MOST_BYTES = 2 * 2**30  # of libraries that are kept; the least recently opened leave first
COMPILERS = ("g++", "clang++", "c++")

State = Literal["eager", "compiling", "ready", "failed"]

log = structlog.get_logger()


def compiler_name() -> str | None:
    """Return the C++ compiler that there is."""
    return next(filter(shutil.which, COMPILERS), None)


@dataclass(frozen=True)
class Order:
    """A library to open or, with `may_build`, to make where there is none."""

    of: weakref.ref[Compiled]
    form: Form
    fingerprint: str
    checkpoint: Path
    may_build: bool


class Compiler:
    """Give bundles what asks for libraries, and provide these in a thread of its own, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: State = "eager"
        self._reason: str | None = None
        self._opened = 0
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="compiling", daemon=True).start()

    def compiled(self, bundle: Bundle, path: Path) -> Compiled | None:
        """Return what has the libraries of this bundle's U-Net, None where no call of it would ask for one."""
        from models.compiled import Compiled, obstacle

        reason = obstacle(bundle.unet, bundle.device, bundle.dtype)
        if bundle.exact_rows or reason is not None:
            reason = reason or "with --batch-rows-exact bits must not depend on when something was compiled"
            log.info("a checkpoint is not compiled", checkpoint=bundle.name, reason=reason)
            return None
        fingerprint = bundle.fingerprint  # alone: whoever asks must not hold the networks

        def want(compiled: Compiled, form: Form, asked: int) -> None:
            if asked in (1, OFTEN):
                self._orders.put(Order(weakref.ref(compiled), form, fingerprint, path, may_build=asked == OFTEN))

        return Compiled(want, lambda form, error: self._fail(f"asking for {form.rows} rows: {error}"))

    def status(self) -> dict[str, Any]:
        """Return the state, the reason of a failure, and how many libraries were opened."""
        return {"state": self._state, "reason": self._reason, "opened": self._opened}

    def _work(self) -> None:
        while True:
            self._serve(self._orders.get())

    def _serve(self, order: Order) -> None:
        try:
            self._carry_out(order)
        except Exception as error:
            self._fail(str(error))

    def _carry_out(self, order: Order) -> None:
        from models.compiled import Opened, file_name

        if order.of() is None:
            return
        file = self._folder / file_name(order.fingerprint, order.form)
        if not file.exists():
            if not order.may_build or self._state == "failed":
                return
            self._state = "compiling"
            self._build(order, file)
        try:
            library = Opened(file)
        except RuntimeError:
            file.unlink(missing_ok=True)
            raise
        if (compiled := order.of()) is not None:
            file.touch()
            compiled.take(order.form, library)
            self._opened += 1
            self._state = self._state if self._state == "failed" else "ready"

    def _build(self, order: Order, file: Path) -> None:
        """Have a child make the library. Raises `RuntimeError` with its last words."""
        if compiler_name() is None:
            raise RuntimeError(f"there is no C++ compiler ({', '.join(COMPILERS)})")
        import torch

        self._folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        form = [str(number) for number in astuple(order.form)]
        given = ["--checkpoint", str(order.checkpoint), "--form", *form, "--target", str(file)]
        command = [sys.executable, "-m", "app.engine.compile_child", *given, "--threads", str(torch.get_num_threads())]
        with subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, text=True, process_group=0) as child:
            assert child.stderr is not None
            *_, said = ["", *child.stderr.read().splitlines()]
        if child.returncode:
            raise RuntimeError(said or f"the compiling process ended with {child.returncode}")
        log.info("a U-Net is compiled", rows=order.form.rows, seconds=round(time.monotonic() - began, 1))
        self._tidy(file)

    def _tidy(self, newest: Path) -> None:
        for left in self._folder.glob(".*"):  # of a child that was killed
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        files = sorted(self._folder.glob("*.so"), key=lambda file: file.stat().st_mtime, reverse=True)
        room = MOST_BYTES
        for file in files:
            room -= file.stat().st_size
            if room < 0 and file != newest:
                file.unlink(missing_ok=True)

    def _fail(self, reason: str) -> None:
        if self._state != "failed":
            log.warning("nothing more is compiled; pictures are drawn all the same", reason=reason)
        self._state, self._reason = "failed", self._reason or reason
