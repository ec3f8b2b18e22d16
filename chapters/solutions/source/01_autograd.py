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
**1. Sine.** The slope of sine is cosine. So the pullback multiplies `grad` by the cosine, entry by entry.
"""


# %%
def sine(x):
    def pullback(grad):
        return grad * np.cos(x)

    return np.sin(x), pullback


check.ch01_sine(sine)

# %% [markdown]
r"""
**2. Matrix product.** `grad` is (n, m). The gradient of `a` is (n, k), so we need (n, m) times (m, k): `grad` times `b`
transposed. The gradient of `b` is (k, m), so we need (k, n) times (n, m): `a` transposed times `grad`. The shapes
suggest this, and the chain rule confirms it. The slope of output (i, j) along `a[i, l]` is `b[l, j]`.
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
**4. Unbroadcast.** First sum over the axes that were added in front. Now `grad` has as many axes as the input. Then sum
over each axis on which the input had length 1, and keep this axis.
"""


# %%
def unbroadcast(grad, shape):
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(axis for axis, length in enumerate(shape) if length == 1)
    return grad.sum(axis=stretched, keepdims=True)


check.ch01_unbroadcast(unbroadcast)

# %% [markdown]
r"""
**5. A cheaper gradient check.** Take one random cotangent and one random direction. The check then runs the operation
three times, once for the pullback and twice for the difference. A single random direction shows a mistake with
probability 1. The library takes several directions. It also nudges single entries, so that it can say where the mistake
is.
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
The loss falls with the wrong gradient, too. The gradient of the second layer doesn't pass through the pullback of tanh.
It is right, and this layer learns. The slope of tanh is never negative, so the wrong gradient of the first layer has
the right sign for each example. Only its size is wrong. It also changes weights where tanh is flat and the change has
no effect. The loss curve doesn't show the mistake. So don't trust a gradient because training works: check it.

**7. What is remembered.** Each layer keeps its input `h` and its output. The output is the input of the next layer, so
there is one array for each layer. It has 512 x 512 numbers of 8 bytes, about 2 MB. The products `h @ layer` aren't
kept, since tanh remembers its value instead. You could keep only every second `h`, and compute each of the others again
from the one before it. This halves the memory and takes about half a forward pass more time. If you keep only every
$\sqrt n$-th of $n$ layers, you need memory for about $2\sqrt n$ arrays, and at most one more forward pass ([Chen et al.
2016](../references.md#chen-2016)).
"""
