"""The engine without threads, HTTP and, mostly, without networks: a bundle of a few lines answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
import torch
from torch import Tensor
from torch.nn import functional as F

from app.engine.engine import Engine
from app.engine.task import Cancelled, Event, Failed, Finished, Progress, Started, Task
from models.bundle import Bundle
from models.calls import Call, Decode, Encode, Predict
from models.checkpoint.facts import CheckpointError
from models.checkpoint.folder import load
from models.config import BundleConfig
from models.jobs import txt2img
from models.recipe import Recipe, Sampler
from models.run import run
from models.schedule import Schedule

CPU = torch.device("cpu")
CONFIG = BundleConfig(
    latent_channels=4, unet_in_channels=4, vae_factor=8, width=64, height=64, context_width=2, max_tokens=8
)


def willing(calls: Sequence[Call]) -> None:
    """Raise nothing for any calls."""
    assert calls


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """Keep the log out of the terminal, where structlog's default would render every tensor of a traceback."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@dataclass
class FakeBundle:
    """Answers like a checkpoint, row by row, and remembers which calls came together."""

    batches: list[list[Call]] = field(default_factory=list)
    before: Callable[[Sequence[Call]], None] = willing
    config: BundleConfig = CONFIG
    schedule: Schedule = field(default_factory=lambda: Schedule.from_config({}))
    device: torch.device = CPU
    pixel: float = 0.0

    def answer(self, calls: Sequence[Call]) -> list[Tensor]:
        self.before(calls)
        self.batches.append(list(calls))
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Tensor:
        match call:
            case Encode():
                return torch.full((8, 2), float(len(call.text)))
            case Predict():
                return torch.cat([call.sample * 0.1 + cond.mean() * 0.01 for cond in call.conds])
            case Decode():
                return F.interpolate(call.latents[:, :3], scale_factor=8.0) + self.pixel

    @property
    def predicts(self) -> list[list[Predict]]:
        return [cast(list[Predict], batch) for batch in self.batches if isinstance(batch[0], Predict)]


class Heard:
    """A task with all that its listener heard."""

    def __init__(self, **fields: Any) -> None:
        self.events: list[Event] = []
        given = {"prompt": "a lake", "seed": 1, "width": 64, "height": 64, "steps": 4, **fields}
        self.task = Task(Recipe.model_validate(given), self.events.append)

    @property
    def steps(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, Progress)]

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def pixels(self) -> Tensor:
        assert isinstance(self.last, Finished), self.last
        return self.last.pixels


def engine_of(bundle: FakeBundle | None, **options: Any) -> Engine:
    return Engine(lambda name: cast(Bundle, bundle), **options)  # noqa: ARG005


def finish(engine: Engine, *heard: Heard) -> None:
    for each in heard:
        engine.submit(each.task)
    for _ in range(10_000):
        if not engine.step():
            return
    raise AssertionError("the engine did not come to an end")


def step_until(engine: Engine, reached: Callable[[], bool]) -> None:
    for _ in range(1000):
        if reached():
            return
        assert engine.step()
    raise AssertionError("that was never reached")


def test_a_task_hears_started_each_step_and_one_image() -> None:
    bundle, heard = FakeBundle(), Heard(steps=3)
    finish(engine_of(bundle), heard)
    assert isinstance(heard.events[0], Started)
    assert heard.steps == [1, 2, 3]
    assert heard.pixels.shape == (1, 3, 64, 64)
    assert sum(isinstance(event, Finished | Failed | Cancelled) for event in heard.events) == 1


def test_jobs_that_differ_in_all_but_size_share_each_call() -> None:
    bundle = FakeBundle()
    tasks = [Heard(prompt=f"{sampler}", sampler=sampler, seed=3, steps=5) for sampler in Sampler if sampler != "heun"]
    engine = engine_of(bundle)
    finish(engine, *tasks)
    assert {len(batch) for batch in bundle.predicts} == {len(tasks)}
    assert engine.counters.as_dict()["rows_per_call"] == 2 * len(tasks)


def test_a_new_job_joins_at_the_next_step_and_a_finished_one_leaves() -> None:
    bundle, first, second = FakeBundle(), Heard(steps=8), Heard(steps=2)
    engine = engine_of(bundle)
    engine.submit(first.task)
    step_until(engine, lambda: first.steps == [1, 2, 3])
    finish(engine, second)
    sizes = [len(batch) for batch in bundle.predicts]
    assert sizes.count(2) == 2
    assert sizes[0] == sizes[-1] == 1
    assert second.pixels.isfinite().all()


def test_cancelling_frees_the_rows_at_the_next_step() -> None:
    bundle, stays, goes = FakeBundle(), Heard(steps=9), Heard(steps=9)
    engine = engine_of(bundle)
    engine.submit(stays.task)
    engine.submit(goes.task)
    step_until(engine, lambda: goes.steps == [1, 2])
    engine.cancel(goes.task.id)
    done = len(bundle.predicts)
    assert engine.step()
    assert isinstance(goes.last, Cancelled)
    assert [len(batch) for batch in bundle.predicts[done:]] == [1]
    finish(engine)
    assert isinstance(stays.last, Finished)
    assert goes.steps == [1, 2]


def test_cancelling_what_is_over_does_nothing() -> None:
    heard = Heard()
    engine = engine_of(FakeBundle())
    finish(engine, heard)
    engine.cancel(heard.task.id)
    assert not engine.step()
    assert isinstance(heard.last, Finished)


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


def test_sizes_take_turns() -> None:
    bundle, small, wide = FakeBundle(), Heard(steps=6), Heard(steps=6, width=128)
    finish(engine_of(bundle), small, wide)
    widths = [batch[0].sample.shape[3] for batch in bundle.predicts]
    assert all(first != second for first, second in zip(widths[:-1:2], widths[1::2], strict=True))


def test_rows_are_capped_and_no_job_gets_ahead_of_the_others() -> None:
    bundle, tasks = FakeBundle(), [Heard(seed=seed, steps=6) for seed in range(5)]
    engine = engine_of(bundle, max_rows=4)
    for heard in tasks:
        engine.submit(heard.task)
    while engine.step():
        done = [len(heard.steps) for heard in tasks]
        assert max(done) - min(done) <= 1
    assert max(len(batch) for batch in bundle.predicts) == 2


def test_decoding_takes_turns_with_steps_one_picture_at_a_time() -> None:
    bundle, long = FakeBundle(), Heard(steps=20)
    finish(engine_of(bundle), long, *(Heard(seed=seed, steps=3) for seed in range(5)))
    kinds = [(type(batch[0]), len(batch)) for batch in bundle.batches]
    decodes = [index for index, (kind, _) in enumerate(kinds) if kind is Decode]
    assert all(kinds[index][1] == 1 for index in decodes)
    assert all(kinds[index - 1][0] is Predict for index in decodes)


def test_jobs_with_and_without_guidance_share_calls() -> None:
    bundle, guided, plain = FakeBundle(), Heard(), Heard(guidance_scale=1)
    finish(engine_of(bundle, max_rows=3), guided, plain)
    assert {call.rows for batch in bundle.predicts for call in batch} == {1, 2}
    assert sum(len(batch) == 2 for batch in bundle.predicts) == 3
    assert isinstance(guided.last, Finished)
    assert isinstance(plain.last, Finished)


def test_latents_for_a_preview_come_at_most_every_200_ms() -> None:
    now = iter(range(100_000))
    heard = Heard(steps=40)
    finish(engine_of(FakeBundle(), clock=lambda: next(now) * 0.02), heard)
    with_latents = [event for event in heard.events if isinstance(event, Progress) and event.latents is not None]
    assert heard.steps == list(range(1, 41))
    assert 8 <= len(with_latents) <= 14


def test_a_task_waits_while_its_checkpoint_loads_and_can_be_cancelled_there() -> None:
    loaded: list[FakeBundle] = []
    engine = Engine(lambda name: cast(Bundle, loaded[0]) if loaded else None)  # noqa: ARG005
    waits, goes = Heard(), Heard()
    engine.submit(waits.task)
    engine.submit(goes.task)
    assert not engine.step()
    engine.cancel(goes.task.id)
    assert not engine.step()
    assert waits.events == []
    assert isinstance(goes.last, Cancelled)
    loaded.append(FakeBundle())
    finish(engine)
    assert isinstance(waits.last, Finished)


def test_a_bad_checkpoint_fails_the_task_with_its_reason() -> None:
    def refuse(name: str) -> Bundle:
        raise CheckpointError(f"{name}/unet is truncated; download it again")

    heard = Heard()
    finish(Engine(refuse), heard)
    assert heard.last == Failed("checkpoint", "embedded/unet is truncated; download it again")


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


def test_closing_cancels_everything() -> None:
    started, waiting = Heard(), Heard()
    engine = engine_of(FakeBundle())
    engine.submit(started.task)
    engine.step()
    engine.submit(waiting.task)
    engine.close()
    assert isinstance(started.last, Cancelled)
    assert isinstance(waiting.last, Cancelled)
    assert engine.running == 0


@pytest.fixture(scope="module")
def tiny_bundle(tiny_checkpoint: Path) -> Bundle:
    return load(tiny_checkpoint)


def test_a_picture_has_the_same_pixels_alone_in_company_and_on_the_command_line(tiny_bundle: Bundle) -> None:
    def everyone() -> list[Heard]:
        size = {"width": 128, "height": 128}
        return [
            Heard(prompt="mountains by the lake", seed=11, steps=5, sampler="ddim", **size),
            Heard(prompt="a cabin", seed=12, steps=7, sampler="euler_a", eta=1, **size),
            Heard(prompt="stars", negative_prompt="sunset", seed=13, steps=4, sampler="heun", **size),
            Heard(prompt="the lake", seed=14, steps=6, sampler="dpmpp_2m_sde", eta=0.7, **size),
            Heard(prompt="the cabin", seed=15, steps=3, guidance_scale=1, **size),
            Heard(prompt="a lake", seed=16, steps=3, guidance_scale=1, **size),
            Heard(prompt="stars at sunset", seed=17, steps=3, width=64, height=128),
        ]

    company = everyone()
    finish(Engine(lambda name: tiny_bundle), *company)  # noqa: ARG005
    for heard in everyone():
        finish(Engine(lambda name: tiny_bundle), heard)  # noqa: ARG005
        [together] = [each for each in company if each.task.recipe == heard.task.recipe]
        assert torch.equal(together.pixels, heard.pixels), heard.task.recipe
        assert torch.equal(heard.pixels, run(txt2img(heard.task.recipe, tiny_bundle), tiny_bundle))
