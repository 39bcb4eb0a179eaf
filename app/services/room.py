"""Refuses, before there is a job, a picture that the engine has no memory for. Knows what the engine said last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.services.errors import InvalidInput
from models.checkpoint.facts import CheckpointError, CheckpointFacts, layout_of
from models.cost import Costs
from models.recipe import Recipe
from models.room import too_large

WIDE = 4  # bytes of a number, unless the engine says that it works with 16 bits


class Room:
    """The memory for pictures under way, None until an engine has told of it; then the engine itself refuses."""

    def __init__(self) -> None:
        self._memory: int | None = None
        self._itemsize = WIDE
        self._costs: dict[tuple[str, int], Costs | None] = {}

    def note(self, status: Mapping[str, Any]) -> None:
        """Hear what an engine says of itself."""
        self._memory = status.get("memory", {}).get("pictures")
        self._itemsize = 2 if str(status.get("dtype")).endswith("16") else WIDE

    def require(self, recipe: Recipe, facts: CheckpointFacts) -> None:
        """Raise `InvalidInput` for a picture that needs more memory than there is, naming the size that fits."""
        costs = self._of(facts) if self._memory is not None else None
        if costs is None or self._memory is None:
            return
        refusal = too_large(recipe, costs, self._memory, (facts.width, facts.height))
        if refusal is not None:
            raise InvalidInput([{"field": field, "message": refusal.message} for field in refusal.fields])

    def _of(self, facts: CheckpointFacts) -> Costs | None:
        key = (facts.path, self._itemsize)
        if key not in self._costs:
            try:
                layout = layout_of(Path(facts.path))
                self._costs[key] = Costs(layout.unet, layout.vae, facts.max_tokens, self._itemsize)
            except (CheckpointError, OSError):
                self._costs[key] = None  # the engine will say what is wrong with it
        return self._costs[key]
