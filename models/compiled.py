"""The U-Net as a library that torch's inductor wrote ahead of time, for calls of one size each. Knows no process.

For small networks on a CPU, whose weights stand in the library in the order that it computes in. Opening one takes a
fraction of a second and traces nothing. Rows of a call that it has too few of are filled up with copies of the last.
With the same number of rows in a library no row's bits depend on the others; those of different sizes, and of the
networks as they are, differ by rounding (about 1e-6, relative L2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.packed import MOST_WEIGHTS
from models.unet import UNet

ROWS = (1, 2, 4, 6, 8, 12, 16, 24, 32)
LEAST_FILLED = 0.8  # of a library's rows: it takes 0.7 to 0.8 of the time of the networks as they are
TOLERANCE = 1e-5  # relative L2, float32
OPTIONS = {"freezing": True, "compile_threads": 1}  # constant weights, brought into oneDNN's order


@dataclass(frozen=True, slots=True)
class Form:
    """The size of a call: rows, latents, tokens of a prompt."""

    rows: int
    height: int
    width: int
    tokens: int

    @classmethod
    def of(cls, samples: Tensor, memory: Tensor) -> Form | None:
        """The least that these rows fit in, None where too much of it would be padding."""
        asked = memory.shape[0]
        rows = next((rows for rows in ROWS if rows >= asked), 0)
        height, width = samples.shape[2:]
        return cls(rows, height, width, memory.shape[1]) if asked >= LEAST_FILLED * rows > 0 else None


class Library(Protocol):
    """What predicts from samples, shifts and memory of exactly one form."""

    bytes: int

    def __call__(self, *inputs: Tensor) -> Tensor: ...


class Compiled:
    """The libraries of one U-Net, so far as they are there; `want` is told of a form that is not, and how often.

    `ask` may be called from one thread, `take` from any. One that fails is asked no more, and `fail` is told.
    """

    def __init__(self, want: Callable[[Compiled, Form, int], None], fail: Callable[[Form, Exception], None]) -> None:
        self.answered = 0  # calls
        self.padding = 0  # rows of them that nobody asked for
        self._want, self._fail = want, fail
        self._asked: Counter[Form] = Counter()
        self._libraries: dict[Form, Library | None] = {}

    def take(self, form: Form, library: Library) -> None:
        """Use it from the next call on."""
        self._libraries.setdefault(form, library)

    def ask(self, samples: Tensor, shifts: Tensor, memory: Tensor) -> Tensor | None:
        """Predict as `UNet.predict` does; None where the networks have to be asked as they are."""
        form = Form.of(samples, memory)
        if form is None:
            return None
        if form not in self._libraries:
            self._asked[form] += 1
            self._want(self, form, self._asked[form])
            return None
        library = self._libraries[form]
        if library is None:
            return None
        try:
            found = library(*(_filled(x, form.rows) for x in (samples, shifts, memory)))
        except Exception as error:
            self._libraries[form] = None
            self._fail(form, error)
            return None
        self.answered += 1
        self.padding += form.rows - memory.shape[0]
        return found[: memory.shape[0]]

    @property
    def bytes(self) -> int:
        return sum(library.bytes for library in list(self._libraries.values()) if library is not None)


def _filled(x: Tensor, rows: int) -> Tensor:
    missing = rows - x.shape[0]
    return torch.cat((x, x[-1:].expand(missing, *x.shape[1:]))) if missing else x.contiguous()


class Opened:
    """A library that `build` wrote. Raises `RuntimeError` where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.bytes = 2 * path.stat().st_size  # the file, and its constants once more (86 MiB were measured for 43)
        self._runner: Any = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)

    def __call__(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self._runner.run(list(inputs))[0]
        return found


def obstacle(unet: UNet, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a U-Net gains nothing, or nothing that was ever measured, from being compiled; None where it does."""
    if device.type != "cpu" or dtype is not torch.float32:
        return "compiling is built for a CPU and float32"
    if max(weight.numel() for weight in unet.parameters()) > MOST_WEIGHTS:
        return "large networks are quicker as they are, by Winograd's convolutions"
    return None


def file_name(fingerprint: str, form: Form) -> str:
    """What the library of a U-Net and a form is called: another for each build of torch, processor, and code of ours.

    It is made for the very processor, and for the number of threads that torch has.
    """
    torch_is = (torch.__version__, torch.get_num_threads(), torch.__config__.show(), _processor())
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    key = sha256(b"".join([repr((torch_is, fingerprint)).encode(), *sources])).hexdigest()
    return f"{key[:24]}-{form.rows}x{form.height}x{form.width}x{form.tokens}.so"


def _processor() -> str:
    """The instructions that this processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return torch.backends.cpu.get_cpu_capability()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def build(unet: UNet, form: Form, target: Path) -> None:
    """Write the library, in minutes. Raises whatever torch does, and `RuntimeError` if it answers differently."""
    import torch._inductor

    inputs = _inputs(unet, form)
    with torch.no_grad():
        graph = torch.export.export(_Predict(unet.requires_grad_(False)), inputs, strict=False).module()
        written = Path(str(torch._inductor.aot_compile(graph, inputs, options=OPTIONS)))
    wanted, found = unet.predict(*inputs), Opened(written)(*inputs)
    error = float((found - wanted).norm() / wanted.norm())
    if not error <= TOLERANCE:
        raise RuntimeError(f"the compiled U-Net answers differently, by {error:.1e} (relative L2)")
    written.replace(target)


class _Predict(nn.Module):
    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, samples: Tensor, shifts: Tensor, memory: Tensor) -> Tensor:
        return self.unet.predict(samples, shifts, memory)


def _inputs(unet: UNet, form: Form) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of a form, of the size of those in use."""
    config = unet.config

    def waves(*shape: int) -> Tensor:
        return torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float32)).reshape(shape)

    with torch.no_grad():
        memory = unet.remember(waves(form.rows, form.tokens, config.cross_attention_dim))
        shifts = unet.shifts(torch.linspace(1, 999, form.rows))
    return waves(form.rows, config.in_channels, form.height, form.width), shifts, memory
