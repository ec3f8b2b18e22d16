# %% [markdown]
r"""
# Solutions to chapter 10

Worked answers to the exercises of [chapter 10](../10_the_consistency_problem.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lessons import check

# %% [markdown]
r"""
**1. Change of hue.** The difference of two angles may be nearly a whole turn where the hues are neighbours. As a complex number
of length 1 it has its angle between -180 and 180 degrees. The first frame is left out: it would add a 0 that means nothing.
"""


# %%
def change_of_hue(hue):
    away = np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1])))
    return np.degrees(np.abs(away)).mean(axis=1)


check.ch10_hue(change_of_hue)

# %% [markdown]
r"""
**2. Noise in common.** Variances add up: c + (1 - c) = 1. Two frames share the first term only, so their covariance is c. Without
the roots the deviation would be below 1, and the network would get noise weaker than the level it is told.
"""


# %%
def noise_in_common(common, own, share):
    return np.sqrt(share) * common + np.sqrt(1 - share) * own


check.ch10_noise(noise_in_common)

# %% [markdown]
r"""
**3. Left behind.** The last frame has no successor, so its patches count neither above nor below the line.
"""


# %%
def share_left(inked):
    now, then = inked[:, :-1], inked[:, 1:]
    return (now & ~then).sum() / now.sum()


check.ch10_left(share_left)

# %% [markdown]
r"""
**4. How sure.** First subtract, then ask how much the differences spread: what a seed does to both has cancelled. With
the two spreads added, as for unrelated runs, the interval would be needlessly wide.
"""


# %%
def interval(a, b, t):
    gaps = a - b
    half = t * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return gaps.mean() - half, gaps.mean() + half


check.ch10_paired(interval)
