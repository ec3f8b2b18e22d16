# %% [markdown]
r"""
# Solutions to chapter 11

Worked answers to the exercises of [chapter 11](../11_joint_attention.ipynb). Try them yourself first.
"""

# %%
import math

import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Windows.** Integer division says which box a token is in along each axis; two tokens look at each other if all three
agree.
"""


# %%
def window_links(grid, sides):
    places = np.indices(grid).reshape(3, -1).T  # (N, 3)
    box = places // np.array(sides)
    return (box[:, None] == box[None, :]).all(axis=-1)


check.ch11_windows(window_links)

# %% [markdown]
r"""
**2. Who reaches whom.** The later block stands on the left: i looks at someone, who had been reached before. Order matters
as soon as two blocks differ.
"""


# %%
def reach(looks):
    reached = np.eye(len(looks[0]), dtype=bool)
    for look in looks:
        reached = reached | (look.astype(int) @ reached.astype(int) > 0)
    return reached


check.ch11_reach(reach)

# %% [markdown]
r"""
**3. Average attention distance.** In each round the pairs that are new are one step further. A round with no new pair, while
some are still missing, will never find them.
"""


# %%
def average_distance(step):
    reached, total, distance = np.eye(len(step), dtype=bool), 0, 0
    while not reached.all():
        wider = reached | (step.astype(int) @ reached.astype(int) > 0)
        if (wider == reached).all():
            return math.inf
        distance += 1
        total += distance * (wider & ~reached).sum()
        reached = wider
    return total / reached.size


check.ch11_distance(average_distance)

# %% [markdown]
r"""
**4. Near and far.** Sum over keys, mean over queries. `bincount` adds up all weights that have the same distance.
"""


# %%
def spent_by_distance(weights, frame):
    away = np.abs(frame[:, None] - frame[None, :])
    return np.bincount(away.ravel(), weights.ravel()) / len(frame)


check.ch11_spent(spent_by_distance)
