"""Let transformers and open_clip import where torchvision was built for another torch.

PyPI's torchvision for Linux is a CUDA build; beside a CPU torch its library does not load, and then its Python part
dies on import ("operator torchvision::nms does not exist"), taking with it whatever imports it. We use none of its
operators, so declaring the two that its import asks for is enough. Where the library loads, nothing is changed.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import torch

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def declare_missing_operators() -> tuple[torch.library.Library, ...]:
    """Declare torchvision's operators if its own library cannot; call this before importing transformers.

    Returns what holds the declarations (empty if none were needed); they last as long as the process.
    """
    library = _library()
    if library is None or _loads(library):
        return ()
    fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in OPERATORS:
        fragment.define(operator)  # type: ignore[no-untyped-call]
    return (fragment,)


def _library() -> Path | None:
    spec = find_spec("torchvision")  # finds the package without importing it
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in Path(folder).glob("_C.*")), None)


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError):
        return False
    return True
