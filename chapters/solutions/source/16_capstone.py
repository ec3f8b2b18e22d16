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
**1. Loss by level.** The number of the bin is the whole part of level times bins. Level 1 would get a bin of its own,
so it is put into the last one. If given frames weren't left out, the error in the lowest bin would come out wrong,
because their error isn't part of the loss.
"""


# %%
def by_level(error, level, bins):
    number = np.minimum((level * bins).astype(int), bins - 1)
    number[level == 0] = -1
    return np.array([error[number == k].mean() for k in range(bins)])


check.ch16_levels(by_level)

# %% [markdown]
r"""
**2. How fast?** Subtract the mean over time from both places and law. This removes the unknown start. What is left is
one unknown for each clip, and least squares gives it as the projection on the law. (Without errors the first and the
last place would be enough. With errors, they use only a small part of the clip.)
"""


# %%
def strengths(places, law):
    law = law - law.mean(axis=0)
    centred = places - places.mean(axis=1, keepdims=True)
    return (centred * law).sum(axis=(1, 2)) / (law**2).sum()


check.ch16_strengths(strengths)

# %% [markdown]
r"""
**3. The floor, exactly.** In a random order each clip gets each caption with the same probability, so compare all clips
with all captions. A network that always draws one class is right as often as that class is asked for.
"""


# %%
def floor_of(asked, seen):
    return (asked[:, None] == seen[None, :]).mean()


check.ch16_floor(floor_of)

# %% [markdown]
r"""
**4. What fits?** A training step costs as much as three forward passes, because the backward pass has two products for
each one of the forward pass. `int` keeps whole steps only.
"""


# %%
def steps_that_fit(flops, hours, speed, share):
    return int(hours * 3600 * speed * share / (3 * flops))


check.ch16_steps(steps_that_fit)

# %% [markdown]
r"""
**5. Break it.** Without a limit on the misfit *some* law is always the nearest, even to a shape that follows none. So
in the column `motion` two rows rise from nearly 0. "noise" rises to about a quarter, because one of four laws is right
by chance. "frames shuffled" rises further. If the frames of a falling shape are shuffled, its places still lie on a
vertical line. So the two vertical laws are nearer than the others, and one of these two is right by chance. We check
this with places alone, without pictures:
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
**6. An open question.** One example is a network that uses the same drawing of a shape in every clip. Each measure of
the judge looks at one clip at a time, so each gives the best value. The spread of the chapter wouldn't notice it
either, because it measures places. The mean distance between the looks of different clips of one shape would notice it.
Real clips give its ceiling, and copies of one clip its floor of 0.
"""
