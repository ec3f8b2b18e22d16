"""Module: an object whose attributes are weights and other modules; their names are the path to them."""

import numpy as np

from ..autograd import Tensor
from ..backend import to_device, to_numpy
from ..errors import InputError


class Parameter(Tensor):
    """A Tensor that training changes. Its array is updated in place, so references stay valid."""

    __slots__ = ()

    def __init__(self, array):
        super().__init__(to_device(np.asarray(array, dtype=np.float32)), requires_grad=True)


class Buffer(Tensor):
    """A Tensor that is saved with the weights but not trained (such as the mean and deviation of latents)."""

    __slots__ = ()

    def __init__(self, array):
        super().__init__(to_device(np.asarray(array, dtype=np.float32)))


class Module:
    """Subclasses set Parameters, Buffers, Modules and lists of Modules as attributes, and define `forward`."""

    def __call__(self, *inputs, **options):
        return self.forward(*inputs, **options)

    def named_tensors(self, prefix=""):
        """Yield (name, Parameter or Buffer) in the order in which the attributes were set."""
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Buffer)):
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value.named_tensors(f"{prefix}{name}.")
            elif isinstance(value, (list, tuple)):
                for index, child in enumerate(value):
                    if isinstance(child, Module):
                        yield from child.named_tensors(f"{prefix}{name}.{index}.")

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
        for name, array in state.items():
            if not np.isfinite(to_numpy(array)).all():
                raise InputError(f"the weights hold values that aren't finite in {name}; fetch or train them again")
        for name, tensor in tensors.items():
            tensor.data[...] = to_device(state[name])


def _some(names, limit=3):
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
