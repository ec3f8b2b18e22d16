# %% [markdown]
r"""
# Solutions to chapter 14

Worked answers to the exercises of [chapter 14](../14_every_ability.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. The matrix.** A column of falling levels times a row that is 0 where a frame is given.
"""


# %%
def levels_for(steps, given):
    return np.linspace(1, 0, steps + 1)[:, None] * ~given


check.ch14_levels(levels_for)

# %% [markdown]
r"""
**2. Where the walk begins.** A given frame has level 0; then it is the mixture of chapter 3 for all.
"""


# %%
def first_state(clean, noise, given, start):
    level = np.where(given, 0, start)[:, :, None, None, None]  # (B, T, 1, 1, 1)
    return (1 - level) * clean + level * noise


check.ch14_start(first_state)

# %% [markdown]
r"""
**3. Known latents.** Cut into boxes, and ask for all pixels of each.
"""


# %%
def known_latents(known, factor):
    frames, height, width = known.shape
    boxes = known.reshape(frames, height // factor, factor, width // factor, factor)
    return boxes.all(axis=(2, 4))


check.ch14_latents(known_latents)

# %% [markdown]
r"""
**4. Rounds.** Each round adds what its window has beyond the context, until there are enough.
"""


# %%
def new_frames(frames, wanted, window, context):
    added = []
    while frames + sum(added) < wanted:
        added.append(min(window - context, wanted - frames - sum(added)))
    return added


check.ch14_rounds(new_frames)
