"""The end of a training step on a GPU: few launches, and no waiting for a result.

Parameters lie side by side in one buffer, and so do their gradients, running means and averages. AdamW and the average
of all weights are then one launch (kernels/adamw_ema.cu), in which the GPU reads the clipping factor itself.
"""

import numpy as np

from ..base.backend import array_module, to_device
from ..kernels import fused
from ..kernels.launch import launcher
from .optim import global_norm

APART = 64  # numbers: a parameter begins at a multiple of 256 bytes, at which every product is quick


class UpdateOnGPU:
    """clip_global_norm, MuonAdamW.step and EMA.update, in this order, of an optimiser and an average.

    Their arrays become views of buffers, in which AdamW's parameters come first. Names, shapes and values stay, so
    states are saved and loaded as usual.

    everywhere: see optim.global_norm. Where it asks other ranks, the host waits for it.
    """

    def __init__(self, optimizer, average, everywhere=dict):
        self.optimizer, self.average, self.everywhere = optimizer, average, everywhere
        adamw, muon = optimizer.adamw, optimizer.muon
        weights = {name: p.data for name, p in {**adamw.parameters, **muon.parameters}.items()}
        self.weights = side_by_side(weights)
        self.views = views(self.weights, weights)
        self.averages = side_by_side({name: average.average[name] for name in weights})
        average.average.update(views(self.averages, weights))
        self.slots = {}
        for optimiser in (adamw, muon):
            for slot, arrays in optimiser.slots.items():
                self.slots[slot] = side_by_side(arrays) if arrays else self.weights[:0].copy()
                optimiser.slots[slot] = views(self.slots[slot], arrays)

    def __call__(self, gradients, fraction, limit):
        """One update from a dict of name -> gradient, at `fraction` of the learning rates.

        Gradients are scaled so that their joint norm is at most `limit`. Returns the norm before, an array () on the
        device. If it isn't finite, the weights aren't either any more: the caller decides what to do.
        """
        adamw, muon = self.optimizer.adamw, self.optimizer.muon
        for name, view in self.views.items():
            parameter = self.average.parameters[name]
            if parameter.data is not view:  # the first time, or where another Run had it meanwhile
                view[...] = parameter.data
                parameter.data = view
        gradient = side_by_side({name: gradients[name] for name in self.views})
        xp = array_module(gradient)
        if self.everywhere is dict:
            norm = xp.sqrt(xp.vdot(gradient, gradient))
        else:
            norm = to_device(np.float32(global_norm(gradients, self.everywhere)))
        factor = limit / xp.maximum(norm, limit)
        updated = self.slots["mean"].size
        of_adamw, of_muon = gradient[:updated], gradient[updated:]
        if muon.parameters:
            of_muon *= factor
            nesterov = views(muon.accumulate(self.slots["momentum"], of_muon), muon.slots["momentum"])
            for names in muon.groups:
                muon.move(names, nesterov, fraction * muon.learning_rate)
        muon.steps += 1
        adamw.steps += 1
        fused.adamw_ema(
            self.weights,
            of_adamw,
            *(self.slots["mean"], self.slots["square"], self.averages),
            runner=launcher(),
            segments=[(updated, fraction * adamw.learning_rate, adamw.weight_decay)] * bool(updated),
            step=adamw.steps,
            share=self.average.count_update(),
            betas=adamw.betas,
            eps=adamw.eps,
            gradient_factor=factor,
        )
        return norm


def side_by_side(arrays):
    """The numbers of a dict of arrays in one new array. Each begins at a multiple of APART, with zeros between."""
    xp = array_module(*arrays.values())
    zeros = xp.zeros(APART, next(iter(arrays.values())).dtype)
    pieces = []
    for array in arrays.values():
        pieces += array.reshape(-1), zeros[: -array.size % APART]
    return xp.concatenate([piece for piece in pieces if piece.size])


def views(buffer, like):
    """Parts of an array that `side_by_side` made, named and shaped as the arrays of the dict `like`."""
    found, start = {}, 0
    for name, array in like.items():
        found[name] = buffer[start : start + array.size].reshape(array.shape)
        start += array.size + -array.size % APART
    return found
