# %% [markdown]
r"""
# Solutions to chapter 5

Worked answers to the exercises of [chapter 5](../05_attention.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Attention.** Each *row* of scores belongs to a query, so maximum and sum run over the last axis.
"""


# %%
def attention(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


check.ch05_attention(attention)

# %% [markdown]
r"""
**2. Its pullback.** Three steps backwards: the product with `v`, softmax, the product with `k`. The scale belongs to the
gradients of both q and k, once each.
"""


# %%
def attention_pullback(q, k, v, grad):
    scale = 1 / np.sqrt(q.shape[-1])
    weights = np.exp(q @ k.T * scale - (q @ k.T * scale).max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    weights_grad = grad @ v.T
    scores_grad = weights * (weights_grad - (weights_grad * weights).sum(axis=-1, keepdims=True))
    return scores_grad @ k * scale, scores_grad.T @ q * scale, weights.T @ grad


check.ch05_pullback(attention_pullback)

# %% [markdown]
r"""
**3. Bring two halves together.** Count both relative to the larger maximum; then sums are sums. Nothing says which half
came first, so this also works in any order, and for any number of parts.
"""


# %%
def merge(first, second):
    (top1, total1, out1), (top2, total2, out2) = first, second
    top = np.maximum(top1, top2)
    shrink1, shrink2 = np.exp(top1 - top), np.exp(top2 - top)
    return top, total1 * shrink1 + total2 * shrink2, out1 * shrink1 + out2 * shrink2


check.ch05_merge(merge)

# %% [markdown]
r"""
**4. The mask.** Queries down, keys across. "At most", not "less than": a token sees its own frame.
"""


# %%
def visible_to(query_time, key_time):
    return key_time[None, :] <= query_time[:, None]


check.ch05_visible(visible_to)
