# %% [markdown]
r"""
# Solutions to chapter 0

Worked answers to the exercises of [chapter 0](../00_start_here.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Play backwards.** Axis 1 is time; a step of -1 goes through it from the end.
"""


# %%
def backwards(video):
    return video[:, ::-1]


check.ch00_backwards(backwards)

# %% [markdown]
r"""
**2. Side by side.** Widths add up, so join along axis 3.
"""


# %%
def beside(first, second):
    return np.concatenate([first, second], axis=3)


check.ch00_beside(beside)

# %% [markdown]
r"""
**3. The centre of mass.** Weigh each row's number with the ink in that row, each column's with the ink in that column, and
divide by all ink.
"""


# %%
def centre(video):
    ink = video[..., 0]  # (B, T, H, W)
    y = (ink.sum(axis=3) * np.arange(ink.shape[2])).sum(axis=2)
    x = (ink.sum(axis=2) * np.arange(ink.shape[3])).sum(axis=2)
    return np.stack([y, x], axis=-1) / ink.sum(axis=(2, 3))[..., None]


check.ch00_centre(centre)
