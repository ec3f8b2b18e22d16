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

# %% [markdown]
r"""
**5. Break it.** Without a limit on the misfit *some* law is always the nearest, even to a shape that follows none. So in the column
`motion` two rows rise from nearly 0: "noise" to about a quarter, one of four by chance, and "frames shuffled" further. A clip of a
shape that fell still shows places one below the other when its frames are shuffled. So the vertical laws are nearer than the
others, and only two are left to guess from. The same with places alone, without pictures:
"""

# %%
generator, ticks = np.random.default_rng(0), np.arange(8)
laws = np.stack([np.outer(way, direction) for way, direction in (
    (0.14 * ticks**2, (1, 0)), (0.95 * ticks, (-1, 0)), (0.95 * ticks, (0, -1)), (0.95 * ticks, (0, 1)))])  # fmt: skip
asked, order = generator.integers(4, size=2000), generator.permuted(np.tile(ticks, (2000, 1)), axis=1)
places = {
    "real": laws[asked],
    "frames shuffled": np.take_along_axis(laws[asked], order[..., None], axis=1),
    "noise": generator.uniform(0, 8, (2000, 8, 2)),
}
for name, place in places.items():
    gap = place[:, None] - laws
    gap -= gap.mean(axis=2, keepdims=True)
    miss = np.sqrt((gap**2).sum(axis=-1).mean(axis=-1))  # (clips, laws)
    right = miss.argmin(axis=1) == asked
    print(
        f"{name:16} motion {right.mean():.2f} without the limit, {(right & (miss.min(axis=1) < 1)).mean():.2f} with it"
    )

# %% [markdown]
r"""
**6. An open question.** One example: a shape that is the same drawing in every clip. Each mark looks at one clip at a time, so all are full.
The spread of the chapter wouldn't notice either, since it measures places. The mean distance between the looks of different clips of one
shape would: real clips give its ceiling, copies of one clip its floor of 0.
"""
