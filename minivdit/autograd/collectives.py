"""Exchanges between ranks as operations: the pullback of each is one of them, too.

Each of several ranks has a part of an array, which is cut along one axis in the order of the ranks (Ranks.part). All of
them call the same operation, and later its pullback. What is differentiated is the sum of the losses of all ranks: so
what went to several of them gets the gradients of several back, and these are added up in the order of the ranks.

    all_to_all       a part along one axis in, a part along another out     its pullback is all_to_all
    all_gather       a part in, the whole out                               its pullback is reduce_scatter
    reduce_scatter   the whole in, a part of the sum over all ranks out     its pullback is all_gather
    all_reduce       the whole in, the sum over all ranks out               its pullback is all_reduce

models/over_ranks.py spreads the tokens of a long clip over ranks by them.
"""

from itertools import pairwise

from ..base.backend import array_module
from .engine import differentiable

MESSAGE = 2**16  # about how many numbers all_to_all sends at a time


@differentiable
def all_to_all(x, *, ranks, cut, join, length):
    """This rank's part of an array along the axis `join`, of that whole length: returns its part along the axis `cut`.

    x has the whole axis `cut`, the result the whole axis `join`.
    """
    _require_part("all_to_all", x, ranks, join, length)
    whole = x.shape[cut]
    return _swap(x, ranks, cut, join, length), lambda grad: _swap(grad, ranks, join, cut, whole)


@differentiable
def all_gather(x, *, ranks, axis, length):
    """From this rank's part along an axis the whole array, of that length."""
    _require_part("all_gather", x, ranks, axis, length)
    return _gather(x, ranks, axis, length), lambda grad: _reduce(grad, ranks, axis)


@differentiable
def reduce_scatter(x, *, ranks, axis):
    """The sum of the arrays of all ranks, of which this one gets its part along an axis."""
    length = x.shape[axis]
    return _reduce(x, ranks, axis), lambda grad: _gather(grad, ranks, axis, length)


@differentiable
def all_reduce(x, *, ranks):
    """The sum of the arrays of all ranks: each adds up a part (reduce_scatter), and gives it to all (all_gather)."""

    def total(x):
        return _gather(_reduce(x, ranks, -1), ranks, -1, x.shape[-1])

    return total(x), total


def _swap(x, ranks, cut, join, length):
    """With one rank after the other, in messages of limited size: memory holds little more than x and the result."""
    result_shape = _resized(_resized(x.shape, cut, len(ranks.part(x.shape[cut]))), join, length)
    result = array_module(x).empty(result_shape, x.dtype)
    pieces, places = _pieces(x, ranks, cut), _pieces(result, ranks, join)
    places[ranks.rank][...] = pieces[ranks.rank]
    count = 1 + x.size // max(1, x.shape[join]) * length // (ranks.size**2 * MESSAGE)  # the same on all ranks
    for step in range(1, ranks.size):
        on, back = ((ranks.rank + way) % ranks.size for way in (step, -step))
        for piece, place in zip(*(_split(a, count, cut) for a in (pieces[on], places[back]))):
            (place[...],) = ranks.turn(step, [piece], [place.shape], x.dtype)
    return result


def _gather(x, ranks, axis, length):
    came = [_resized(x.shape, axis, len(ranks.part(length, rank))) for rank in range(ranks.size)]
    return array_module(x).concatenate(_exchange([x] * ranks.size, came, ranks), axis=axis)


def _reduce(x, ranks, axis):
    mine = _resized(x.shape, axis, len(ranks.part(x.shape[axis])))
    total, *others = _exchange(_pieces(x, ranks, axis), [mine] * ranks.size, ranks)
    for other in others:
        total = total + other
    return total


def _exchange(pieces, shapes, ranks):
    """For each rank an array for it, and the shape of what comes from it: returns what came."""
    if ranks.size == 1:
        return pieces
    came = ranks.all_to_all([[piece] for piece in pieces], [[shape] for shape in shapes], pieces[0].dtype)
    return [array for (array,) in came]


def _pieces(x, ranks, axis):
    """For each rank its part of x along an axis: views."""
    return _views(x, [ranks.part(x.shape[axis], rank) for rank in range(ranks.size)], axis)


def _split(x, count, axis):
    """So many parts of x along an axis, nearly equal: views."""
    edges = [x.shape[axis] * number // count for number in range(count + 1)]
    return _views(x, [range(*pair) for pair in pairwise(edges)], axis)


def _views(x, parts, axis):
    before = (slice(None),) * (axis % x.ndim)
    return [x[(*before, slice(part.start, part.stop))] for part in parts]


def _resized(shape, axis, length):
    return tuple(length if i == axis % len(shape) else size for i, size in enumerate(shape))


def _require_part(name, x, ranks, axis, length):
    mine = len(ranks.part(length))
    if x.shape[axis] != mine:
        raise ValueError(
            f"{name}: x {x.shape} must have {mine} along axis {axis}, the part of {length} that rank {ranks.rank} of "
            f"{ranks.size} has"
        )
