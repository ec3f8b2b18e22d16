"""Reverse-mode automatic differentiation: an operation is its value and its pullback, side by side.

An operation is a plain function on arrays that returns its value and a *pullback*: a function from
the gradient of the output to the gradients of the inputs. `differentiable` turns it into a function
on Tensors that remembers the pullback; `gradients` walks the pullbacks backwards, and `simple_gradients`
is that walk in its simplest form. Nothing else in the project writes a gradient.

    @differentiable
    def multiply(a, b):
        def pullback(grad):
            return grad * b, grad * a
        return a * b, pullback

There is no global tape: a Tensor knows the node that made it, a node knows the nodes that fed it,
and `gradients` returns arrays. So several threads can each differentiate their own shard of a batch.
"""

import contextlib
import functools
import heapq
import importlib
import itertools
import threading

import numpy as np

from ..base.backend import array_module, do_without_numba, numba_problem, twins_for, xp
from ..base.console import note

USUAL = {np.dtype(np.float32), int, float, type(None)}  # inputs that need no further check
REAL = "fiub"  # NumPy's letters for floating, signed and unsigned whole numbers, and booleans

_birth = itertools.count()  # next() is atomic, so nodes made by different threads stay ordered
_mode = threading.local()
_twins = {}  # device -> {name of an operation: the function that computes it there}
_modules = {}  # device -> the module that registers its twins, unless it has been imported
_loading = threading.RLock()


class Node:
    """One operation that was carried out: its pullback, and for each input (node, output index, shape, dtype).

    A node is older (has a smaller `birth`) than everything computed from it.
    """

    __slots__ = ("name", "birth", "pullback", "inputs", "outputs", "several", "used")

    def __init__(self, name, pullback, inputs, outputs, several=False):
        self.name = name
        self.birth = next(_birth)
        self.pullback = pullback  # None for a leaf
        self.inputs = inputs  # one entry for each positional argument; None where nothing flows back
        self.outputs = outputs  # (shape, dtype) of each output
        self.several = several  # whether the value was a tuple; then the pullback takes a tuple, too
        self.used = False


class Tensor:
    """An array (NumPy or CuPy) that remembers how it was computed.

    data: the array. requires_grad: True for a leaf whose gradient may be asked for.
    """

    __slots__ = ("data", "node", "index", "__weakref__")
    __array_ufunc__ = None  # `array * tensor` must call Tensor.__rmul__, not loop over elements

    def __init__(self, data, requires_grad=False):
        if isinstance(data, Tensor):
            raise TypeError("a Tensor can't be made from a Tensor; use .detach() for a fresh leaf")
        self.data = np.asarray(data) if isinstance(data, (int, float, list, tuple, np.generic)) else data
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"only floating numbers have a gradient, not {self.data.dtype}; use .astype(np.float32)")
        self.node = Node("leaf", None, (), ((self.data.shape, self.data.dtype),)) if requires_grad else None
        self.index = 0

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def size(self):
        return self.data.size

    def __len__(self):
        return len(self.data)

    def detach(self):
        """The same array without its history."""
        return Tensor(self.data)

    def item(self):
        """The single value as a Python number."""
        return self.data.item()

    def __repr__(self):
        made_by = "constant" if self.node is None else self.node.name
        return f"Tensor(shape={self.shape}, dtype={self.dtype}, made by {made_by})"


@contextlib.contextmanager
def no_grad():
    """Inside this block (in this thread) operations remember nothing: for sampling and evaluation."""
    before = is_recording()
    _mode.recording = False
    try:
        yield
    finally:
        _mode.recording = before


def is_recording():
    """Whether operations in this thread remember their pullbacks."""
    return getattr(_mode, "recording", True)


def differentiable(function=None, *, as_is=()):
    """Turn `function(*arrays, **options) -> (value, pullback)` into an operation on Tensors.

    Positional arguments are Tensors, arrays, numbers or None; keyword arguments are plain options.
    A floating array of a wider dtype than a Tensor's is refused (TypeError); whole numbers and booleans
    take on the Tensor's dtype, but for the positions in `as_is` (labels, conditions).
    `value` is an array or a tuple of arrays. `pullback` takes the gradient of the value (a tuple of
    them for a tuple) and returns one gradient for each positional argument (bare if there is only
    one; None where nothing flows back). A gradient may have the broadcast shape: the engine sums it
    down to the shape of its input.
    """
    if function is None:
        return functools.partial(differentiable, as_is=as_is)

    @functools.wraps(function)
    def operation(*inputs, **options):
        arrays = _checked(function.__name__, inputs, as_is)
        value, pullback = function(*arrays, **options)
        several = isinstance(value, tuple)
        values = value if several else (value,)
        outputs = tuple(Tensor(v) for v in values)
        if is_recording() and any(isinstance(x, Tensor) and x.node is not None for x in inputs):
            sources = tuple(
                (x.node, x.index, x.shape, x.dtype) if isinstance(x, Tensor) and x.node is not None else None
                for x in inputs
            )
            node = Node(function.__name__, pullback, sources, tuple((v.shape, v.dtype) for v in values), several)
            for index, output in enumerate(outputs):
                output.node, output.index = node, index
        return outputs if several else outputs[0]

    operation.function, operation.as_is = function, as_is  # for tests that break its pullback on purpose
    return operation


def _checked(name, inputs, as_is):
    """The inputs as real arrays, Python numbers and None, checked so that the result has the dtype of its Tensors.

    Those that gradients flow to must all have the dtype of the result; if there are none, all Tensors must.
    """
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    if {getattr(x, "dtype", type(x)) for x in arrays} <= USUAL:  # this takes a microsecond, the rest several
        return arrays
    floating, to_cast = [], []  # positions
    for position, x in enumerate(arrays):
        if x is None or (isinstance(x, (int, float)) and not isinstance(x, np.generic)):
            continue
        dtype = getattr(x, "dtype", type(x).__name__)
        if getattr(dtype, "kind", None) not in REAL:
            raise TypeError(f"{name} takes Tensors, arrays and numbers, all of them real; not {dtype}")
        if position not in as_is:
            weak = dtype.kind != "f" or isinstance(x, np.generic)
            (to_cast if weak else floating).append(position)
    common = np.result_type(*{arrays[position].dtype for position in floating}) if floating else None
    if common == np.float32 and any(arrays[position].dtype != common for position in floating):
        common = next(arrays[position].dtype for position in floating if arrays[position].dtype != common)
    tensors = [inputs[position] for position in floating if isinstance(inputs[position], Tensor)]
    for tensor in [x for x in tensors if x.node is not None] or tensors:
        if tensor.dtype != common:
            raise TypeError(
                f"{name} of {tensor.dtype} and {common}: inputs must have one dtype; "
                f"convert with array.astype(np.{tensor.dtype})"
            )
    for position in to_cast if floating else ():
        arrays[position] = arrays[position].astype(common)
    return arrays


def with_twins(function):
    """Let the twin of an operation's `function` compute it, where one is registered for the device.

    A twin has the same name and the same arguments, and also returns a value and a pullback. Which twins arrays go to
    is said by `backend.twins_for`; where there are none, `function` itself computes.
    """

    @functools.wraps(function)
    def chosen(*arrays, **options):
        device = twins_for(*arrays)
        return (function if device is None else twins(device).get(function.__name__, function))(*arrays, **options)

    return chosen


def twin(device):
    """Register a function as the twin, on a device such as 'gpu', of the operation that has the same name."""

    def register(function):
        _twins.setdefault(device, {})[function.__name__] = function
        return function

    return register


def twins_from(device, module):
    """Register the twins of a device by importing a module when one of them is first wanted."""
    _modules[device] = module


def twins(device):
    """The twins of a device, a dict of name -> function.

    Where they can't be loaded (Numba wants another NumPy, say) a note says so, and there are none.
    """
    if device in _modules:
        with _loading:  # a second thread waits for the first
            if module := _modules.get(device):
                try:
                    importlib.import_module(module)
                except Exception as error:  # whatever it is, everything can be computed without
                    _twins[device] = {}
                    told = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                    do_without_numba(f"Numba can't be used ({told}); pip install -U numba scipy")
                    note(f"computing with NumPy: {numba_problem()}; --kernels off hides this note")
                del _modules[device]
    return _twins.get(device, {})


def load_twins():
    """Load now what computes operations on the chosen device, not when the first is wanted: before a fork, say."""
    if device := twins_for(xp().zeros(1, np.float32)):
        twins(device)


def gradients(loss, parameters, cotangent=None):
    """The gradients of `loss` with respect to each Tensor in `parameters`, as a list of arrays.

    loss: a Tensor; a scalar unless `cotangent` (an array of its shape and dtype) says how its entries are weighted. In
    float16 most gradients of a mean are too small to be anything but 0: a cotangent such as 2**14 scales all of them,
    and the caller divides by it again, in float32. A parameter that `loss` doesn't depend on gets zeros. The arrays are
    the caller's own: no two share memory, and they may be changed in place.
    Each pullback is freed once used, so memory shrinks while the walk proceeds and a second call on
    the same graph raises RuntimeError.
    """
    parameters = list(parameters)
    for parameter in parameters:
        if parameter.node is None or parameter.node.pullback is not None or parameter.node.used:
            raise ValueError(f"{parameter!r} is not a leaf made with requires_grad=True")
    if cotangent is None:
        if loss.size != 1:
            raise ValueError(f"a loss must be a single number, not shape {loss.shape}; or pass a cotangent")
        cotangent = array_module(loss.data).ones_like(loss.data)
    elif cotangent.shape != loss.shape or cotangent.dtype != loss.dtype:
        raise ValueError(
            f"the cotangent has shape {cotangent.shape} and dtype {cotangent.dtype}; "
            f"the loss has {loss.shape} and {loss.dtype}"
        )
    finished = {} if loss.node is None else _walk(loss, cotangent)
    found = [finished.get(parameter.node) for parameter in parameters]
    return _owned(found, parameters, cotangent)


def simple_gradients(loss, parameters):
    """What `gradients` returns, by the same walk in its simplest form: nothing is checked, and nothing is freed.

    loss: a single number that depends on every parameter, through operations with one output each.
    """
    arrived = {loss.node: np.ones_like(loss.data)}  # node -> the gradient of its output, as far as it is known
    waiting = {loss.node}
    while waiting:
        node = max(waiting, key=lambda node: node.birth)  # the youngest: its gradient is complete
        waiting.remove(node)
        if node.pullback is not None:  # it is no leaf
            grads = node.pullback(arrived[node])
            for source, grad in zip(node.inputs, grads if isinstance(grads, tuple) else (grads,)):
                if source is not None:
                    older, _, shape, _ = source
                    arrived[older] = arrived.get(older, 0) + unbroadcast(grad, shape)
                    waiting.add(older)
    return [arrived[parameter.node] for parameter in parameters]


def _owned(found, parameters, cotangent):
    """The gradients as the caller's own: zeros where none was found; copies of views and of what is there twice."""
    seen = {id(cotangent)}
    result = []
    for grad, parameter in zip(found, parameters):
        if grad is None:
            grad = array_module(parameter.data).zeros_like(parameter.data)
        elif getattr(grad, "base", None) is not None or id(grad) in seen or not hasattr(grad, "__setitem__"):
            grad = array_module(grad).array(grad)
        seen.add(id(grad))
        result.append(grad)
    return result


def _walk(loss, cotangent):
    """Carry the cotangent backwards from `loss`, as `simple_gradients` does: a dict of leaf node -> its gradient."""
    pending = {loss.node: [None] * len(loss.node.outputs)}  # node -> gradient of each output so far
    pending[loss.node][loss.index] = cotangent
    # The youngest first: then a node comes after everything computed from it, when all its gradients have arrived.
    # There is no recursion, so depth has no limit.
    queue = [(-loss.node.birth, loss.node)]
    finished = {}
    while queue:
        _, node = heapq.heappop(queue)
        arrived = pending.pop(node)
        if node.used:
            raise RuntimeError(f"the graph behind {node.name!r} was used before and freed; run the forward again")
        if node.pullback is None:
            finished[node] = arrived[0]
            continue
        for (source, index, *_), grad in _pull(node, arrived):
            if source not in pending:
                pending[source] = [None] * len(source.outputs)
                heapq.heappush(queue, (-source.birth, source))
            so_far = pending[source][index]
            # Not in place: a pullback may hand the same array to two inputs.
            pending[source][index] = grad if so_far is None else so_far + grad
    return finished


def _pull(node, arrived):
    """Call the node's pullback, free it, and return [(source, checked gradient)] for inputs that need a gradient."""
    pullback, node.pullback, node.used = node.pullback, None, True
    if not node.several:
        arrived = arrived[0]
    else:
        some = next(grad for grad in arrived if grad is not None)
        zeros = array_module(some).zeros
        arrived = tuple(zeros(*like) if grad is None else grad for grad, like in zip(arrived, node.outputs))
    grads = pullback(arrived)
    grads = grads if isinstance(grads, tuple) else (grads,)
    # An optional input that was left out (a bias) has no entry in node.inputs, and no gradient.
    if len(grads) < len(node.inputs) or any(grad is not None for grad in grads[len(node.inputs) :]):
        raise AssertionError(
            f"the pullback of {node.name!r} returned {len(grads)} gradients for {len(node.inputs)} inputs"
        )
    pulled = []
    for position, (source, grad) in enumerate(zip(node.inputs, grads)):
        if source is None:
            continue
        _, _, shape, dtype = source
        if grad is None:
            raise AssertionError(f"the pullback of {node.name!r} returned no gradient for input {position}")
        grad = unbroadcast(grad, shape)
        if grad.shape != shape or grad.dtype != dtype:
            raise AssertionError(
                f"the pullback of {node.name!r} returned shape {grad.shape}, dtype {grad.dtype} for input "
                f"{position}; the input has {shape}, {dtype}"
            )
        pulled.append((source, grad))
    return pulled


def unbroadcast(grad, shape):
    """Sum `grad` over the axes along which an input of `shape` was broadcast."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    stretched = tuple(
        axis for axis in range(grad.ndim) if axis < extra or (shape[axis - extra] == 1 and grad.shape[axis] != 1)
    )
    summed = grad.sum(axis=stretched, keepdims=True)
    return summed.reshape(summed.shape[extra:])
