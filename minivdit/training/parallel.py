"""A shard is a smaller batch with its own tape: the gradients of a batch, computed by several threads.

NumPy lets go of Python's lock inside its loops and BLAS, so threads really run side by side. Each uses
one BLAS thread. The sum over shards is taken in their order, so the result depends on how many shards
there are but not on how many threads work on them, and is the same bit for bit in every run.
"""

import mmap

import numpy as np

from .. import autograd as ag
from ..base.backend import array_module
from ..base.sharing import Workers, batch_size, parallel_map, split_batch
from ..nn.optim import equal_groups


def parallel_gradients(loss_function, parameters, batch, shards=1, threads=1):
    """The mean loss over a batch and its gradients, shard by shard.

    loss_function: shard -> (scalar Tensor, the mean over the items of the shard; extras, a dict of anything).
    parameters: dict of name -> Parameter. batch: a dict of arrays.
    Returns (loss as a float, on a GPU as an array (), dict of name -> gradient, list of the shards' extras in order).
    """
    size = batch_size(batch)

    def work(shard):
        return shard_gradients(loss_function, parameters, shard, batch_size(shard) / size)

    return add_up(parallel_map(work, split_batch(batch, shards), threads), parameters, threads)


def shard_gradients(loss_function, parameters, shard, weight):
    """(loss, dict of name -> gradient, extras) of one shard, loss and gradients times its weight in the batch."""
    loss, extras = loss_function(shard)
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


class GradientWorkers:
    """Workers on the shards of a batch. Made once for a training: weights change in place and are seen by all.

    Everything else that the loss depends on must stay as it is. Use it in a `with` block.
    """

    def __init__(self, loss_function, parameters, shards, count):
        self.loss_function, self.parameters, self.shards = loss_function, parameters, shards
        self.workers = Workers(self._work, min(count, shards), "use a smaller batch, such as --set training.batch=8")
        for parameter, shared in zip(parameters.values(), _shared_arrays(parameters)):
            shared[...] = parameter.data
            parameter.data = shared
        # What a forked process finds out is handed over here; this one's own shards keep what they made.
        elsewhere = [shard for shard in range(shards) if shard % self.workers.count]
        self.gradients = {shard: dict(zip(parameters, _shared_arrays(parameters))) for shard in elsewhere}

    def __enter__(self):
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)

    def __call__(self, batch):
        """The mean loss over a batch and its gradients; see parallel.parallel_gradients."""
        parts = split_batch(batch, self.shards)
        shares = [batch_size(part) / batch_size(batch) for part in parts]
        results = self.workers(enumerate(zip(parts, shares)))
        return add_up(
            [(loss, found or self.gradients[shard], extras) for shard, (loss, found, extras) in enumerate(results)],
            self.parameters,
            self.workers.count,
        )

    def _work(self, numbered):
        shard, (part, share) = numbered
        loss, found, extras = shard_gradients(self.loss_function, self.parameters, part, share)
        if shard not in self.gradients:
            return loss, found, extras
        for name, gradient in found.items():
            self.gradients[shard][name][...] = gradient
        return loss, None, extras


def _shared_arrays(parameters):
    """Zeros shaped like the parameters, in memory that forked processes share."""
    sizes = [parameter.size for parameter in parameters.values()]
    memory = np.frombuffer(mmap.mmap(-1, max(1, 4 * sum(sizes))), np.float32)
    ends = np.cumsum(sizes)
    return [memory[end - p.size : end].reshape(p.shape) for end, p in zip(ends, parameters.values())]
