from __future__ import annotations

import torch

from models.noise import NoiseSource, slerp

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


def test_a_subseed_turns_the_first_draw_only() -> None:
    plain, varied = NoiseSource(1, SHAPE), NoiseSource(1, SHAPE, subseed=2, subseed_strength=0.3)

    assert not torch.equal(plain(), varied())
    assert torch.equal(plain(), varied())


def test_the_whole_way_to_the_subseed_is_its_noise_and_no_way_is_the_seeds() -> None:
    torch.testing.assert_close(NoiseSource(1, SHAPE, subseed=2, subseed_strength=1.0)(), NoiseSource(2, SHAPE)())
    assert torch.equal(NoiseSource(1, SHAPE, subseed=2, subseed_strength=0.0)(), NoiseSource(1, SHAPE)())


def test_the_noise_is_turned_as_in_the_web_ui() -> None:
    """The web UI's formula, written for its noise (C, h, w), in float64."""
    one, other = (NoiseSource(seed, SHAPE)()[0].double() for seed in (1, 2))
    unit = [noise / noise.norm(dim=1, keepdim=True) for noise in (one, other)]
    omega = torch.acos((unit[0] * unit[1]).sum(1)).unsqueeze(1)

    wanted = (torch.sin(0.7 * omega) * one + torch.sin(0.3 * omega) * other) / torch.sin(omega)

    found = NoiseSource(1, SHAPE, subseed=2, subseed_strength=0.3)()
    torch.testing.assert_close(found[0], wanted.float(), rtol=1e-5, atol=1e-6)


def test_turning_halfway_keeps_the_spread_of_the_noise() -> None:
    shape = (1, 4, 64, 64)
    assert 0.95 < float(NoiseSource(1, shape, subseed=2, subseed_strength=0.5)().std()) < 1.05


def test_the_same_seed_twice_is_itself() -> None:
    assert torch.equal(NoiseSource(1, SHAPE, subseed=1, subseed_strength=0.5)(), NoiseSource(1, SHAPE)())


def test_opposite_noise_gives_numbers() -> None:
    noise = NoiseSource(1, SHAPE)()
    assert bool(slerp(noise, -noise, 0.5).isfinite().all())
