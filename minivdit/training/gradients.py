"""The gradients of a batch: its shards are worked on by ranks, and in each by processes or threads, and added up."""

import itertools

import numpy as np

from .. import autograd as ag
from ..base import backend
from ..base.ranks import Ranks
from ..base.sharing import Workers, batch_size, parallel_map, shared_memory, split_batch
from ..nn.optim import equal_groups
from .spread import Spread


class GradientWorkers:
    """Compute the gradients of a batch: called with one, they share out its shards.

    Threads do that; inside a `with` block processes, where they can be forked. These see weights change in place, but
    everything else that the loss depends on must stay as it is.

    loss_function: shard -> (scalar Tensor, the mean over the items of the shard; extras, a dict of anything).
    parameters: dict of name -> Parameter. shards: into how many parts to cut. count: how many work on them.
    spread: the Spread of the parameters over ranks, of which each works on its shards; by default this one does all.
    """

    def __init__(self, loss_function, parameters, shards=1, count=1, spread=None):
        self.loss_function, self.parameters, self.shards = loss_function, parameters, shards
        self.spread = spread or Spread(parameters, Ranks())
        self.workers = Workers(self._work, min(count, shards), "use a smaller batch, such as --set training.batch=8")
        self.handed_over = {}  # shard -> its gradients in shared memory, where another process works on it

    def __enter__(self):
        ag.load_twins()
        if self.workers.will_fork():
            weights = {name: parameter.data for name, parameter in self.parameters.items()}
            for name, shared in shared_memory(weights).items():
                shared[...] = weights[name]
                self.parameters[name].data = shared
            elsewhere = [shard for shard in range(self.shards) if shard % self.workers.count]
            self.handed_over = {shard: shared_memory(weights) for shard in elsewhere}
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)
        self.handed_over = {}

    def __call__(self, batch):
        """(mean loss, dict of name -> gradient, list of the shards' extras in order) of a batch, a dict of arrays.

        Of several ranks, each gets the gradients of its own parameters, and all get the rest. The loss is a float; on a
        single GPU it is an array (), since reading it would have to wait.
        """
        batch = {name: backend.to_device(array) for name, array in batch.items()}
        parts = split_batch(batch, self.shards)
        weights = [batch_size(part) / batch_size(batch) for part in parts]
        shards = self.spread.ranks.part(len(parts))
        with backend.blas_threads(1):
            results = self.workers((shard, parts[shard], weights[shard]) for shard in shards)
        gradients = [found or self.handed_over[shard] for shard, (_, found, _) in zip(shards, results)]
        told = [(loss, extras) for loss, _, extras in results]
        if self.spread.ranks.size > 1:
            told = [(float(loss), {name: backend.to_numpy(a) for name, a in more.items()}) for loss, more in told]
        losses, extras = zip(*itertools.chain(*self.spread.ranks.meet(told)))
        gradients = add_up(self.spread.exchange(gradients, len(parts)), self.spread.own, self.workers.count)
        return sum(losses), gradients, list(extras)

    def _work(self, item):
        shard, part, weight = item
        loss, gradients, extras = shard_gradients(self.loss_function, self.parameters, part, weight)
        if shard not in self.handed_over:
            return loss, gradients, extras
        for name, gradient in gradients.items():
            self.handed_over[shard][name][...] = gradient
        return loss, None, extras


def shard_gradients(loss_function, parameters, shard, weight):
    """(loss, dict of name -> gradient, extras) of one shard, loss and gradients times its weight in the batch."""
    loss, extras = loss_function(shard)
    # Begun with the shard's weight in place of 1, the gradients come out weighted.
    cotangent = backend.array_module(loss.data).full_like(loss.data, weight)
    gradients = dict(zip(parameters, ag.gradients(loss, parameters.values(), cotangent)))
    on_cpu = backend.array_module(loss.data) is np
    return weight * (float(loss.data) if on_cpu else loss.data), gradients, extras


def add_up(gradients, parameters, threads=1):
    """The sum of the gradients of all shards, dicts, in their order; the first one's arrays become the sum."""
    totals, *others = gradients

    def add(names):
        for name in names:
            for other in others:
                totals[name] += other[name]

    if others:
        parallel_map(add, equal_groups(parameters), threads)
    return totals
