"""The end of a training step by loops that Numba compiles: each parameter is read once and written once."""

import math

from ..autograd.compiled.compiler import whole
from ..autograd.compiled.update_loops import adamw_and_average, muon_and_average
from .optim import NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS, fused_parts, global_norm


class UpdateCompiled:
    """What optim.Update does, in one pass over each parameter. States are the optimiser's and the average's own."""

    def __init__(self, optimizer, average, everywhere=dict):
        self.optimizer, self.average, self.everywhere = optimizer, average, everywhere

    def __call__(self, gradients, fraction, limit):
        """As optim.Update; gradients are left as they are."""
        norm = global_norm(gradients, self.everywhere)
        if not math.isfinite(norm):
            return norm
        factor, share = limit / max(norm, limit), self.average.count_update()
        for optimiser, function in ((self.optimizer.muon, self._muon), (self.optimizer.adamw, self._adamw)):
            optimiser.steps += 1
            optimiser.for_each_group(function, gradients, factor, fraction * optimiser.learning_rate, share)
        return norm

    def _adamw(self, names, gradients, factor, rate, share):
        adamw, (beta1, beta2) = self.optimizer.adamw, self.optimizer.adamw.betas
        numbers = (
            *(factor, beta1, 1 - beta1, beta2, 1 - beta2, rate / (1 - beta1**adamw.steps)),
            *(1 / math.sqrt(1 - beta2**adamw.steps), adamw.eps, 1 - rate * adamw.weight_decay, share),
        )
        for name in names:
            slots = adamw.slots["mean"][name], adamw.slots["square"][name], self.average.average[name]
            weights = adamw.parameters[name].data
            arrays = [array.reshape(-1) for array in (weights, whole(gradients[name]), *slots)]
            adamw_and_average(0, weights.size, *arrays, tuple(map(weights.dtype.type, numbers)))

    def _muon(self, names, gradients, factor, rate, share):
        muon = self.optimizer.muon
        for name in names:
            weights, parts = muon.parameters[name].data, fused_parts(name)
            rows, columns = weights.shape
            step = rate * math.sqrt(max(1.0, columns / parts / rows))
            numbers = factor, muon.momentum, step, 1 - rate * muon.weight_decay, share
            number = weights.dtype.type
            arrays = weights, whole(gradients[name]), muon.slots["momentum"][name], self.average.average[name]
            muon_and_average(
                0, parts, *arrays, tuple(map(number, numbers)), tuple(map(number, NEWTON_SCHULZ)),
                NEWTON_SCHULZ_STEPS, parts,
            )  # fmt: skip
