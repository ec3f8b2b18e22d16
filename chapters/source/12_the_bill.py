# %% [markdown]
r"""
# 12. The bill: what a clip costs

*About 70 minutes with the exercises. Runs in half a minute.*

**You'll do:** count what a transformer block computes. Predict time and memory before anything runs, and then measure
both. Compare the prices of five attention patterns. In the exercises, train the best network that a budget allows.

**You'll learn:** what "100 frames cost 10,000 times one frame" means, and what it doesn't. When attention is the
expensive part, and when it isn't. What windows, skips and factorised attention save, and what they give up.

**You need:** [chapter 5](05_attention.ipynb); matrix products. Chapters 10 and 11 show what the patterns do to *quality*.

![Which pairs five attention patterns score, and what a block costs](pictures/12.svg)
"""

# %%
import math
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base import machine
from minivdit.base.backend import blas_threads
from minivdit.lab.lessons import check, size
from minivdit.lab.lessons.ch12 import stills, stills_flops
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.models.patterns import average_attention_distance, labels, links

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## Ten thousand times?

**Claim.** With [full attention](glossary.md#full-attention), here called `joint`, the *scores* of a clip of 100 frames
cost exactly 10,000 times those of one frame.

Every token looks at every token. If a frame has $S$ tokens, a clip of $T$ frames has $N = T S$, and the number of scores is

$$P = N^2 = T^2 S^2.$$

Count the pairs (query, key) with a loop on a small grid. Then let the library count.
"""

# %%
grid = (3, 2, 4)  # T, H, W tokens
pairs = 0
for _query in np.ndindex(grid):
    for _key in np.ndindex(grid):
        pairs += 1
assert pairs == costs.score_pairs("joint", grid) == math.prod(grid) ** 2

one, hundred = (costs.score_pairs("joint", (frames, 16, 16)) for frames in (1, 100))
print(f"one frame: {one:,} pairs; 100 frames: {hundred:,} pairs; {hundred / one:,.0f} times as many")
assert hundred == 10_000 * one

# %% [markdown]
r"""
This is true, and often quoted. But a transformer computes more than scores. Here is the rest of the bill.

## A block, product by product

A product of an (n, k) matrix and a (k, m) matrix takes n k m multiplications and about as many additions. That is 2 n k m
[FLOPs](glossary.md#flop). One block on N tokens of width d computes:

| product | sizes | FLOPs |
|---|---|---|
| queries, keys, values | (N, d) by (d, 3 d) | 6 N d² |
| scores | (N, d) by (d, N) | 2 N² d |
| weights times values | (N, N) by (N, d) | 2 N² d |
| output of attention | (N, d) by (d, d) | 2 N d² |
| MLP up | (N, d) by (d, 4 d) | 8 N d² |
| MLP down | (N, 4 d) by (4 d, d) | 8 N d² |
| together | | **24 N d² + 4 N² d** |

The number of heads doesn't matter, because they share the width. So the cost of a block is

$$C(N, d) = \underbrace{24\, N d^2}_{\text{projections, MLP}} + \underbrace{4\, N^2 d}_{\text{attention}}.$$

One part grows with $N$, the other with $N^2$.
"""

# %%
products = lambda n, d: [(n, d, 3 * d), (n, d, n), (n, n, d), (n, d, d), (n, d, 4 * d), (n, 4 * d, d)]


def flops_by_products(n, d):
    return sum(2 * rows * inner * columns for rows, inner, columns in products(n, d))


for n, d in ((7, 12), (256, 1152), (4096, 128)):
    assert flops_by_products(n, d) == 24 * n * d**2 + 4 * n**2 * d == costs.block_flops(n, d)

published = 118.6  # "Gflops" of DiT-XL/2 at 256 x 256, 28 blocks of width 1152 on 256 tokens: they count multiply-adds
ours = 28 * costs.block_flops(256, 1152) / 2 / 1e9
print(f"DiT-XL/2: {ours:.1f} G multiply-adds by our formula for its blocks, {published} published for all of it")
assert abs(ours / published - 1) < 0.01

# %% [markdown]
r"""
The published figure is from [Peebles and Xie 2023](references.md#peebles-2023). Beware of the unit: many papers call a
multiply-add one FLOP. Their numbers are half of ours.

**Claim.** For the whole block, 100 frames cost far less than 10,000 times one frame. How much less depends on the width.
(In [factorised attention](glossary.md#factorised-attention) a block within frames is followed by a block over time.)
"""

# %%
for d, places in ((1152, 256), (64, 64)):
    ratio = costs.block_flops(100 * places, d) / costs.block_flops(places, d)
    print(f"width {d:>4}, {places} tokens a frame: a block on 100 frames costs {ratio:,.0f} times one on 1 frame")

split = sum(costs.score_pairs(pattern, (100, 16, 16)) for pattern in ("frame", "time"))
print(f"scores of factorised attention, both blocks together: {split / one:,.0f} times those of one frame")

frames = np.unique(np.round(np.logspace(0, 3, 40)).astype(int))
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.5), layout="constrained", sharey=True)
for axes, (d, places) in zip(panels, ((1152, 256), (64, 64))):
    whole = [costs.block_flops(f * places, d) / costs.block_flops(places, d) for f in frames]
    split_pairs = [f * places**2 + places * f**2 for f in frames]
    in_turn = [
        # a block within frames and a block over time have this many pairs together; halved, the mean of the two
        costs.block_flops(f * places, d, pairs / 2) / costs.block_flops(places, d)
        for f, pairs in zip(frames, split_pairs)
    ]
    axes.loglog(frames, frames.astype(float) ** 2, ":", color="k", label="scores alone, joint")
    axes.loglog(frames, whole, "-", label="whole block, joint")
    axes.loglog(frames, in_turn, "--", label="whole block, factorised")
    axes.loglog(frames, frames, "-.", color="0.6", label="in proportion to frames")
    axes.plot(100, 10_000, "ko")
    axes.set(xlabel="frames", title=f"width {d}, {places} tokens a frame")
    axes.grid(alpha=0.3)
panels[0].annotate("10,000 times", (100, 10_000), (4, 2e5), arrowprops=dict(arrowstyle="-"))
panels[0].set_ylabel("cost, in units of one frame")
panels[1].legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
At first the solid and the dashed line run along "in proportion to frames", because in short clips the part with $N d^2$
is the larger one. Then they bend upwards, because the attention part grows faster than the number of frames. The two
parts of the solid line are equal where

$$24\, N d^2 = 4\, N^2 d \quad\Longleftrightarrow\quad N = 6\, d.$$
"""

# %%
for d in (128, 1152, 3072):
    n = 6 * d
    assert 24 * n * d**2 == 4 * n**2 * d
    print(f"width {d:>5}: scores cost as much as all the rest at {n:,} tokens ({n / 256:.0f} frames of 16 x 16)")

# %% [markdown]
r"""
So "10,000 times" is exact for the scores. A whole block comes near it only if the clip is very long. A whole *system*
has more parts that grow in proportion to the length, such as the autoencoder. (The number of sampling steps multiplies
the cost of all blocks alike.)

## Predicted, then measured

**Claim.** The formula predicts how the time grows with the length of a clip, on your machine.

No network runs faster than the machine's matrix products. `machine.matmul_speed` measures their speed, in FLOPs per second.
So we have a lower bound:

$$\text{seconds} \ge \frac{\text{FLOPs}}{\text{speed}}.$$

Then we run a small transformer on clips of growing length, on one core.
"""

# %%
config = VideoDiTConfig(width=96, depth=2, heads=4, text_depth=0)
network = VideoDiT(config, costs.TOKENS, generator)


@blas_threads(1)
def seconds(network, frames):
    latents = generator.standard_normal((1, frames, 16, 16, 4), dtype=np.float32)
    level, words = np.full((1, frames), 0.5, np.float32), np.ones((1, costs.WORDS), np.int32)
    best = np.inf
    with ag.no_grad():
        for _ in range(size(10, 1)):
            started = time.perf_counter()
            network(latents, level, words)
            best = min(best, time.perf_counter() - started)
    return best


with blas_threads(1):
    speed = machine.matmul_speed()
print(f"matrix products here: {speed / 1e9:.0f} GFLOP/s on one core")

lengths = [1, 2, 4, 8, 16, 32][: size(6, 3)]
predicted, measured = [], []
for frames in lengths:
    cost = costs.clip_cost(config, (frames, 8, 8))
    predicted.append(cost.forward_flops / speed)
    measured.append(seconds(network, frames))
    print(
        f"{frames:>3} frames, {64 * frames:>5} tokens: {cost.forward_flops / 1e6:>7,.0f} MFLOPs, at least "
        f"{1000 * predicted[-1]:>6.1f} ms, measured {1000 * measured[-1]:>6.1f} ms"
    )

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.loglog(lengths, 1000 * np.array(predicted), "o--", label="predicted, at least")
axes.loglog(lengths, 1000 * np.array(measured), "s-", label="measured")
axes.set(xlabel="frames", ylabel="milliseconds", title="one call of a small transformer, one core")
axes.set_xticks(lengths, [str(n) for n in lengths])
axes.set_xticks([], minor=True)
axes.grid(alpha=0.3, which="both")
axes.legend()
plt.show()

# %% [markdown]
r"""
The measured line lies above the predicted one, for three reasons. Softmax, norms and copies take time, but aren't matrix
products. Small matrices don't reach full speed. And each call has a fixed cost, which is most of the time of the shortest
clips. (If one point sticks out, another program was using the machine.)

As clips get longer, the slopes of the two lines come closer to each other. So before you start, you know about how much
longer a clip of twice the length takes.

Memory can be predicted, too. Training keeps the arrays that the pullbacks will need. `clip_cost` adds up the sizes of
the arrays that NumPy's operations keep. Compiled operations (Numba) keep somewhat less, so the measured number may be
lower.
"""

# %%
batch, frames = size(4, 1), size(8, 2)
training = costs.clip_cost(config, (frames, 8, 8), batch=batch)
print(training)

latents = generator.standard_normal((batch, frames, 16, 16, 4), dtype=np.float32)
level = np.full((batch, frames), 0.5, np.float32)
words = np.ones((batch, costs.WORDS), np.int32)
tracemalloc.start()
answer = network(latents, level, words)  # the tape is held by its result
kept = tracemalloc.get_traced_memory()[0]
tracemalloc.stop()
expected = training.together.kept
print(f"\nkept for the backward pass: predicted {expected / 1e6:.1f} MB, measured {kept / 1e6:.1f} MB")
assert abs(kept / expected - 1) < 0.25

# %% [markdown]
r"""
The table counts a training step as three forward passes. Each matrix product of the forward pass has two in the backward
pass ([chapter 1](01_autograd.ipynb)).

## Five patterns and their prices

If scores are too expensive, let fewer tokens look at each other. In this project an [attention
pattern](glossary.md#attention-pattern) is a partition of the tokens into groups. Attention happens inside each group.

- `frame`: all tokens of one frame.
- `time`: the tokens at one place, in all frames. If `frame` and `time` alternate from block to block, this is
  factorised attention.
- `window:2x2x2`, [window attention](glossary.md#window-attention): boxes of 2 frames by 2 x 2 places. In every second
  block the boxes are shifted by half a box.
- `skip:2`: every second token of the clip is in one group, and the rest in the other. In the next block it is every
  second pair of neighbours.
- `joint`: all tokens.

The number of pairs is the sum over the groups $g$ of their sizes squared:

$$P = \sum_g n_g^2.$$
"""


# %%
def pairs_by_loop(pattern, grid):
    group = labels(pattern, grid)
    return sum(int((group == label).sum()) ** 2 for label in set(group.tolist()))


grid = (4, 4, 4)
names = ("frame", "time", "window:2x2x2", "skip:2", "joint")
for name in names:
    assert pairs_by_loop(name, grid) == costs.score_pairs(name, grid)

figure, panels = plt.subplots(1, len(names), figsize=(10, 2.6), layout="constrained")
for axes, name in zip(panels, names):
    axes.imshow(links([name], grid)[0], cmap="cividis", vmin=0, vmax=1)
    share = costs.score_pairs(name, grid) / costs.score_pairs("joint", grid)
    axes.set(title=f"{name}\n{share:.0%} of the pairs", xticks=(0, 16, 32, 48), yticks=(0, 16, 32, 48))
    axes.set_xlabel("key")
panels[0].set_ylabel("query")
figure.suptitle("yellow: may look. 4 frames of 4 x 4 tokens; a frame is 16 tokens wide", fontsize=10)
plt.show()

# %% [markdown]
r"""
What do the cheaper patterns give up? One measure is the [average attention
distance](glossary.md#average-attention-distance), proposed by [Open-Sora Plan](references.md#lin-2024):

$$\bar{D} = \frac{1}{N^2} \sum_{i, j} D_{ij},$$

where $D_{ij}$ is the least number of attentions that carry information from token $j$ to token $i$, and $D_{ii} = 0$.
"""

# %%
grid = (8, 8, 8)
joint_pairs = costs.score_pairs("joint", grid)
rows = {
    "frame only": ["frame"],
    "frame, time": ["frame", "time"],
    "windows, shifted": ["window:4x4x4", "window:4x4x4"],
    "skips, both ways": ["skip:2", "skip:2"],
    "joint": ["joint"],
}
print(f"{'pattern':20}{'pairs a block':>15}{'of joint':>10}{'distance':>10}")
summary = {}
for name, patterns in rows.items():
    pairs = np.mean([costs.score_pairs(pattern, grid, occurrence) for occurrence, pattern in enumerate(patterns)])
    summary[name] = pairs / joint_pairs, average_attention_distance(patterns, grid)
    print(f"{name:20}{pairs:>15,.0f}{summary[name][0]:>10.1%}{summary[name][1]:>10.2f}")

frames, places = 8, 64
assert np.isclose(summary["frame, time"][1], 2 - (1 / frames + 1 / places))
assert np.isclose(summary["joint"][1], 1 - 1 / 512)

# %%
figure, axes = plt.subplots(figsize=(6.5, 3.3), layout="constrained")
for (name, (share, distance)), marker in zip(summary.items(), "Xos^D"):
    height = distance if np.isfinite(distance) else 3.2
    axes.plot(share, height, marker, markersize=9)
    label = name if np.isfinite(distance) else f"{name}: never"
    axes.annotate(label, (share, height), (7, 5), textcoords="offset points", fontsize=9)
axes.set(xscale="log", xlabel="pairs a block, as a share of joint", ylabel="average distance", ylim=(0.8, 3.6))
axes.set(xlim=(0.01, 3), title="8 frames of 8 x 8 tokens")
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
r"""
(Shifted windows leave small boxes at the edges of the clip. The library fills them up to full size, and the fill costs as
much as real tokens. A larger clip has fewer such boxes, relative to its size.)

With attention inside frames only, no information passes from one frame to another, however deep the network is. The
frames of such a clip are drawn independently of each other. Factorised attention *does* link all tokens. But two tokens
that differ in both frame and place need two blocks, and the information has to pass through one particular token
between them. Full attention links all tokens in one block, at the highest price.

The table doesn't say which pattern draws better clips, because distance isn't quality. To know that, you need equal training
budgets, several seeds, and a measurement.

## A whole clip, end to end

Here is the bill of the default transformer of this package, for one call on a clip of 16 frames of 16x16 latent cells.
"""

# %%
full = VideoDiTConfig()
grid = (16, 8, 8)
bill = costs.clip_cost(full, grid)
print(bill)
steps = 40
print(f"\ndrawing it with guidance, {steps} steps: {machine.amount(bill.sampling_flops(steps), 'FLOPs')}")
in_turn = costs.clip_cost(VideoDiTConfig(patterns=("frame", "time")), grid)
print(f"the same with factorised attention: {machine.amount(in_turn.sampling_flops(steps), 'FLOPs')}")

# %%
names = [layer.name for layer in bill.layers]
figure, axes = plt.subplots(figsize=(7.5, 3.3), layout="constrained")
for offset, (label, cost), hatch in zip((-0.2, 0.2), (("joint", bill), ("frame, time", in_turn)), ("", "//")):
    share = [layer.flops / bill.forward_flops for layer in cost.layers]
    axes.barh(np.arange(len(names)) + offset, share, 0.4, label=label, hatch=hatch)
axes.set_yticks(range(len(names)), names)
axes.set(xlabel="FLOPs, as a share of the joint model's", title=f"{math.prod(grid):,} tokens of width {full.width}")
axes.invert_yaxis()
axes.legend()
plt.show()

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/12_the_bill](solutions/12_the_bill.ipynb).

**1. Looking back.** A clip that is drawn frame by frame can't look ahead. Each token looks at all tokens of its own
frame and of the `back` frames before it. (The first frames have fewer frames before them.) Return the number of pairs
(query, key) for a `grid` (T, H, W).
"""


# %%
def pairs_looking_back(grid, back):
    pass  # fill me in, about 2 lines


check.ch12_pairs(pairs_looking_back)

# %% [markdown]
r"""
**2. A block that reads.** Change the table of products in two ways. The MLP is `ratio` times as wide as the tokens,
instead of 4 times. After self-attention comes cross-attention, in which the tokens attend to the `words` words of a
caption, also of this width. It has four more (width, width) projections: for queries, keys, values and output. Return
the FLOPs of the block. (The number of heads doesn't matter.)
"""


# %%
def block(tokens, width, ratio, words):
    pass  # fill me in, about 3 lines


check.ch12_block(block)

# %% [markdown]
r"""
**3. What a budget buys.** One frame has `places` tokens of width `width`. The block of the table above costs
$C$(`places`, `width`) for this frame. You may spend `budget` times as much on one block for a whole clip. How many
whole frames can the clip have, if all its tokens attend to each other?
"""


# %%
def longest(budget, places, width):
    pass  # fill me in, about 3 lines, or a loop


check.ch12_longest(longest)

# %% [markdown]
r"""
**4. Train within a budget.** `stills` trains a small transformer on clips that show one random picture in all 8 frames.
Each frame has its own noise, and the network predicts the picture without noise. The smallest possible error is 1/2 if
it uses one frame, and 1/9 if it uses all eight (why?). Reach an error of 0.125 or less with at most $4 \cdot 10^9$
FLOPs. This first attempt does neither:
"""

# %%
attempt = ("joint",), 32, 24
print(f"error {stills(*attempt, rate=0.01):.3f} for {stills_flops(*attempt) / 1e9:.1f} GFLOPs")


def choose():
    pass  # return your patterns (a tuple, one name for each block), width (a multiple of 4), steps and rate


check.ch12_budget(choose)

# %% [markdown]
r"""
**5. Break it.** In the table of distances, don't shift the windows: use `["window:4x4x4"]`, a list of one block that is
repeated without end. Say first what the distance will be, then compute it. Then add a second pattern with other sides,
such as `"window:8x4x4"`. Which sides make the distance finite? What do they cost, and what do they have in common?

**6. An open question.** Six blocks may together compute at most a quarter of the pairs of six `joint` blocks, on 8 x 8 x 8
tokens. Which six patterns would you choose for digits that move, and which for a camera that pans? Say what has to be
linked with what, and which measurement would change your mind.
"""

# %% [markdown]
r"""
## In practice

- **Factorised attention** is in early video transformers such as **Latte** ([Ma et al. 2024](references.md#ma-2024)),
  and in **Open-Sora** up to 1.2 ([Zheng et al. 2024](references.md#zheng-2024)).
- **Full attention** is in **CogVideoX** ([Yang et al. 2024](references.md#yang-2024)) and **HunyuanVideo** ([Kong et
  al. 2024](references.md#kong-2024)). Strong compression in the autoencoder and fast kernels make it affordable.
- **Skips** ([Skiparse](glossary.md#skiparse)) are from **Open-Sora Plan** ([Lin et al. 2024](references.md#lin-2024)).
- **Fewer tokens** save most. If the autoencoder makes height and width half as large again, a quarter of the tokens and
  a sixteenth of the scores are left. This is why latents ([chapter 9](09_latent_diffusion.ipynb)) come before long
  clips.

## Further reading

- [Kaplan et al. 2020](references.md#kaplan-2020), section 2.1: the same counting for language models.
- Here: `minivdit/models/costs.py`, where every figure of this chapter comes from, and `minivdit/models/patterns.py`.

Next: [chapter 13](13_the_kernel_ladder.ipynb), how attention is computed fast on a CPU and on a GPU.
"""
