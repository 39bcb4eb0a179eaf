"""What the call that a task waits with asks of the device, for the scheduler."""

from __future__ import annotations

from typing import assert_never

from app.engine.limits import Limits, native_row
from app.engine.task import Asks, Task
from models.calls import Call, Decode, Encode, EncodeImage, Predict

CHARACTERS_A_CHUNK = 250  # of a prompt that the text encoder takes at once, about
MAX_CHARACTERS = 4000  # of all prompts that are encoded in one turn: sixteen chunks
CHUNK_SHARE = 1 / 60  # what encoding a chunk costs of a row at the checkpoint's own size: Stable Diffusion 1's share

Key = tuple[object, ...]  # kind of call, bundle, what rows of one call share: shape, tokens, edges


def asks_of(task: Task, limits: Limits) -> Asks:
    """Price the call that a task waits with."""
    call, bundle = task.call, task.bundle
    assert call is not None
    assert bundle is not None
    costs = bundle.costs
    key = (type(call).__name__, task.recipe.checkpoint, id(bundle), *_shared(call))
    match call:
        case Predict():
            latents = (call.sample.shape[2], call.sample.shape[3])
            row = costs.row(*latents, len(call.conds[0]))
            left = (call.steps - call.step) * call.rows * row + costs.decode(*latents)
            return Asks("Predict", key, call.rows, limits.rows(key, bundle, latents, row), call.rows * row, left)
        case Decode():
            cost = costs.decode(call.latents.shape[2], call.latents.shape[3])
            return Asks("Decode", key, cost=cost, work_left=cost)
        case EncodeImage():
            factor = bundle.config.vae_factor
            return Asks(
                "EncodeImage", key, cost=costs.encode(call.pixels.shape[2] // factor, call.pixels.shape[3] // factor)
            )
        case Encode():
            characters = max(CHARACTERS_A_CHUNK, len(call.text))
            cost = characters / CHARACTERS_A_CHUNK * CHUNK_SHARE * native_row(bundle)
            return Asks("Encode", key, characters, MAX_CHARACTERS, cost)
        case _:
            assert_never(call)


def _shared(call: Call) -> Key:
    """What calls must have in common to be answered together."""
    match call:
        case Encode():
            return ()
        case EncodeImage():
            return (*call.pixels.shape, call.tiling)
        case Predict():
            return (*call.sample.shape, len(call.conds[0]), call.tiling)
        case Decode():
            return (*call.latents.shape, call.tiling)
        case _:
            assert_never(call)
