"""The engine without threads, HTTP and, mostly, without networks: a bundle of a few lines answers."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

from app.engine.engine import Engine
from app.engine.task import Cancelled, Failed, Finished, Progress, Started
from models.bundle import Bundle
from models.calls import Decode, Encode, Predict
from models.checkpoint.loading import load
from models.jobs import txt2img
from models.recipe import Sampler
from models.run import run
from tests.app.fake_bundle import FakeBundle, Heard, engine_of, finish, step_until


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


def test_prompts_of_different_length_and_tiling_pictures_do_not_share_a_call() -> None:
    bundle = FakeBundle()
    short, long = Heard(steps=3, seed=1), Heard(prompt="a BREAK b", steps=3, seed=2)
    also_long = Heard(prompt="c", negative_prompt="d BREAK e", steps=3, seed=3)
    tiling, also_tiling = Heard(steps=3, tiling=True, seed=4), Heard(steps=3, tiling=True, seed=5)
    finish(engine_of(bundle), short, long, also_long, tiling, also_tiling)
    assert all(
        len({(len(cond), call.tiling) for call in batch for cond in call.conds}) == 1 for batch in bundle.predicts
    )
    assert sorted(len(batch) for batch in bundle.predicts) == [1] * 3 + [2] * 6
    decodes = [call.tiling for batch in bundle.batches for call in batch if isinstance(call, Decode)]
    assert sorted(decodes) == [False] * 3 + [True] * 2


def test_long_prompts_are_encoded_in_turns_and_short_ones_together() -> None:
    bundle = FakeBundle()
    short = [Heard(prompt=f"a lake {number}", guidance_scale=1) for number in range(20)]
    long = [Heard(prompt="a lake " * 500 + f"{number}", guidance_scale=1) for number in range(3)]
    finish(engine_of(bundle), *short, *long)
    turns = [[len(call.text) > 100 for call in batch if isinstance(call, Encode)] for batch in bundle.batches]
    turns = [turn for turn in turns if turn]
    assert [len(turn) for turn in turns] == [16, 4, 1, 1, 1]
    assert [any(turn) for turn in turns] == [False, False, True, True, True]


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


def test_decoding_takes_turns_with_steps_one_picture_at_a_time() -> None:
    bundle, long = FakeBundle(), Heard(steps=20)
    bundle.costs.decoding = 10_000.0
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
            Heard(prompt="mountains by the lake", seed=11, steps=3, sampler="ddim", **size),
            Heard(prompt="a cabin", seed=12, steps=5, sampler="euler_a", eta=1, **size),
            Heard(prompt="stars", negative_prompt="sunset", seed=13, steps=2, sampler="heun", **size),
            Heard(prompt="the lake", seed=14, steps=4, sampler="dpmpp_2m_sde", eta=0.7, **size),
            Heard(prompt="the cabin", seed=15, steps=3, guidance_scale=1, **size),
            Heard(prompt="a lake", seed=16, steps=2, guidance_scale=1, **size),
            Heard(prompt="stars at sunset", seed=17, steps=2, width=64, height=128),
        ]

    company = everyone()
    finish(Engine(lambda name: tiny_bundle), *company)  # noqa: ARG005
    for heard in everyone():
        finish(Engine(lambda name: tiny_bundle), heard)  # noqa: ARG005
        [together] = [each for each in company if each.task.recipe == heard.task.recipe]
        assert torch.equal(together.pixels, heard.pixels), heard.task.recipe
        assert torch.equal(heard.pixels, run(txt2img(heard.task.recipe, tiny_bundle), tiny_bundle))
