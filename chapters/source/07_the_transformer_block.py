# %% [markdown]
r"""
# 7. The transformer block: adaLN-Zero

*About 50 minutes with the exercises. Runs in two minutes.*

**You'll do:** take the block of a video transformer apart and put it together again; see what each piece lets through;
start networks with shut and with open gates and train both; count a block's FLOPs and compare them with the measured
time.

**You'll learn:** what [layer norm](glossary.md#layer-norm) and [modulation](glossary.md#modulation) do; how one network
serves all noise levels; why a fresh block is the identity, and why it can still learn; where a block's weights are, and
where its time goes.

**You need:** [attention](05_attention.ipynb), [patches and positions](06_patches_and_positions.ipynb), and
[noise levels](glossary.md#noise-level) from [chapter 3](03_adding_noise.ipynb).

![A block: three branches, with norm, modulation and gates, add to a stream](pictures/07.svg)
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base import machine
from minivdit.base.backend import blas_threads
from minivdit.data import CaptionedClips, digit_source
from minivdit.diffusion import Process, make
from minivdit.generation import TextToVideo
from minivdit.lab.lessons import check, size
from minivdit.models import Tokenizer, VideoDiT, VideoDiTConfig, costs
from minivdit.models.blocks import join_heads, split_heads
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import partition
from minivdit.models.text import key_times
from minivdit.models.video_dit import Block
from minivdit.nn.optim import AdamW

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## One stream, and branches that add to it

A transformer is a stack of equal blocks. Tokens come in as an array $x$ and go out with the same shape. Each block only *adds* to them,
three times:

$$\begin{aligned}
x &\leftarrow x + g_1 \cdot \mathrm{attention}(\mathrm{modulate}(x)) && \text{tokens look at each other} \\
x &\leftarrow x + \mathrm{crossattention}(\mathrm{norm}(x), \text{words}) && \text{tokens look at the caption} \\
x &\leftarrow x + g_2 \cdot \mathrm{mlp}(\mathrm{modulate}(x)) && \text{each token is processed by itself}
\end{aligned}$$

The sum that runs through all blocks is called the [residual stream](glossary.md#residual-stream). $g_1$ and $g_2$ are
[gates](glossary.md#gate). This chapter explains the parts of these lines one by one: norm, modulation, the three
branches, and gates.

Here is the library's block, on a clip of 3 frames with 4x4 tokens each, with a caption of 5 words. The array `condition` is what the
network knows about a frame besides its tokens: its noise level, and the mean of the caption's words. The attention is `joint`: every
token looks at every token of the clip.
"""

# %%
grid, width, words = (3, 4, 4), 48, 5
config = VideoDiTConfig(width=width, heads=4)
block = Block(config, generator)

x = generator.standard_normal((1, 3, 16, width), dtype=np.float32)  # (B, T, S, D): S tokens in each of T frames
condition = generator.standard_normal((1, 3, 1, width), dtype=np.float32)  # one for each frame
text = generator.standard_normal((1, words, width), dtype=np.float32)  # (B, L, D)
visible = key_times(np.ones((1, words), bool))  # no word is padding
surroundings = dict(rotation=rotary_angles(grid, width // 4), part=partition("joint", grid))

for name, parameter in block.parameters().items():
    print(f"{name:28}{parameter.shape!s:>12}{'   all zero' if not parameter.data.any() else ''}")

# %% [markdown]
r"""
Note which layers start at zero: the modulation, and the last layer of cross-attention. (Biases always do.)

## Layer norm: every token at the same size

Each block adds to the stream, so its numbers grow from block to block. A layer that was trained on numbers around 1
does badly on much larger ones. So each branch reads the stream through a norm. For every token it brings the row $x$ of
$D$ numbers to mean 0 and variance 1:

$$\mathrm{norm}(x) = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \qquad
\mu = \frac1D \sum_i x_i, \qquad \sigma^2 = \frac1D \sum_i (x_i - \mu)^2.$$

A small $\varepsilon$ keeps the root away from 0. We write it as a loop over tokens, and then vectorised:
"""


# %%
def layer_norm_by_loop(x):
    rows = x.reshape(-1, x.shape[-1])
    normed = np.empty_like(rows)
    for i, row in enumerate(rows):
        normed[i] = (row - row.mean()) / np.sqrt(row.var() + 1e-6)
    return normed.reshape(x.shape)


def layer_norm_vectorised(x):
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)


loud = x * np.exp(generator.standard_normal((1, 3, 16, 1), dtype=np.float32))  # tokens of very different size
assert np.allclose(layer_norm_by_loop(loud), layer_norm_vectorised(loud), atol=1e-5)
assert np.allclose(layer_norm_by_loop(loud), ag.layer_norm(loud).data, atol=1e-5)
assert np.allclose(ag.layer_norm(100 * loud + 7).data, ag.layer_norm(loud).data, atol=1e-3)  # the size is forgotten

# %% [markdown]
r"""
The last line of code shows what the norm removes: the mean of a token's row, and its size. What is left is its
*direction*. But only the branches read normed rows. The stream itself isn't normed, so it forgets nothing.

## Modulation: one network for all noise levels

At noise level 0.9 the network has to guess where a digit might be. At 0.1 it has to polish edges. The weights are the
same, the work isn't. So the network must be told the level. One could add the level to every token. Another way works
better ([Peebles and Xie 2023](references.md#peebles-2023) tried four): after the norm of attention and that of the MLP,
the condition sets a scale and a shift,

$$\mathrm{modulate}(x) = \mathrm{norm}(x) \cdot (1 + \text{scale}) + \text{shift}.$$

A linear layer computes six vectors of $D$ numbers from the condition: a shift, a scale and a gate for attention, and
the same three for the MLP. This is called *adaptive layer norm*, [adaLN](glossary.md#adaln-zero).

In this project each *frame* has a noise level, so each frame has its own six vectors. Its tokens share them.
"""

# %%
shift, scale = 0.5 * generator.standard_normal((2, 1, 3, 1, width), dtype=np.float32)  # (B, T, 1, D)

by_loop = np.empty_like(x)
for frame in range(3):
    for token in range(16):
        normed = layer_norm_by_loop(x[0, frame, token])
        by_loop[0, frame, token] = normed * (1 + scale[0, frame, 0]) + shift[0, frame, 0]

assert np.allclose(by_loop, layer_norm_vectorised(x) * (1 + scale) + shift, atol=1e-5)
assert np.allclose(by_loop, ag.normalise_and_modulate(x, shift, scale).data, atol=1e-5)

# %% [markdown]
r"""
Why `1 + scale`? A linear layer that starts at zero gives scale 0 and shift 0. With the 1, modulation then changes
nothing. Without it, the result would be 0 everywhere.

What does a trained network do with the six vectors? We look into the one that comes with this package. We ask for all
levels at once, by a "clip" of 41 frames, each with a noise level of its own.

**What to look at.** Each curve is one block. In the middle and right panels, 0 is a shut gate. Do most curves rise or
fall as the noise grows? Do early and late blocks differ?
"""

# %%
model = TextToVideo.load()
network = model.transformer
levels = np.linspace(0, 1, 41, dtype=np.float32)
with ag.no_grad():
    _, caption_mean = network.text(model.tokenizer.encode(["a 3 moving right"]))
    vectors = [
        ag.split(layer.modulation(network._condition(levels[None], caption_mean, 41)), parts=6)
        for layer in network.blocks
    ]  # for each block: shift1, scale1, gate1, shift2, scale2, gate2, each (1, 41, 1, D)

figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
parts = {"1 + scale before attention": (1, 1), "gate of attention": (2, 0), "gate of the MLP": (5, 0)}
for axes, (name, (which, offset)) in zip(panels, parts.items()):
    for number, six in enumerate(vectors):
        size_of = np.sqrt(np.mean((offset + six[which].data[0, :, 0]) ** 2, axis=-1))
        axes.plot(levels, size_of, color=plt.cm.cividis(number / len(vectors)), label=f"block {number}")
    axes.set(title=name, xlabel="noise level")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
panels[0].set_ylabel("root mean square over channels")
panels[0].legend(fontsize=7, ncol=3, loc="lower right")
plt.show()
openness = np.array([np.sqrt(np.mean(six[2].data[0, :, 0] ** 2, axis=-1)) for six in vectors])  # (blocks, levels)
wider = openness[:, levels > 0.7].mean(axis=1) > openness[:, levels < 0.3].mean(axis=1)
print(f"with the level the attention gates change by {np.ptp(openness, axis=1).min():.2f} to "
      f"{np.ptp(openness, axis=1).max():.2f}; {wider.sum()} of {len(wider)} are wider open at heavy noise")  # fmt: skip
assert np.ptp(openness, axis=1).max() > 0.05

# %% [markdown]
r"""
All gates were 0 when training began. Each block has found its own curve. The higher the curve of a gate is, the more of
the branch is added to the stream. The line under the picture counts the blocks whose attention gate is wider open at
heavy noise than at little noise. If most are, here is a possible reason: a noisy token says little by itself, so it
needs its neighbours. The picture doesn't prove it. In the right panel most curves fall or stay level, and in both
panels of gates late blocks add more than early ones.

## What stands between: three branches

**Attention** splits the width into [heads](glossary.md#head), and each head has attention weights of its own. The loop
takes one head after the other. The library computes all heads in one operation. (Here we leave out positions, and the
norm of queries and keys, which is explained under *In practice*.)
"""

# %%
heads = 4
q, k, v = generator.standard_normal((3, 48, width))  # (N, D)
d = width // heads
by_loop = np.concatenate(
    [
        ag.simple_attention(q[:, h * d : (h + 1) * d], k[:, h * d : (h + 1) * d], v[:, h * d : (h + 1) * d]).data
        for h in range(heads)
    ],
    axis=-1,
)
at_once = join_heads(ag.attention(*(split_heads(a, heads) for a in (q, k, v)))).data
assert np.allclose(by_loop, at_once)

# %% [markdown]
r"""
**[Cross-attention](glossary.md#cross-attention)** differs from attention in one thing: queries come from the tokens of
the clip, keys and values from the words. **The [MLP](glossary.md#mlp)** takes every token by itself: a linear layer to
four times the width, a nonlinear function, and a linear layer back to the width.
"""

# %%
one_by_one = np.stack([block.mlp(token).data for token in x.reshape(-1, width)])
assert np.allclose(one_by_one.reshape(x.shape), block.mlp(x).data, atol=1e-5)

# %% [markdown]
r"""
**Claim.** Only attention carries anything from token to token. Single words come in by cross-attention, and the condition
(noise level, and the mean of all words) by modulation.

To see what influences what, we change one input and look at which tokens change. The layers of zeros would hide it. So
we make a second block and fill them with random numbers.

**What to look at.** Each row is one change of the input, and each column is one piece of the block. Yellow tokens have
changed. Which pieces keep a change inside its token, which inside its frame, and which spread it everywhere?
"""


# %%
def opened(block, deviation=0.3):
    """The block with random numbers where it starts at zero."""
    for layer in (block.modulation, block.cross_attention.out):
        layer.weight.data += deviation * generator.standard_normal(layer.weight.shape, dtype=np.float32)
    return block


full = opened(Block(config, generator))
shift, scale, gate, *_ = ag.split(full.modulation(condition), parts=6)
pieces = {
    "norm": lambda x, c, t: ag.layer_norm(x),
    "attention": lambda x, c, t: full.attention(x, **surroundings),
    "cross-attention": lambda x, c, t: full.cross_attention(x, t, visible),
    "MLP": lambda x, c, t: full.mlp(x),
    "modulation": lambda x, c, t: ag.normalise_and_modulate(x, *ag.split(full.modulation(c), parts=6)[:2]),
    "whole block": lambda x, c, t: full(x, c, t, visible, **surroundings),
}
nudge = generator.standard_normal(width, dtype=np.float32)
other_x, other_condition, other_text = x.copy(), condition.copy(), text.copy()
other_x[0, 1, 5] += nudge
other_condition[0, 1] += nudge
other_text[0, 2] += nudge
changes = {
    "a token of frame 1": (other_x, condition, text),
    "level of frame 1": (x, other_condition, text),
    "a word": (x, condition, other_text),
}

figure, rows = plt.subplots(3, len(pieces), figsize=(10, 2.3), layout="constrained")
influence = {}
for row, (cause, inputs) in zip(rows, changes.items()):
    for axes, (name, piece) in zip(row, pieces.items()):
        moved = np.abs(piece(*inputs).data - piece(x, condition, text).data).max(axis=-1)[0] > 1e-5  # (T, S)
        influence[cause, name] = moved
        axes.imshow(np.hstack([np.pad(frame.reshape(4, 4) + 1, 1) for frame in moved]), cmap="cividis", vmin=0, vmax=2)
        axes.set(xticks=[], yticks=[])
    row[0].set_ylabel(cause, rotation=0, ha="right", va="center", fontsize=9)
for axes, name in zip(rows[0], pieces):
    axes.set_title(name, fontsize=9)
figure.suptitle("what is changed (left) moves the yellow tokens of three frames", fontsize=10)
plt.show()

assert influence["a token of frame 1", "MLP"].sum() == influence["a token of frame 1", "norm"].sum() == 1
assert influence["a token of frame 1", "attention"].all() and influence["a word", "cross-attention"].all()
assert influence["level of frame 1", "modulation"][1].all() and influence["level of frame 1", "modulation"].sum() == 16

# %% [markdown]
r"""
Grey tokens haven't changed. The top row shows why a transformer needs attention: no other piece carries anything from
one token to another. Of the single pieces, [attention patterns](glossary.md#attention-pattern) change only this one. In
the whole block every change has reached every token. Even the noise level of frame 1 changes the tokens of other
frames, since attention has carried it on.

## Gates that start at zero

**Claim.** A fresh block is the identity, exactly.

The gates come from a layer of zeros, and the last layer of cross-attention is zero. So each of the three lines adds 0. This is called
*adaLN-Zero*.
"""

# %%
assert np.array_equal(block(x, condition, text, visible, **surroundings).data, x)
assert not np.allclose(full(x, condition, text, visible, **surroundings).data, x)

# %% [markdown]
r"""
**Claim.** Zero isn't a dead end.

It looks like one, since no gradient reaches a branch through a gate of 0. But the gate itself has a gradient. Let $y =
x + g \cdot b$, with the branch $b$ and the gate $g$, and write $dy$ for the gradient of the loss with respect to $y$.
By the rule for products ([chapter 1](01_autograd.ipynb)),

$$db = g \cdot dy = 0, \qquad dg = \sum_{\text{tokens}} b \cdot dy \ne 0.$$

(All tokens of a frame share $g$, hence the sum.) So the first step opens the gates a little, and from the second step
on the branches learn. (Two layers of zeros in a row *would* be a dead end: both gradients are products with zero.) We
watch it with the simplest training step, which subtracts the gradient from each weight:
"""

# %%
wish = generator.standard_normal(x.shape, dtype=np.float32)  # any target will do
learner = Block(config, generator)
parameters = learner.parameters()
for step in range(3):
    loss = ag.mean_squared_error(learner(x, condition, text, visible, **surroundings), wish)
    slopes = dict(zip(parameters, ag.gradients(loss, parameters.values())))
    for name, slope in slopes.items():
        parameters[name].data -= slope
    moving = sorted({name.split(".")[0] for name, slope in slopes.items() if slope.any()})
    print(f"step {step}: loss {loss.item():.5f}; gradients in {', '.join(moving)}")
    gates_only = not slopes["attention.qkv.weight"].any() and not slopes["mlp.up.weight"].any()
    assert slopes["modulation.weight"].any() and gates_only == (step == 0)

# %% [markdown]
r"""
## And without zero gates?

Now we set the gates to 1, and give cross-attention an ordinary last layer. This makes a plain residual block. First we
look at 24 fresh blocks in a row, without training.

**What to look at.** After each block we ask three questions, one for each panel. How large are the numbers of the
stream? How much of the input is still in it (as a correlation)? How large is the gradient on its way back? What would
you wish for in each panel?
"""


# %%
def with_open_gates(block):
    """All gates at 1, and a last layer of cross-attention as any other layer starts."""
    block.modulation.bias.data.reshape(6, -1)[[2, 5]] = 1
    out = block.cross_attention.out.weight
    out.data[:] = generator.standard_normal(out.shape) / np.sqrt(out.shape[0])
    return block


depth = size(24, 6)
stacks = {
    "gates at 0": [Block(config, generator) for _ in range(depth)],
    "gates at 1": [with_open_gates(Block(config, generator)) for _ in range(depth)],
}
figure, panels = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
sizes = {}
for (name, stack), style in zip(stacks.items(), ("o-", "s--")):
    stream = [ag.Tensor(x, requires_grad=True)]  # each block's input is a leaf, so that its gradient can be asked for
    outputs = []
    for each in stack:
        outputs.append(each(stream[-1], condition, text, visible, **surroundings))
        stream.append(ag.Tensor(outputs[-1].data, requires_grad=True))
    back = [np.random.default_rng(1).standard_normal(x.shape, dtype=np.float32)]
    for into, output in zip(stream[-2::-1], outputs[::-1]):  # the last block first
        back.append(ag.gradients(output, [into], back[-1])[0])
    sizes[name] = [float(np.sqrt(np.mean(s.data**2))) for s in stream]
    kept = [np.corrcoef(x.ravel(), s.data.ravel())[0, 1] for s in stream]
    slopes = [float(np.sqrt(np.mean(g**2))) for g in back[::-1]]
    for axes, values in zip(panels, (sizes[name], kept, slopes)):
        axes.plot(values, style, markersize=3, label=name)
for axes, title in zip(panels, ("size of the stream", "what is left of the input", "gradient, coming back")):
    axes.set(title=title, xlabel="blocks passed")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
panels[0].legend(fontsize=8)
plt.show()
assert np.allclose(sizes["gates at 0"], sizes["gates at 0"][0]) and sizes["gates at 1"][-1] > 1.5
print(f"after {depth} blocks with open gates the stream is {sizes['gates at 1'][-1]:.1f} times as large")

# %% [markdown]
r"""
With shut gates the blocks change nothing, so nothing is lost. With open gates every block adds the output of weights
that have learnt nothing, and the input becomes a small part of the sum. (Read the right panel from right to left: the
gradient starts behind the last block, and it has grown when it arrives at the first.) The network must first learn to
undo what its fresh blocks do.

Does that matter for training? We train small transformers of both kinds on small clips of moving digits. They predict
the velocity, and have the same data, learning rate and number of steps. The output layer starts at zero in both, so
both begin with the same loss. Each is trained with several seeds, since one run proves little.
"""

# %%
clips = CaptionedClips(digit_source("strokes"), size=(16, 16), num_frames=4, digit_size=12, num_digits=(1,))
process, tokenizer = Process(make("rectified_flow"), "velocity"), Tokenizer()
small = VideoDiTConfig(latent_channels=1, patch_size=(1, 4, 4), width=32, depth=size(12, 2), heads=2, text_depth=0)
steps, batch, seeds = size(150, 3), size(12, 2), range(size(3, 1))


def losses_of(seed, gates_open):
    draw = np.random.default_rng(seed)
    net = VideoDiT(small, len(tokenizer), draw)
    if gates_open:
        for each in net.blocks:
            with_open_gates(each)
    weights = net.parameters()
    optimiser = AdamW(weights, learning_rate=2e-3)
    data = np.random.default_rng(1000 + seed)  # the same clips, levels and noise for both
    losses = []
    for _ in range(steps):
        made = clips.batch(data, batch)
        clean = made.video * 2 - 1  # (B, 4, 16, 16, 1)
        noise = data.standard_normal(clean.shape, dtype=np.float32)
        level = np.repeat(data.random((batch, 1), dtype=np.float32), 4, axis=1)  # (B, T)
        asked = process.target(clean, noise, level)
        answer = net(process.mix(clean, noise, level), level, tokenizer.encode(made.captions))
        loss = ag.mean_squared_error(answer, asked)
        optimiser.step(dict(zip(weights, ag.gradients(loss, weights.values()))))
        losses.append(loss.item())
    return losses


results = {}
started = time.perf_counter()
with blas_threads(1):
    for name, gates_open in (("gates at 0", False), ("gates at 1", True)):
        results[name] = np.array([losses_of(seed, gates_open) for seed in seeds])  # (seeds, steps)
print(f"{2 * len(seeds)} trainings of {steps} steps: {time.perf_counter() - started:.0f} s")

# %%
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
window = size(10, 1)
for (name, losses), style in zip(results.items(), ("-", "--")):
    smooth = np.array([np.convolve(one, np.ones(window) / window, "valid") for one in losses])
    (line,) = axes.plot(np.arange(window, steps + 1), smooth.mean(axis=0), style, label=name)
    axes.fill_between(np.arange(window, steps + 1), smooth.min(0), smooth.max(0), color=line.get_color(), alpha=0.2)
axes.set(xlabel="step", ylabel="loss (velocity)", title=f"depth {small.depth}: mean and range of {len(seeds)} seeds")
axes.set_ylim(bottom=0)
axes.grid(alpha=0.3)
axes.legend()
plt.show()
last = {name: losses[:, -steps // 5 :].mean(axis=1) for name, losses in results.items()}  # the last fifth
for name, values in last.items():
    print(f"{name}: loss of the last {steps // 5 or 1} steps, by seed: {', '.join(f'{value:.3f}' for value in values)}")
better = int((last["gates at 0"] < last["gates at 1"]).sum())
print(f"gates at 0 are ahead in {better} of {len(seeds)} pairs")

# %% [markdown]
r"""
We tried one depth, one learning rate and few steps. The networks with open gates are late: their loss stays on a
plateau until near the end. With another learning rate, with smaller steps at first (a *warm-up*) or with more steps
they may catch up. We haven't tried that (exercise 6). In the paper on DiT ([Peebles and Xie
2023](references.md#peebles-2023)), with far larger networks and long trainings, adaLN-Zero was clearly ahead of the
same network without zeros.

## Weights, FLOPs and time

The layer with the most parameters needn't be the one with the most [FLOPs](glossary.md#flop). Every weight of a linear
layer costs 2 FLOPs *for each row that passes through it*: rows are tokens for attention and MLP, words for the keys of
cross-attention, and frames for modulation.

**Claim.** The cost of all matrix products follows from the shapes of the weights and the numbers of rows. With $N$
tokens, $L$ words and width $D$,

$$\text{FLOPs} = \sum_{\text{matrices } W} 2\, \mathrm{rows}(W)\, |W| \;+\; 4 N^2 D \;+\; 4 N L D,$$

where $|W|$ is the number of weights in $W$. The second term counts the scores and the weighted sums of values among
tokens. The third counts the same between tokens and words. We first add up in a loop over the block's own weights, and
then take the library's formula.
"""

# %%
frames, places, words, width = 8, 64, 16, 128
tokens = frames * places
real = Block(VideoDiTConfig(width=width), generator)

rows_of = {"modulation": frames, "cross_attention.kv": words}  # and all others: tokens
flops = 0
for name, parameter in real.parameters().items():
    if parameter.data.ndim == 2:
        flops += 2 * rows_of.get(name.removesuffix(".weight"), tokens) * parameter.size
flops += 2 * 2 * tokens * tokens * width  # scores, and weights times values
flops += 2 * 2 * tokens * words * width  # the same with the words

layers = costs.block_layers(tokens, width, words=words, frames=frames, heads=4)
assert flops == sum(layer.flops for layer in layers)
assert real.parameter_count() == sum(layer.parameters for layer in layers)

print(f"{'layer':20}{'parameters':>12}{'share':>8}{'FLOPs':>14}{'share':>8}")
for layer in layers:
    share = layer.parameters / real.parameter_count()
    print(f"{layer.name:20}{layer.parameters:>12,}{share:>8.0%}{layer.flops:>14,}{layer.flops / flops:>8.1%}")

# %% [markdown]
r"""
The modulation holds more than a quarter of all weights and costs almost no work, since it is computed once a frame, not once a token.

A layer's FLOPs, divided by the speed of matrix products, give the least time that it can take. How near do we come to
it? We measure the forward pass on one core.

**What to look at.** Compare the two bars of each piece. Which piece is farthest from its least time? Which one has no least time at all, and
still takes some?
"""

# %%
batch = size(4, 1)
x = generator.standard_normal((batch, frames, places, width), dtype=np.float32)
condition = generator.standard_normal((batch, frames, 1, width), dtype=np.float32)
text = generator.standard_normal((batch, words, width), dtype=np.float32)
visible = key_times(np.ones((batch, words), bool))
around = dict(rotation=rotary_angles((frames, 8, 8), width // 4), part=partition("joint", (frames, 8, 8)))
shift, scale, gate, *_ = ag.split(real.modulation(condition), parts=6)
works = {
    "attention": lambda: real.attention(x, **around),
    "cross-attention": lambda: real.cross_attention(x, text, visible),
    "MLP": lambda: real.mlp(x),
    "modulation layer": lambda: real.modulation(condition),
    "norms and gates": lambda: [
        ag.normalise_and_modulate(x, shift, scale),
        ag.normalise_and_modulate(x, shift, scale),
        ag.layer_norm(x),
        ag.gated_residual(x, gate, x),
        ag.gated_residual(x, gate, x),
    ],
    "whole block": lambda: real(x, condition, text, visible, **around),
}


@blas_threads(1)
def seconds(work):
    best = np.inf
    with ag.no_grad():
        for _ in range(size(10, 1)):
            started = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - started)
    return best


by_name = {layer.name: batch * layer.flops for layer in layers}
expected = {
    "attention": by_name["projections"] + by_name["attention scores"],
    "cross-attention": by_name["caption attention"],
    "MLP": by_name["MLP"],
    "modulation layer": by_name["modulation"],
    "norms and gates": 0,
    "whole block": batch * flops,
}
with blas_threads(1):
    speed = machine.matmul_speed()
took = {name: seconds(work) for name, work in works.items()}
print(f"matrix products here: {speed / 1e9:.0f} GFLOP/s on one core")
for name in works:
    print(f"{name:18} at least {1000 * expected[name] / speed:>6.2f} ms, measured {1000 * took[name]:>6.2f} ms")

figure, axes = plt.subplots(figsize=(7, 3.1), layout="constrained")
places_y = np.arange(len(works))
axes.barh(places_y - 0.2, [1000 * expected[n] / speed for n in works], 0.4, hatch="//", label="least, from FLOPs")
axes.barh(places_y + 0.2, [1000 * took[n] for n in works], 0.4, label="measured")
axes.set_yticks(places_y, list(works))
axes.invert_yaxis()
axes.set(xlabel="milliseconds", title=f"{batch} clips of {tokens} tokens, width {width}, forward")
axes.legend()
plt.show()

# %% [markdown]
r"""
Norms and gates have no matrix product, so the formula gives them nothing. They take time all the same, because they
read and write the whole stream. That is why the library fuses them: `normalise_and_modulate` is one operation, not
four. Attention also needs an exponential for every score, which the formula doesn't count either. Nor does it count the
norms of queries and keys and the splitting into heads, which cross-attention has, too. The MLP has a nonlinear function
for each of its $4D$ numbers a token.

## Exercises

Worked solutions are in [solutions/07_the_transformer_block](solutions/07_the_transformer_block.ipynb).

**1. The pullback of layer norm.** From `x` (..., D) and `grad`, the gradient of the output, return the gradient of `x`.
The norm has no learnt scale and shift, and $\varepsilon$ is 1e-6. (Mean and variance depend on `x`, too.)
"""


# %%
def norm_pullback(x, grad):
    pass  # fill me in, about 4 lines


check.ch07_norm(norm_pullback)

# %% [markdown]
r"""
**2. Fold it away.** If the condition never changes, modulation needn't be computed. A linear layer reads modulated
tokens: `modulate(x) @ weight`, with `shift` and `scale` (D,) and `weight` (D, M). Return a weight (D, M) and a bias
(M,) with which `norm(x) @ new_weight + new_bias` gives the same.
"""


# %%
def fold(shift, scale, weight):
    pass  # fill me in, about 2 lines


check.ch07_fold(fold)

# %% [markdown]
r"""
**3. The pullback of a dropped branch.** *Stochastic depth* skips a branch for some clips in training and makes it larger for the others:
`x + keep / rate * gate * branch`, where `keep` (B,) is 0 or 1 for each clip and `rate` a number. `x` and `branch` are (B, T, S, D), `gate` is
(B, T, 1, D). From `grad` (B, T, S, D) return the gradients of x, gate and branch.
"""


# %%
def gate_pullback(x, gate, branch, keep, rate, grad):
    pass  # fill me in, about 4 lines


check.ch07_gate(gate_pullback)

# %% [markdown]
r"""
**4. How many weights?** A network has `depth` blocks like the one printed above, of width `width`: modulation,
self-attention, cross-attention, and an MLP `ratio` times as wide. Count the weights in all *matrices* of the blocks,
without biases and norms. Return two counts: the first if each block has a modulation of its own, the second if all
blocks share one.
"""


# %%
def matrix_parameters(width, ratio, depth):
    pass  # fill me in, about 3 lines


check.ch07_parameters(matrix_parameters)

# %% [markdown]
r"""
**5. Break it: zeros in a row.** Set `attention.out.weight` of a fresh block to zero as well, and train it like
`learner` for some steps. Say first which gradients will be zero, and for how long. Then compare.

**6. Open.** Do open gates catch up? Vary the learning rate, the number of steps or the depth in `losses_of`. What would be a fair comparison
of two networks that want different learning rates?

## In practice

- **adaLN-Zero** is from **DiT** ([Peebles and Xie 2023](references.md#peebles-2023)). Modulation by a condition is
  older, and is known as FiLM ([Perez et al. 2018](references.md#perez-2018)). A residual branch that starts at zero is
  older, too ([Goyal et al. 2017](references.md#goyal-2017), [Bachlechner et al. 2020](references.md#bachlechner-2020)).
- **PixArt-alpha** shares one modulation among all blocks, with a small learnt table for each (*adaLN-single*). That saves most of the
  modulation's weights ([Chen et al. 2023](references.md#chen-2023)). It also starts the last layer of cross-attention at zero, as we do.
- **CogVideoX** has no cross-attention: words and patches stand in one sequence, and each kind has a modulation of its own
  (*expert adaLN*, [Yang et al. 2024](references.md#yang-2024)).
- **Queries and keys are normalised** too, for each head, so that scores keep a bound
  ([Dehghani et al. 2023](references.md#dehghani-2023)). This project does it in both attentions.

## Further reading

- [Ba et al. 2016](references.md#ba-2016), layer norm; [Xiong et al. 2020](references.md#xiong-2020), why it stands before a
  branch and not behind it.
- [He et al. 2016](references.md#he-2016), residual connections.
- Here: `minivdit/models/video_dit.py` and `blocks.py`, the block; `minivdit/autograd/fused.py`, its norms and gates.

Next: [chapter 8](08_text_guidance.ipynb), how a caption gets in, and how it is made to count.
"""
