"""Importing libraries without what they would only take along, since whoever starts the program waits for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let a module not be found meanwhile: for what is imported that would like to have it and can do without."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what `import` takes for "there is none"
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def built_when_used() -> Iterator[None]:
    """Let pydantic make the validators of models that are defined meanwhile when they are first used, if ever."""
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        del BaseModel.model_config["defer_build"]
