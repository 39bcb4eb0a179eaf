"""Which checkpoints there are and what a request to each gets by default, from headers and JSON alone."""

from __future__ import annotations

import re
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from app.services.errors import InvalidInput, ServiceError
from app.services.views import Defaults
from app.settings import Settings
from models.recipe import Sampler

if TYPE_CHECKING:
    from models.checkpoint.facts import CheckpointFacts

EMBEDDED = "embedded"
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")


class Catalogue:
    """The embedded checkpoint and the one that `settings.checkpoint` names; each is looked at once, at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looking = threading.Lock()

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with those that cannot be used, by path."""
        return self._found[1]

    @property
    def default(self) -> CheckpointFacts:
        """The checkpoint of requests that name none. Raises `ServiceError` if it cannot be used."""
        wanted = self._paths[-1]
        for facts in self.checkpoints():
            if Path(facts.path) == wanted:
                return facts
        problem = self.problems.get(str(wanted), "it is missing").replace(f"{wanted.parent}/", "")
        raise ServiceError(503, "checkpoint", f"The default checkpoint {wanted.name} cannot be used: {problem}")

    def checkpoints(self) -> list[CheckpointFacts]:
        """All that can be used."""
        return self._found[0]

    def get(self, name: str | None) -> CheckpointFacts:
        """The checkpoint of this name, the default for None. Raises `InvalidInput` with the names that there are."""
        if name is None:
            return self.default
        for facts in self.checkpoints():
            if facts.name == name:
                return facts
        names = ", ".join(facts.name for facts in self.checkpoints()) or "none is installed"
        raise InvalidInput([{"field": "checkpoint", "message": f"There is no checkpoint {name!r}; there is: {names}."}])

    def default_request(self, name: str | None = None) -> Defaults:
        """What a request to this checkpoint gets where it does not say otherwise."""
        facts = self.get(name)
        own: dict[str, Any] = dict(facts.defaults)
        return Defaults(
            checkpoint=facts.name,
            steps=int(own.get("steps", 20)),
            guidance_scale=float(own.get("guidance_scale", 7.5)),
            guidance_rescale=float(own.get("guidance_rescale", 0.0)),
            sampler=str(Sampler(own.get("sampler", Sampler.DDIM))),
            width=int(own.get("width", facts.width)),
            height=int(own.get("height", facts.height)),
            size_multiple=facts.size_multiple,
        )

    def unknown_words(self, name: str | None, prompt: str) -> list[str]:
        """The words of `prompt` that a checkpoint of small vocabulary has never seen, in order, each once.

        Checkpoints that list no words know them all.
        """
        facts = self.get(name)
        if not facts.words:
            return []
        known = {word for phrases in facts.words.values() for phrase in phrases for word in _words(phrase)}
        known.update(word for text in (*facts.grammar_words, *facts.examples) for word in _words(text))
        return list(dict.fromkeys(word for word in _words(prompt) if word not in known))

    @cached_property
    def _paths(self) -> list[Path]:
        embedded = Path(next(iter(models.__path__))) / EMBEDDED
        if self._settings.checkpoint == EMBEDDED:
            return [embedded]
        return [embedded, Path(self._settings.checkpoint).expanduser()]

    @property
    def _found(self) -> tuple[list[CheckpointFacts], dict[str, str]]:
        with self._looking:
            return self._look

    @cached_property
    def _look(self) -> tuple[list[CheckpointFacts], dict[str, str]]:
        from models.checkpoint.facts import CheckpointError, inspect

        usable: list[CheckpointFacts] = []
        problems: dict[str, str] = {}
        for path in self._paths:
            try:
                usable.append(inspect(path))
            except CheckpointError as error:
                problems[str(path)] = str(error)
        return usable, problems


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
