# %% [markdown]
r"""
# 6. Space-time patches and positions, any size and length

*About 50 minutes with the exercises. Runs in half a minute.*

**You'll do:** cut clips into boxes and put them together again; show that attention doesn't know the order of its
tokens, and tell it the order by two kinds of positions; run a trained model on sizes that it never saw.

**You'll learn:** what a [token](glossary.md#token) of a video model is; why the order of axes matters; how positions
are written as waves; why scores with [rotary positions](glossary.md#rotary-positions) depend on distances only; why "it
runs on any size" and "it works on any size" are two claims.

**You need:** reshape and transpose; dot products; [chapter 5](05_attention.ipynb) for attention.

![A clip is cut into boxes, each of which becomes a token](pictures/06.svg)
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display import show
from minivdit.lab.lessons import check, size
from minivdit.models.patches import patch_grid, patchify, rotary_angles, sincos_positions, unpatchify, wave_features

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## A clip becomes a list of boxes

A transformer works on a list of rows, the tokens. A video model's tokens are boxes of the clip, called
[patches](glossary.md#patch). A patch covers $p_t$ frames, $p_h$ rows and $p_w$ columns, and its entries are written out
as one row of numbers. A clip of $T \times H \times W$ cells (pixels here; latents from [chapter
9](09_latent_diffusion.ipynb) on) with $C$ channels has

$$N = \frac{T}{p_t} \cdot \frac{H}{p_h} \cdot \frac{W}{p_w} \quad\text{tokens of}\quad p_t\, p_h\, p_w\, C \quad\text{numbers.}$$

The simple loop:
"""


# %%
def patchify_by_loops(clip, patch_size):
    """(T, H, W, C) -> (N, pt * ph * pw * C), tokens in the order t, y, x."""
    pt, ph, pw = patch_size
    frames, height, width, _ = clip.shape
    tokens = []
    for t in range(0, frames, pt):
        for y in range(0, height, ph):
            for x in range(0, width, pw):
                tokens.append(clip[t : t + pt, y : y + ph, x : x + pw].reshape(-1))
    return np.array(tokens)


# %% [markdown]
r"""
The vectorised form splits each of the three axes in two. The first part says which box, the second says where in the
box. Then the three axes of the first kind are moved to the front. The library's `patchify` does the same for batches,
and has a [pullback](glossary.md#pullback). `unpatchify` is the way back.
"""

# %%
clip = generator.standard_normal((4, 6, 8, 3))
(frames, height, width, channels), (pt, ph, pw) = clip.shape, (2, 3, 4)
boxes = clip.reshape(frames // pt, pt, height // ph, ph, width // pw, pw, channels)
boxes = boxes.transpose(0, 2, 4, 1, 3, 5, 6)  # (t, y, x, pt, ph, pw, C)
tokens = boxes.reshape(-1, pt * ph * pw * channels)

assert np.array_equal(tokens, patchify_by_loops(clip, (2, 3, 4)))
assert np.array_equal(tokens, patchify(clip[None], (2, 3, 4)).data[0])
back = unpatchify(tokens[None], (2, 2, 2), (2, 3, 4)).data[0]
assert np.array_equal(back, clip)  # nothing is lost

# %% [markdown]
r"""
The `transpose` is easily forgotten, and no error is raised. Without it the shape is still right. But then a token isn't
a box: it is a run of pixels that lie next to each other in memory.

**What to look at.** Every other token is drawn lighter. If tokens are boxes, the picture is a chessboard. What is it in
the lower row, where the `transpose` is left out?
"""

# %%
source = digit_source("strokes", split="test")
clips = CaptionedClips(source, size=(32, 32), num_frames=4, digit_size=24, num_digits=(1,))
video = clips.render(generator, [[DigitMotion(2, "right")]]).video[0]  # (4, 32, 32, 1)


def shade(tokens, grid, patch_size):
    """Each token in one of two shades, put back into the clip: a chessboard if tokens are boxes."""
    number = np.arange(len(tokens))
    t, y, x = np.unravel_index(number, grid)
    return np.where((t + y + x)[:, None] % 2, tokens * 0.6 + 0.4, tokens)


patch_size = (1, 8, 8)
grid = patch_grid(video.shape[:3], patch_size)
right = shade(patchify(video[None], patch_size).data[0], grid, patch_size)
right = unpatchify(right[None], grid, patch_size).data[0]
wrong = shade(video.reshape(np.prod(grid), -1), grid, patch_size).reshape(video.shape)

figure, rows = plt.subplots(2, 4, figsize=(7.5, 4), layout="constrained")
for row, shaded, name in zip(rows, (right, wrong), ("boxes", "reshape only")):
    for t, axes in enumerate(row):
        axes.imshow(shaded[t, :, :, 0], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], title=f"frame {t}")
    row[0].set_ylabel(name)
figure.suptitle(f"every other token in a lighter shade: patches of {patch_size}", fontsize=10)
plt.show()

# %% [markdown]
r"""
**Claim.** Nothing here assumes a square frame, a fixed length, or a power of two. The patch must divide the clip. If it doesn't, the
error names sizes that work.
"""

# %%
for shape in ((16, 32, 32), (1, 32, 32), (7, 24, 40)):
    grid = patch_grid(shape, (1, 4, 4))
    print(f"{shape[0]:>3} frames of {shape[1]} x {shape[2]}: grid {grid}, {int(np.prod(grid)):,} tokens")
try:
    patch_grid((16, 30, 32), (1, 4, 4))
except InputError as error:
    print(error)

# %% [markdown]
r"""
## Attention can't tell first from last

**Claim.** Without positions a transformer sees tokens without an order. If the tokens are shuffled, the result is
shuffled in the same way and otherwise unchanged. With a permutation matrix $\Pi$ ($\Pi x$ has the rows of $x$ in
another order),

$$\mathrm{attention}(\Pi x) = \Pi\, \mathrm{attention}(x).$$

So attention can't know the order of the frames.
"""

# %%
x = generator.standard_normal((12, 8))
shuffled = generator.permutation(12)
seen = ag.attention(x, x, x).data
seen_shuffled = ag.attention(x[shuffled], x[shuffled], x[shuffled]).data
assert np.allclose(seen[shuffled], seen_shuffled)

# %% [markdown]
r"""
## Positions as waves

So each token must be told where it is. A single number, such as the number of the frame, wouldn't do well: a network is
good at comparing directions of vectors, and bad at reading how large one number is. The usual way ([Vaswani et al.
2017](references.md#vaswani-2017)) describes a number $n$ by $D/2$ cosines and $D/2$ sines:

$$\cos(\omega_i n),\; \sin(\omega_i n), \qquad \omega_i = L^{-i / (D/2)}, \quad i = 0, \dots, D/2 - 1.$$

The cosine and the sine of one frequency say where the hand of a clock is that turns by $\omega_i$ radians a step. A
position is the time on $D/2$ such clocks. The fast ones tell neighbours apart. The slow ones tell early from late.

The constant $L$ (`longest` in the code) decides how slow the slowest clock is. The fastest wave turns by 1 radian a
step, the slowest by a little over $1/L$. For sentences $L = 10{,}000$ is usual. Our clips are some dozens of steps
long, and the library takes 32: the slowest wave turns by about a radian in the whole clip.

**What to look at.** A column is one feature. In how many columns does the value change from top to bottom, on the left
and on the right?
"""

# %%
steps = np.arange(32)
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for axes, longest in zip(panels, (32.0, 10_000.0)):
    picture = axes.imshow(wave_features(steps, 32, longest), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    axes.set(title=f"longest {longest:,.0f}", xlabel="feature (cosines, then sines)")
panels[0].set_ylabel("position")
figure.colorbar(picture, ax=panels, label="value")
plt.show()

for longest in (32.0, 10_000.0):
    features = wave_features(steps, 32, longest)
    moving = (features.std(axis=0) > 0.3).mean()
    print(f"longest {longest:>6,.0f}: {moving:.0%} of the features change noticeably over 32 steps")

# %% [markdown]
r"""
With 10,000 most clocks stand still during the whole clip. (An early model of this project was trained with 10,000, and
couldn't tell "moving left" from "moving right". Three changes together cured it: a smaller $L$, longer vectors for the
words at the start of the training, and another optimiser for them. How much each of the three helped wasn't measured.)

A clip has three axes, so a third of the features describes t, a third y and a third x. We compute them by a loop over
the tokens, and then by the library's `sincos_positions`. The picture shows the dot product of one place's features with
those of all other places, divided so that equal features give 1.
"""

# %%
grid, width = (3, 2, 4), 24
by_loop = [
    np.concatenate([wave_features(np.array(axis), width // 3, 32.0) for axis in place]) for place in np.ndindex(grid)
]
assert np.allclose(by_loop, sincos_positions(grid, width))

positions = sincos_positions((8, 8, 8), 96)
alike = positions @ positions.T / (positions**2).sum(axis=1)
here = np.ravel_multi_index((4, 4, 4), (8, 8, 8))
figure, panels = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axes, t in zip(panels, (1, 3, 4, 6)):
    picture = axes.imshow(alike[here].reshape(8, 8, 8)[t], cmap="cividis", vmin=0, vmax=1)
    axes.set(title=f"frame {t}", xlabel="x", xticks=(0, 4, 7), yticks=(0, 4, 7))
panels[0].set_ylabel("y")
figure.colorbar(picture, ax=panels, label="likeness")
figure.suptitle("how alike a position is to that of frame 4, y 4, x 4", fontsize=10)
plt.show()

# %% [markdown]
r"""
Near places have similar features, along all three axes. So a network can find out which tokens are near.

## Rotary: positions that speak of distance

Waves are *added* to the tokens. *Rotary* positions ([Su et al. 2021](references.md#su-2021)) instead *turn* queries and keys. The
entries of a row are taken in pairs. Each pair $(a, b)$ is a point in the plane, and at position $n$ it is turned by the angle
$\omega n$:

$$R(\omega n) \begin{pmatrix} a \\ b \end{pmatrix} =
\begin{pmatrix} \cos \omega n & -\sin \omega n \\ \sin \omega n & \cos \omega n \end{pmatrix} \begin{pmatrix} a \\ b \end{pmatrix}.$$

Each pair has a frequency $\omega$ of its own, as each wave had. We compute this by a loop over pairs, and then by the
library's `rotary`:
"""


# %%
def turn_by_loop(row, angles):
    """(d,) and (d / 2,): entry i and entry i + d / 2 are a pair."""
    half = len(angles)
    turned = np.zeros_like(row)
    for i, angle in enumerate(angles):
        first, second = row[i], row[i + half]
        turned[i] = first * np.cos(angle) - second * np.sin(angle)
        turned[i + half] = first * np.sin(angle) + second * np.cos(angle)
    return turned


grid, head_width = (3, 4, 5), 12
q, k = generator.standard_normal((2, 60, 1, head_width))  # (N, heads, d)
cos, sin = rotary_angles(grid, head_width)  # (N, 1, d / 2) each
turned_q, turned_k = ag.rotary(q, cos, sin).data, ag.rotary(k, cos, sin).data
angles = np.arctan2(sin, cos)
for n in range(60):
    assert np.allclose(turned_q[n, 0], turn_by_loop(q[n, 0], angles[n, 0]), atol=1e-6)

# %% [markdown]
r"""
**Claim.** After turning, the score of two tokens depends on how far apart they are, and not on where they are:

$$\big(R(\omega m)\, q\big) \cdot \big(R(\omega n)\, k\big) = q \cdot R\big(\omega (n - m)\big)\, k,$$

To see why, turn both points by the angle $-\omega m$. This doesn't change their dot product, and leaves the angle 0 for
$q$ and $\omega (n - m)$ for $k$. To check it, we put the same query and the same key at many pairs of places with the
same distance.
"""

# %%
one_q, one_k = generator.standard_normal((2, 1, 1, head_width))
everywhere_q = ag.rotary(np.repeat(one_q, 60, axis=0), cos, sin).data[:, 0]
everywhere_k = ag.rotary(np.repeat(one_k, 60, axis=0), cos, sin).data[:, 0]
scores = (everywhere_q @ everywhere_k.T).reshape(*grid, *grid)  # (t, y, x of the query, then of the key)

at = [scores[t, y, x, t + 1, y + 2, x + 1] for t in range(2) for y in range(2) for x in range(4)]
print(f"one frame on, two rows down, one column right: {len(at)} places, score {at[0]:.4f} everywhere")
assert np.allclose(at, at[0], atol=1e-5)
assert scores.std() > 0.1  # while over all distances the score changes a lot

# %% [markdown]
r"""
That suits videos. A digit moves right in the same way in the first frame and in the tenth, at the top and at the
bottom. The picture shows the score of two equal rows (all ones) for each distance along x and along y.

**What to look at.** Where is the score largest? Does it fall alike along x and along y? Does it fall all the way to the
edge, or does it rise again?
"""

# %%
side = 15
cos, sin = rotary_angles((1, side, side), 96)
ones = ag.rotary(np.ones((side * side, 1, 96), np.float32), cos, sin).data[:, 0] / np.sqrt(96)
scores = (ones @ ones.T)[side * side // 2].reshape(side, side)
figure, axes = plt.subplots(figsize=(4.4, 3.5), layout="constrained")
picture = axes.imshow(scores, cmap="cividis", extent=(-7.5, 7.5, 7.5, -7.5))
axes.set(xlabel="distance in x", ylabel="distance in y", title="score of two equal rows")
figure.colorbar(picture, ax=axes, label="score")
plt.show()

# %% [markdown]
r"""
## Any size: it runs, but does it work?

Grids of any size have positions. So a trained model *runs* on any size that its patches divide. Whether it *works* there is another
matter. The weights `small` were trained on 8 frames of 32x32 pixels and on nothing else.
"""

# %%
model = TextToVideo.load("small")
prompt, steps = "a 3 moving right", size(model.settings.steps, 2)
for frames, canvas in ((8, (32, 32)), (8, (32, 64)), (16, (32, 32))):
    drawn = model.generate(prompt, num_frames=frames, size=canvas, seed=1, steps=steps)
    print(f"asked for {frames} frames of {canvas[0]} x {canvas[1]}: got {drawn.shape}")
    if canvas == (32, 64):
        wide = drawn

show(wide, captions=[f"{prompt}, on a canvas twice as wide"])

# %% [markdown]
r"""
It runs: the shapes are right. Look at what it drew before you call it a success. The model has never seen a canvas of
this shape. You may find pale strokes, or more digits than you asked for. Large systems solve this by *training* on many
sizes, lengths and shapes, in batches of one shape each. The library can do so, too (`minivdit/data/mixed.py`). The
weights `joint` were trained on six other shapes at the end of their training, the weights `small` never were.
`examples/results/README.md` shows what that is worth, by length and size.

## Exercises

Worked solutions are in [solutions/06_patches_and_positions](solutions/06_patches_and_positions.ipynb).

**1. Put it together again.** `tokens` (N, pt * ph * pw * C) are in the order t, y, x, with the entries of a token in the order pt, ph, pw,
C. From `grid`, the number of patches along each axis, and `patch_size`, return the clip (T, H, W, C). No loops.
"""


# %%
def clip_from(tokens, grid, patch_size):
    pass  # fill me in, about 4 lines


check.ch06_unpatchify(clip_from)

# %% [markdown]
r"""
**2. Who is near?** `grid` (T, H, W) has N tokens, in the order t, y, x. Return a boolean array (N, N): True for each
pair of tokens that are at most `reach` = (rt, ry, rx) steps apart along each of the three axes.
"""


# %%
def near(grid, reach):
    pass  # fill me in, about 3 lines


check.ch06_near(near)

# %% [markdown]
r"""
**3. The other convention.** Many language models pair *neighbours*: entries 2i and 2i + 1 of a row are a point. `x` is
(N, d), `angle` is (N, d / 2). Entry i of `angle` belongs to the point of entries 2i and 2i + 1. Turn each point by its
angle, and return the rows (N, d). No loops.
"""


# %%
def rotate(x, angle):
    pass  # fill me in, about 5 lines


check.ch06_rotate(rotate)

# %% [markdown]
r"""
**4. How many tokens?** A clip has `frames` frames of `height` x `width` pixels. An autoencoder ([chapter
9](09_latent_diffusion.ipynb)) makes each frame `factor` times smaller along each side, and keeps the number of frames.
The result is cut into patches of `patch_size` (pt, ph, pw). Return the number of tokens.
"""


# %%
def count_tokens(frames, height, width, factor, patch_size):
    pass  # fill me in, about 2 lines


check.ch06_tokens(count_tokens)

# %% [markdown]
r"""
**5. Break it: wrong clocks.** Draw how alike the positions 0 to 31 are to position 16, by `wave_features` of width 32,
for `longest` of 1, 32 and a million. First say what you expect. Which places would a network confuse, for each
`longest`?

**6. Open.** On which canvases does `small` still draw one clear digit? Try widths from 32 to 96 and count. Then think
of other positions for a large canvas, such that all values are familiar to the network. What would be their
disadvantage?

## In practice

- **Sora**'s report calls its tokens *spacetime patches*, and says that training on native aspect ratios improves framing
  and composition ([Brooks et al. 2024](references.md#brooks-2024)).
- **DiT** added sine and cosine positions to a square grid of image patches ([Peebles and Xie
  2023](references.md#peebles-2023)); the larger **CogVideoX** has rotary positions in three axes ([Yang et al.
  2024](references.md#yang-2024)). The weights that ship here use both: waves are added to the patches, and queries and keys are
  turned.
- **Patches in time.** Large models mostly compress time in the autoencoder and use patches of one latent frame by 2x2 cells.
- **Rotary positions inside attention.** If queries and keys are turned in a separate step, all of them are read and
  written once more. So `attention` in `minivdit/autograd/attend.py` takes `cos` and `sin`, and turns them while it
  computes the scores.

## Further reading

- [Su et al. 2021](references.md#su-2021), where rotary positions come from; [Vaswani et al.
  2017](references.md#vaswani-2017), section 3.5, for the waves.
- Here: `minivdit/models/patches.py`, and `minivdit/data/mixed.py` for training on many shapes.

Next: [chapter 7](07_the_transformer_block.ipynb), the block that works on these tokens.
"""
