"""A shard is a smaller batch with its own tape: the gradients of a batch, computed by several threads.

NumPy lets go of Python's lock inside its loops and BLAS, so threads really run side by side. Each uses
one BLAS thread. The sum over shards is taken in their order, so the result depends on how many shards
there are but not on how many threads work on them, and is the same bit for bit in every run.
"""

import functools
import itertools
import os
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from .. import autograd as ag
from ..backend import array_module, blas_threads
from ..optim import equal_groups

POOL = "minivdit-pool"  # how the names of its threads begin


@functools.lru_cache(maxsize=8)
def _pool(threads):
    return ThreadPoolExecutor(threads, thread_name_prefix=POOL)


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def parallel_map(function, items, threads):
    """The list of function(item), in the order of the items; the first error of any of them is raised.

    None of them is still at work afterwards, not even after an error.
    """
    with blas_threads(1):
        if threads <= 1:
            return [function(item) for item in items]
        futures = [_pool(threads).submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:  # after an error or Ctrl-C, don't start what hasn't begun
            for future in futures:
                future.cancel()
            wait(futures)


def batch_size(batch):
    """The common length of the first axis of all arrays of a batch (a dict or tuple of arrays)."""
    sizes = {len(array) for array in _arrays(batch)}
    if len(sizes) != 1:
        raise ValueError(f"the arrays of a batch must have one length along axis 0, not {sorted(sizes)}")
    return sizes.pop()


def split_batch(batch, shards):
    """Cut a batch into `shards` batches of nearly equal size (views); fewer if it has fewer items."""
    size = batch_size(batch)
    count = max(1, min(shards, size))
    edges = [size * i // count for i in range(count + 1)]
    return [_take(batch, slice(low, high)) for low, high in itertools.pairwise(edges)]


def parallel_gradients(loss_function, parameters, batch, shards=1, threads=1):
    """The mean loss over a batch and its gradients, shard by shard.

    loss_function: shard -> scalar Tensor, the mean over the items of the shard; or (Tensor, extras)
    with extras a dict of anything. parameters: dict of name -> Parameter. batch: a dict or tuple of arrays.
    Returns (loss as a float, on a GPU as an array (), dict of name -> gradient, list of the shards' extras in order).
    """
    size = batch_size(batch)

    def work(shard):
        return shard_gradients(loss_function, parameters, shard, batch_size(shard) / size)

    return add_up(parallel_map(work, split_batch(batch, shards), threads), parameters, threads)


def shard_gradients(loss_function, parameters, shard, weight):
    """(loss, dict of name -> gradient, extras) of one shard, loss and gradients times its weight in the batch."""
    result = loss_function(shard)
    loss, extras = result if isinstance(result, tuple) else (result, {})
    # Started with the shard's weight in place of 1, the gradients come out weighted.
    cotangent = array_module(loss.data).full_like(loss.data, weight)
    gradients = dict(zip(parameters, ag.gradients(loss, parameters.values(), cotangent)))
    on_cpu = array_module(loss.data) is np
    return weight * (float(loss.data) if on_cpu else loss.data), gradients, extras  # reading it would wait for a GPU


def add_up(results, parameters, threads=1):
    """The sum of what `shard_gradients` gave for all shards, in their order; the first one's arrays become the sum."""
    losses, (totals, *others), extras = zip(*results)

    def add(names):
        for name in names:
            for gradients in others:
                totals[name] += gradients[name]

    if others:
        parallel_map(add, equal_groups(parameters), threads)
    return sum(losses), totals, list(extras)


def _arrays(batch):
    return list(batch.values()) if isinstance(batch, dict) else list(batch)


def _take(batch, rows):
    if isinstance(batch, dict):
        return {name: array[rows] for name, array in batch.items()}
    return tuple(array[rows] for array in batch)
