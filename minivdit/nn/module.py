"""Module: an object whose attributes are weights and other modules; their names are the path to them."""

import hashlib

import numpy as np

from ..autograd import Tensor
from ..base.backend import array_module, to_device, to_numpy
from ..base.errors import InputError
from ..base.values import require_floats


class Parameter(Tensor):
    """A Tensor that training changes. It holds its own float32 copy, updated in place, so references stay valid."""

    __slots__ = ()

    def __init__(self, array):
        super().__init__(to_device(np.array(array, dtype=np.float32)), requires_grad=True)


class Buffer(Tensor):
    """A Tensor that is saved with the weights but not trained (such as the mean and deviation of latents)."""

    __slots__ = ()

    def __init__(self, array):
        super().__init__(to_device(np.array(array, dtype=np.float32)))


class Module:
    """Subclasses set Parameters, Buffers, Modules and lists of these as attributes, and define `forward`.

        class Pair(Module):
            def __init__(self, width, generator):
                self.layers = [Linear(width, width, generator) for _ in range(2)]

            def forward(self, x):
                return self.layers[1](ag.relu(self.layers[0](x)))

    There is nothing to register and no super().__init__() to call: weights are found by walking through the
    attributes, and their names are the paths to them ('layers.0.weight').
    """

    def __call__(self, *inputs, **options):
        return self.forward(*inputs, **options)

    def named_tensors(self):
        """Yield (name, Parameter or Buffer) in the order in which the attributes were set."""
        yield from _tensors_in(self, "")

    def parameters(self):
        """All trainable weights: dict of name -> Parameter, such as 'blocks.0.mlp.up.weight'."""
        return {name: tensor for name, tensor in self.named_tensors() if isinstance(tensor, Parameter)}

    def parameter_count(self):
        """How many trainable numbers the module has."""
        return sum(parameter.size for parameter in self.parameters().values())

    def state_dict(self):
        """Everything worth saving: dict of name -> array (the arrays themselves, not copies)."""
        return {name: tensor.data for name, tensor in self.named_tensors()}

    def load_state_dict(self, state):
        """Copy arrays into the weights, in place. Names and shapes must match exactly, and all values be finite.

        Raises InputError that names the first differences; then nothing has been changed.
        """
        own = self.state_dict()
        require_same(
            state,
            own,
            "these weights belong to another configuration",
            "build the model with the configuration that the weights were trained with",
        )
        require_floats({name: to_numpy(state[name]) for name in own}, "the weights")
        copy_state(state, own)


def require_same(state, expected, problem, cure):
    """Raise InputError unless two dicts of arrays and numbers have the same names and shapes.

    The message begins with the problem, names the first differences, and ends with the cure.
    """
    differences = (
        (sorted(expected.keys() - state.keys()), " missing"),
        (sorted(state.keys() - expected.keys()), " unexpected"),
        (
            [
                f"{name} is {np.shape(state[name])} instead of {np.shape(array)}"
                for name, array in expected.items()
                if name in state and np.shape(state[name]) != np.shape(array)
            ],
            "",
        ),
    )
    told = "; ".join(_some(names) + what for names, what in differences if names)
    if told:
        raise InputError(f"{problem}: {told}; {cure}")


def copy_state(source, destination):
    """Copy every array of the dict `source` into the array of that name in `destination`.

    Names and shapes must match, else InputError; then nothing was changed. Numbers only have to be there.
    """
    require_same(
        source, destination, "the state belongs to another model or optimiser", "load one that was saved from this one"
    )
    for name, array in destination.items():
        if hasattr(array, "shape"):
            xp = array_module(array)
            array[...] = to_numpy(source[name]) if xp is np else xp.asarray(source[name])


def fingerprint(*modules, dtype=np.float32):
    """Eight hexadecimal digits that change with any weight of these modules, as it is in this dtype."""
    digest = hashlib.sha256()
    for module in modules:
        for name, array in module.state_dict().items():
            digest.update(name.encode() + to_numpy(array).astype(dtype).tobytes())
    return digest.hexdigest()[:8]


def _tensors_in(value, name):
    """Walk through attributes and lists; `name` is the path so far."""
    if isinstance(value, (Parameter, Buffer)):
        yield name, value
        return
    children = {}
    if isinstance(value, Module):
        children = vars(value)
    elif isinstance(value, (list, tuple)):
        children = dict(enumerate(value))
    for step, child in children.items():
        yield from _tensors_in(child, f"{name}.{step}" if name else step)


def _some(names, limit=3):
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
