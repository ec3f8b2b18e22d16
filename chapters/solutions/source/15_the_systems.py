# %% [markdown]
r"""
# Solutions to chapter 15

Worked answers to the exercises of [chapter 15](../15_the_systems.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. A causal layer that halves time.** Two copies of the first frame before the beginning; then each output is three
frames, the newest first; every second one stays.
"""


# %%
def causal_half(x, kernel):
    padded = np.concatenate([x[:1], x[:1], x])
    whole = kernel[0] * padded[2:] + kernel[1] * padded[1:-1] + kernel[2] * padded[:-2]
    return whole[::2]


check.ch15_causal(causal_half)

# %% [markdown]
r"""
**2. Tokens of CogVideoX.** 49 frames of 480x720, 4 in time, 8 in space and patches of 2: 13 x 30 x 45 = 17,550.
"""


# %%
def number_of_tokens(frames, height, width, in_time, in_space, side):
    latent_frames = 1 + (frames - 1) // in_time
    return latent_frames * (height // (in_space * side)) * (width // (in_space * side))


check.ch15_tokens(number_of_tokens)

# %% [markdown]
r"""
**3. Skiparse.** The place modulo k; the number of the run modulo k.
"""


# %%
def skiparse(tokens, k):
    place = np.arange(tokens)
    return place % k, place // k % k


check.ch15_skiparse(skiparse)

# %% [markdown]
r"""
**4. Strata.** One number in each interval, then shuffled.
"""


# %%
def stratified_levels(batch, generator):
    return (generator.permutation(batch) + generator.random(batch)) / batch


check.ch15_strata(stratified_levels)
