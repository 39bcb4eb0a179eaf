"""What the weights of a prompt's parts do to the text encoder's states."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def weigh(states: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the states (tokens, D) of one chunk with each token weighted, and their mean as it was.

    With the states z, the weights w and means over all tokens and channels of the chunk, begin, end and padding
    (weight 1) included: z'[i] = w[i] z[i], and the result is z' * mean(z) / mean(z'), as in AUTOMATIC1111's web UI.
    Without any weight but 1 the states are returned as they are.
    """
    if all(weight == 1 for weight in weights):
        return states
    weighted = states * states.new_tensor(weights)[:, None]
    return weighted * (states.mean() / weighted.mean())
