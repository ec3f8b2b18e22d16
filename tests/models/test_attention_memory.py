"""Fused attention never holds all scores: memory grows with the number of tokens, not with its square."""

import tracemalloc

import numpy as np
import pytest

from minivdit import autograd as ag

TOKENS = 4096
ALL_SCORES = 4 * TOKENS**2  # bytes, 64 MiB


def peak_of(operation, large):
    generator = np.random.default_rng(0)
    q, k, v = generator.standard_normal((3, 1, TOKENS, 8), dtype=np.float32)
    inputs = [ag.Tensor(a, requires_grad=True) for a in (q * (50 if large else 1), k, v)]
    time = np.arange(TOKENS, dtype=np.int32) // 64
    tracemalloc.start()
    try:
        output = operation(*inputs, query_time=time, key_time=time)
        forward = tracemalloc.get_traced_memory()[1]
        ag.gradients(output, inputs, output.data)
        return forward, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("large", [False, True], ids=["small scores", "large scores"])
def test_attention_over_4096_tokens_stays_far_below_its_scores(large):
    forward, backward = peak_of(ag.attention, large)
    assert forward < ALL_SCORES / 10
    assert backward < ALL_SCORES / 10


def test_the_measure_sees_the_scores_of_the_simple_twin():
    forward, _ = peak_of(ag.simple_attention, False)
    assert forward > ALL_SCORES
