# %% [markdown]
r"""
# Solutions to chapter 16

Worked answers to the exercises of [chapter 16](../16_capstone.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Loss by level.** The bin is the whole part of level times bins, and 1 would open a bin of its own. Without leaving out what was given,
the lowest bin would look better than it is: there is nothing to predict there.
"""


# %%
def by_level(error, level, bins):
    number = np.minimum((level * bins).astype(int), bins - 1)
    number[level == 0] = -1
    return np.array([error[number == k].mean() for k in range(bins)])


check.ch16_levels(by_level)

# %% [markdown]
r"""
**2. How fast?** Centring takes the unknown start out of both sides. What is left is one unknown for each clip, and least squares gives the
projection on the law. (First and last place alone would do without errors; with errors they throw most of the clip away.)
"""


# %%
def strengths(places, law):
    law = law - law.mean(axis=0)
    centred = places - places.mean(axis=1, keepdims=True)
    return (centred * law).sum(axis=(1, 2)) / (law**2).sum()


check.ch16_strengths(strengths)

# %% [markdown]
r"""
**3. The floor, exactly.** In a random order each clip gets each caption with the same chance, so compare all with all. A network that
always draws one class is right as often as that class is asked for.
"""


# %%
def floor_of(asked, seen):
    return (asked[:, None] == seen[None, :]).mean()


check.ch16_floor(floor_of)

# %% [markdown]
r"""
**4. What fits?** A training step is three forward passes' worth: the backward pass has two products for each one. Whole steps only.
"""


# %%
def steps_that_fit(flops, hours, speed, share):
    return int(hours * 3600 * speed * share / (3 * flops))


check.ch16_steps(steps_that_fit)
