"""Module: an object whose attributes are weights and other modules; their names are the path to them."""

import hashlib

import numpy as np

from ..autograd import Tensor
from ..base.backend import to_device, to_numpy
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
    attributes, and named by the way there ('layers.0.weight').
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
        tensors = dict(self.named_tensors())
        missing, unexpected = sorted(tensors.keys() - state.keys()), sorted(state.keys() - tensors.keys())
        shapes = [
            f"{name} is {tuple(state[name].shape)} instead of {tensors[name].shape}"
            for name in tensors
            if name in state and tuple(state[name].shape) != tensors[name].shape
        ]
        problems = (
            [f"{_some(missing)} missing"] * bool(missing)
            + [f"{_some(unexpected)} unexpected"] * bool(unexpected)
            + [_some(shapes)] * bool(shapes)
        )
        if problems:
            raise InputError(
                f"these weights belong to another configuration: {'; '.join(problems)}; "
                "build the model with the configuration that the weights were trained with"
            )
        arrays = {name: to_numpy(state[name]) for name in tensors}
        require_floats(arrays, "the weights")
        for name, tensor in tensors.items():
            tensor.data[...] = to_device(arrays[name])


def fingerprint(*modules, dtype=np.float32):
    """Eight hexadecimal digits that change with any weight of these modules, as it is in this dtype."""
    digest = hashlib.sha256()
    for module in modules:
        for name, array in module.state_dict().items():
            digest.update(name.encode() + to_numpy(array).astype(dtype).tobytes())
    return digest.hexdigest()[:8]


def _tensors_in(value, name):
    """Walk through attributes and lists; `name` is the way so far."""
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
