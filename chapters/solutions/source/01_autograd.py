# %% [markdown]
r"""
# Solutions to chapter 1

Worked answers to the exercises of [chapter 1](../01_autograd.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.lab.lessons import check, size

# %% [markdown]
r"""
**1. Sine.** The slope of sine is cosine, entry by entry, times what arrives.
"""


# %%
def sine(x):
    def pullback(grad):
        return grad * np.cos(x)

    return np.sin(x), pullback


check.ch01_sine(sine)

# %% [markdown]
r"""
**2. Matrix product.** `grad` is (n, m). For the gradient of `a`, (n, k), we need (n, m) times (m, k), so `b`
transposed; likewise for `b`. Shapes alone lead the way; the chain rule confirms it, since output (i, j) depends on
`a[i, l]` with slope `b[l, j]`.
"""


# %%
def matmul(a, b):
    def pullback(grad):
        return grad @ b.T, a.T @ grad

    return a @ b, pullback


check.ch01_matmul(matmul)

# %% [markdown]
r"""
**3. RMS norm.** The slope of $r$ is $\partial r/\partial x_j = x_j/(n r) = y_j/n$. So

$$\frac{\partial y_i}{\partial x_j} = \frac{\delta_{ij}}{r} - \frac{x_i}{r^2}\,\frac{y_j}{n}
= \frac{1}{r}\Big(\delta_{ij} - \frac{y_i\, y_j}{n}\Big), \qquad
\bar x_j = \frac{1}{r}\Big(\bar y_j - y_j\, \frac{1}{n} \sum_i \bar y_i\, y_i\Big)$$
"""


# %%
def rms_norm(x):
    r = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    y = x / r

    def pullback(grad):
        return (grad - y * (grad * y).mean(axis=-1, keepdims=True)) / r

    return y, pullback


check.ch01_rms_norm(rms_norm)

# %% [markdown]
r"""
**4. Unbroadcast.** First sum the axes that were added in front, so that both have equally many; then sum, keeping the
axis, wherever the input had length 1.
"""


# %%
def unbroadcast(grad, shape):
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(axis for axis, length in enumerate(shape) if length == 1)
    return grad.sum(axis=stretched, keepdims=True)


check.ch01_unbroadcast(unbroadcast)

# %% [markdown]
r"""
**5. A cheaper gradient check.** One random cotangent and one random direction: one run for the pullback, two for the
difference. A single random direction sees any mistake with probability 1. The library takes several, and single entries
too, so that it can say where the mistake is.
"""


# %%
def gradient_is_right(operation, x):
    generator = np.random.default_rng(1)
    value, pullback = operation(x)
    cotangent, direction = generator.standard_normal(value.shape), generator.standard_normal(x.shape)
    step = 1e-5
    change = operation(x + step * direction)[0] - operation(x - step * direction)[0]
    expected = np.sum(change * cotangent) / (2 * step)
    return abs(np.sum(pullback(cotangent) * direction) - expected) < 1e-6 * (1 + abs(expected))


check.ch01_gradcheck(gradient_is_right)

# %% [markdown]
r"""
**6. A tanh that forgets its slope.**
"""


# %%
@ag.differentiable
def forgetful_tanh(x):
    return np.tanh(x), lambda grad: grad


def trained(tanh, steps):
    generator = np.random.default_rng(0)
    points = np.linspace(-3, 3, 60)[:, None]
    heights = np.sin(2 * points) + 0.1 * generator.standard_normal(points.shape)
    start = (
        2 * generator.standard_normal((1, 32)),
        4 * generator.standard_normal(32),
        generator.standard_normal((32, 1)) / 32,
        np.zeros(1),
    )
    w1, b1, w2, b2 = parameters = [ag.Tensor(array, requires_grad=True) for array in start]
    losses = []
    for _ in range(steps):
        loss = ag.mean_squared_error(ag.linear(tanh(ag.linear(points, w1, b1)), w2, b2), heights)
        losses.append(loss.item())
        for parameter, grad in zip(parameters, ag.gradients(loss, parameters)):
            parameter.data -= 0.02 * grad
    return losses


for name, tanh in (("right", ag.tanh), ("forgetful", forgetful_tanh)):
    losses = trained(tanh, size(6000, 60))
    print(f"{name:9} loss {losses[0]:.3f} before, {losses[-1]:.3f} after")
try:
    ag.gradcheck(forgetful_tanh, np.linspace(-1, 1, 5))
except AssertionError:
    print("the gradient check notices it")

# %% [markdown]
r"""
The loss falls with the wrong gradient, too. The second layer doesn't pass through the pullback of tanh: its gradient is
right, and it learns. And the slope of tanh is never negative, so the wrong gradient of the first layer has the right sign for
each example. Only its size is wrong: it also pushes where tanh is flat and the push changes nothing. Nothing in the loss
curve says "mistake". That is why gradients are checked, and not trusted because training works.

**7. What is remembered.** Each layer keeps its input `h` and its output: the output is the next layer's input, so
there is one array for each layer, 512 x 512 numbers of 8 bytes, about 2 MB. The products `h @ layer` need not be kept, since tanh remembers
its value. Keep only every second `h`, and compute the others again from the one before: half the memory, and about half
a forward pass more time. With $n$ layers, keeping every $\sqrt n$-th needs memory for about $2\sqrt n$ arrays, and at most one
forward pass more ([Chen et al. 2016](../references.md#chen-2016)).
"""
