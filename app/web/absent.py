"""Fields that a client sends although it has nothing to say: null and `""` stand for the default."""

from __future__ import annotations

from typing import Any


def without_absent(given: Any) -> Any:
    """Return an object without its fields that are null or empty; anything else as it is."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None and value != ""}
