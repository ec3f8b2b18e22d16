"""The end of a training step: gradients are clipped, weights moved, and their average after them."""

import math

from ..autograd.engine import twins
from ..base.backend import twins_for
from .optim import clip_global_norm


class Update:
    """clip_global_norm, MuonAdamW.step and EMA.update, in this order, of an optimiser and an average.

    everywhere: see global_norm.
    """

    def __init__(self, optimizer, average, everywhere=dict):
        self.optimizer, self.average, self.everywhere = optimizer, average, everywhere

    def __call__(self, gradients, fraction, limit):
        """One update from a dict of name -> gradient, at `fraction` of the learning rates.

        Gradients are scaled so that their joint norm is at most `limit`. Returns the norm before; if it isn't finite,
        nothing has changed.
        """
        norm = clip_global_norm(gradients, limit, self.everywhere)
        if math.isfinite(norm):
            self.optimizer.step(gradients, fraction)
            self.average.update()
        return norm


def make_update(optimizer, average, everywhere=dict):
    """The Update of these two by what computes operations on the parameters: plain, compiled, or on a GPU."""
    arrays = [parameter.data for parameter in average.parameters.values()]
    kind = twins_for(*arrays) if arrays else None
    if kind == "gpu":
        from .optim_on_gpu import UpdateOnGPU

        return UpdateOnGPU(optimizer, average, everywhere)
    if kind == "compiled" and twins(kind) and all(array.flags.carray for array in arrays):
        from .optim_compiled import UpdateCompiled  # only here, since it imports Numba

        return UpdateCompiled(optimizer, average, everywhere)
    return Update(optimizer, average, everywhere)
