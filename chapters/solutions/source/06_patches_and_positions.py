# %% [markdown]
r"""
# Solutions to chapter 6

Worked answers to the exercises of [chapter 6](../06_patches_and_positions.ipynb). Try them yourself first.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.lessons import check, size
from minivdit.models.patches import wave_features

# %% [markdown]
r"""
**1. Put it together again.** Do the steps of the chapter backwards. Split the rows into axes, move each axis "where in
the box" behind its axis "which box", and merge the two.
"""


# %%
def clip_from(tokens, grid, patch_size):
    (t, y, x), (pt, ph, pw) = grid, patch_size
    boxes = tokens.reshape(t, y, x, pt, ph, pw, -1).transpose(0, 3, 1, 4, 2, 5, 6)  # (t, pt, y, ph, x, pw, C)
    return boxes.reshape(t * pt, y * ph, x * pw, -1)


check.ch06_unpatchify(clip_from)

# %% [markdown]
r"""
**2. Who is near?** `np.indices` gives (3, T, H, W): the coordinate of each cell, axis by axis. Flattened, its last axis
runs in the order of the tokens. Broadcasting gives the distance of every pair along each axis. A pair is near if it is
near along all three axes.
"""


# %%
def near(grid, reach):
    places = np.indices(grid).reshape(3, -1)
    apart = np.abs(places[:, :, None] - places[:, None, :])  # (3, N, N)
    return (apart <= np.reshape(reach, (3, 1, 1))).all(axis=0)


check.ch06_near(near)

# %% [markdown]
r"""
**3. The other convention.** Even entries are the first coordinates, odd ones the second. The scores of queries and keys are the same in
both conventions if the weights' columns are put into the other order. So weights can be carried from one to the other.
"""


# %%
def rotate(x, angle):
    a, b = x[:, ::2], x[:, 1::2]
    turned = np.empty_like(x)
    turned[:, ::2] = a * np.cos(angle) - b * np.sin(angle)
    turned[:, 1::2] = a * np.sin(angle) + b * np.cos(angle)
    return turned


check.ch06_rotate(rotate)

# %% [markdown]
r"""
**4. How many tokens?** The autoencoder doesn't compress time, so `factor` counts twice only: for height and for width.
"""


# %%
def count_tokens(frames, height, width, factor, patch_size):
    pt, ph, pw = patch_size
    return (frames // pt) * (height // factor // ph) * (width // factor // pw)


check.ch06_tokens(count_tokens)

# %% [markdown]
r"""
**5. Break it: wrong clocks.**
"""

# %%
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for longest, style in ((1.0, ":"), (32.0, "-"), (1e6, "--")):
    features = wave_features(np.arange(32), 32, longest)
    alike = features @ features[16] / (features[16] @ features[16])
    axes.plot(alike, style, label=f"longest {longest:,.0f}")
    print(f"longest {longest:>9,.0f}: a neighbour is alike by {alike[17]:.2f}, the first place by {alike[0]:.2f}")
axes.set(xlabel="position", ylabel="likeness to position 16")
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
With 1 all clocks have the same speed, so there is one clock, and it comes round every $2\pi$ steps. A network would
confuse places 6 or 13 steps apart. With a million most clocks stand still. All places look much alike, and far places
differ in few entries of the row. With 32 likeness falls with the distance and stays low.

**6. Open.** A first look at three widths. (Count with the judge, as in chapter 8, before you believe a picture.)
"""

# %%
model = TextToVideo.load("small")
figure, rows = plt.subplots(3, 1, figsize=(9, 4.6), layout="constrained")
for axes, width in zip(rows, (32, 48, 96)):
    clip = model.generate("a 3 moving right", size=(32, width), seed=1, steps=size(model.settings.steps, 2))[0]
    draw_strip(axes, clip[::2], label=f"{width} px wide")
plt.show()

# %% [markdown]
r"""
One idea is *interpolation*: stretch the positions, so that the large canvas runs from 0 to the last place that the network knows. Then
all positions look familiar, but neighbours are nearer than they ever were, so fine detail suffers. Language models do this to read
longer texts, with a short training afterwards.
"""
