"""What weights do to states, against the formula in numpy and in a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from models.bundle import Bundle
from models.calls import Encode, Predict
from models.checkpoint.loading import load
from models.emphasis import weigh
from models.noise import NoiseSource
from models.prompt import PromptError
from models.tokenizer import Tokenizer

FLOAT32 = 1e-5


@pytest.fixture(scope="module")
def bundle(checkpoint_of: Callable[[str], Path]) -> Bundle:
    return load(checkpoint_of("sd1"))


def encode(bundle: Bundle, prompt: str, clip_skip: int = 1) -> torch.Tensor:
    return bundle.answer([Encode(prompt, clip_skip)])[0]


def test_it_multiplies_and_then_restores_the_mean() -> None:
    states = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)) + 0.5
    weights = (1.0, 1.5, 0.5, -1.0, 1.0)

    found = weigh(states, weights)

    z = states.numpy().astype("float64")
    weighted = z * numpy.array(weights)[:, None]
    numpy.testing.assert_allclose(found.numpy(), weighted * (z.mean() / weighted.mean()), rtol=FLOAT32)
    assert float(found.mean()) == pytest.approx(float(states.mean()), rel=FLOAT32)


def test_without_weights_the_states_are_the_same_object() -> None:
    states = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    assert weigh(states, (1.0,) * 5) is states


def test_emphasis_weighs_the_states_of_the_bare_prompt(bundle: Bundle) -> None:
    (chunk,) = Tokenizer().chunks("a (cat:1.4) by a [lake]")
    assert torch.equal(
        encode(bundle, "a (cat:1.4) by a [lake]"), weigh(encode(bundle, "a cat by a lake"), chunk.weights)
    )


def test_brackets_that_cancel_out_change_nothing(bundle: Bundle) -> None:
    assert torch.equal(encode(bundle, "a (cat:1.0) by a lake"), encode(bundle, "a cat by a lake"))


def test_a_long_prompt_has_the_states_of_its_chunks_one_after_the_other(bundle: Bundle) -> None:
    found = encode(bundle, "cat " * 75 + "dog " * 3)
    assert found.shape == (154, bundle.config.context_width)
    assert torch.equal(found, torch.cat([encode(bundle, "cat " * 75), encode(bundle, "dog dog dog")]))
    assert torch.equal(encode(bundle, "cat BREAK dog"), torch.cat([encode(bundle, "cat"), encode(bundle, "dog")]))


def test_predictions_of_long_prompts_are_equal_to_the_bit_in_company(bundle: Bundle) -> None:
    long, short = (encode(bundle, text) for text in ("cat " * 80, "dog BREAK (lake:1.3)"))
    calls = [
        Predict(sample=NoiseSource(seed, (1, 4, 8, 8))(), timestep=500.0 + seed, conds=conds, step=0, steps=1)
        for seed, conds in enumerate([(long, short), (short, long), (long,)])
    ]
    for call, answer in zip(calls, bundle.answer(calls), strict=True):
        assert torch.equal(answer, bundle.answer([call])[0])


def test_the_mean_is_restored_in_each_chunk(bundle: Bundle) -> None:
    found = encode(bundle, "(cat:1.5) BREAK dog")
    assert torch.equal(found, torch.cat([encode(bundle, "(cat:1.5)"), encode(bundle, "dog")]))


def test_clip_skip_belongs_to_what_is_remembered(bundle: Bundle) -> None:
    last, earlier = encode(bundle, "a cat"), encode(bundle, "a cat", 2)
    assert not torch.allclose(last, earlier)
    assert torch.equal(encode(bundle, "a cat"), last)


def test_a_layer_that_the_checkpoint_lacks_is_refused(bundle: Bundle) -> None:
    with pytest.raises(PromptError, match="clip_skip is 9"):
        encode(bundle, "a cat", 9)
