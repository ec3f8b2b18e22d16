# %% [markdown]
r"""
# 1. Autograd from nothing

*About 75 minutes with the exercises. Runs in half a minute.*

**You'll do:** write operations that can compute their own derivative. See how an engine puts them together. Find wrong
gradients. Train a small network.

**You'll learn:** why one pass backwards gives the slope of a [loss](glossary.md#loss) with respect to every weight at
once; what a [pullback](glossary.md#pullback) and a [cotangent](glossary.md#cotangent) are; why a [gradient
check](glossary.md#gradient-check) that sums the output can miss a mistake; what goes wrong when an array is changed in
place.

**You need:** Python, NumPy, and the chain rule from school: the slope of `f(g(x))` is `f'(g(x)) * g'(x)`.

![A graph of operations: values forward, gradients back](pictures/01.svg)

This chapter explains the engine in `minivdit/autograd/`, a few hundred lines. It computes the gradients for every
training in this project, up to that of the text-to-video transformer.
"""

# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.generation import TextToVideo
from minivdit.lab.lessons import check, size

plt.style.use("seaborn-v0_8-colorblind")  # colours that colour-blind readers can tell apart
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## The slow way: nudge every weight

Training asks one question about every weight: if it grew a little, would the loss grow or fall, and how fast? The
simplest way to find out is to try. Nudge one weight up and down by a small step $h$, and compute the loss $L$ both
times. Divide the difference of the losses by the distance $2h$. This is a [central
difference](glossary.md#central-difference):

$$\frac{\partial L}{\partial w_i} \approx \frac{L(w + h\,e_i) - L(w - h\,e_i)}{2h}$$

where $e_i$ is 1 at weight $i$ and 0 elsewhere. The symbol $\partial$ says that only $w_i$ changes, and that the other
weights stay as they are.
"""

# %%
x, y = generator.standard_normal((20, 5)), generator.standard_normal(20)
weights = generator.standard_normal(5)


def loss_of(weights):
    return np.mean((np.tanh(x @ weights) - y) ** 2)


def slow_gradient(loss_of, weights, step=1e-5):
    slope = np.zeros_like(weights)
    for i in range(weights.size):
        nudge = np.zeros_like(weights)
        nudge[i] = step
        slope[i] = (loss_of(weights + nudge) - loss_of(weights - nudge)) / (2 * step)
    return slope


print(slow_gradient(loss_of, weights))

# %% [markdown]
r"""
It works, but it is far too slow: each weight costs two runs of the whole network. How many runs would that be for the model
that comes with this package?
"""

# %%
model = TextToVideo.load()
count = sum(parameter.size for parameter in model.transformer.parameters().values())
print(f"{count:,} weights: {2 * count:,} runs of the network for one gradient")

# %% [markdown]
r"""
## An operation is its value and its pullback

**Claim.** If every operation can answer one question about itself, the [gradient](glossary.md#gradient) with respect to *all*
weights costs about as much as a few runs of the network. The number of weights doesn't matter.

The question is: *if you know how the loss changes with your output, how does the loss change with each of your inputs?*
Let an operation compute $y$ from $x$. Each input $x_j$ changes the loss through every output $y_i$, so we sum over the
outputs:

$$\bar x_j = \sum_i \bar y_i\, \frac{\partial y_i}{\partial x_j}, \qquad \text{where}\quad
\bar y_i = \frac{\partial L}{\partial y_i}, \quad \bar x_j = \frac{\partial L}{\partial x_j}$$

A function that computes $\bar x$ from $\bar y$ is called a *pullback*, since it pulls a gradient back from the output
to the inputs. Its argument, the gradient $\bar y$ of the output, is called a *cotangent*. It has one number for each
entry of the output.

In this project an operation is a plain function on arrays. It returns its value and its pullback, side by side. In code,
$\bar y$ is called `grad`:
"""


# %%
def multiply(a, b):
    def pullback(grad):
        return grad * b, grad * a

    return a * b, pullback


def tanh(x):
    value = np.tanh(x)

    def pullback(grad):
        return grad * (1 - value**2)

    return value, pullback


# %% [markdown]
r"""
`pullback` is defined inside the function, so it remembers `a` and `b`, or `value`. An operation needs no other memory.

To chain two operations, compute their values in one order, then call their pullbacks in the opposite order. This is the
chain rule.
"""

# %%
a, b = 0.7, -1.3
product, product_pullback = multiply(a, b)
squashed, squashed_pullback = tanh(product)

grad_squashed = 1.0  # the loss is `squashed` itself, so it changes with itself at rate 1
grad_product = squashed_pullback(grad_squashed)
grad_a, grad_b = product_pullback(grad_product)

expected = slow_gradient(lambda ab: np.tanh(ab[0] * ab[1]), np.array([a, b]))
print(grad_a, grad_b)
assert np.allclose([grad_a, grad_b], expected)

# %% [markdown]
r"""
## Never write down the Jacobian

**Claim.** A pullback is a product with a matrix that nobody ever builds.

An operation from $n$ numbers to $m$ numbers has $m \times n$ slopes, one for each pair. They form its
[Jacobian](glossary.md#jacobian), the matrix $J_{ij} = \partial y_i / \partial x_j$. The sum above is a product with
this matrix, `grad @ J`. An example is [softmax](glossary.md#softmax), which turns scores $s$ into weights $w$ that add
up to 1:

$$w_i = \frac{e^{s_i}}{\sum_k e^{s_k}}, \qquad \frac{\partial w_i}{\partial s_j} = w_i\,(\delta_{ij} - w_j)$$

where $\delta_{ij}$ is 1 if $i = j$, else 0. (The slope follows from the quotient rule: $s_j$ is in the denominator, and
for $i = j$ also in the numerator.) The simple loop fills the Jacobian entry by entry:
"""

# %%
scores = generator.standard_normal(6)
weights = np.exp(scores) / np.exp(scores).sum()

jacobian = np.zeros((6, 6))
for i in range(6):  # of which output
    for j in range(6):  # along which input
        jacobian[i, j] = weights[i] * ((i == j) - weights[j])

grad = generator.standard_normal(6)
by_loop = grad @ jacobian

# %% [markdown]
r"""
Now multiply out the product by hand. The term with $\delta_{ij}$ is 0 except where $i = j$, so its sum has one term,
$\bar w_j\, w_j$:

$$\bar s_j = \sum_i \bar w_i\, w_i\,(\delta_{ij} - w_j) = w_j\,\Big(\bar w_j - \sum_i \bar w_i\, w_i\Big)$$

This needs one line of code and no matrix. How much memory does it save, at 4 bytes a number?
"""

# %%
by_pullback = weights * (grad - (grad * weights).sum())
assert np.allclose(by_loop, by_pullback)

tokens = 4096  # a row of scores in a long clip
print(f"one row of {tokens:,} scores: {4 * tokens:,} bytes; its Jacobian: {4 * tokens**2:,} bytes")

# %% [markdown]
r"""
## The engine

**Claim.** If every operation has a pullback, an engine needs to do only two things. It records which operation each
array came from. Then it calls the pullbacks in the opposite order.

`ag.differentiable` does the recording. It turns our function on arrays into a function on
[Tensors](glossary.md#tensor). A Tensor is an array together with a *node*, the record of the operation that made it. No
operation makes a weight. So the node of a weight has no pullback. Such a node is called a [leaf](glossary.md#leaf). All
operations of the library are made with this decorator.
"""

# %%
my_tanh, my_multiply = ag.differentiable(tanh), ag.differentiable(multiply)

w = ag.Tensor(np.array([0.5, -1.0, 2.0]), requires_grad=True)
v = ag.Tensor(np.array([1.5, 0.3, -0.2]), requires_grad=True)
total = ag.sum(my_multiply(my_tanh(my_multiply(w, v)), w))
print(total)


# %% [markdown]
r"""
The nodes behind `total` form a [computational graph](glossary.md#computational-graph). Each node holds links to the
nodes that its inputs came from. (An entry of `node.inputs` holds four things: an older node, the number of the output
that was used, and the shape and dtype of that output. The entry is None where no gradient is wanted.) So we can walk
through the graph and draw it.
"""


# %%
def nodes_behind(tensor):
    found, waiting = {}, [tensor.node]
    while waiting:
        node = waiting.pop()
        if node.birth not in found:
            found[node.birth] = node
            waiting += [source[0] for source in node.inputs if source is not None]
    return [found[birth] for birth in sorted(found)]


def draw_graph(tensor, names):
    nodes = nodes_behind(tensor)
    labels = {node.birth: names.get(node.birth, node.name) for node in nodes}
    place = {node.birth: (i, 0.5 * (-1) ** i * (node.name == "leaf")) for i, node in enumerate(nodes)}
    figure, axes = plt.subplots(figsize=(8, 2.4), layout="constrained")
    for node in nodes:
        for source in node.inputs:
            if source is not None:
                bend = "arc3,rad=-0.35"
                axes.annotate(
                    "",
                    place[node.birth],
                    place[source[0].birth],
                    arrowprops=dict(arrowstyle="->", connectionstyle=bend, shrinkA=22, shrinkB=22, color="0.4"),
                )
    for number, node in enumerate(nodes):
        color = "#cfe2f3" if node.name == "leaf" else "#fbe3c8"
        text = f"{number}\n{labels[node.birth]}"
        axes.text(*place[node.birth], text, ha="center", va="center", bbox=dict(boxstyle="round", facecolor=color))
    axes.set(xlim=(-0.6, len(nodes) - 0.4), ylim=(-0.9, 1.5), title="forward: along the arrows; backward: against them")
    axes.axis("off")
    plt.show()


draw_graph(total, {w.node.birth: "w", v.node.birth: "v"})

# %% [markdown]
r"""
The numbers give the order in which the nodes were made. A node is always older than everything computed from it. So the
[backward pass](glossary.md#backward-pass) goes from the youngest node to the oldest. When it reaches a node, all
gradients for this node have arrived. `w` is used twice. So two gradients arrive there, and they are added.

The function `gradients` does this walk. `simple_gradients` is its simplest form, which the next cell prints. (A later
section explains `unbroadcast`.) Both give the same gradients. `gradients` does three things more: it checks what each
pullback returns, frees each pullback after use, and accepts operations with several outputs.
"""

# %%
print(inspect.getsource(ag.simple_gradients))
simple_w, simple_v = ag.simple_gradients(total, [w, v])
grad_w, grad_v = ag.gradients(total, [w, v])
assert np.allclose(np.r_[grad_w, grad_v], np.r_[simple_w, simple_v])


def total_of(wv):
    return np.sum(np.tanh(wv[:3] * wv[3:]) * wv[:3])


assert np.allclose(np.r_[grad_w, grad_v], slow_gradient(total_of, np.r_[w.data, v.data]))
print(grad_w, grad_v)

# %% [markdown]
r"""
We try two properties. First, the walk is a loop and not a recursion, so a graph may be as deep as you like. Second, a
gradient costs about as much as a few forward passes, whatever the number of weights. (A *forward pass* is one run of
the network.) This is the "cheap gradient principle".
"""

# %%
deep = start = ag.Tensor(np.array(1.0), requires_grad=True)
for _ in range(20_000):
    deep = deep * 0.9999
slope = ag.gradients(deep, [start])[0]
assert np.isclose(slope, 0.9999**20_000)

width, rows = size(512, 32), size(512, 32)
layers = [ag.Tensor(generator.standard_normal((width, width)) / width**0.5, requires_grad=True) for _ in range(8)]


def run(layers):
    h = inputs
    for layer in layers:
        h = ag.tanh(h @ layer)
    return ag.mean(h * h)


inputs = generator.standard_normal((rows, width))
forward = backward = np.inf
for _ in range(3):
    started = time.perf_counter()
    loss = run(layers)
    done = time.perf_counter()
    ag.gradients(loss, layers)
    forward, backward = min(forward, done - started), min(backward, time.perf_counter() - done)
print(f"{8 * width**2:,} weights; forward {1000 * forward:.0f} ms, all gradients {1000 * backward:.0f} ms more")
print(f"by nudging it would take about {8 * width**2 * 2 * forward / 3600:.0f} hours")

# %% [markdown]
r"""
Count the matrix products. Each product `a @ b` of the forward pass needs two products in the backward pass, one for the
gradient of `a` and one for that of `b`. (The first layer needs only one, since nobody asks for the gradient of the
data.) So expect the backward pass to take about twice as long as the forward pass. (The times that you measure also
depend on what else your machine does.) A training step then costs about three forward passes. [Chapter
12](12_the_bill.ipynb) predicts the cost of training with this rule.

## Broadcasting, backwards

**Claim.** What is copied forward is summed backward.

NumPy stretches a bias of shape (3,) over a (5, 3) array. This is [broadcasting](glossary.md#broadcasting). Each entry
of the bias is then used in 5 places, and the loss depends on all of them. So 5 gradients are added:

$$y_{ij} = x_{ij} + b_j, \qquad \bar b_j = \sum_i \bar y_{ij}$$

The engine does this for every operation, in one function, `unbroadcast`. You'll write this function in an exercise.
"""

# %%
bias = ag.Tensor(np.zeros(3), requires_grad=True)
batch = generator.standard_normal((5, 3))
cotangent = generator.standard_normal((5, 3))
(grad_bias,) = ag.gradients(batch + bias, [bias], cotangent)

by_loop = np.zeros(3)
for row in cotangent:
    by_loop += row
assert grad_bias.shape == bias.shape and np.allclose(grad_bias, by_loop)

# %% [markdown]
r"""
## Is it right? The all-ones trap

Every hand-written pullback may be wrong. A network with a wrong gradient often still trains, only worse. So we compare
each pullback with central differences. A central difference needs a loss that is one number, but most outputs are
arrays. The obvious way to get one number is to sum the output. We try it on a softmax whose pullback is wrong on
purpose: it always returns zeros.
"""


# %%
def broken_softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights, lambda grad: np.zeros_like(x)


def difference(operation, x, cotangent, step=1e-6):
    """The largest gap between pullback and central differences, for the loss sum(output * cotangent)."""
    by_pullback = operation(x)[1](cotangent)
    by_nudging = slow_gradient(
        lambda flat: np.sum(operation(flat.reshape(x.shape))[0] * cotangent), x.reshape(-1), step
    )
    return np.abs(by_pullback.reshape(-1) - by_nudging).max()


x = generator.standard_normal((3, 4))
ones, random = np.ones((3, 4)), generator.standard_normal((3, 4))
print(f"summing the output:  gap {difference(broken_softmax, x, ones):.1e}")
print(f"random cotangent:    gap {difference(broken_softmax, x, random):.1e}")
assert difference(broken_softmax, x, ones) < 1e-6 < 1e-2 < difference(broken_softmax, x, random)

# %% [markdown]
r"""
The check that sums the output finds no mistake, and it can't find one. The outputs of a softmax always add up to 1. So
their sum has slope zero, and the broken pullback returns zero. The same happens with [layer
norm](glossary.md#layer-norm), since its outputs add up to 0. To sum the output means to use a cotangent of ones. For
these two operations, the right gradient for this cotangent is zero. With a random cotangent, the probability that a
mistake hides in this way is zero.
"""

# %%
right = ag.softmax.function(x)[1]
figure, panels = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
for axes, cotangent, name in zip(panels, (ones, random), ("all ones", "random")):
    picture = axes.imshow(right(cotangent), cmap="PuOr", vmin=-0.4, vmax=0.4)
    axes.set(title=f"cotangent: {name}", xticks=[], yticks=range(3), ylabel="row")
    for (i, j), value in np.ndenumerate(right(cotangent)):
        axes.text(j, i, f"{value:.2f}".replace("-0.00", "0.00"), ha="center", va="center", fontsize=9)
figure.colorbar(picture, ax=panels, label="gradient")
figure.suptitle("the true gradient of softmax")
plt.show()

# %% [markdown]
r"""
The library's `gradcheck` draws random cotangents. It accepts any operation, with any number of outputs. The tests of
the library break each pullback of the project in a dozen ways, and `gradcheck` must notice every mistake.
"""

# %%
worst = ag.gradcheck(ag.softmax, x)
print(f"softmax: the largest deviation is {worst:.1e} of what is allowed")

try:
    ag.gradcheck(ag.differentiable(broken_softmax), x)
except AssertionError as error:
    print("refused:", error)
else:
    raise RuntimeError("a broken softmax was accepted")

# %% [markdown]
r"""
How large should the step be? If it is too large, the function bends between the two points, and the difference isn't
its slope. If it is too small, rounding errors are larger than the difference. Compare the lowest points of the two
curves. No step makes float32 as accurate as float64 can be. Therefore gradient checks run in float64, though training
runs in float32.
"""

# %%
steps = 10.0 ** np.arange(-12, 0.5, 0.5)
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for dtype, marker in ((np.float64, "o-"), (np.float32, "s--")):
    at, true = dtype(0.6), np.cos(0.6)
    gaps = [abs((np.sin(at + dtype(s)) - np.sin(at - dtype(s))) / dtype(2 * s) - true) / true for s in steps]
    axes.loglog(steps, np.maximum(gaps, 1e-13), marker, markersize=4, label=dtype.__name__)
axes.set(xlabel="step", ylabel="relative error of the slope", title="central difference of sin at 0.6")
axes.annotate("rounding", (1e-10, 1e-2), ha="center")
axes.annotate("curvature", (0.2, 1e-6), ha="center")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
## What may not be changed

A pullback remembers arrays, not copies of them. If such an array is changed before the backward pass, the gradient is
wrong, and there is no error message.
"""

# %%
values = np.array([1.0, 2.0, 3.0])
leaf = ag.Tensor(values, requires_grad=True)
out = ag.sum(ag.square(leaf))
values += 10  # in place, between forward and backward
(grad_leaf,) = ag.gradients(out, [leaf])
print("gradient of x^2 at 1, 2, 3:", grad_leaf, "and it should be [2. 4. 6.]")
assert not np.allclose(grad_leaf, [2, 4, 6])

# %% [markdown]
r"""
So this project has two rules. Between forward and backward, nobody changes an array in place. And a pullback never
changes the gradient that it is given, since another pullback may get the same array. The optimiser does change weights
in place, but only after `gradients` has returned. By then each pullback has been used and freed. So a second walk over
the same graph raises an error. It never returns a wrong gradient:
"""

# %%
try:
    ag.gradients(out, [leaf])
except RuntimeError as error:
    print(error)

# %% [markdown]
r"""
## It learns

This is enough to train a network. The network has two layers of weights, and its output shall follow a curve. Plain
gradient descent changes each weight by a small step against its slope,

$$w \leftarrow w - \eta\, \frac{\partial L}{\partial w}$$

with a [learning rate](glossary.md#learning-rate) $\eta$ of 0.02. All operations in this cell come from the library.
"""

# %%
points = np.linspace(-3, 3, 60)[:, None]
heights = np.sin(2 * points) + 0.1 * generator.standard_normal(points.shape)

hidden = 32
start = [
    2 * generator.standard_normal((1, hidden)),
    4 * generator.standard_normal(hidden),  # so that the bends of tanh lie all along the curve
    generator.standard_normal((hidden, 1)) / hidden,
    np.zeros(1),
]
parameters = [ag.Tensor(array, requires_grad=True) for array in start]


def network(points):
    w1, b1, w2, b2 = parameters
    return ag.linear(ag.tanh(ag.linear(points, w1, b1)), w2, b2)


losses, drawn = [], {}
for step in range(size(6001, 61)):
    loss = ag.mean_squared_error(network(points), heights)
    losses.append(loss.item())
    if step in (0, size(600, 20), size(6000, 60)):
        drawn[step] = network(points).data
    for parameter, grad in zip(parameters, ag.gradients(loss, parameters)):
        parameter.data -= 0.02 * grad
print(f"loss {losses[0]:.3f} before, {losses[-1]:.3f} after; the noise in the points alone has variance {0.1**2:.3f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(points, heights, ".", color="0.7", label="data")
for (step, curve), style in zip(drawn.items(), ("C0:", "C1--", "k-")):
    left.plot(points, curve, style, linewidth=2, label=f"step {step}")
left.set(xlabel="x", ylabel="y", title="what the network draws")
left.legend(fontsize=8)
right.semilogy(losses)
right.set(xlabel="step", ylabel="mean squared error", title="the loss")
right.grid(alpha=0.3)
plt.show()
assert losses[-1] < losses[0]

# %% [markdown]
r"""
## Exercises

Each stub says how many lines a solution takes. `check` tries random inputs whose axes all differ in length, and says
what is wrong. Worked solutions are in [solutions/01_autograd](solutions/01_autograd.ipynb).

**1. Sine.** Write the sine of an array `x` as an operation: return its value and its pullback.
"""


# %%
def sine(x):
    pass  # fill me in, about 4 lines


check.ch01_sine(sine)

# %% [markdown]
r"""
**2. Matrix product.** `a` is (n, k), `b` is (k, m). Return the value and the pullback of `a @ b`. Hint: write down the
shapes of `grad`, `a` and `b`. There is only one way to multiply two of these arrays, one of them transposed, so that
the product has the shape of `a`.
"""


# %%
def matmul(a, b):
    pass  # fill me in, about 4 lines


check.ch01_matmul(matmul)

# %% [markdown]
r"""
**3. [RMS norm](glossary.md#rms-norm)** over the last axis of an array (rows, n), as value and pullback. Each row is divided
by its root mean square $r$:

$$y_i = \frac{x_i}{r}, \qquad r = \sqrt{\tfrac{1}{n} \textstyle\sum_j x_j^2}$$

(Libraries often add a small number under the root. Don't add it here.) Find $\partial r/\partial x_j$ first, then the
Jacobian. Then multiply out the product by hand, as we did for softmax.
"""


# %%
def rms_norm(x):
    pass  # fill me in, about 7 lines


check.ch01_rms_norm(rms_norm)

# %% [markdown]
r"""
**4. Unbroadcast.** `grad` has the shape of an output. An input of shape `shape` was broadcast to the shape of `grad`.
Return `grad` summed down to `shape`. NumPy may have added axes in front, and it may have stretched axes of length 1.
"""


# %%
def unbroadcast(grad, shape):
    pass  # fill me in, about 4 lines


check.ch01_unbroadcast(unbroadcast)

# %% [markdown]
r"""
**5. A cheaper gradient check.** `difference` above nudges one entry at a time. Write a check that runs the operation at
most 5 times, whatever the size of `x`: nudge *all* entries at once, along a random direction $d$. If the pullback is
right, then for any cotangent $\bar y$

$$\sum_j \bar x_j\, d_j \approx \sum_i \bar y_i\, \frac{y_i(x + h\,d) - y_i(x - h\,d)}{2h}$$

`operation(x)` returns (value, pullback) for a float64 array. Return True if the pullback is right, False if not. Your check
will meet right pullbacks and wrong ones, and one of the wrong ones is right for a cotangent of ones.
"""


# %%
def gradient_is_right(operation, x):
    pass  # fill me in, about 7 lines


check.ch01_gradcheck(gradient_is_right)

# %% [markdown]
r"""
**6. Break it and explain.** Write a tanh whose pullback forgets the slope: `return grad`. Train the network of "It
learns" with it (`ag.differentiable` makes it an operation). Training has changed the arrays in `start` in place, so
draw them anew, from the same seed for both kinds of tanh. Does the loss still fall? Compare the last loss with that of
the right tanh. Explain why the loss falls at all.

**7. A question to explore.** How many bytes do the pullbacks of `run(layers)` remember? Which of these arrays could be
thrown away and computed again? How much time would this cost?
"""

# %% [markdown]
r"""
## In practice

- **PyTorch** records a graph while your code runs, as the engine here does, and calls the stored backward functions in
  reverse order ([Paszke et al. 2019](references.md#paszke-2019)). Unlike ours, it notices changes in place. Every
  tensor has a version counter. A backward function raises an error if it finds a newer version than the one that it
  saved.
- **JAX** has the same pair: `jax.vjp` returns the value and the pullback ([Frostig et al.
  2018](references.md#frostig-2018)). VJP stands for *vector-Jacobian product*, our `grad @ J`.
- **Fusing.** Big systems write several operations in a row as one operation with one long pullback, since memory
  traffic costs more than arithmetic. This project does so, too. See `normalise_and_modulate` in
  `minivdit/autograd/fused.py`, and attention in [chapter 5](05_attention.ipynb).
- **Memory.** What pullbacks remember is most of the memory of training. Large video models throw part of it away and
  compute it again in the backward pass ([Chen et al. 2016](references.md#chen-2016)).

## Further reading

- [Baydin et al. 2018](references.md#baydin-2018), a survey that explains the many names; [Griewank and Walther
  2008](references.md#griewank-2008), the standard book, with the proof of the cheap gradient principle.
- [micrograd](references.md#micrograd), the same idea for single numbers in about 100 lines, and [HIPS
  autograd](references.md#hips-autograd), which has long used random cotangents in its gradient checks.
- Here: `minivdit/autograd/engine.py` (read it now, it is short) and `minivdit/autograd/gradcheck.py`.

Next: [chapter 2](02_layers_and_learning.ipynb), layers, and a network that reads digits.
"""
