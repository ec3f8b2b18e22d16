# %% [markdown]
r"""
# Solutions to chapter 10

Worked answers to the exercises of [chapter 10](../10_the_consistency_problem.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. The worst pair.** All pairs by broadcasting, (B, T, 1) - (B, 1, T). The difference of two angles may be nearly a whole turn where
the hues are neighbours; as a complex number of length 1 it has its angle between -180 and 180 degrees.
"""


# %%
def worst_pair(hue):
    away = np.angle(np.exp(1j * (hue[:, :, None] - hue[:, None, :])))  # (B, T, T)
    return np.degrees(np.abs(away)).max(axis=(1, 2))


check.ch10_hue(worst_pair)

# %% [markdown]
r"""
**2. Noise that is handed on.** Variances add up: share² + (1 - share²) = 1, and the covariance of neighbours is the weight of the noise
before, share itself. Two frames k apart share what was handed on k times: share to the power of k. (With noise in common the weight
was the root of the share, since *both* frames carried it.)
"""


# %%
def noise_handed_on(own, share):
    noise = own.copy()
    for t in range(1, own.shape[1]):
        noise[:, t] = share * noise[:, t - 1] + np.sqrt(1 - share**2) * own[:, t]
    return noise


check.ch10_noise(noise_handed_on)

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
