"""What an exception means to the one who asked for the picture."""

from __future__ import annotations

import traceback

import structlog
import torch

from app.engine.task import Failed
from models.checkpoint.facts import CheckpointError
from models.prompt import PromptError

NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")

log = structlog.get_logger()


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device, or the machine (which torch reports as a plain `RuntimeError`), had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


def free_memory(error: Exception) -> None:
    """Give back to the device what a call held that ran out of memory: its frames hold it while the error is known."""
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def explain(error: Exception, *, at_start: bool = False) -> Failed:
    """Turn an exception into a failure. `at_start`: a `ValueError` says what this checkpoint cannot do."""
    if is_out_of_memory(error):
        return Failed("out_of_memory", "There is not enough memory for a picture of this size; try a smaller one.")
    if isinstance(error, CheckpointError | PromptError) or (at_start and isinstance(error, ValueError)):
        return Failed("checkpoint", str(error))
    if isinstance(error, FloatingPointError | ZeroDivisionError | OverflowError):
        return Failed("numerical", "The arithmetic of this picture broke down; try other settings.")
    log.error("a job failed", exc_info=error)
    return Failed("internal", "Something went wrong while this picture was made; the log has the details.")
