# %% [markdown]
r"""
# Solutions to chapter 4

Worked answers to the exercises of [chapter 4](../04_removing_noise.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. The best guess.** Only ratios of weights count, so the largest exponent may be subtracted: then one weight is 1, and their sum
can't be 0.
"""


# %%
def best(x, data, alpha, sigma):
    exponent = -((x[:, None] - alpha * data) ** 2).sum(axis=-1) / (2 * sigma**2)  # (n, m)
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return weights @ data / weights.sum(axis=1, keepdims=True)


check.ch04_best(best)

# %% [markdown]
r"""
**2. A step of DDIM.** $x = (1-t)\,c + t\,n$ gives the clean clip; the same pair is then mixed at the other level.
"""


# %%
def ddim_step(x, noise, here, there):
    here, there = (level[:, :, None, None, None] for level in (here, there))
    clean = (x - here * noise) / (1 - here)
    return (1 - there) * clean + there * noise


check.ch04_ddim_step(ddim_step)

# %% [markdown]
r"""
**3. The spread of DDPM's steps.** Entry `k` needs alpha_bar before and after the step; before the first step all is clean, so
alpha_bar is 1 there, and the spread 0.
"""


# %%
def deviations(beta):
    after = np.cumprod(1 - beta)
    before = np.concatenate([[1.0], after[:-1]])
    return np.sqrt((1 - before) / (1 - after) * beta)


check.ch04_deviations(deviations)

# %% [markdown]
r"""
**4. Energy distance.** Distances, not their squares: squares would only compare the means.
"""


# %%
def energy(a, b):
    between, within_a, within_b = (np.linalg.norm(p[:, None] - q, axis=-1).mean() for p, q in ((a, b), (a, a), (b, b)))
    return 2 * between - within_a - within_b


check.ch04_energy(energy)
