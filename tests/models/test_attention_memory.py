"""Fused attention never holds all scores: memory grows with the number of tokens, not with its square."""

import tracemalloc

import numpy as np
import pytest

from minivdit import autograd as ag


def peaks(operation, tokens, large=False):
    """The most memory in use, as a share of all tokens x tokens scores: in the forward pass, and in all."""
    generator = np.random.default_rng(0)
    q, k, v = generator.standard_normal((3, 1, tokens, 8), dtype=np.float32)
    inputs = [ag.Tensor(a, requires_grad=True) for a in (q * (50 if large else 1), k, v)]
    time = np.arange(tokens, dtype=np.int32) // 64
    operation(*(x[..., :16, :] for x in (q, k, v)), query_time=time[:16], key_time=time[:16])  # loads what it needs
    tracemalloc.start()
    try:
        output = operation(*inputs, query_time=time, key_time=time)
        forward = tracemalloc.get_traced_memory()[1]
        ag.gradients(output, inputs, output.data)
        return forward / (4 * tokens**2), tracemalloc.get_traced_memory()[1] / (4 * tokens**2)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("large", [False, True], ids=["small scores", "large scores"])
def test_attention_over_4096_tokens_stays_far_below_its_scores(large):
    forward, both = peaks(ag.attention, 4096, large)
    assert forward < 0.1 and both < 0.1


def test_the_measure_sees_the_scores_of_the_simple_twin():
    forward, both = peaks(ag.simple_attention, 1024)
    assert forward > 1 and both > 1
