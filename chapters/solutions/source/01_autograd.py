# %% [markdown]
r"""
# Solutions to chapter 1

Worked answers to the exercises of [chapter 1](../01_autograd.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

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
**3. Softmax.** Subtracting the largest entry changes nothing and prevents overflow. Each weight has slope
`weight * (1 - weight)` along its own score, and `-weight * other` along the others, because they share one sum. Both
together: `weight * (grad - sum(grad * weights))`.
"""


# %%
def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)

    def pullback(grad):
        return weights * (grad - (grad * weights).sum(axis=-1, keepdims=True))

    return weights, pullback


check.ch01_softmax(softmax)

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
**5. Your own gradient check.** A random cotangent, and a step along one random direction: if the pullback is right,
`grad . direction` is the slope of the contracted output along that direction. One random direction sees any
fault with probability 1; the library takes several, and single entries too, so that it can say where.
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
