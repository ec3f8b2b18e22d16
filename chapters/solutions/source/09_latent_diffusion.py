# %% [markdown]
r"""
# Solutions to chapter 9

Worked answers to the exercises of [chapter 9](../09_latent_diffusion.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. PSNR.** The mean over everything first, the logarithm last: a mean of decibels would be another number. With values in [0, 1]
the largest possible error is 1, so nothing stands above the line.
"""


# %%
def decibels_of(a, b):
    return -10 * np.log10(((a - b) ** 2).mean())


check.ch09_psnr(decibels_of)

# %% [markdown]
r"""
**2. The best linear code.** The rows of `directions` are perpendicular and of length 1, so the same matrix encodes and, transposed,
decodes. Without taking the mean out first, one direction would be wasted on it.
"""


# %%
def best_linear(patches, kept):
    mean = patches.mean(axis=0)
    directions = np.linalg.svd(patches - mean, full_matrices=False)[2][:kept]  # (kept, d)
    return (patches - mean) @ directions.T @ directions + mean


check.ch09_linear(best_linear)

# %% [markdown]
r"""
**3. Unit latents.** One number for each channel, over clips, frames and places together. Channels come last, so broadcasting does the
rest.
"""


# %%
def normalise(raw):
    mean, deviation = raw.mean(axis=(0, 1, 2, 3)), raw.std(axis=(0, 1, 2, 3))
    return (raw - mean) / deviation, mean, deviation


check.ch09_normalise(normalise)

# %% [markdown]
r"""
**4. Which level?** The ratio of amplitudes is $s (1-t)/t$; on rectified flow unit latents have it at $1/(1 + \text{ratio})$. A deviation
above 1 gives a lower level: less noisy than it should look.
"""


# %%
def level_as_seen(level, deviation):
    return level / (level + deviation * (1 - level))


check.ch09_level(level_as_seen)

# %% [markdown]
r"""
**5. Tokens of a large system.** 8 times smaller and patches of 2 make 16 along each side.
"""


# %%
def tokens_of_clip(frames, height, width):
    return (1 + (frames - 1) // 4) * (height // 16) * (width // 16)


check.ch09_tokens(tokens_of_clip)
