from __future__ import annotations

import torch

from models.noise import NoiseSource

SHAPE = (1, 4, 6, 5)


def test_the_first_draw_is_the_one_that_diffusers_makes() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(42), dtype=torch.float32)

    assert torch.equal(NoiseSource(42, SHAPE)(), expected)


def test_draws_differ_and_come_in_the_same_order_again() -> None:
    first, second = NoiseSource(42, SHAPE), NoiseSource(42, SHAPE)
    draws = [first() for _ in range(3)]

    assert not torch.equal(draws[0], draws[1])
    assert all(torch.equal(draw, second()) for draw in draws)


def test_two_images_do_not_share_their_randomness() -> None:
    alone, disturbed, other = NoiseSource(1, SHAPE), NoiseSource(1, SHAPE), NoiseSource(2, SHAPE)
    disturbed()
    other()

    alone()
    assert torch.equal(alone(), disturbed())


def test_the_global_random_state_stays_untouched() -> None:
    before = torch.get_rng_state()

    NoiseSource(42, SHAPE)()

    assert torch.equal(torch.get_rng_state(), before)


def test_the_largest_seed_works() -> None:
    assert bool(NoiseSource(2**53 - 1, SHAPE)().isfinite().all())
