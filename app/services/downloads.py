"""Fetching the default checkpoint from the hub: in the background with patience, or at once for a command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from app.places import HubName, hub_file
from app.services import hub
from app.services.entries import Download
from app.services.errors import ServiceError
from app.services.hashes import write_whole
from app.settings import Settings

CLOSE_SECONDS = 2.0
PAUSES = (5.0, 15.0, 60.0, 300.0)  # seconds before it is tried again; the last one from then on

Arrived = Callable[[str, Path], str | None]

log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818
    """The server ends; what has been fetched is used the next time."""


class Downloader:
    """Fetch what `settings.checkpoint` names; `arrived` is told name and path, and says what is wrong with it."""

    def __init__(self, settings: Settings, arrived: Arrived) -> None:
        self._settings = settings
        self._arrived = arrived
        self._is_closing = threading.Event()
        self._report: Download | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in the background."""
        self._report = Download(self._settings.checkpoint, "running")
        self._thread = threading.Thread(target=self._work, name="hub", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop soon, if possible before the next piece has come, so that no part of a file is left."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def report(self) -> list[Download]:
        """How far it is; nothing once all is here."""
        return [self._report] if self._report else []

    def fetch(self, note: hub.Note) -> None:
        """Fetch it now. Raises `ServiceError`."""
        try:
            self._attempt(note)
        except hub.HubError as error:
            self._report = Download(self._settings.checkpoint, "failed", error=str(error))
            raise ServiceError(503, "checkpoint", str(error)) from error

    def _work(self) -> None:
        for attempt in range(1_000_000):
            try:
                self._attempt(self._note)
            except hub.HubError as error:
                log.warning("the default checkpoint could not be fetched", reason=str(error))
                if not error.is_passing:
                    self._report = Download(self._settings.checkpoint, "failed", error=str(error))
                    return
                self._report = Download(self._settings.checkpoint, "waiting", error=str(error))
            except Stopped:
                return
            else:
                log.info("the default checkpoint is here", checkpoint=self._settings.checkpoint)
                return
            if self._is_closing.wait(PAUSES[min(attempt, len(PAUSES) - 1)]):
                return

    def _attempt(self, note: hub.Note) -> None:
        """Fetch it, take it, and remember where it is. Raises `HubError` and `Stopped`."""
        wanted = HubName.parse(self._settings.checkpoint)
        assert wanted is not None
        prefers_half = self._settings.dtype in ("float16", "bfloat16")
        fetched = hub.fetch(wanted, note, prefers_half=prefers_half)
        problem = self._arrived(fetched.name, fetched.path)
        if problem is not None:
            raise hub.HubError(f"{fetched.name} was downloaded and cannot be used: {problem}")
        self._remember(wanted, fetched)
        self._report = None

    def _note(self, done: int, total: int) -> None:
        if self._is_closing.is_set():
            raise Stopped
        self._report = Download(self._settings.checkpoint, "running", done, total)

    def _remember(self, wanted: HubName, fetched: hub.Fetched) -> None:
        """Write down where it is, so that the next start needs neither the hub nor its library."""
        file = hub_file(self._settings)
        with suppress(OSError):
            try:
                known = dict(json.loads(file.read_bytes()))
            except (OSError, ValueError, TypeError):
                known = {}
            file.parent.mkdir(parents=True, exist_ok=True)
            files = [str(file) for file in fetched.files]
            known[str(wanted)] = {"name": fetched.name, "path": str(fetched.path), "files": files}
            write_whole(file, json.dumps(known, indent=1))
