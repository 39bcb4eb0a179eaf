"""The log: one JSON object a line on standard error, from structlog and from libraries alike."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from app.lean import without

with without("rich"):  # with which it would draw errors on a terminal
    import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

get_logger = structlog.get_logger  # for who would otherwise import structlog before this module


def configure(level: int = logging.INFO) -> None:
    """Send all logging of this process to standard error as JSON lines."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    render: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def flush() -> None:
    """Write what is left, before an end that writes nothing."""
    _Forgiving(sys.stderr).flush()


class _Forgiving:
    """A stream whose reader may be gone, or whose disk full: then its lines are lost, and nothing that wrote them.

    (The handlers of `logging` are so themselves.)
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
