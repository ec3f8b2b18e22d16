"""Optimisers: AdamW, Muon, and both at once; averaging, clipping and the schedule of the rate.

They take `parameters`, a dict of name -> Tensor, and update `parameter.data` in place from a dict of
name -> gradient array, with a temporary array or two the size of one parameter. What AdamW and Muon compute is
easier to read in their simple twins, which the tests hold equal. `state_dict()` is a flat dict of arrays and numbers
(the arrays themselves, not copies), and is all there is to save.
"""

import contextlib
import math

import numpy as np

from ..autograd.arrays import transposed
from ..base.backend import array_module
from .module import copy_state


class _Slots:
    """What AdamW, Muon and EMA share: a count of steps, and slots, which are arrays beside every parameter.

    They go through the parameters in groups. map: how; the `map` of a thread pool uses several cores, with the same
    result.
    """

    def __init__(self, parameters, slots, map):
        self.parameters = dict(parameters)
        self.steps = 0
        self.slots = {
            slot: {name: array_module(p.data).zeros_like(p.data) for name, p in self.parameters.items()}
            for slot in slots
        }
        self.map, self.groups = map, equal_groups(self.parameters)

    def for_each_group(self, function, *arguments):
        """Call function(names, *arguments) for each group."""
        for _ in self.map(lambda names: function(names, *arguments), self.groups):
            pass

    def state_dict(self):
        arrays = {f"{slot}.{name}": a for slot, named in self.slots.items() for name, a in named.items()}
        return {"steps": self.steps, **arrays}

    def load_state_dict(self, state):
        """Copy a saved state; InputError where a name or a shape differs."""
        copy_state(state, self.state_dict())
        self.steps = int(state["steps"])


class _Optimiser(_Slots):
    """AdamW or Muon: learning_rate is the size of a step, weight_decay the share of each parameter, times the
    learning rate, that a step takes away."""

    def __init__(self, parameters, slots, learning_rate, weight_decay, map):
        super().__init__(parameters, slots, map)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay

    def step(self, gradients, learning_rate=None):
        """One update; `learning_rate`, if given, replaces the constructor's for this step."""
        self.steps += 1
        self.for_each_group(self.update, gradients, self.learning_rate if learning_rate is None else learning_rate)


def simple_adamw(weights, gradient, mean, square, step, rate, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0):
    """What AdamW does to one array in its `step`-th step (from 1): the new weights, mean and square."""
    beta1, beta2 = betas
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    # Both means start at zero; divided by these factors they are no longer biased towards it.
    direction = mean / (1 - beta1**step) / ((square / (1 - beta2**step)) ** 0.5 + eps)
    return (1 - rate * weight_decay) * weights - rate * direction, mean, square


class AdamW(_Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2); see `simple_adamw`.

    learning_rate: about how far each number moves in a step. betas: how slowly the running means of the gradient and
    of its square forget.
    """

    def __init__(self, parameters, learning_rate=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, map=map):
        super().__init__(parameters, ("mean", "square"), learning_rate, weight_decay, map)
        self.betas, self.eps = betas, eps

    def update(self, names, gradients, rate):
        """Update the parameters of these names in place."""
        beta1, beta2 = self.betas
        step_size = rate / (1 - beta1**self.steps)
        square_bias = math.sqrt(1 - beta2**self.steps)
        for name in names:
            gradient, weights = gradients[name], self.parameters[name].data
            mean, square = self.slots["mean"][name], self.slots["square"][name]
            xp = array_module(weights)
            scratch = xp.multiply(gradient, 1 - beta1, out=xp.empty_like(weights))  # the one temporary
            mean *= beta1
            mean += scratch
            xp.multiply(gradient, gradient, out=scratch)
            scratch *= 1 - beta2
            square *= beta2
            square += scratch
            xp.sqrt(square, out=scratch)
            scratch /= square_bias
            scratch += self.eps
            xp.divide(mean, scratch, out=scratch)
            scratch *= step_size
            if self.weight_decay:
                weights *= 1 - rate * self.weight_decay
            weights -= scratch


def equal_groups(parameters, count=4):
    """The names of parameters in `count` lists (or fewer) with about equally many numbers, for threads to share."""
    groups, sizes = [[] for _ in range(count)], [0] * count
    for name, parameter in sorted(parameters.items(), key=lambda item: -item[1].size):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(name)
        sizes[smallest] += parameter.size
    return [group for group in groups if group]


def simple_muon(weights, gradient, momentum, rate, beta=0.95, weight_decay=0.0):
    """What Muon does to one matrix (in, out) in a step: the new weights and momentum."""
    inputs, outputs = weights.shape
    momentum = beta * momentum + gradient
    nesterov = beta * momentum + gradient  # what the momentum would be if the same gradient came again
    direction = math.sqrt(max(1.0, outputs / inputs)) * orthogonalise(nesterov)
    return (1 - rate * weight_decay) * weights - rate * direction, momentum


class Muon(_Optimiser):
    """Momentum, orthogonalised (Keller Jordan, 2024): every direction of a matrix moves equally far; see `simple_muon`.

    For 2-D matrices of shape (in, out) only. The update is the orthogonal matrix nearest to the Nesterov
    momentum, times sqrt(out / in) where that is above 1. (Papers that store (out, in) write
    rows / columns.) A matrix that holds several fused side by side, such as queries, keys and values
    in one (in, 3 * in), is treated as the separate ones: `fused_parts` says how many there are.
    """

    def __init__(self, parameters, learning_rate=0.006, momentum=0.95, weight_decay=0.0, map=map):
        super().__init__(parameters, ("momentum",), learning_rate, weight_decay, map)
        self.momentum = momentum
        groups = {}  # on a GPU, which wants few large launches, all matrices of a shape go together
        for name, parameter in self.parameters.items():
            if parameter.data.ndim != 2:
                raise ValueError(f"Muon is for matrices, but {name!r} has shape {parameter.data.shape}")
            rows, columns = parameter.shape
            alike = name if array_module(parameter.data) is np else (rows, columns // fused_parts(name))
            groups.setdefault(alike, []).append(name)
        self.groups = list(groups.values())

    def update(self, names, gradients, rate):
        """Update the matrices of these names, one of `groups`, in place."""
        momentum = self.slots["momentum"]
        self.move(names, {name: self.accumulate(momentum[name], gradients[name]) for name in names}, rate)

    def accumulate(self, momentum, gradient):
        """Add a gradient to the momentum, in place, and return the Nesterov momentum."""
        momentum *= self.momentum
        momentum += gradient
        nesterov = momentum * self.momentum
        nesterov += gradient
        return nesterov

    def move(self, names, nesterov, rate):
        """Move the matrices of a group along the orthogonalised Nesterov momentum of each."""
        separate, places = [], {}
        for name in names:
            before = len(separate)
            separate += array_module(nesterov[name]).split(nesterov[name], fused_parts(name), axis=1)
            places[name] = slice(before, len(separate))
        update = orthogonalise(array_module(*separate).stack(separate))  # (matrices, in, out / parts)
        _, rows, columns = update.shape
        update *= rate * math.sqrt(max(1.0, columns / rows))
        for name, place in places.items():
            weights = self.parameters[name].data
            if self.weight_decay:
                weights *= 1 - rate * self.weight_decay
            by_part = weights.reshape(rows, -1, columns).swapaxes(0, 1)  # a view
            by_part -= update[place]


NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS = (3.4445, -4.7750, 2.0315), 5


def orthogonalise(matrices, steps=NEWTON_SCHULZ_STEPS):
    """Bring all singular values of a stack of matrices (..., n, m) close to 1, keeping the directions.

    Newton-Schulz with Keller Jordan's quintic s -> 3.4445 s - 4.7750 s^3 + 2.0315 s^5. Its coefficients
    rise fast from 0 rather than settle: after 5 steps the values lie in about 0.7 to 1.2, close
    enough for an optimiser.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = transposed(matrices) if tall else matrices  # the Gram matrix is then the smaller of the two
    x = x / ((x * x).sum(axis=(-2, -1), keepdims=True) ** 0.5 + 1e-7)  # no singular value above 1
    diagonal = array_module(x).arange(x.shape[-2])
    for _ in range(steps):
        gram = x @ transposed(x)
        polynomial = gram @ gram
        polynomial *= c
        gram *= b
        polynomial += gram
        polynomial[..., diagonal, diagonal] += a
        x = polynomial @ x  # a x + b (x x') x + c (x x')^2 x
    return transposed(x) if tall else x


_FUSED = {"qkv": 3, "kv": 2}


def fused_parts(name):
    """How many matrices lie side by side in the parameter of this name: by its layer's name, such as 'qkv'."""
    layer = name.split(".")[-2] if "." in name else name
    return _FUSED.get(layer, 1)


def is_hidden_matrix(name, parameter):
    """Whether Muon takes this parameter: a matrix inside the video blocks (attention, MLP), but no modulation.

    Everything else goes to AdamW: the text encoder, biases, norms, input and output layers, and modulation,
    which Muon doesn't train at all.
    """
    return name.startswith("blocks.") and parameter.data.ndim == 2 and "modulation" not in name


class MuonAdamW:
    """Muon for the parameters that `is_hidden_matrix` picks, AdamW for all others.

    With matrix_learning_rate 0 (or no such parameter) this is AdamW.
    """

    def __init__(self, parameters, learning_rate=1e-3, matrix_learning_rate=0.006, weight_decay=0.0, map=map):
        matrices = {n: p for n, p in parameters.items() if matrix_learning_rate and is_hidden_matrix(n, p)}
        others = {n: p for n, p in parameters.items() if n not in matrices}
        self.muon = Muon(matrices, matrix_learning_rate, weight_decay=weight_decay, map=map)
        self.adamw = AdamW(others, learning_rate, weight_decay=weight_decay, map=map)

    def step(self, gradients, fraction=1.0):
        """One update, at `fraction` of both learning rates (see warmup_cosine)."""
        for optimiser in (self.muon, self.adamw):
            optimiser.step(gradients, fraction * optimiser.learning_rate)

    def state_dict(self):
        both = {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}
        return {f"{kind}.{name}": value for kind, state in both.items() for name, value in state.items()}

    def load_state_dict(self, state):
        """Copy a saved state; InputError where a name or a shape differs."""
        copy_state(state, self.state_dict())
        for kind, optimiser in (("muon", self.muon), ("adamw", self.adamw)):
            optimiser.steps = int(state[f"{kind}.steps"])


class EMA(_Slots):
    """An exponential moving average of the weights, which draws better than the weights themselves.

    decay: how much of the average an update keeps. With warmup that is min(decay, (1 + n) / (10 + n))
    after n updates: the start is forgotten soon, and a short training has a useful average, too.
    """

    def __init__(self, parameters, decay=0.999, warmup=True, map=map):
        super().__init__(parameters, (), map)
        self.decay, self.warmup = decay, warmup
        self.average = self.slots["average"] = {name: p.data.copy() for name, p in self.parameters.items()}

    def update(self):
        """Move the average towards the present weights."""
        self.for_each_group(self._update, self.count_update())

    def count_update(self):
        """Count one more update; returns the share of the weights in the new average."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        self.steps += 1
        return 1 - decay

    def _update(self, names, share):
        for name in names:
            step = self.parameters[name].data - self.average[name]
            step *= share
            self.average[name] += step

    @contextlib.contextmanager
    def applied(self):
        """Inside this block the parameters hold the average; afterwards their own weights again."""
        weights = {name: p.data for name, p in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data = self.average[name]
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = weights[name]


def global_norm(gradients, everywhere=dict):
    """The joint Euclidean norm of all gradients of a dict.

    everywhere: a function from the squares of these, by name, to those of all gradients, where others have some.
    """
    squares = everywhere({name: array_module(g).vdot(g, g) for name, g in gradients.items()})
    return math.sqrt(float(sum(squares.values())))


def clip_global_norm(gradients, limit, everywhere=dict):
    """Scale all gradients in place so that their joint Euclidean norm is at most `limit`; returns the norm before.

    A norm that is not finite is returned as it is and nothing is scaled: the caller decides. everywhere: as above.
    """
    norm = global_norm(gradients, everywhere)
    if limit < norm < math.inf:
        for gradient in gradients.values():
            gradient *= limit / norm
    return norm


def warmup_cosine(step, warmup, total, final_fraction=0.0):
    """The fraction of the learning rate at `step` (counted from 0) of `total`.

    It rises along a line over `warmup` steps, then falls along half a cosine to `final_fraction`.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))
