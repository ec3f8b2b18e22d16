"""Is a pullback right? Compare it with central differences, in float64 and with random cotangents.

Why random: a check that sums the output has a cotangent of ones. For softmax or layer norm the gradient is then zero,
whatever the input, and a pullback that returns zeros would pass.
"""

import numpy as np

from .engine import Tensor, differentiable, gradients


@differentiable
def _contract(*outputs, cotangents):
    """The sum over all outputs of <output, cotangent>: one number whose gradient tests every output."""

    def pullback(grad):
        return tuple(grad * cotangent for cotangent in cotangents)

    return sum(np.sum(output * cotangent) for output, cotangent in zip(outputs, cotangents)), pullback


def gradcheck(
    operation,
    *inputs,
    generator=None,
    step=1e-5,
    relative=1e-6,
    absolute=1e-7,
    directions=3,
    max_entries=100,
    constant=(),
    **options,
):
    """Check the gradients of `operation(*inputs, **options)`, which returns a Tensor or a tuple of Tensors.

    inputs: arrays; the floating ones (turned to float64) are checked, except those whose positions are
    in `constant`. Integer and boolean arrays, numbers and None are passed through as they are.
    Each input is checked along `directions` random directions, and entry by entry at up to
    `max_entries` randomly chosen entries. A deviation above absolute + relative * |expected| raises
    AssertionError, which names the worst entry: input number, index, expected and got.
    Returns the largest deviation that was seen, in units of what is allowed (so at most 1).
    """
    generator = np.random.default_rng(0) if generator is None else generator
    inputs = [_as_float64(x) for x in inputs]
    checked = [i for i, x in enumerate(inputs) if i not in constant and _is_floating(x)]

    outputs = lambda arrays: _as_tuple(operation(*arrays, **options))
    slope = lambda i, direction: _slope(outputs, inputs, i, step * direction, cotangents) / step
    leaves = [Tensor(x, requires_grad=True) if i in checked else x for i, x in enumerate(inputs)]
    made = outputs(leaves)
    cotangents = [generator.standard_normal(output.shape) for output in made]
    grads = dict(zip(checked, gradients(_contract(*made, cotangents=cotangents), [leaves[i] for i in checked])))

    def compare(place, expected, got, size=1):
        # Rounding of a slope along a direction adds up over the entries it moves.
        deviation = abs(got - expected) / (absolute * np.sqrt(size) + relative * abs(expected))
        return (deviation if np.isfinite(deviation) else np.inf), f"{place}: expected {expected:.9g}, got {got:.9g}"

    def at_entry(i, flat):
        index = tuple(int(n) for n in np.unravel_index(flat, inputs[i].shape))
        direction = np.zeros(inputs[i].shape)
        direction[index] = 1.0
        return compare(f"input {i}, entry {index}", slope(i, direction), float(grads[i][index]))

    def along_direction(i):
        direction = generator.standard_normal(inputs[i].shape)
        got = float(np.sum(grads[i] * direction))
        return compare(f"input {i}, a random direction", slope(i, direction), got, max(1, inputs[i].size))

    entries, along = [(0.0, "")], [(0.0, "")]
    for i in checked:
        picked = generator.permutation(inputs[i].size)
        entries += [at_entry(i, flat) for flat in picked[:max_entries]]
        here = [along_direction(i) for _ in range(directions)]
        if max(here)[0] > 1:  # the wrong entry may be one that wasn't picked: look at all of them
            entries += [at_entry(i, flat) for flat in picked[max_entries:]]
        along += here
    return _largest(entries, along, getattr(operation, "__name__", operation))


def _largest(entries, along, name):
    """The largest deviation; an AssertionError if it is above 1, which names an entry if one of these is."""
    worst = max(entries)
    if worst[0] <= 1:
        worst = max(worst, *along)
    if worst[0] > 1:
        raise AssertionError(f"the gradient of {name!r} is wrong: {worst[1]}")
    return worst[0]


def _slope(outputs, inputs, i, change, cotangents):
    """How much the contracted outputs grow when input i moves by `change`: the mean of a step ahead and one back."""
    ahead = outputs([x + change if j == i else x for j, x in enumerate(inputs)])
    behind = outputs([x - change if j == i else x for j, x in enumerate(inputs)])
    total = sum(np.sum((a.data - b.data) * c) for a, b, c in zip(ahead, behind, cotangents))
    return float(total) / 2


def _as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def _is_floating(x):
    return getattr(x, "dtype", np.dtype(bool)).kind == "f"


def _as_float64(x):
    """Floating arrays as float64; one that already is keeps its memory layout, so that layouts can be checked too."""
    return x.astype(np.float64) if _is_floating(x) and x.dtype != np.float64 else x
