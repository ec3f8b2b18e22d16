# %% [markdown]
r"""
# Solutions to chapter 11

Worked answers to the exercises of [chapter 11](../11_joint_attention.ipynb). Try them yourself first.
"""

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.lessons import check, size

# %% [markdown]
r"""
**1. Sliding windows.** Compare the distance of two tokens along each axis with what is allowed. They must be near along
all three axes.
"""


# %%
def sliding_links(grid, far):
    places = np.indices(grid).reshape(3, -1).T  # (N, 3)
    away = np.abs(places[:, None] - places[None, :])
    return (away <= np.array(far)).all(axis=-1)


check.ch11_sliding(sliding_links)

# %% [markdown]
r"""
**2. How many blocks?** In the matrix product the later block stands on the left: i looks at a token that had been
reached before. If a whole cycle brings nothing new, no later cycle will.
"""


# %%
def blocks_until_all(cycle):
    reached, blocks = np.eye(len(cycle[0]), dtype=bool), 0
    while True:
        at_start = reached
        for look in cycle:
            if reached.all():
                return blocks
            reached = reached | (look.astype(int) @ reached.astype(int) > 0)
            blocks += 1
        if (reached == at_start).all():
            return math.inf


check.ch11_blocks(blocks_until_all)

# %% [markdown]
r"""
**3. Average attention distance.** The new pairs of each round are one step further apart than those of the round
before. If a round brings no new pair while some are missing, no later round will.
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

# %% [markdown]
r"""
**5. Change the noise.** We repeat the experiment of the chapter at three levels, and disturb all patches of a middle
frame, one after the other.
"""

# %%
model = TextToVideo.load("joint")
settings, generator = model.settings, np.random.default_rng(0)
maker = CaptionedClips(digit_source("strokes", split="test"), settings.size, settings.num_frames, num_digits=(1,))
made = maker.render(np.random.default_rng(4), [[DigitMotion(3, "right", "fast")]])
latents, words = model.autoencoder.encode(made.video), model.tokenizer.encode(made.captions)
noise = generator.standard_normal(latents.shape, dtype=np.float32)
frames, t = latents.shape[1], latents.shape[1] // 2


def predict(x, level):
    with ag.no_grad():
        return model.transformer(x, np.full(x.shape[:2], level, np.float32), words).data


figure, axes = plt.subplots(figsize=(6.5, 3), layout="constrained")
for level in (0.1, 0.5, 0.9):
    noisy = settings.process.mix(latents, noise, np.full(latents.shape[:2], level)).astype(np.float32)
    before, change = predict(noisy, level), np.zeros(frames)
    for y in range(0, latents.shape[2], size(2, 4)):
        for x in range(0, latents.shape[3], size(2, 4)):
            disturbed = noisy.copy()
            disturbed[0, t, y : y + 2, x : x + 2] += 1.0
            change += ((predict(disturbed, level) - before)[0] ** 2).mean(axis=(1, 2, 3))
    change = np.sqrt(change / change[t])
    axes.semilogy(np.arange(frames) - t, change, "o-", label=f"noise level {level}")
    print(f"level {level}: the other frames change {np.delete(change, t).mean():.1%} as much as the disturbed one")
axes.set(xlabel="frames away from the disturbed one", ylabel="change of the prediction (own: 1)")
axes.grid(alpha=0.3, which="both")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
The more noise, the more the other frames matter. At a low level a frame shows nearly all there is to know about itself, and needs
nobody. At a high level it shows almost nothing. What can be known then lies in the other frames: sixteen noisy pictures of one
digit together say more than one. There the curve is nearly flat, so far frames help as much as near ones.

**6. The cheapest detour.** Say every token looks at $a$ tokens in the first block and at $b$ in the second. Then at
most $ab$ tokens reach it, so $ab \ge N$ is needed, and $a + b$ is smallest for $a = b = \sqrt N$. Two blocks need at
least $2\sqrt N$ scores for each token, where `joint` needs $N$ in each block. A pattern that meets the bound: write the
tokens into a square table of $\sqrt N$ rows, and use attention in rows, then in columns. `framewise` is of this kind,
with $T$ rows of $S$ tokens, and meets the bound only where $T = S$. `skip` with $k = \sqrt N$ meets it too. *Which*
tokens share a group is free. For digits that move you'd like groups that follow the motion. But the motion isn't known
beforehand, and differs from digit to digit. This is a reason for `joint`.
"""
