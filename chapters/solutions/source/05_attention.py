# %% [markdown]
r"""
# Solutions to chapter 5

Worked answers to the exercises of [chapter 5](../05_attention.ipynb). Try them yourself first.
"""

# %%
import time

import numpy as np

from minivdit.autograd import simple_attention
from minivdit.base.backend import blas_threads
from minivdit.lab.lessons import check, size

# %% [markdown]
r"""
**1. Grouped queries.** One way is to repeat each head of keys and values h/g times *in a row* (`np.repeat`, not
`np.tile`). The way below needs no copies: it gives the queries an axis for their group, and broadcasting repeats keys
and values. Maximum and sum run over the last axis, the keys of one query.
"""


# %%
def grouped_attention(q, k, v):
    grouped = q.reshape(len(k), -1, *q.shape[1:])  # (g, h/g, Nq, d)
    scores = grouped @ k[:, None].swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (weights @ v[:, None]).reshape(*q.shape[:2], -1)


check.ch05_attention(grouped_attention)

# %% [markdown]
r"""
**2. A pullback with a bias.** The bias is added to the scores, so its gradient is the gradient of the scores, without
the scale. The gradients of q and k are multiplied by the scale once.
"""


# %%
def attention_pullback(q, k, v, bias, grad):
    scale = 1 / np.sqrt(q.shape[-1])
    scores = q @ k.T * scale + bias
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    weights_grad = grad @ v.T
    scores_grad = weights * (weights_grad - (weights_grad * weights).sum(axis=-1, keepdims=True))
    return scores_grad @ k * scale, scores_grad.T @ q * scale, weights.T @ grad, scores_grad


check.ch05_pullback(attention_pullback)

# %% [markdown]
r"""
**3. Bring parts together.** Make all sums relative to the largest maximum. Then you can add them. A part without keys
has the factor $e^{-\infty} = 0$, and adds nothing. The order of the parts doesn't matter.
"""


# %%
def merge(parts):
    top = np.max([top for top, _, _ in parts], axis=0)
    total = sum(np.exp(its - top) * total for its, total, _ in parts)
    out = sum(np.exp(its - top) * out for its, _, out in parts)
    return top, total, out


check.ch05_merge(merge)

# %% [markdown]
r"""
**4. A mask with a window.** Subtract the time of the key from that of the query. A key is visible if the difference is
between 0 and `window` - 1, or if the key is in frame 0.
"""


# %%
def visible_to(query_time, key_time, window):
    ago = query_time[:, None] - key_time[None, :]
    return ((ago >= 0) & (ago < window)) | (key_time == 0)


check.ch05_visible(visible_to)

# %% [markdown]
r"""
**5. Break it: forget to shrink.** The factor is 1 unless a new maximum comes. So the result is right if the largest
score comes *first*.
"""


# %%
def forgets_to_shrink(q, k, v):
    top, total, out = -np.inf, 0.0, np.zeros(v.shape[1])
    for key, value in zip(k, v):
        score = q @ key / np.sqrt(len(q))
        top = max(top, score)
        total = total + np.exp(score - top)
        out = out + np.exp(score - top) * value
    return out / total


generator = np.random.default_rng(0)
q, k, v = (generator.standard_normal(shape) for shape in ((1, 8), (40, 8), (40, 5)))
order = np.argsort(k @ q[0])  # from the smallest score to the largest
for name, places in (("largest first", order[::-1]), ("smallest first", order), ("as drawn", np.arange(40))):
    error = np.abs(forgets_to_shrink(q[0], k[places], v[places]) - simple_attention(q, k, v).data[0]).max()
    print(f"{name:15} error {error:.1e}")

# %% [markdown]
r"""
A test with one input may pass by luck, and a test with equal keys always passes. So tests of such code must contain a
maximum that comes late. The tests of the library do.

**6. Open.** The next cell is a beginning. It measures the time of one call for some tile sizes.
"""

# %%
tokens = size(2048, 128)
q, k, v = generator.standard_normal((3, tokens, 32), dtype=np.float32)


def tiled(tile):
    top, total, out = np.float32(-1e30), np.float32(0), np.float32(0)
    for start in range(0, len(k), tile):
        scores = q @ k[start : start + tile].T / np.float32(np.sqrt(32))
        higher = np.maximum(top, scores.max(axis=1, keepdims=True))
        shrink, weights = np.exp(top - higher), np.exp(scores - higher)
        total = total * shrink + weights.sum(axis=1, keepdims=True)
        out = out * shrink + weights @ v[start : start + tile]
        top = higher
    return out / total


for tile in (8, 32, 128, 512, tokens):
    times = []
    for _ in range(size(5, 1)):
        started = time.perf_counter()
        with blas_threads(1):
            tiled(tile)
        times.append(time.perf_counter() - started)
    print(f"tile {tile:>5}: {1000 * min(times):6.1f} ms")

# %% [markdown]
r"""
Small tiles are slow, because Python's loop has many turns and the matrix products are narrow. Beyond some size, larger
tiles are no faster. If the scores of a tile no longer fit into the cache, they go to memory and back, and larger tiles
may be slower again. On a GPU the fast memory is much smaller, and it limits the size of the tile ([chapter
13](../13_the_kernel_ladder.ipynb)).
"""
