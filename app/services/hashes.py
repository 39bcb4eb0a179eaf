"""SHA-256 of checkpoint files, made in the background by a thread that gives way to all others, and remembered.

The lowest priority is not enough for that: where Linux shares processors between sessions first, the engine, which has
one of its own, would have to share with us. So the thread also rests for many times as long as it had to wait.

The hash of a single file is what other programs know a checkpoint by; that of a folder is of its U-Net's first file.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

CHUNK = 4 << 20  # bytes; hashlib lets other threads work meanwhile
REST = 20.0  # times as long as others held the processor while a chunk was hashed
MOST_REST_SECONDS = 0.5
LOWEST_PRIORITY = 19
START_SECONDS = 3.0  # that the rest of the program has for its own start

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """A hash, and what the file was when it was made."""

    size: int
    mtime_ns: int
    sha256: str


class Hashes:
    """The hashes of files; `memory` is the JSON file in which they are remembered, by path, size and time."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._lock = threading.Condition()
        self._wanted: list[Path] = []
        self._progress: dict[Path, float] = {}
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._known = _remembered(memory)

    def get(self, file: Path) -> str | None:
        """The SHA-256 of a file as it is now, None if that is not known yet. One that has changed is put in line."""
        with self._lock:
            known = self._known.get(str(file))
        try:
            is_same = known is not None and (known.size, known.mtime_ns) == _stamp(file)
        except OSError:
            return None
        if known is not None and not is_same:
            self._again(file)
        return known.sha256 if known is not None and is_same else None

    def progress(self, file: Path) -> float | None:
        """How much of a file has been read, 0 to 1; None if it is not in line."""
        with self._lock:
            return 0.0 if file in self._wanted else self._progress.get(file)

    def want(self, files: Iterable[Path]) -> None:
        """Have the hashes of these files made, in this order, instead of what was still in line."""
        missing = [file for file in files if self.get(file) is None]
        with self._lock:
            self._wanted = [file for file in missing if file not in self._progress]
            if self._wanted and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="hashes", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    def _again(self, file: Path) -> None:
        with self._lock:
            if self._thread is not None and file not in self._wanted and file not in self._progress:
                self._wanted.append(file)
                self._lock.notify_all()

    def close(self) -> None:
        """Stop at once; what was begun is lost."""
        with self._lock:
            self._is_closing = True
            self._lock.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is in line. False: that took longer than `seconds`."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._wanted and not self._progress, seconds)

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # Linux gives each thread a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        with self._lock:
            self._lock.wait_for(lambda: self._is_closing, START_SECONDS)
        while (file := self._next()) is not None:
            try:
                self._make(file)
            except OSError as error:
                log.warning("a checkpoint could not be hashed", file=str(file), reason=str(error))
            with self._lock:
                self._progress.pop(file, None)
                self._lock.notify_all()

    def _next(self) -> Path | None:
        with self._lock:
            self._lock.wait_for(lambda: self._wanted or self._is_closing)
            if self._is_closing:
                return None
            file = self._wanted.pop(0)
            self._progress[file] = 0.0
            return file

    def _make(self, file: Path) -> None:
        """Hash one file and remember that, unless it changes meanwhile. Raises `OSError`."""
        before = _stamp(file)
        digest, done = hashlib.sha256(), 0
        with file.open("rb", buffering=0) as stream:
            while (chunk := stream.read(CHUNK)) and not self._is_closing:
                waited = _seconds_waited(digest.update, chunk)
                done += len(chunk)
                with self._lock:
                    self._progress[file] = done / max(1, before[0])
                    self._lock.wait_for(lambda: self._is_closing, min(REST * waited, MOST_REST_SECONDS))
        if self._is_closing or _stamp(file) != before:
            return
        with self._lock:
            self._known[str(file)] = Known(*before, digest.hexdigest())
            content = {path: asdict(known) for path, known in self._known.items()}
        write_whole(self._memory, json.dumps(content, indent=1))


def _seconds_waited(work: Callable[[bytes], None], chunk: bytes) -> float:
    """How long others held the processor while this thread worked."""
    began, used = time.perf_counter(), time.thread_time()
    work(chunk)
    return max(0.0, time.perf_counter() - began - (time.thread_time() - used))


def _stamp(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns


def _remembered(memory: Path) -> dict[str, Known]:
    """What `memory` holds; nothing if it is not there or damaged, since all of it can be made again."""
    try:
        content = json.loads(memory.read_bytes())
        return {path: Known(**known) for path, known in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_whole(path: Path, text: str) -> None:
    """Put `text` into a file at once, so that a reader finds the old or the new. Raises `OSError`."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
