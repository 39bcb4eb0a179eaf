"""The garbage collector, kept still while modules are imported: they make many objects, and none of them is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing meanwhile. Importing the web process takes a tenth less so, and importing transformers too."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def settled() -> Iterator[None]:
    """Collect nothing meanwhile, and of what is there in the end nothing ever.

    Looking through all that the web process imports was half of the first page.
    """
    with uncollected():
        yield
        gc.freeze()
