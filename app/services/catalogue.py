"""Which checkpoints there are and what a request to each gets by default, from headers and JSON alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.places import EMBEDDED, HubName, default_place, embedded_path, is_there, look, name_all, real
from app.services.downloads import Downloader
from app.services.entries import Download, Entry, read
from app.services.errors import InvalidInput, ServiceError
from app.services.hashes import Hashes
from app.services.room import Room
from app.services.views import Defaults
from app.settings import Settings
from models.checkpoint.leftovers import clear
from models.prompt import plain
from models.recipe import Sampler

if TYPE_CHECKING:
    from models.checkpoint.facts import CheckpointFacts

LOOK_SECONDS = 30.0  # that a request for an unknown name waits for the first look at the folders
RETRY_AFTER_SECONDS = 15
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")


class Catalogue:
    """The embedded checkpoint, the one that `settings.checkpoint` names, and those in the folders.

    The folders are looked through at first use, or, after `start`, in the background: until that has ended only the
    first two are known. All methods may be called from any thread.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looking = threading.Lock()
        self._has_looked = threading.Event()
        self._is_started = False
        self._default: tuple[str, Path] | None = None
        self._entries: dict[str, Entry] = {}
        self._folder_problems: dict[str, str] = {}
        self.room = Room()
        self._hashes = Hashes(settings.data / "checkpoint-hashes.json")
        self._downloader = Downloader(settings, self._arrived)

    def start(self) -> None:
        """Look at the folders, make hashes and fetch the default, all in the background, until `close`."""
        self._is_started = True
        with suppress(OSError):
            self._settings.own_checkpoints.mkdir(parents=True, exist_ok=True)
        self._look_at_default()
        threading.Thread(target=self.rescan, name="catalogue", daemon=True).start()
        if self._default is None:
            self._downloader.start()

    def close(self) -> None:
        """Stop what runs in the background."""
        self._downloader.close()
        self._hashes.close()

    def rescan(self) -> None:
        """Look at all folders anew. The names of what can be used stay with their files.

        Whoever asks while somebody looks waits for that.
        """
        if not self._looking.acquire(blocking=False):
            with self._looking:
                return
        try:
            self._look_at_default()
            found = look(self._settings)
            clear(found.paths)
            fixed = self._fixed()
            known = {real(entry.path) for entry in fixed.values()}
            usable = {name: entry for name, entry in self._entries.items() if entry.facts is not None}
            taken = {name: entry.path for name, entry in (usable | fixed).items()}
            names = name_all([path for path in found.paths if real(path) not in known], taken)
            self._entries = fixed | {name: self._fresh(name, path) for name, path in names.items()}
            self._folder_problems = {str(path): problem for path, problem in found.problems.items()}
            self._has_looked.set()
            self._want_hashes()
        finally:
            self._looking.release()

    def fetch(self, note: Callable[[int, int], None] = lambda done, total: None) -> None:  # noqa: ARG005
        """Fetch the default from the hub, if it comes from there and is not here. Raises `ServiceError`.

        `note` hears how many bytes are done, and how many there are.
        """
        self._look_once()
        if self._default is None:
            self._downloader.fetch(note)

    def entries(self) -> list[Entry]:
        """All checkpoints, usable or not; what was bad and has changed is looked at again first."""
        self._look_once()
        for name, entry in self._entries.items():
            if entry.facts is None and entry.has_changed:
                self._entries = self._entries | {name: read(name, entry.path)}
        return list(self._entries.values())

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with those that cannot be used, and with folders, by path."""
        wrong = {str(entry.path): entry.problem for entry in self.entries() if entry.problem}
        return {**wrong, **self._folder_problems}

    @property
    def folder_problems(self) -> dict[str, str]:
        """What is wrong with folders that should be looked through, by path."""
        return self._folder_problems

    @property
    def downloads(self) -> list[Download]:
        """What is being fetched, or could not be."""
        return self._downloader.report()

    @property
    def is_looking(self) -> bool:
        """Whether the first look at the folders is still under way."""
        return self._is_started and not self._has_looked.is_set()

    @property
    def default(self) -> CheckpointFacts:
        """The checkpoint of requests that name none. Raises `ServiceError` if it cannot be used."""
        self._look_once()
        entry = self._find(self._default[0]) if self._default else None
        if entry is not None and entry.facts is not None:
            return self._with_hash(entry.facts)
        if entry is not None:
            problem = f"The default checkpoint {entry.name} cannot be used: {entry.public_problem}"
            raise ServiceError(503, "checkpoint", problem)
        raise ServiceError(503, "checkpoint", self._why_not_here(), retry_after=RETRY_AFTER_SECONDS)

    def checkpoints(self) -> list[CheckpointFacts]:
        """All that can be used."""
        return [self._with_hash(entry.facts) for entry in self.entries() if entry.facts is not None]

    def get(self, name: str | None) -> CheckpointFacts:
        """The checkpoint of this name, the default for None. Raises `InvalidInput` with the names that there are."""
        if name is None:
            return self.default
        entry = self._find_in_time(name)
        if entry is not None and entry.facts is not None:
            return self._with_hash(entry.facts)
        names = ", ".join(facts.name for facts in self.checkpoints()) or "none is installed"
        wrong = entry.public_problem if entry is not None else None
        message = f"Checkpoint {name!r} cannot be used: {wrong}" if wrong else f"There is no checkpoint {name!r}"
        raise InvalidInput([{"field": "checkpoint", "message": f"{message}; there is: {names}."}])

    def path_of(self, name: str) -> Path | None:
        """Where the checkpoint of a recipe lies, None if it is not known here. Waits for the first look."""
        entry = self._find_in_time(name)
        return entry.path if entry is not None else None

    def sha256(self, name: str) -> str | None:
        """The SHA-256 of a checkpoint's file (of a folder: of its U-Net's), None while it is not known."""
        entry = self._entries.get(name)
        return self._with_hash(entry.facts).sha256 if entry and entry.facts else None

    def hashing(self, name: str) -> float | None:
        """How much of a checkpoint's file has been hashed, 0 to 1; None if it is not in line."""
        entry = self._entries.get(name)
        file = _hashed_file(entry.facts) if entry and entry.facts else None
        return self._hashes.progress(file) if file is not None else None

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
        return list(dict.fromkeys(word for word in _words(plain(prompt)) if word not in known))

    def _look_once(self) -> None:
        if not self._is_started and not self._has_looked.is_set():
            self.rescan()

    def _look_at_default(self) -> None:
        if self._default is None or not is_there(self._default[1]):
            self._default = default_place(self._settings)
        self._entries = self._fixed() | self._entries

    def _fixed(self) -> dict[str, Entry]:
        """The default, which comes first, and the embedded one; they need not lie in a folder."""
        places = dict([*([self._default] if self._default else []), (EMBEDDED, embedded_path())])
        return {name: self._fresh(name, path) for name, path in places.items()}

    def _fresh(self, name: str, path: Path) -> Entry:
        """What is known of a checkpoint, or what is found when it is read."""
        known = self._entries.get(name)
        return known if known and known.path == path and not known.has_changed else read(name, path)

    def _find(self, name: str) -> Entry | None:
        """The entry of this name, or of `org/name` without its commit."""
        self._look_once()
        entry = self._entries.get(name)
        if entry is None and (hub := HubName.parse(name)) is not None and hub.revision is None:
            found = (entry for known, entry in self._entries.items() if known.startswith(f"{name}@"))
            entry = next(found, None)
        if entry is not None and entry.facts is not None and not is_there(entry.path):
            entry = read(entry.name, entry.path)
            self._entries = self._entries | {entry.name: entry}
        return entry

    def _find_in_time(self, name: str) -> Entry | None:
        """The entry of this name, which the first look at the folders may still have to find."""
        entry = self._find(name)
        if entry is None and self.is_looking:
            self._has_looked.wait(LOOK_SECONDS)
            entry = self._find(name)
        return entry

    def _arrived(self, name: str, path: Path) -> str | None:
        """Take the default that was fetched. Returns what is wrong with it, for anybody."""
        entry = read(name, path)
        if entry.problem is None:
            with self._looking:
                self._default = name, path
                self._entries = {name: entry} | self._entries
            self._want_hashes()
        return entry.public_problem

    def _want_hashes(self) -> None:
        if self._is_started:
            self._hashes.want(file for facts in self.checkpoints() if (file := _hashed_file(facts)))

    def _with_hash(self, facts: CheckpointFacts) -> CheckpointFacts:
        file = _hashed_file(facts)
        return facts.model_copy(update={"sha256": self._hashes.get(file)}) if file is not None else facts

    def _why_not_here(self) -> str:
        """Say why the default of the hub is not here yet."""
        wanted = self._settings.checkpoint
        for download in self.downloads:
            if download.state == "failed":
                return f"The default checkpoint cannot be used: {download.error}"
            if download.state == "waiting":
                return f"The default checkpoint is not here yet: {download.error}; it is tried again by itself."
            share = f" ({download.done / download.total:.0%})" if download.total else ""
            return f"The default checkpoint {wanted} is being downloaded{share}; name another, or try again later."
        return f"The default checkpoint {wanted} has not been downloaded; start the server, which does that."


def _hashed_file(facts: CheckpointFacts) -> Path | None:
    """The file whose hash stands for a checkpoint: the first of its files of weights."""
    return Path(facts.files[0]) if facts.files else None


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
