# %% [markdown]
r"""
# Solutions to chapter 8

Worked answers to the exercises of [chapter 8](../08_text_guidance.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. A tokenizer.** Padding is there first; the words are written over it.
"""


# %%
def encode(captions, words, length):
    tokens = np.zeros((len(captions), length), int)
    for row, caption in zip(tokens, captions):
        numbers = [1] + [2 + words.index(word) for word in caption.split()]
        row[: len(numbers)] = numbers
    return tokens


check.ch08_encode(encode)

# %% [markdown]
r"""
**2. Cross-attention with padding.** A score of minus infinity becomes a weight of exactly 0. A score of 0 wouldn't do: its
weight is $e^0 = 1$ before the division.
"""


# %%
def look_at_words(q, k, v, present):
    scores = np.where(present, q @ k.T / np.sqrt(q.shape[-1]), -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


check.ch08_cross(look_at_words)

# %% [markdown]
r"""
**3. Guidance.** The scale of a frame is the same for all its cells and channels.
"""


# %%
def guide(conditional, unconditional, scale):
    scale = scale[:, :, None, None, None]
    return unconditional + scale * (conditional - unconditional)


check.ch08_guide(guide)

# %% [markdown]
r"""
**4. Is the rise real?** Take the difference first, clip by clip: an easy clip is easy with either caption, and that part of
the spread drops out. Two means, each with its own error, would leave it in, and hide most rises.
"""


# %%
def rise_of(right, wrong):
    rise = wrong - right
    return rise.mean(), rise.std(ddof=1) / np.sqrt(len(rise))


check.ch08_rise(rise_of)
