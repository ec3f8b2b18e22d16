# %% [markdown]
r"""
# Solutions to chapter 12

Worked answers to the exercises of [chapter 12](../12_the_bill.ipynb). Try them yourself first.
"""

# %%
from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Pairs of frame and time attention.** T groups of H W tokens, then H W groups of T tokens; each group of n has n² pairs.
"""


# %%
def pairs_in_turn(grid):
    frames, places = grid[0], grid[1] * grid[2]
    return frames * places**2 + places * frames**2


check.ch12_pairs(pairs_in_turn)

# %% [markdown]
r"""
**2. A block.** The sum of the table.
"""


# %%
def block(tokens, width):
    return 24 * tokens * width**2 + 4 * tokens**2 * width


check.ch12_block(block)

# %% [markdown]
r"""
**3. The crossing.** 4 N² d = 24 N d², so N = 6 d.
"""


# %%
def crossing(width):
    return 6 * width


check.ch12_crossing(crossing)

# %% [markdown]
r"""
**4. How many times?** The ratio of two such sums. For frames without end it approaches the square of their number.
"""


# %%
def times_one_frame(frames, places, width):
    return block(frames * places, width) / block(places, width)


check.ch12_ratio(times_one_frame)
