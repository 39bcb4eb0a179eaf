"""What goes wrong in one job stays with that job, and its owner is told what it was."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
import torch

from app.engine.engine import Engine
from app.engine.task import Event, Failed, Finished, Task
from models.bundle import Bundle
from models.calls import Call, Encode, Predict
from models.checkpoint.facts import CheckpointError
from models.prompt import PromptError
from tests.app.fake_bundle import CONFIG, FakeBundle, Heard, engine_of, finish


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """Keep the log out of the terminal, where structlog's default would render every tensor of a traceback."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_a_job_that_makes_its_batch_raise_fails_alone(logged: list[Any]) -> None:
    poison = Heard(prompt="poison", guidance_scale=1)

    def refuse_poison(calls: Sequence[Call]) -> None:
        conds = [cond for call in calls if isinstance(call, Predict) for cond in call.conds]
        if any(cond[0, 0] == len("poison") for cond in conds) and len(bundle.predicts) >= 2:
            raise RuntimeError("illegal value")

    bundle = FakeBundle(before=refuse_poison)
    others = [Heard(prompt=prompt, guidance_scale=1) for prompt in ("a lake", "some mountains", "stars")]
    others[0] = Heard(prompt="a lake!", guidance_scale=1)
    finish(engine_of(bundle), poison, *others)
    assert isinstance(poison.last, Failed)
    assert poison.last.code == "internal"
    assert "illegal" not in poison.last.message
    assert [str(line["exc_info"]) for line in logged] == ["illegal value"]
    assert all(isinstance(other.last, Finished) for other in others)


def test_a_batch_that_runs_out_of_memory_is_halved_and_stays_smaller() -> None:
    def only_two(calls: Sequence[Call]) -> None:
        if isinstance(calls[0], Predict) and len(calls) > 2:
            tried.append(len(calls))
            raise torch.OutOfMemoryError("CUDA out of memory")

    tried: list[int] = []
    bundle, tasks = FakeBundle(before=only_two), [Heard(seed=seed, steps=3) for seed in range(8)]
    finish(engine_of(bundle), *tasks)
    assert all(isinstance(task.last, Finished) for task in tasks)
    assert tried == [8, 4, 4]
    assert max(len(batch) for batch in bundle.predicts) == 2


def test_what_a_call_held_that_ran_out_of_memory_is_gone_when_the_halves_are_asked() -> None:
    def only_one(calls: Sequence[Call]) -> None:
        activations = torch.zeros(1)
        if isinstance(calls[0], Predict):
            still_held.append(sum(earlier() is not None for earlier in held))
            held.append(weakref.ref(activations))
            if len(calls) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")

    held, still_held = list[weakref.ref[torch.Tensor]](), list[int]()
    finish(engine_of(FakeBundle(before=only_one)), *[Heard(seed=seed, steps=1) for seed in range(4)])
    assert still_held == [0] * 7, "of one call of four, two of two and four of one"


def test_a_picture_too_large_by_itself_fails_as_out_of_memory_and_the_next_succeeds() -> None:
    def refuse_large(calls: Sequence[Call]) -> None:
        if any(isinstance(call, Predict) and call.sample.shape[3] > 8 for call in calls):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    large, normal = Heard(width=128), Heard()
    finish(engine_of(FakeBundle(before=refuse_large)), large, normal)
    assert isinstance(large.last, Failed)
    assert large.last.code == "out_of_memory"
    assert isinstance(normal.last, Finished)


def test_a_picture_that_is_not_finite_fails_as_numerical() -> None:
    heard = Heard()
    finish(engine_of(FakeBundle(pixel=float("nan"))), heard)
    assert isinstance(heard.last, Failed)
    assert heard.last.code == "numerical"


def test_a_bad_checkpoint_fails_the_task_with_its_reason() -> None:
    def refuse(name: str) -> Bundle:
        raise CheckpointError(f"{name}/unet is truncated; download it again")

    heard = Heard()
    finish(Engine(refuse), heard)
    assert heard.last == Failed("checkpoint", "embedded/unet is truncated; download it again")


def test_a_prompt_that_cannot_be_read_fails_its_own_task_with_the_reason() -> None:
    def refuse(calls: Sequence[Call]) -> None:
        if any(isinstance(call, Encode) and call.clip_skip == 9 for call in calls):
            raise PromptError("clip_skip is 9; there are 4 layers")

    heard, other = Heard(clip_skip=9), Heard()
    finish(engine_of(FakeBundle(before=refuse)), heard, other)
    assert heard.last == Failed("checkpoint", "clip_skip is 9; there are 4 layers")
    assert isinstance(other.last, Finished)


def test_a_recipe_that_the_checkpoint_cannot_carry_out_fails_with_the_reason() -> None:
    heard = Heard(width=72)
    finish(engine_of(FakeBundle(config=replace(CONFIG, vae_factor=16))), heard)
    assert isinstance(heard.last, Failed)
    assert heard.last.code == "checkpoint"
    assert "width is 72" in heard.last.message


def test_a_listener_that_raises_loses_its_own_task_only() -> None:
    def broken(event: Event) -> None:
        raise OSError(f"nobody hears {event}")

    other, recipe = Heard(), Heard().task.recipe
    engine = engine_of(FakeBundle())
    engine.submit(Task(recipe, broken))
    finish(engine, other)
    assert isinstance(other.last, Finished)
    assert engine.running == 0
