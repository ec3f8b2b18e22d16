# %% [markdown]
r"""
# Solutions to chapter 3

Worked answers to the exercises of [chapter 3](../03_adding_noise.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Mix with a level for each frame.** Three axes of length 1 behind (B, T) let NumPy stretch the levels over height,
width and channels. Without them NumPy would line (B, T) up with the *last* two axes.
"""


# %%
def mix(clean, noise, level):
    level = level[:, :, None, None, None]
    return (1 - level) * clean + level * noise


check.ch03_mix(mix)

# %% [markdown]
r"""
**2. From beta to alpha_bar.** A product of all factors so far. The first entry has one factor already: it belongs to step
1, not to step 0.
"""


# %%
def alpha_bar_of(beta):
    return np.cumprod(1 - beta)


check.ch03_alpha_bar(alpha_bar_of)

# %% [markdown]
r"""
**3. Which level?** $(1-t)/t = \sqrt{r}$, so $1/t = 1 + \sqrt{r}$. The square root is easily forgotten: the ratio is one of
variances, the curves are amplitudes.
"""


# %%
def level_of(ratio):
    return 1 / (1 + np.sqrt(ratio))


check.ch03_level_of(level_of)

# %% [markdown]
r"""
**4. The clean clip from a velocity.** $x = (1-t)\,c + t\,n$ and $v = n - c$, so $x - t v = c$: from `x` walk back along the
straight line for the time `t`. No division, so it holds at every level.
"""


# %%
def clean_of(x, velocity, level):
    return x - level[:, :, None, None, None] * velocity


check.ch03_clean(clean_of)
