"""Shards: the same gradients however many threads work on them, and those of the whole batch."""

import threading

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.sharing import batch_size, parallel_map, split_batch
from minivdit.nn import Linear
from minivdit.training.gradients import GradientWorkers

GENERATOR = np.random.default_rng(0)
LAYER = Linear(5, 4, GENERATOR)
BATCH = {name: GENERATOR.standard_normal((11, width), dtype=np.float32) for name, width in (("x", 5), ("y", 4))}


def loss(shard):
    return ag.mean_squared_error(ag.gelu(LAYER(shard["x"])), shard["y"]), {"rows": shard["x"][:, 0]}


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 11, 50])
def test_gradients_are_those_of_the_whole_batch(shards):
    expected, _ = loss(BATCH)
    grads = ag.gradients(expected, LAYER.parameters().values())
    value, ours, extras = GradientWorkers(loss, LAYER.parameters(), shards, 2)(BATCH)
    assert value == pytest.approx(expected.item(), rel=1e-5)
    assert list(ours) == ["weight", "bias"]
    for theirs, own in zip(grads, ours.values()):
        np.testing.assert_allclose(own, theirs, rtol=1e-4, atol=1e-6)
        assert own.dtype == np.float32
    assert len(extras) == min(shards, 11)
    assert np.array_equal(np.concatenate([part["rows"] for part in extras]), BATCH["x"][:, 0])


def test_number_of_threads_changes_no_bit():
    results = [GradientWorkers(loss, LAYER.parameters(), 4, threads)(BATCH) for threads in (1, 2, 3, 7, 2)]
    for value, grads, _ in results[1:]:
        assert value == results[0][0]
        assert all(np.array_equal(grads[name], results[0][1][name]) for name in grads)


def test_shards_run_at_the_same_time():
    """Two shards that wait for each other can only finish side by side."""
    meeting = threading.Barrier(2, timeout=10)

    def work(item):
        meeting.wait()
        return item + 1

    assert parallel_map(work, [1, 2], threads=2) == [2, 3]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_shard_is_raised_here(threads):
    def broken(shard):
        if BATCH["x"][5, 0] in shard["x"]:
            raise ZeroDivisionError("in shard 2")
        return loss(shard)

    with pytest.raises(ZeroDivisionError, match="in shard 2"):
        GradientWorkers(broken, LAYER.parameters(), 4, threads)(BATCH)
    assert GradientWorkers(loss, LAYER.parameters(), 4, threads)(BATCH)[0] > 0  # the pool lives on


def test_shards_cover_the_batch_in_order():
    for shards in (1, 2, 3, 4, 5, 11):
        parts = split_batch(BATCH, shards)
        assert len(parts) == shards
        assert max(map(batch_size, parts)) - min(map(batch_size, parts)) <= 1
        assert np.array_equal(np.concatenate([part["y"] for part in parts]), BATCH["y"])


def test_arrays_of_different_length_are_an_error():
    with pytest.raises(ValueError, match=r"not \[2, 3\]"):
        split_batch({"a": np.zeros(3), "b": np.zeros(2)}, 2)
