# %% [markdown]
r"""
# 11. Joint space-time attention: who can influence whom

*About 60 minutes with the exercises. Runs in two minutes.*

**You'll do:** disturb one patch of one frame and watch which patches of which frames notice, after one, two and three
blocks, under five attention patterns; predict the same from a matrix product; train a U-Net beside a transformer and
measure how far each of them looks; look into the attention of the shipped weights.

**You'll learn:** what links the frames of a clip, and through how many steps. *Joint* attention, the article's Figure
2, links all tokens at once; attention in frames and then in time, its Figure 1, needs a detour. And you'll learn why
"can influence" and "does influence" are two questions.

**You need:** chapters [5](05_attention.ipynb), [6](06_patches_and_positions.ipynb) and [7](07_the_transformer_block.ipynb), and
from [chapter 10](10_the_consistency_problem.ipynb) the world of the ball. What the patterns cost is in
[chapter 12](12_the_bill.ipynb).

![A patch linked to all patches of all frames](pictures/11.svg)
"""

# %%
import math
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.explorer import explore
from minivdit.lab.lessons import check, size
from minivdit.lab.lessons.unet import VideoUNet
from minivdit.lab.study.ball import (
    FRAMES,
    GRID,
    HEIGHT,
    PACES,
    PATCH,
    SCALE,
    WIDTH,
    Ball,
    Rolling,
    look_at,
    rolling,
    straight_line,
)
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.models.blocks import SelfAttention, split_heads
from minivdit.models.patterns import average_attention_distance, labels, links, partition, reachable, with_occurrences
from minivdit.models.schemes import SCHEMES
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## Five ways to group the tokens

A clip is a grid of T x H x W [tokens](glossary.md#token). An [attention pattern](glossary.md#attention-pattern)
gives each token a label, and tokens with equal labels look at each other. The library compares five choices:

| name | its blocks in turn | in words |
|---|---|---|
| `perframe` | `frame` | each frame by itself |
| `framewise` | `frame`, `time` | inside the frame, then one position through all frames (Figure 1) |
| `joint` | `joint` | everyone looks at everyone (Figure 2) |
| `window` | `window` | boxes, shifted by half a box every other block |
| `skip` | `skip` | every k-th token, then every k-th run of k neighbours |

Boxes are 2 x 2 x 2 tokens here, and k is 2.

Which tokens does *one* token look at directly? We take a token in the third of six frames, and draw its group in the first
two blocks.
"""

# %%
grid = (6, 4, 4)  # T, H, W
tokens = math.prod(grid)
chosen = (2, 1, 2)  # t, y, x
token = int(np.ravel_multi_index(chosen, grid))


def strip(values):
    """One number a token, (N,), as frames side by side with a gap between: (H, T W + gaps)."""
    frames = np.pad(np.asarray(values, float).reshape(grid), ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(frames), axis=1)[:, :-1]


def draw_tokens(axes, values, title="", **options):
    axes.imshow(strip(values), cmap="cividis", **options)
    axes.plot(chosen[0] * (grid[2] + 1) + chosen[2], chosen[1], "o", color="C1", markersize=4)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=8)


def blocks_of(name, depth):
    """The pattern of each of so many blocks."""
    return [SCHEMES[name][block % len(SCHEMES[name])] for block in range(depth)]


figure, rows = plt.subplots(len(SCHEMES), 2, figsize=(8.5, 5), layout="constrained")
for row, name in zip(rows, SCHEMES):
    looked_at = links(blocks_of(name, 2), grid)
    for axes, link, (pattern, _) in zip(row, looked_at, with_occurrences(blocks_of(name, 2))):
        draw_tokens(axes, link[token], f"{pattern}: {link[token].sum()} of {tokens}", vmin=0, vmax=1)
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.suptitle("six frames of 4 x 4 tokens: whom the marked token looks at, in blocks 1 and 2", fontsize=10)
plt.show()

# %% [markdown]
r"""
Attention in groups is ordinary attention, computed inside each group. The simple loop takes out one group after the
other, computes attention, and puts the result back. The library computes all groups at once.
"""

# %%
attention = SelfAttention(32, 4, np.random.default_rng(1))
x = generator.standard_normal((1, tokens, 32), dtype=np.float32)
for pattern, occurrence in (("frame", 0), ("time", 0), ("joint", 0), ("window", 1), ("skip", 1)):
    group = labels(pattern, grid, occurrence)
    with ag.no_grad():
        one_by_one = np.empty_like(x)
        for number in np.unique(group):
            one_by_one[:, group == number] = attention(x[:, group == number]).data
        at_once = attention(x, part=partition(pattern, grid, occurrence)).data
    assert np.allclose(one_by_one, at_once, atol=1e-5), pattern

# %% [markdown]
r"""
## Disturb one patch

**Claim.** Under `perframe`, other frames never notice a change, in any number of blocks. Under `framewise` all tokens
can notice it after two blocks. Under `joint` they can after one.

We test this by an experiment. A transformer with *random* weights is enough: what doesn't pass through random weights
can't pass through any. (A fresh network passes nothing at all, since its gates start at zero. So we fill these with
random numbers, too.) We change the marked patch, and see which outputs change.
"""


# %%
def random_network(name, depth):
    config = VideoDiTConfig(
        patch_size=(1, 1, 1), width=32, depth=depth, heads=2, patterns=tuple(blocks_of(name, depth))
    )
    network = VideoDiT(config, 20, np.random.default_rng(2))
    weights = np.random.default_rng(3)
    for parameter in network.parameters().values():
        if not parameter.data.any():  # gates and outputs that start at zero
            parameter.data[...] = 0.3 * weights.standard_normal(parameter.shape)
    return network


words = np.array([[1, 5, 3]], np.int32)
levels = np.full((1, grid[0]), 0.5, np.float32)
clean = generator.standard_normal((1, *grid, 4), dtype=np.float32)


def change(network, place):
    """By how much each output changes (N,) when the patch at (t, y, x) does."""
    disturbed = clean.copy()
    disturbed[0, place[0], place[1], place[2]] += 1.0
    with ag.no_grad():
        before, after = (network(clip, levels, words).data for clip in (clean, disturbed))
    return np.abs(after - before).max(axis=-1).reshape(-1)


depths = (1, 2, 3)
changed = {(name, depth): change(random_network(name, depth), chosen) for name in SCHEMES for depth in depths}
figure, rows = plt.subplots(len(SCHEMES), len(depths), figsize=(10, 4.2), layout="constrained")
for row, name in zip(rows, SCHEMES):
    for axes, depth in zip(row, depths):
        values = changed[name, depth]
        with np.errstate(divide="ignore"):
            seen = np.log10(values / values.max()).clip(-6)
        share = (values > 0).mean()
        draw_tokens(axes, seen, f"{depth} block{'s' * (depth > 1)}: {share:.0%} noticed", vmin=-6, vmax=0)
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.suptitle("how much each token changes (logarithm, dark: not at all) when the marked one does", fontsize=10)
plt.show()

# %% [markdown]
r"""
Read the picture by rows.

- `perframe`: only one frame changes, with any number of blocks. A caption can tell all frames the same story. But
  nothing makes the frames agree on *which* 3 it is, or on its place.
- `framewise`: the own frame changes after the first block, all frames after the second. So frames and time in turn do
  link the frames. What they lack is the *direct* link between different places of different frames.
- `joint`: all tokens change after the first block.
- `skip` needs its second block, which takes other tokens together. `window` needs a third: a shifted box reaches only a little
  further.

## The same from a matrix product

**Claim.** Who can influence whom follows from the groups alone, with no network.

Write for each block $b$ a boolean matrix $L_b$ whose entry $(i, j)$ says that token $i$ looks at token $j$. Let $R_b$
say who has reached whom after $b$ blocks: entry $(i, j)$ says that something of token $j$ has come to token $i$. At
first each token has reached only itself, so $R_0$ is the identity. In block $b$, token $j$ reaches token $i$ if $i$
looks at a token $m$ that $j$ had reached one block earlier. (Each token looks at itself, too, so nothing is forgotten.)
As a formula,

$$R_b = L_b\, R_{b-1}, \qquad\text{that is}\quad R_b[i, j] = \bigvee_m \big( L_b[i, m] \wedge R_{b-1}[m, j] \big)$$

This is a matrix product with "or" ($\vee$) for plus and "and" ($\wedge$) for times. The innermost line of the loop
below is this formula:
"""


# %%
def reached_by_loops(looks):
    """From one (N, N) matrix for each block to the (N, N) matrix of what reaches what."""
    reached = np.eye(len(looks[0]), dtype=bool)
    for look in looks:
        new = np.zeros_like(reached)
        for i in range(len(look)):
            for middle in np.flatnonzero(look[i]):
                new[i] |= reached[middle]
        reached = new
    return reached


for name in SCHEMES:
    for depth in depths:
        by_loops = reached_by_loops(links(blocks_of(name, depth), grid))
        predicted = reachable(blocks_of(name, depth), grid)
        assert np.array_equal(by_loops, predicted)
        assert np.array_equal(predicted[:, token], changed[name, depth] > 0)  # and the network agrees

# %% [markdown]
r"""
Prediction and disturbance agree on every token. Column $j$ of the matrix says which tokens $j$ reaches. Row $i$ says
which tokens reach $i$. A network gives a row, too, with a single [backward pass](glossary.md#backward-pass): the
gradient of one output $y_i$ with respect to all inputs $x_j$ is zero exactly where nothing passes.

$$\frac{\partial y_i}{\partial x_j} = 0 \quad\text{unless}\quad R[i, j]$$
"""

# %%
for name in SCHEMES:
    clip = ag.Tensor(clean, requires_grad=True)
    output = random_network(name, 2)(clip, levels, words)
    ask = np.zeros(output.shape, np.float32)
    ask[0][chosen] = generator.standard_normal(4)  # a random cotangent for the marked token, nothing elsewhere
    (gradient,) = ag.gradients(output, [clip], ask)
    influences = np.abs(gradient).max(axis=-1).reshape(-1) > 0
    assert np.array_equal(influences, reachable(blocks_of(name, 2), grid)[token])

# %% [markdown]
r"""
## How far apart are two tokens?

Let $d(i, j)$ be the least number of attentions that it takes to get from token $j$ to token $i$, if the blocks may come in any
order. Its mean over all pairs is the [average attention distance](glossary.md#average-attention-distance), from the report of
Open-Sora Plan ([Lin et al. 2024](references.md#lin-2024)):

$$\bar d = \frac{1}{N^2} \sum_{i, j} d(i, j), \qquad \bar d_\text{joint} = 1 - \frac1N, \qquad \bar d_\text{framewise} = 2 - \frac1T - \frac1S$$

with $T$ frames of $S$ tokens, $N = TS$. In `framewise` most pairs take 2 steps. Pairs inside a frame ($1/T$ of all
pairs) take one step less, and so do pairs inside a column, which is one position in all frames ($1/S$ of all pairs). A
token and itself are a pair of both kinds, and indeed $d(i, i) = 2 - 1 - 1 = 0$. We compare the distance with its cost,
the number of pairs of tokens for which a block computes scores.
"""

# %%
larger = (8, 6, 6)
T, S, N = larger[0], larger[1] * larger[2], math.prod(larger)
assert np.isclose(average_attention_distance(SCHEMES["joint"], larger), 1 - 1 / N)
assert np.isclose(average_attention_distance(SCHEMES["framewise"], larger), 2 - (1 / T + 1 / S))

figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for name, marker in zip(SCHEMES, "osD^v"):
    parts = with_occurrences(blocks_of(name, 2))
    distance = average_attention_distance([pattern for pattern, _ in parts], larger)
    price = np.mean([costs.score_pairs(pattern, larger, occurrence) for pattern, occurrence in parts]) / N**2
    print(f"{name:10} distance {distance:5.2f}, scores of a block {price:6.1%} of those of joint")
    if np.isfinite(distance):
        axes.plot(price, distance, marker, markersize=8, label=name)
axes.set(
    xscale="log", xlabel="scores of a block (joint = 1)", ylabel="average distance", title="8 frames of 6 x 6 tokens"
)
axes.grid(alpha=0.3, which="both")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
`perframe` isn't in the picture: its distance is infinite. A distance of 2 is no problem by itself, in a network of a
dozen blocks. The problem is *which token is on the way*. Think of a digit that moves: in frame 2 it is at one place, in
frame 5 at another. With joint attention the patch of frame 5 looks at the patch of frame 2. Query and key both belong
to the digit. With frames and time in turn, the information takes two steps through a third patch: the old place in
frame 5, or the new place in frame 2. That patch shows only background. It has to know that it should pass on something
about a digit that it doesn't show.

## Can is not does

With `joint` every token *can* look at every token. Does it, after training? We repeat the first experiment with the
shipped weights `joint`. The input is a real clip at noise level 0.5. We disturb one patch of one frame, many times, and
ask how much each frame of the prediction changes.
"""

# %%
model = TextToVideo.load("joint")  # 64 x 64 pixels, 16 frames
settings = model.settings
source = digit_source("strokes", split="test")
maker = CaptionedClips(source, settings.size, settings.num_frames, settings.digit_size, num_digits=(1,), synonyms=False)
made = maker.render(np.random.default_rng(4), [[DigitMotion(3, "right", "fast")]])
latents = model.autoencoder.encode(made.video)  # (1, T, h, w, C)
told = model.tokenizer.encode(made.captions)
pt, ph, pw = model.transformer.config.patch_size
frames, rows_of, columns_of = (length // side for length, side in zip(latents.shape[1:4], (pt, ph, pw)))
level = np.full(latents.shape[:2], 0.5, np.float32)
noise = generator.standard_normal(latents.shape, dtype=np.float32)
noisy = settings.process.mix(latents, noise, level).astype(np.float32)


def predict(x):
    with ag.no_grad():
        return model.transformer(x, level, told).data


before = predict(noisy)
centre = made.tracks[0, 0] * latents.shape[2] / settings.size[0] / ph  # the digit's place in patches, (T, 2)
spread_by_time = {}
for _ in range(size(24, 3)):
    t = int(generator.integers(frames))
    y, x = np.round(centre[t]).astype(int).clip(0, (rows_of - 1, columns_of - 1))
    disturbed = noisy.copy()
    disturbed[0, t * pt : (t + 1) * pt, y * ph : (y + 1) * ph, x * pw : (x + 1) * pw] += 1.0
    shift = np.sqrt(((predict(disturbed) - before)[0] ** 2).mean(axis=(1, 2, 3)))  # (T,)
    for frame, value in enumerate(shift):
        spread_by_time.setdefault(abs(frame // pt - t), []).append(value)

away = sorted(spread_by_time)
noticed = np.array([np.mean(spread_by_time[far]) for far in away])
figure, axes = plt.subplots(figsize=(6.5, 3), layout="constrained")
axes.semilogy(away, noticed, "o-")
axes.set(xlabel="frames away from the disturbed one", ylabel="change of the prediction", title="trained weights")
axes.grid(alpha=0.3, which="both")
plt.show()
print(f"the next frame changes {noticed[1] / noticed[0]:.0%} as much as the disturbed one, "
      f"the farthest {noticed[-1] / noticed[0]:.1%}")  # fmt: skip

# %% [markdown]
r"""
The disturbed frame changes most, by far. The effect falls over the next few frames, and then hardly any further. Even
the farthest frame changes.

## A U-Net beside it

Before transformers, the network in a diffusion model was a [U-Net](glossary.md#u-net) ([Ronneberger et al.
2015](references.md#ronneberger-2015); for clips [Ho, Salimans et al. 2022](references.md#ho-salimans-2022)). It is made
of [convolutions](glossary.md#convolution). A convolution with a kernel of 3 sees one step to each side, so $n$ of them
in a row see $n$ steps. On the way the U-Net halves height and width. After the first halving one step is two pixels,
after the second four. A layer that halves has the [stride](glossary.md#stride) $s = 2$, any other $s = 1$. So with
layers $l$ from the first to the last,

$$\text{steps to each side} = \sum_l \;\prod_{k<l} s_k$$

The article says that a U-Net looks only near, and a transformer everywhere. Is that so? We train both in the same way,
in the world of [chapter 10](10_the_consistency_problem.ipynb): a ball of any colour rolls through six frames of 4 x 20
pixels. `VideoUNet` (a hundred lines in `minivdit/lab/lessons/unet.py`) has the transformer's interface: it takes a
clip, noise levels and a caption, and returns a prediction. It halves height and width twice, but never the number of
frames, and its kernels are 3 x 3 x 3. We choose its channels so that both networks cost the same.
"""

# %%
world, clip_shape = Ball(), (FRAMES, HEIGHT, WIDTH)
config = world.config("joint")
both = {
    "transformer": VideoDiT(config, 3, np.random.default_rng(5)),
    "U-Net": VideoUNet(3, (8, 12, 24), 3, np.random.default_rng(5)),
}
price = {
    "transformer": costs.clip_cost(config, GRID, words=1, vocabulary=3).forward_flops,
    "U-Net": both["U-Net"].flops(clip_shape),
}
for name, network in both.items():
    print(f"{name:12} {price[name] / 1e6:5.1f} MFLOP for a clip, {network.parameter_count():,} weights")
assert 0.8 < price["U-Net"] / price["transformer"] < 1.25

# %% [markdown]
r"""
The training is that of chapter 10, with AdamW for all weights. ([Muon](glossary.md#muon), which chapter 10 used as well,
takes the transformer's matrices only. That would be an unfair advantage.) Each network gets a learning rate that suits it.
"""

# %%
steps, rates = size(240, 4), {"transformer": 6e-3, "U-Net": 1e-2}
for name, network in both.items():
    recipe = TrainingSettings(
        steps=steps,
        batch=32,
        shards=2,
        learning_rate=rates[name],
        matrix_learning_rate=0.0,
        warmup=min(20, steps - 1),
        ema_decay=0.97,
    )
    run = Run(Rolling(network), recipe, seed=0)
    started = time.perf_counter()
    losses = [state.loss for state in train(run)]
    seconds = time.perf_counter() - started
    for weight, averaged in run.average.average.items():
        run.parameters[weight].data = averaged  # the running mean of the weights, better than the last ones
    print(f"{name:12} loss {losses[0]:.2f} to {np.mean(losses[-20:]):.4f} in {seconds:.0f} seconds")
    for pace in PACES:
        hue, x, seen = look_at(world.draw(Rolling(network), pace))  # as in chapter 10
        turned = np.degrees(np.abs(np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1])))))
        turned = np.where(seen[:, 1:] & seen[:, :1], turned, 90).mean()
        off, speed = (values.mean() for values in straight_line(x))
        print(f"    {pace}: hue changes by {turned:.0f} degrees (chance: 90), {off:.1f} px off a straight line, "
              f"{speed:.1f} px a frame (asked for: {PACES[pace]})")  # fmt: skip

# %% [markdown]
r"""
Now we measure the influence. In frame $t$ of the prediction we take column $p$, as wide as a patch, and call it
$y_{t,p}$. We weight its entries with a random [cotangent](glossary.md#cotangent) $c$. One backward pass then gives the
gradient with respect to all inputs. We sort its size by distance in time and in space:

$$I(\Delta t, \Delta p) = \Big(\, \text{mean} \;\big\| \partial\, (c \cdot y_{t,\,p}) \,/\, \partial\, x_{t \pm \Delta t,\; p \pm \Delta p} \big\|^2 \Big)^{1/2}$$

where $x$ is the noisy clip that goes in. The mean goes over all frames and columns, both directions and all clips. This
measures how far the network *does* look, on real clips with noise.
"""


# %%
CLIPS = size(8, 2)


def influence(network):
    """(T, columns): the root mean square gradient of an output at so many frames and columns away."""
    draws = np.random.default_rng(6)
    pace = np.resize(list(PACES.values()), CLIPS)
    words = np.resize([[1], [2]], (CLIPS, 1)).astype(np.int32)
    level = np.full((CLIPS, FRAMES), 0.6, np.float32)
    clean = SCALE * rolling(draws, pace)[0]
    x = Rolling.process.mix(clean, draws.standard_normal(clean.shape, dtype=np.float32), level)
    columns, wide = GRID[2], PATCH[2]
    total, count = np.zeros((2, FRAMES, columns))
    for t in range(FRAMES):
        for column in range(0, columns, size(2, 5)):
            leaf = ag.Tensor(x, requires_grad=True)
            y = network(leaf, level, words)
            ask, here = np.zeros(y.shape, np.float32), np.s_[:, t, :, column * wide : (column + 1) * wide]
            ask[here] = draws.standard_normal(ask[here].shape)
            (gradient,) = ag.gradients(y, [leaf], ask)
            squares = (gradient**2).reshape(CLIPS, FRAMES, HEIGHT, columns, wide * 3).sum(axis=(2, 4)).mean(axis=0)
            away = np.abs(np.arange(FRAMES) - t)[:, None], np.abs(np.arange(columns) - column)[None]
            np.add.at(total, away, squares)
            np.add.at(count, away, 1)
    return np.sqrt(total / np.maximum(count, 1))


reach_of = {name: influence(network) for name, network in both.items()}
figure, panels = plt.subplots(1, 3, figsize=(10, 2.7), layout="constrained", width_ratios=(1.2, 1.2, 1))
for axes, (name, table) in zip(panels, reach_of.items()):
    image = axes.imshow(np.log10(table / table[0, 0]), vmin=-3, vmax=0, cmap="cividis")
    axes.set(title=name, xlabel="columns away", ylabel="frames away")
figure.colorbar(image, ax=panels[:2], label="influence (log10)", shrink=0.8)
for name, table in reach_of.items():
    panels[2].semilogy(np.sqrt((table**2).mean(axis=1)) / table[0, 0], "o-", label=name)
panels[2].set(xlabel="frames away", title="mean of all columns")
panels[2].grid(alpha=0.3, which="both")
panels[2].legend(fontsize=8)
plt.show()
for name, table in reach_of.items():
    squares = table**2
    print(f"{name:12} {squares[1:].sum() / squares.sum():.0%} of the squared influence from other frames, "
          f"{squares[1:, 2:].sum() / squares.sum():.1%} from other frames and at least 2 columns away; "
          f"the farthest frame has {np.sqrt(squares[-1].mean() / squares[0].mean()):.1%} of the own frame's")  # fmt: skip

# %% [markdown]
r"""
Look at the two maps first. In the U-Net's map, influence falls with the distance, evenly in time and in space. The far
columns have almost none. The U-Net *could* see them: by the formula above its [receptive
field](glossary.md#receptive-field) covers the clip. But few paths through the layers lead from a far input to an
output, and many from a near one. This is so in every convolutional network ([Luo et al. 2016](references.md#luo-2016)).
In the transformer, too, the own place counts most. But beyond it the influence doesn't fall with the distance. The
farthest frame counts as much as the next, and a diagonal runs through the map: the farther in time, the farther in
space. There a rolling ball was, or will be.

Now look at the clips. The transformer's balls keep their colour, since every frame looks at all others. The U-Net's
balls change theirs, nearly by chance, since far frames hardly influence each other. In what is near, the U-Net is about
as good or better. Its loss is hardly higher, and its balls lie closer to a straight line. (With the fast ball that
proves little, since it hardly rolls.) Neither network has learnt the fast pace yet. Train both longer: which of these
differences stay?

So in this world the article is right about what must agree over a distance, and only about that. It is one small world,
one seed and little training. Large U-Nets have attention in their smallest sizes, for the very reason that you see here
([Ho, Salimans et al. 2022](references.md#ho-salimans-2022)).

## Where does it look?

The library doesn't keep the weights of attention. The tiled form ([chapter 5](05_attention.ipynb)) never even has all
of them. So we record the input of each attention, and compute the weights again, from the same normalised queries and
keys, rotated by their positions:

$$A = \text{softmax}\!\Big( \frac{Q K^\top}{\sqrt d} \Big), \qquad \text{seen} = A\,V$$

**Claim.** These are the right weights: multiplied with the values they give what the library gives.
"""


# %%
def listen(module, heard):
    inner = module.forward

    def forward(x, **options):
        output = inner(x, **options)
        heard.append((module, x, options["rotation"], output))
        return output

    module.forward = forward


def attention_weights(attention, x, rotation, output):
    """(heads, N, N): how each token weighs all others, for one clip under joint attention."""
    qkv = ag.reshape(attention.qkv(x), shape=(1, -1, 3 * x.shape[-1]))
    q, k, v = (split_heads(part, attention.heads) for part in ag.split(qkv, parts=3))
    q, k = ag.rms_norm(q, attention.q_norm.weight), ag.rms_norm(k, attention.k_norm.weight)
    q, k = (ag.rotary(a.transpose(0, 2, 1, 3), *rotation).transpose(0, 2, 1, 3) for a in (q, k))  # (1, h, N, d)
    weights = ag.softmax(q @ k.transpose(0, 1, 3, 2) * (1 / np.sqrt(q.shape[-1]))).data[0]
    seen = (weights @ v.data[0]).swapaxes(0, 1).reshape(-1, x.shape[-1])  # heads beside each other
    assert np.allclose(attention.out(seen).data, output.data.reshape(seen.shape), atol=1e-3)
    return weights


heard = []
for block in model.transformer.blocks:
    listen(block.attention, heard)
predict(noisy)
for block in model.transformer.blocks:
    del block.attention.forward  # the class's own again
with ag.no_grad():
    weights = np.stack([attention_weights(*call) for call in heard])  # (blocks, heads, N, N)
assert np.allclose(weights.sum(axis=-1), 1, atol=1e-4)
print("blocks, heads, queries, keys:", weights.shape)

# %% [markdown]
r"""
First we take one token, the patch on the digit in a middle frame. The top row shows the clip without the noise that the
network saw. Below it, a row for each block shows where this patch looks, as the mean of all heads.
"""

# %%
middle = frames // 2
y, x = np.round(centre[middle]).astype(int).clip(0, (rows_of - 1, columns_of - 1))
place = int(np.ravel_multi_index((middle, y, x), (frames, rows_of, columns_of)))
maps = weights[:, :, place].mean(axis=1).reshape(-1, frames, rows_of, columns_of)

figure, rows = plt.subplots(len(maps) + 1, 1, figsize=(9, 5), layout="constrained")
draw_strip(rows[0], made.video[0], label="clip")
for number, (axes, looks) in enumerate(zip(rows[1:], maps), start=1):
    gaps = np.pad(looks, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    axes.imshow(np.concatenate(list(gaps), axis=1)[:, :-1], cmap="cividis")
    axes.plot(middle * (columns_of + 1) + x, y, "o", color="C1", markersize=4)
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(f"block {number}", rotation=0, ha="right", va="center", fontsize=8)
figure.suptitle(f"'{made.captions[0]}': where the marked patch looks", fontsize=10)
plt.show()

# %% [markdown]
r"""
One token proves nothing, so we average over all. How much of its attention does a token spend how many frames away? And
how much goes to *another place in another frame*, where frames and time in turn have no direct link? We compare this
with *indifferent* attention, which looks at all tokens equally.
"""

# %%
token_grid = (frames, rows_of, columns_of)
frame, position = labels("frame", token_grid), labels("time", token_grid)
offset = np.abs(frame[:, None] - frame[None, :])
elsewhere = (frame[:, None] != frame[None, :]) & (position[:, None] != position[None, :])
mean_weights = weights.mean(axis=1)  # (blocks, N, N)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
for number, block in enumerate(mean_weights):
    by_offset = [block[offset == far].mean() * offset.shape[0] for far in range(frames)]
    left.plot(by_offset, color=plt.cm.cividis(number / len(mean_weights)), label=f"block {number + 1}")
left.axhline(1, color="0.6", linewidth=1)
left.set(xlabel="frames away", ylabel="weight of a token (indifferent: 1)", yscale="log", title="near and far in time")
left.legend(fontsize=7)
direct = [(block * elsewhere).sum(axis=-1).mean() for block in mean_weights]
indifferent = elsewhere.mean()
right.bar(np.arange(1, len(direct) + 1), direct)
right.axhline(indifferent, color="C1", linestyle="--", label="indifferent")
right.set(xlabel="block", ylabel="share of attention", ylim=(0, 1), title="to another place in another frame")
right.legend(fontsize=8)
for axes in (left, right):
    axes.grid(alpha=0.3)
plt.show()
print("share to another place in another frame:", ", ".join(f"{share:.0%}" for share in direct),
      f"(indifferent {indifferent:.0%})")  # fmt: skip

# %% [markdown]
r"""
In every block, the links that only joint attention has get *less* weight than an indifferent attention would give them.
Most tokens are at another place in another frame, so chance alone would send most of the attention there. The trained
network prefers its own frame and its own column. Yet a good part of the weight still goes over these links. In some
blocks, the picture of one token shows where they lead: to the digit's places in other frames.

Two warnings. A weight isn't an effect: a later layer may ignore what was looked at. The disturbance above is nearer to
the effect. And a network that uses a link might do as well without it. To know, one has to train networks with and
without the link alike, with several seeds. That is [chapter 10](10_the_consistency_problem.ipynb), and `minivdit
compare`.

## Side by side: the explorer

Three networks ship with the package: `joint`, `framewise` and `perframe`. They had the same data, the same number of
steps and the same first weights, and differ only in their pattern. Each draws a clip from the same caption and noise,
and is recorded while it does. A patch on the digit is marked. The picture shows where it looks, at one step between
noise and clip. The hatched patches are those that a pattern forbids.
"""

# %%
explorer = explore("a 3 moving right", seed=1, steps=size(40, 2))
explorer.picture()

# %% [markdown]
r"""
With `joint` the bright patches follow the digit from frame to frame. With `framewise` only the patch's own column is
open in other frames, and soon the digit isn't there any more. With `perframe` no other frame is open. Each frame draws
its own digit at its own place. The number under a frame is its share of the attention. This is one patch and one step.
To see the others, put `explorer` alone in a cell. A page opens in the notebook, on which you click a patch and choose
block, head and step. (`minivdit explore "a 3 moving right"` writes the same page to a file.)

## Exercises

Worked solutions are in [solutions/11_joint_attention](solutions/11_joint_attention.ipynb).

**1. Sliding windows.** Boxes have borders, and two neighbours on either side of a border don't see each other. In a
*sliding* window each token is the middle of its own box: it looks at all tokens that are at most `far` = (t, y, x)
steps away along each axis. `grid` (T, H, W) has N tokens in the order t, y, x. Return the boolean matrix (N, N), whose
entry [i, j] is True if i looks at j.
"""


# %%
def sliding_links(grid, far):
    pass  # fill me in, about 3 lines


check.ch11_sliding(sliding_links)

# %% [markdown]
r"""
**2. How many blocks?** A network repeats a cycle of blocks for ever. `cycle` is a list of boolean matrices (N, N), one
for each block of the cycle, the first block first. Entry [i, j] is True if i looks at j. A token also keeps what it has
(the residual path). After how many *blocks*, not cycles, has every token heard from every token? Return 0 for a single
token, and `math.inf` if it never happens.
"""


# %%
def blocks_until_all(cycle):
    pass  # fill me in, about 10 lines


check.ch11_blocks(blocks_until_all)

# %% [markdown]
r"""
**3. Average attention distance.** `step` (N, N) is boolean: entry [i, j] is true if i looks at j in at least one of the
blocks, and every token looks at itself. Return the mean of $d(i, j)$ over all ordered pairs, those of a token and
itself included, or `math.inf` if there is a pair of which one token never reaches the other.
"""


# %%
def average_distance(step):
    pass  # fill me in, about 9 lines


check.ch11_distance(average_distance)

# %% [markdown]
r"""
**4. Near and far.** `weights` (N, N) are attention weights, with a row for each query. `frame` (N,) is the number of
each token's frame. How much of its attention does a token spend, on average, on tokens that are d frames away, in
either direction? Return the share for d = 0, 1, ... up to the last frame number. The shares add up to 1.
"""


# %%
def spent_by_distance(weights, frame):
    pass  # fill me in, about 2 lines


check.ch11_spent(spent_by_distance)

# %% [markdown]
r"""
**5. Change the noise.** (No check.) *Can is not does* used a noise level of 0.5. Write down first: at which level will
far frames matter more, at 0.1 or at 0.9? Then run that cell's experiment at several levels. How much does a frame show
of itself at each of them?

**6. The cheapest detour.** (Open.) In two blocks, every token shall be able to reach every token. What is the least
number of scores that a token must compute in both blocks together? Find a bound for N tokens, and a pattern that meets
it. Which tokens would you put into one group, for digits that move?

## In practice

- **Frames and time in turn**: **Latte** ([Ma et al. 2024](references.md#ma-2024)) and the first versions of **Open-Sora**
  ([Zheng et al. 2024](references.md#zheng-2024)).
- **Joint**: **CogVideoX** gives as its reason the detour of this chapter: with frames and time in turn, a thing that
  moves far between frames has no direct link ([Yang et al. 2024](references.md#yang-2024)). **HunyuanVideo** is joint,
  too ([Kong et al. 2024](references.md#kong-2024)).
- **Skips**: **Open-Sora Plan** argues with the average attention distance for every k-th token
  ([Lin et al. 2024](references.md#lin-2024)).

## Further reading

- `minivdit/models/patterns.py`: labels, groups, `reachable` and the distance, in two hundred lines.
- [Chapter 12](12_the_bill.ipynb), what the patterns cost; [chapter 5](05_attention.ipynb), masks: a causal clip is the same
  matrix with the future crossed out.

Next: [chapter 12](12_the_bill.ipynb), the bill.
"""
