"""CLIP's published tokenizer, as open_clip carries it, loaded from its file: the package would bring torchvision."""

from __future__ import annotations

import functools
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path


@functools.cache
def _published():  # type: ignore[no-untyped-def]
    package = find_spec("open_clip")
    assert package is not None
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = spec_from_file_location("published_clip_tokenizer", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._tokenizer


def encode(text: str) -> list[int]:
    """Return the ids of a text, without begin and end."""
    ids: list[int] = _published().encode(text)
    return ids


def decode(ids: list[int]) -> str:
    """Return the text of ids, in lower case, each word followed by a space."""
    text: str = _published().decode(ids)
    return text
