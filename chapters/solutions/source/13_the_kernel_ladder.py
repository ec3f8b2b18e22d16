# %% [markdown]
r"""
# Solutions to chapter 13

Worked answers to the exercises of [chapter 13](../13_the_kernel_ladder.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. One turn of the loop.** What was summed is brought to the new maximum by one factor; a new one is never lower than
the old.
"""


# %%
def online_step(state, scores, values):
    highest, total, out = state
    higher = max(highest, scores.max())
    shrink, weights = np.exp(highest - higher), np.exp(scores - higher)
    return higher, shrink * total + weights.sum(), shrink * out + weights @ values


check.ch13_online(online_step)

# %% [markdown]
r"""
**2. What a tiled kernel reads.** Each query is in one block; each block reads all keys and all values.
"""


# %%
def tile_traffic(queries, keys, width, own, bytes_each):
    blocks = -(-queries // own)  # rounded up
    return bytes_each * width * (queries + 2 * blocks * keys)


check.ch13_traffic(tile_traffic)

# %% [markdown]
r"""
**3. Bank conflicts.** Words that several threads want count once; then the fullest bank decides.
"""


# %%
def bank_turns(addresses):
    words = np.unique(addresses // 4)
    return np.bincount(words % 32).max()


check.ch13_turns(bank_turns)

# %% [markdown]
r"""
**4. Under the roof.** Both go on at the same time, so the longer one counts.
"""


# %%
def least_seconds(flops, bytes_moved, peak, bandwidth):
    return max(flops / peak, bytes_moved / bandwidth)


check.ch13_roofline(least_seconds)

# %% [markdown]
r"""
**5. Beside each other.** Whatever runs out first. Registers are counted for each thread.
"""


# %%
def blocks_that_fit(threads, shared, registers, limits):
    needed = {"threads": threads, "shared": shared, "registers": registers * threads}
    return min(limits[what] // needed[what] for what in limits)


check.ch13_blocks(blocks_that_fit)
