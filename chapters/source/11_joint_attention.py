# %% [markdown]
r"""
# 11. Joint space-time attention: who can influence whom

*About 50 minutes with the exercises. Runs in a minute.*

**You'll do:** disturb one patch of one frame and watch which patches of which frames notice, after one, two and three
blocks, under five attention patterns; predict the same from a matrix product; look into the attention of the shipped
weights.

**You'll learn:** what links the frames of a clip, and through how many steps; what *joint* attention (the article's
Figure 2) can do at once that frames and time in turn (its Figure 1) do on a detour; why "can influence" and "does influence"
are two questions.

**You need:** [chapter 5](05_attention.ipynb) and [chapter 6](06_patches_and_positions.ipynb). What the patterns do to
the quality of clips is measured in [chapter 10](10_the_consistency_problem.ipynb); what they cost, in [chapter 12](12_the_bill.ipynb).

![A patch linked to all patches of all frames](pictures/11.svg)
"""

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.explorer import explore
from minivdit.lab.lessons import check, size
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.models.blocks import SelfAttention, split_heads
from minivdit.models.patterns import average_attention_distance, labels, links, partition, reachable, with_occurrences
from minivdit.models.schemes import SCHEMES

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
| `skip` | `skip` | every k-th token, then every k-th run of k |

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
Attention in groups is nothing new: take each group out, let it attend, put it back. The simple loop does that with one
group after the other; the library with all groups at once.
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

**Claim.** Under `perframe`, other frames never notice a change, in any number of blocks. Under `framewise` all tokens can
notice after two blocks. Under `joint`, after one.

We don't argue, we try. A transformer with *random* weights will do: what can't pass through random weights can't pass
through any. (A fresh one passes nothing at all, since its gates start at zero; so we fill those too.) Change the marked
patch, and see which outputs change.
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
Read the picture by rows. `perframe`: one bright frame, for ever. A caption can tell its frames the same story, but nothing
can make the same *instance* of a digit, or its place, agree from frame to frame. `framewise`: in the first block only the
own frame; with the second, all. So it isn't true that frames and time in turn leave frames unlinked: what they lack is
the *direct* link between different places of different frames. `joint`: everything at once. `window` and `skip` need their
shift.

## The same from a matrix product

**Claim.** Who can influence whom follows from the groups alone, with no network.

Write for each block a boolean matrix: entry [i, j] says that token i looks at token j. What reaches i after two blocks has
reached, after one, someone that i looks at. That is a matrix product with "or" for plus. The simple loop:
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
Prediction and disturbance agree on every token. A column of the matrix is whom one token reaches; a row is who reaches one
token. A row can be had from a network too: not by disturbing all inputs one after the other, but with a single
[backward pass](glossary.md#backward-pass).
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

Count how many attentions it takes to get from one token to another, and average over all pairs: the
[average attention distance](glossary.md#average-attention-distance), from the report of Open-Sora Plan ([Lin et al. 2024](references.md#lin-2024)). Beside it belongs what it costs:
the pairs of tokens for which a block computes scores.
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
`perframe` isn't in the picture: its distance is infinite. A distance of 2 isn't a disaster in a network of a dozen
blocks. What the detour costs is something else: a digit that moves is in frame 2 at one place and in frame 5 at
another. With joint attention one patch looks at the other, and both queries and keys are the patches' own. In turn, the news
has to pass through a third patch (the place of one in the frame of the other), which shows neither, and must carry it
beside its own business.

## Can is not does

With `joint` every token *can* look at every token. Do trained ones? We put the first disturbance to the shipped weights
`joint`: a real clip, half noise, one patch of one frame disturbed, many times.
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
## Where does it look?

The weights of attention aren't kept anywhere; the tiled form never has them all. So we listen in on what goes into each
attention, and compute them again, with the same normalised queries and keys turned by their positions. **Claim.** They
are the right ones: multiplied with the values they give what the library gives.
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
First one token: the patch on the digit in a middle frame. Above, the clip (clean, though the network saw it half noisy);
below, for every block, where this patch looks, the mean of all heads.
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
One token proves nothing; average over all. How much of its attention goes how many frames away? And how much goes where
frames and time in turn have no direct link, to another place in another frame? Beside it what indifferent attention, equal to
all, would give.
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
So the links that only joint attention has are used: they get that share of the weight. Two warnings. A weight isn't an
effect: what is looked at may be thrown away later; the disturbance above is nearer to the effect. And that a network
uses a link when it has it doesn't prove that it would be worse without. For that, networks with and without it have to be
trained alike, with several seeds: [chapter 10](10_the_consistency_problem.ipynb), and `minivdit compare`.

## Side by side: the explorer

The same question, put to networks that were trained alike, with the same data, steps and first weights, and differ only in their
pattern: `joint`, `framewise` and `perframe` ship with the package. Each draws its clip from the same caption and noise, and is
recorded while it does. For a patch on the digit (marked), the picture shows where it looks, some way from noise to clip; hatched is what a pattern
forbids.
"""

# %%
explorer = explore("a 3 moving right", seed=1, steps=size(40, 2))
explorer.picture()

# %% [markdown]
r"""
With `joint` the bright patches follow the digit from frame to frame. With `framewise` only the patch's own column is open in other
frames, where the digit soon isn't any more. With `perframe` no other frame is open, and each draws a digit of its own at a place
of its own. That is one patch and one moment. For all others, put `explorer` alone in a cell: a page opens in the notebook, on
which you click a patch and choose block, head and step. (`minivdit explore "a 3 moving right"` writes the same page to a file.)

## Exercises

Worked solutions are in [solutions/11_joint_attention](solutions/11_joint_attention.ipynb).

**1. Windows.** For a `grid` (T, H, W) of tokens, ordered t, y, x, and boxes of `sides` (t, h, w) that aren't shifted: the
boolean matrix (N, N) of who looks at whom. Boxes at the end may be cut off.
"""


# %%
def window_links(grid, sides):
    pass  # fill me in, about 4 lines


check.ch11_windows(window_links)

# %% [markdown]
r"""
**2. Who reaches whom.** From a list of boolean matrices (N, N), one for each block, first block first, entry [i, j]: i
looks at j. A token also keeps what it has (the residual path), whether or not it looks at itself.
"""


# %%
def reach(looks):
    pass  # fill me in, about 4 lines


check.ch11_reach(reach)

# %% [markdown]
r"""
**3. Average attention distance.** From one boolean matrix (N, N), the links of any block: the mean over all ordered pairs of
how many steps it takes from i to j; 0 from a token to itself, `math.inf` where there is a pair without a way.
"""


# %%
def average_distance(step):
    pass  # fill me in, about 9 lines


check.ch11_distance(average_distance)

# %% [markdown]
r"""
**4. Near and far.** From attention weights (N, N), queries down, and `frame` (N,), the frame of each token: how much of
its attention a token spends, on average, d frames away, in either direction, for d = 0, 1, ... up to the last frame number.
The entries add up to 1.
"""


# %%
def spent_by_distance(weights, frame):
    pass  # fill me in, about 2 lines


check.ch11_spent(spent_by_distance)

# %% [markdown]
r"""
## In practice

- **Frames and time in turn**: **Latte** ([Ma et al. 2024](references.md#ma-2024)) and the first versions of **Open-Sora**
  ([Zheng et al. 2024](references.md#zheng-2024)).
- **Joint**: **CogVideoX** gives as its reason the detour of this chapter: a thing that moves far between frames has no
  direct link in turn ([Yang et al. 2024](references.md#yang-2024)). **HunyuanVideo** is joint, too
  ([Kong et al. 2024](references.md#kong-2024)).
- **Skips**: **Open-Sora Plan** argues with the average attention distance for every k-th token
  ([Lin et al. 2024](references.md#lin-2024)).

## Further reading

- `minivdit/models/patterns.py`: labels, groups, `reachable` and the distance, in two hundred lines.
- [Chapter 12](12_the_bill.ipynb), what the patterns cost; [chapter 5](05_attention.ipynb), masks: a causal clip is the same
  matrix with the future crossed out.

Next: [chapter 12](12_the_bill.ipynb), the bill.
"""
