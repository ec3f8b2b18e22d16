# %% [markdown]
r"""
# Solutions to chapter 6

Worked answers to the exercises of [chapter 6](../06_patches_and_positions.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Patchify.** Split each axis into "which box" and "where in the box", bring the three "which" to the front, and merge.
"""


# %%
def patchify_clip(clip, patch_size):
    (frames, height, width, channels), (pt, ph, pw) = clip.shape, patch_size
    boxes = clip.reshape(frames // pt, pt, height // ph, ph, width // pw, pw, channels)
    return boxes.transpose(0, 2, 4, 1, 3, 5, 6).reshape(-1, pt * ph * pw * channels)


check.ch06_patchify(patchify_clip)

# %% [markdown]
r"""
**2. Where is each token?** `np.indices` gives (3, T, H, W): the coordinate of each cell, axis by axis. The last axis varies
fastest, as in the order of the tokens.
"""


# %%
def places(grid):
    return np.indices(grid).reshape(3, -1).T


check.ch06_places(places)

# %% [markdown]
r"""
**3. Turn.** A point (a, b) turned by an angle is (a cos - b sin, a sin + b cos).
"""


# %%
def rotate(x, angle):
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


check.ch06_rotate(rotate)

# %% [markdown]
r"""
**4. How many tokens?** Time isn't compressed by the autoencoder, so `factor` counts twice only: for height and for width.
"""


# %%
def count_tokens(frames, height, width, factor, patch_size):
    pt, ph, pw = patch_size
    return (frames // pt) * (height // factor // ph) * (width // factor // pw)


check.ch06_tokens(count_tokens)
