# %% [markdown]
r"""
# 15. The systems: Sora to CogVideoX, each idea in miniature

*About 100 minutes with the exercises. Runs in half a minute.*

**You'll do:** take nine systems apart into ideas. For each idea you use the part of this library that has it, and check the one
property that makes it useful. In the exercises, train a small causal compressor.

**You'll learn:** which of these ideas are documented, and which are only a sentence on a web page. Why systems use a
causal autoencoder, words in the sequence, [expert modulation](glossary.md#expert-modulation),
[stratified](glossary.md#stratified-sampling) noise levels and cheaper attention at the start. Which setting of this
library switches each of them on.

**You need:** [chapter 11](11_joint_attention.ipynb), [chapter 12](12_the_bill.ipynb) and [chapter 14](14_every_ability.ipynb).

![Nine ideas of nine systems, by the part that they change](pictures/15.svg)
"""

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from minivdit import autograd as ag
from minivdit.base.machine import amount
from minivdit.data import CaptionedClips, DigitMotion, Steering, digit_source, due, in_fields, parse, read_fields
from minivdit.data.fields import place_of
from minivdit.data.grammar import DIRECTIONS
from minivdit.data.paths import along, path_maps
from minivdit.diffusion import curves, training_levels, window_starts
from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import draw_strip
from minivdit.lab.evaluation import seam
from minivdit.lab.evaluation.caption_fields import with_another
from minivdit.lab.lessons import check, size
from minivdit.lab.pipeline.forecast import likely_minutes, stage_costs, step_flops, token_grid
from minivdit.models import costs
from minivdit.models.blocks import SelfAttention
from minivdit.models.causal_autoencoder import CausalAutoencoder, CausalConv
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import average_attention_distance, partition, reachable, with_occurrences
from minivdit.training import presets, recipes
from minivdit.training.stages import tokenizer_of

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)
model = TextToVideo.load("small")  # 32 x 32 pixels, 8 frames
steps = size(16, 2)  # of sampling; few, for time's sake: see `model.settings.steps` for what is better


def recipe(name, *ideas):
    """The preset of a recipe, with all of its ideas or with some; digits come from the built-in pen."""
    return presets.override(recipes.preset(name, ideas or None), ["data.digits=strokes"])


def show(name):
    """What a recipe changes, and how it is trained and drawn with."""
    found = recipes.RECIPES[name]
    for idea, settings in found.ideas.items():
        print(f"{idea}: {'  '.join(settings)}")
    print(f"train: minivdit train {name}\ndraw:  {found.draws} --weights runs/{name}")


def clips_of(frames, height, width):
    """Clips of one digit, of any shape."""
    source = digit_source("strokes", split="test")
    return CaptionedClips(source, (height, width), frames, 16, num_digits=(1,), synonyms=False)


def losses(clips, level, patterns=None):
    """The error of what `small` predicts, for each of some real clips at noise levels (B,): (B,)."""
    latents, process = model.autoencoder.encode(clips.video), model.settings.process
    noise = np.random.default_rng(1).standard_normal(latents.shape, dtype=np.float32)
    level = np.repeat(np.asarray(level, np.float32)[:, None], latents.shape[1], axis=1)  # (B, T)
    told = model.tokenizer.encode(clips.captions)
    with ag.no_grad():
        prediction = model.transformer(process.mix(latents, noise, level), level, told, patterns=patterns).data
    return ((prediction - process.target(latents, noise, level)) ** 2).mean(axis=(1, 2, 3, 4))


# %% [markdown]
r"""
## Who says what

Four of the nine systems are products, and little more than announcements of them is public.

| system | what is public | the ideas we take | what isn't public |
|---|---|---|---|
| **Sora** (OpenAI, 2024) | [a report](references.md#brooks-2024) that says it leaves model and implementation details out | space-time patches; native sizes and lengths | more of the architecture than "a diffusion transformer on patches"; sizes, data, cost |
| **Luma** Dream Machine (2024) | [a launch page](references.md#luma-2024): a transformer trained directly on videos | start and end frames, loops | all the rest |
| **Kling** (Kuaishou, 2024) | [announcements](references.md#kuaishou-2024): diffusion transformer, 3D VAE, joint space-time attention | compression in time; joint attention; control of motion | sizes, training, data; how its controls work |
| **Runway** Gen-3 (2024) | [an announcement](references.md#runway-2024): trained on videos and images together, with temporally dense captions | captions along the clip; a brush | architecture, all numbers |
| **Open-Sora** (HPC-AI Tech) | code, weights, reports: [1.x](references.md#zheng-2024), [2.0](references.md#peng-2025) | from cheap to full attention; masks | little |
| **Open-Sora Plan** (Peking University and others) | code, weights, [report](references.md#lin-2024) | Skiparse; causal cache | little |
| **Mira** (Tencent ARC Lab, 2024) | code, weights, [paper on its data](references.md#ju-2024) | longer clips, structured captions | little |
| **CogVideo** (Tsinghua University, 2022) | [paper](references.md#hong-2022), code, weights | key frames, then frames between; the frame rate | little |
| **CogVideoX** (Zhipu AI and Tsinghua, 2024) | [paper](references.md#yang-2024), code, weights | words in the sequence, expert adaLN, strata, zero terminal SNR | the data |

Each idea is one or more settings of this library. A *recipe* is the preset `quick` with the ideas of one system. `minivdit recipes`
lists them, and `show` prints one. A recipe trains for some minutes, so we run none here. We check properties that
hold *before* training, or that the network `small` can show.

## Sora: any size, any length

A transformer takes any number of tokens. If a clip is cut into [patches](glossary.md#patch), and each carries its position,
one network takes a picture (a clip of one frame), a wide clip and a long one. Open-Sora's report 1.1 lists three ways to
train on all of them: masks in one batch, padding, or [buckets](glossary.md#bucket), where each batch has one shape. This
project has buckets, `MixedClips`. If the main shape has $B$ clips a batch, the shape $s$ has

$$B_s = \left\lfloor B\, \frac{T H W}{T_s H_s W_s} \right\rfloor.$$

**Claim.** So every batch has about the same number of tokens.
"""

# %%
preset = recipe("sora")
mixed = preset.data.mixed_clips("test")
most = 16 * math.prod(token_grid(preset))  # 16 clips of the main shape
seen = {mixed.batch(generator, batch_size=16).video.shape for _ in range(40)}
for clips, frames, height, width, _ in sorted(seen):
    tokens = clips * math.prod(token_grid(preset, (frames, height, width)))
    print(f"{clips:>3} clips of {frames:>2} x {height} x {width}: {tokens:,} tokens")
    assert 0.9 * most < tokens <= most
show("sora")

# %% [markdown]
r"""
Is the network also *good* on all of these shapes? The weights `small` were trained on 8 frames of 32x32 only. Here is
their error on real clips of other shapes, relative to the error on this shape:
"""

# %%
some = size(16, 2)
level = (np.arange(some) + 0.5) / some
errors = {}
for shape in ((8, 32, 32), (16, 32, 32), (8, 32, 48), (8, 48, 32)):
    errors[shape] = losses(clips_of(*shape).batch(np.random.default_rng(5), some), level).mean()
    print(f"{shape[0]:>2} frames of {shape[1]} x {shape[2]}: {errors[shape] / errors[8, 32, 32]:.2f} times the error")

# %% [markdown]
r"""
Sora's report says that training on native sizes improves framing and composition.

## Luma: start and end frames, loops

Luma offers both, and doesn't say how they work. Open-Sora 1.1 documents a way. Known frames get timestep 0. A network
that has never seen mixed timesteps can't use them. So Open-Sora trained with random masks, for first frames, last
frames, both ends, or any frames.

Here every frame has its own noise level, and the recipe only asks for more clips in which some frames are given.
**Claim.** Then in more than a tenth of the training clips both ends are known and other frames aren't. And given frames
come back bit for bit.
"""

# %%
chances = recipe("luma").diffusion
levels = training_levels(
    generator, 4000, 8, shared=chances.shared, given=chances.given, independent=chances.independent
)
both = (levels[:, [0, -1]] == 0).all(axis=1) & (levels > 0).any(axis=1)
print(f"both ends are given in {both.mean():.0%} of the clips")
assert both.mean() > 0.1

plain = model.generate("a 7 moving down", seed=3, steps=steps)
ends = {0: plain[:, 0], 7: plain[:, 4]}
between = model.keyframes(ends, "a 7 moving down", 8, seed=3, steps=steps)
assert all(np.array_equal(between[:, time], image) for time, image in ends.items())
loop = model.loop("a 7 moving down", seed=3, steps=steps)
for name, drawn in (("an ordinary clip", plain), ("a loop", loop)):
    jump, step = seam(drawn)
    print(f"{name:17} from the last frame to the first: {jump[0] / step[0]:.2f} times a usual step")
show("luma")

# %% [markdown]
r"""
[Chapter 14](14_every_ability.ipynb) explains how a loop is drawn.

## Kling: a causal autoencoder in space and time

Kling's announcement says "3D VAE" and nothing more. Open-Sora Plan and CogVideoX document theirs. 4 frames become one
latent frame, but the first frame becomes one alone, so that a picture is a clip of one frame. $1 + 4k$ frames make $1 +
k$ latent frames. **Claim.** The cost of a block falls by a larger factor than the number of tokens, because there are
scores for all pairs of tokens. We compute it for 49 frames of 480x720 in the smaller CogVideoX, of width 1,920:
"""

# %%
width, prices = 1920, []
for name, frames in (("frames one by one", 49), ("4 to 1 in time, the first alone", 1 + 48 // 4)):
    n = frames * 30 * 45
    prices.append(costs.block_flops(n, width))
    print(f"{name:32}{frames:>3} latent frames, {n:>6,} tokens, {amount(prices[-1], 'FLOPs')} a block")
assert prices[0] / prices[1] > 49 / 13

# %% [markdown]
r"""
Such an autoencoder needs [causal convolutions](glossary.md#causal-convolution). With a kernel $w$ of $k$ numbers, the
output at time $t$ is

$$y_t = \sum_{j=0}^{k-1} w_j\, x_{t - j}, \qquad x_t = 0 \text{ for } t < 0,$$

so it depends on no later frame. A clip may also come in pieces, if the layer keeps the last $k - 1$ frames of the piece before.
Open-Sora Plan calls this a *causal cache*. Here it is the dictionary `past`:
"""

# %%
layer = CausalConv(1, 1, generator, kernel=1)  # over time only
x = generator.standard_normal((1, 12, 1, 1, 1), dtype=np.float32)  # (B, T, H, W, C)
oldest_first = layer.weight.data.ravel()
by_loop = np.zeros(12)
for t in range(12):
    for j in range(min(3, t + 1)):
        by_loop[t] += oldest_first[2 - j] * x[0, t - j, 0, 0, 0]
past = {}
pieces = [layer(piece, past=past).data.ravel() for piece in np.split(x, [5, 6], axis=1)]
assert np.allclose(layer(x).data.ravel(), by_loop, atol=1e-6)
assert np.allclose(np.concatenate(pieces), by_loop, atol=1e-6)

# %% [markdown]
r"""
**Claim.** The whole autoencoder has these properties, even untrained. A later frame changes no earlier latent frame.
The first frame can be encoded alone. Pieces give the same bits as the whole clip.
"""

# %%
preset = recipe("kling")
coder = CausalAutoencoder(preset.autoencoder, generator)
made = preset.data.clips("test").batch(np.random.default_rng(2), 1)
video, latents = made.video, coder.encode(made.video)
print(f"{video.shape[1]} frames {video.shape[2:]} become {latents.shape[1]} latent frames {latents.shape[2:]}")
later = video.copy()
later[:, 13:] = 1 - later[:, 13:]
changed = [t for t in range(latents.shape[1]) if not np.array_equal(coder.encode(later)[:, t], latents[:, t])]
print(f"frames 13 to 28 are in the latent frames {changed}")
assert changed == [4, 5, 6, 7]
assert np.array_equal(coder.encode(video[:, :1]), latents[:, :1])
pieces = [video[:, :5], video[:, 5:9], video[:, 9:]]
assert np.array_equal(np.concatenate([*coder.encode_pieces(pieces)], axis=1), latents)
parts = [latents[:, :3], latents[:, 3:]]
assert np.array_equal(np.concatenate([*coder.decode_pieces(parts)], axis=1), coder.decode(latents))

# %% [markdown]
r"""
`examples/causal_autoencoder.py` trains one, and measures what the compression costs.

**Control of motion.** Kling lets you draw a path. In published work, such as [DragNUWA](references.md#yin-2023) and
[Tora](references.md#zhang-2024), a path is one more input. Here it becomes a map for each latent frame. In the map of
digit $d$, the cell $c$ has a value near 1 if it is near $p_{t,d}$, the place where the digit should be (in latent
cells):

$$m_{t,d}(c) = \exp\!\left(-\frac{\lVert c - p_{t,d} \rVert^2}{2 \cdot 0.7^2}\right).$$

The network gets the maps as more channels beside the noisy latents. In training they come from the true paths, in half
of the clips. `examples/follow_a_path.py` trains such a network and measures it.

**What to look at:** compare the first two rows, column by column. Is the bright spot where the digit is? The last row
is a path that one could ask for.
"""

# %%
pixels, frames = preset.autoencoder, latents.shape[1]
maps = path_maps(made.tracks, frames, made.size, pixels.factor, pixels.time_factor)  # (B, T', h, w, 2)
wanted = along([(9, 9), (22, 16), (9, 22)], video.shape[1])  # (T, 2), y and x
asked = path_maps(wanted[None, None], frames, made.size, pixels.factor, pixels.time_factor)
assert recipe("kling", "control of motion").transformer.control_channels == maps.shape[-1]
for map_, place in ((maps, made.tracks[0, 0, ::4]), (asked, wanted[::4])):
    for t in range(frames):
        cell = np.unravel_index(map_[0, t, ..., 0].argmax(), (8, 8))
        assert (np.abs((np.array(cell) + 0.5) * pixels.factor - 0.5 - place[t]) <= pixels.factor / 2 + 1e-4).all()

figure, rows = plt.subplots(3, 1, figsize=(8, 3.2), layout="constrained")
shown = (
    ("frames 0, 4, ...", video[0, ::4]),
    ("map of its path", maps[0, ..., :1]),
    ("path asked for", asked[0, ..., :1]),
)
for axes, (name, row) in zip(rows, shown):
    draw_strip(axes, row, label=name)
figure.suptitle(made.captions[0], fontsize=10)
plt.show()
show("kling")

# %% [markdown]
r"""
## Runway Gen-3: captions along the clip, a camera and a brush

Runway's announcement says "temporally dense captions": the text tells what happens at which time. Here a caption with
"then" becomes a caption for each part of the clip. **Claim.** Each part of the clip moves as its own caption says.
"""

# %%
preset = recipe("gen3")
made = preset.data.clips("test", turning=1.0, turns=(2,), synonyms=False).batch(np.random.default_rng(1), 1)
words, path = tokenizer_of(preset), made.tracks[0, 0]  # (T, 2)
tokens = words.encode_over_time(made.captions, 8)[0]  # (T, L)
print(made.captions[0])
for begin, end in ((0, 3), (3, 6), (6, 7)):
    told, moved = words.decode(tokens[begin]), path[end] - path[begin]
    print(f"frames {begin} to {end} are told {told!r}: {moved[0]:+.1f} pixels down, {moved[1]:+.1f} right")
    said = [direction for direction in DIRECTIONS if told.endswith(direction)]
    assert np.array_equal(np.sign(moved.round(3)), np.sign(DIRECTIONS[max(said, key=len)]))
show("gen3")

# %% [markdown]
r"""
**A camera and a motion brush.** Runway and Kling offer both. Here both are one field of velocities. Each cell has a
number $h$ (1: the caption's motion is switched off) and a velocity $u$. A digit that is in this cell in the first frame
moves by

$$v = (1 - h) \, v_\text{caption} + u.$$

A camera that pans by $c$ sets $h = 0$ and $u = -c$ everywhere. A brush sets $h = 1$ everywhere, and a $u$ other than 0
only where it is brushed. `examples/pan_and_brush.py` trains a network with such clips and measures it. **Claim.** In
these clips each digit moves as the formula says.

**What to look at:** in the second row the camera moves as fast as the 3. How does each digit move in the picture? In
the last row the 7 is brushed.
"""

# %%
maker = CaptionedClips(digit_source("strokes", split="test"), (32, 48), 8, 14, num_digits=(2,), synonyms=False)
labels, calm = [[DigitMotion(3, "right", "fast"), DigitMotion(7, "up", "fast")]], Steering.none(1)
only_seven = {"held": np.array([True]), "brushed": np.array([[False, True]])}
told = {
    "the caption alone": calm,
    "the camera pans right": calm._replace(pan=np.array([[0, 2.1]])),
    "the 7 is brushed": calm._replace(**only_seven, velocity=np.array([[-1, 1.5]])),
}
own = np.array([[maker.velocity(motion.direction, motion.speed) for motion in labels[0]]])  # (1, 2, 2), y and x
figure, rows = plt.subplots(len(told), 1, figsize=(8, 2.6), layout="constrained")
for axes, (name, steering) in zip(rows, told.items()):
    made = maker.render(np.random.default_rng(3), labels, steering=steering)
    wanted = due(made.velocities, made.tracks[:, :, 0], own)[0]
    moved = np.diff(made.tracks[0, :, :4], axis=1).mean(axis=1)
    print(f"{name}: the 3 moves by {moved[0].round(1)} pixels a frame (down, right), the 7 by {moved[1].round(1)}")
    assert np.allclose(moved, wanted, atol=1e-3)
    draw_strip(axes, made.video[0], label=name)
figure.suptitle(made.captions[0], fontsize=10)
plt.show()

# %% [markdown]
r"""
## Open-Sora: cheaper attention first

Open-Sora 1.0 to 1.2 had [factorised attention](glossary.md#factorised-attention) (STDiT, after Latte). The report of
1.0 says that full attention did best in their trials at equal steps, but cost too much. 1.3 had shifted windows. 2.0
has [full attention](glossary.md#full-attention), with text and video in one sequence (MMDiT, [Esser et al.
2024](references.md#esser-2024)). Our recipe goes from cheap to full attention within *one* training, which is our idea.
A pattern has no weights. So the same network can begin with factorised attention, go on with windows, and end with full
attention. If a share $s_i$ of the steps costs $F_i$ each, and the other steps $F$ each, then a step costs on average

$$\bar F = \Bigl(1 - \sum_i s_i\Bigr) F + \sum_i s_i F_i.$$

**Claim.** The larger the clip, the more this saves.
"""

# %%
saved = []
for side in (32, 128, 512):
    preset = presets.override(recipe("open-sora", "cheaper attention first"), [f"data.size={side},{side}"])
    own, factorised, windows = (cost.training_flops for cost in stage_costs(preset, "training"))
    mean = 0.25 * own + 0.5 * factorised + 0.25 * windows
    assert math.isclose(mean, step_flops(preset, "training"))
    saved.append(1 - mean / own)
    print(f"{side:>3} x {side}, {math.prod(token_grid(preset)):>6,} tokens: {saved[-1]:.0%} of the FLOPs are saved")
assert saved == sorted(saved)

clips = clips_of(8, 32, 32).batch(np.random.default_rng(5), some)
other = losses(clips, level, patterns=("frame", "time")).mean()
print(f"`small`, trained jointly and held to frame and time: {other / losses(clips, level).mean():.2f} times the error")
show("open-sora")

# %% [markdown]
r"""
The error of `small` shows why the change must come well before the end. The same weights can be used with any pattern,
but they work well only with patterns that they were trained with. `minivdit study --recipes open-sora` measures whether
the clips get as good as with full attention throughout.

## Open-Sora Plan: skips

Open-Sora Plan went the other way. Its version 1.2 had full attention. For version 1.3 this was too expensive, and the
model was fine-tuned to [Skiparse](glossary.md#skiparse). There a group has every k-th token, and in the next block
every k-th run of k tokens. With $N$ tokens the [average attention distance](glossary.md#average-attention-distance) is,
by their report,

$$\bar d = 2 - \frac{2}{k} + \frac{1}{k^2} - \frac{1}{N}.$$

**Claim.** `skip:4` computes a quarter of the scores, any two tokens are at most two blocks apart, and the formula
holds. Prices are for the 13 x 30 x 45 tokens from above. Distances are counted on 8 x 8 x 8 tokens, where all pairs can
be listed.

**What to look at:** compare the columns *block* and *distance*. Which pattern is low in both?
"""

# %%
grid, small_grid = (13, 30, 45), (8, 8, 8)
tokens, whole = math.prod(grid), costs.block_flops(13 * 30 * 45, width)
roads = {
    "each frame alone": (["frame"] * 2, "the problem"),
    "frame, time": (["frame", "time"], "Latte, Open-Sora 1.0 to 1.2"),
    "shifted windows": (["window:4x4x4"] * 2, "in Open-Sora 1.3"),
    "skip 4, both ways": (["skip:4"] * 2, "Open-Sora Plan 1.3"),
    "joint": (["joint"] * 2, "Kling, CogVideoX, Open-Sora 2.0"),
}
distance, reach = {}, {}
print(f"{'pattern':20}{'scores':>8}{'block':>8}{'distance':>10}{'seen after 2':>14}")
for name, (patterns, who) in roads.items():
    pairs = np.mean([costs.score_pairs(pattern, grid, number) for pattern, number in with_occurrences(patterns)])
    distance[name] = average_attention_distance(patterns, small_grid)
    reach[name] = reachable(patterns, small_grid).mean()
    price = costs.block_flops(tokens, width, pairs) / whole
    print(f"{name:20}{pairs / tokens**2:>8.1%}{price:>8.1%}{distance[name]:>10.2f}{reach[name]:>14.0%}   {who}")
assert np.isinf(distance["each frame alone"]) and reach["skip 4, both ways"] == reach["frame, time"] == 1
assert math.isclose(distance["skip 4, both ways"], 2 - 2 / 4 + 1 / 4**2 - 1 / 8**3)
show("open-sora-plan")

# %% [markdown]
r"""
Factorised attention is cheaper still, and its tokens are at most two blocks apart as well. But fewer tokens are linked
directly. No direct link joins different places of different frames, and a moving thing needs such links. The distance
doesn't say which links a clip needs. `minivdit study` trains with equal budgets to find out. (Their model keeps full
attention in the first two and the last two blocks. Our recipe doesn't, and takes k = 2, because its clips are small.)

## Mira: longer clips, structured captions

Mira's README lists 120 frames of 128x80 and 60 of 384x240. **Claim.** A clip twice as long costs more than twice as
much, but not four times as much. With so few tokens, the attention scores are a small part of the cost.
"""

# %%
pixels = [frames * height * width for frames, height, width in ((120, 80, 128), (60, 240, 384))]
print(f"Mira: the larger, shorter clip has {pixels[1] / pixels[0]:.1f} times the pixels of the longer one")
base = presets.get(recipes.BASE)
flops = {name: step_flops(preset, "training") for name, preset in (("quick", base), ("mira", recipe("mira")))}
print(
    f"{recipe('mira').data.num_frames} frames for {base.data.num_frames}: {flops['mira'] / flops['quick']:.2f} times the FLOPs a step"
)
assert 2 < flops["mira"] / flops["quick"] < 2.5
show("mira")

# %% [markdown]
r"""
A network can also draw longer clips than those it was trained on, in overlapping *windows* of the trained length. At
every step it predicts one window after the other, and the predictions are blended where windows overlap
([MultiDiffusion](references.md#bar-tal-2023) does so in space). **Claim.** A clip that fits in one window doesn't
change.
"""

# %%
told = "a 0 moving slowly right"
for frames in (8, 16, 64):
    starts = window_starts(frames, window=8, overlap=4)
    print(f"{frames:>2} frames: {len(starts):>2} windows, which begin at {starts}")
usual, in_windows = (model.generate(told, seed=2, steps=2, overlap=overlap) for overlap in (None, 4))
assert np.array_equal(usual, in_windows)
print("16 frames of 8:", model.generate(told, num_frames=16, seed=2, steps=2, overlap=4).shape)

# %% [markdown]
r"""
**Structured captions.** Mira's data set describes a clip from several points of view. Here a caption can be a list of
fields. `examples/caption_fields.py` makes one field wrong at a time and measures how much the loss rises. **Claim.**
The fields say what the clip shows. **Predict:** which wrong field raises the loss most?
"""

# %%
made = (
    recipe("mira").data.clips("test", structured=1.0, field_dropout=0.0, turning=0.5).batch(np.random.default_rng(9), 3)
)
for caption, motions, track in zip(made.captions, made.labels, made.tracks[:, 0]):
    print(caption)
    fields = read_fields(caption.replace(":", "").replace(",", "").split())
    assert parse(caption) == motions and dict(fields)["start"] == place_of(track[0], made.size)
wrong = with_another(fields, "start", np.random.default_rng(0))
print("wrong in one field:", in_fields(wrong))
assert [own == other for own, other in zip(fields, wrong)].count(False) == 1

# %% [markdown]
r"""
## CogVideo: key frames, then frames between

CogVideo, the oldest here, isn't a diffusion model. It writes a clip as a sequence of discrete tokens, one after the
other. Two of its ideas are still in use. The first: draw [keyframes](glossary.md#keyframe), then the frames between
them, and repeat this. The second: tell the model the *frame rate*. CogVideo writes it before the text.

Here the rate is in the positions. In a clip of every $s$-th frame, frame $t$ has the position $s\,t$. **Claim.** So a
frame has the same position at any rate. `recursive` draws every fourth frame, then the frames halfway between them,
then the rest, and keeps what it has. (`small` wasn't trained with other rates. Here it only shows which frames are
drawn when.)
"""

# %%
whole, few = rotary_angles((29, 4, 4), 32)[0], rotary_angles((8, 4, 4), 32, 4)[0]  # cosines (N, 1, 16)
assert np.array_equal(few.reshape(8, -1), whole.reshape(29, -1)[::4])

prompt = "a 0 moving slowly right"
key_frames = model.generate(prompt, frame_step=4, seed=2, steps=steps)
drawn = model.recursive(prompt, halvings=2, seed=2, steps=steps)
assert np.array_equal(drawn[:, ::4], key_frames)
print("frames:", " to ".join(str(drawn[:, ::step].shape[1]) for step in (4, 2, 1)))
show("cogvideo")

# %% [markdown]
r"""
**Claim.** To draw one frame after the other by diffusion costs much more than to draw all at once. Suppose that each
frame needs the same number of sampling steps, and that attention runs over the frames drawn so far. Then drawing one
after the other takes $\sum_{t=1}^{T} t^2 \approx T^3/3$ pairs of frames for each step, and drawing all at once $T^2$:
"""

# %%
print(f"{'frames':>7}{'one after the other':>22}{'halving the gaps':>19}{'all at once':>14}")
for frames in (9, 17, 33, 65):
    one_by_one = sum(t**2 for t in range(1, frames + 1))
    halving, shown = 0, 3
    while shown <= frames:  # 3, 5, 9, ... frames, the known ones among them
        halving += shown**2
        shown = 2 * shown - 1
    print(f"{frames:>7}{one_by_one:>22,}{halving:>19,}{frames**2:>14,}")
    assert frames**2 < halving < 1.5 * frames**2 < one_by_one

# %% [markdown]
r"""
A language model keeps the keys and values of earlier frames. So frame t costs only t pairs, about T² / 2 in all. But
each frame must wait for the one before it.

## CogVideoX: words in the sequence, with experts

In this library text usually comes in by cross-attention. CogVideoX puts words and patches into *one* sequence, in which
all attend to all. Here this works with every pattern: the words belong to every group. **Claim.** So words carry
information from group to group. Below, groups are frames, and we change one patch of frame 0. After one attention,
frame 0 and the words have changed. After two, every frame has changed, although no patch has looked at another frame.
"""

# %%
frames, part = 4, partition("frame", (4, 2, 2))
attention = SelfAttention(16, 2, generator)
x, words = (generator.standard_normal((1, n, 16), dtype=np.float32) for n in (16, 3))
told = words, np.zeros((1, 1, 3), np.int32)  # the words, and their times
changed = x.copy()
changed[0, 0] += 1
after = [[x, told], [changed, told]]
for number in (1, 2):
    both = [attention(patches, part=part, words=words) for patches, words in after]
    after = [[y.data, (z.data, told[1])] for y, z in both]
    differ = np.abs(after[0][0] - after[1][0]).max(axis=2).reshape(frames, -1) > 0
    print(f"after {number}: the change is in the frames {np.flatnonzero(differ.any(axis=1)).tolist()}")
    assert differ.any(axis=1).all() if number == 2 else differ.any(axis=1).tolist() == [True, False, False, False]
    assert not np.array_equal(after[0][1][0], after[1][1][0])  # the words know

# %% [markdown]
r"""
Words and patches have different statistics. So each kind has a shift and a scale of its own (an *expert*) in every
[modulation](glossary.md#modulation), and all other weights are shared:

$$y = \mathrm{norm}(x)\,(1 + \mathrm{scale}_{\text{kind}}) + \mathrm{shift}_{\text{kind}}.$$

**Claim.** Experts add weights, but no FLOPs, because each token goes through one of them.
"""

# %%
kinds = {
    name: costs.clip_cost(recipe("cogvideox", name).transformer, token_grid(base))
    for name in ("words and patches in one sequence", "modulations of their own for words")
}
for name, cost in kinds.items():
    print(f"{name:36}{cost.parameters:>10,} weights, {amount(cost.forward_flops, 'FLOPs')} a clip")
shared, experts = kinds.values()
depth, D = base.transformer.depth, base.transformer.width
assert experts.parameters - shared.parameters == depth * 6 * D * (D + 1)
assert experts.forward_flops == shared.forward_flops

# %% [markdown]
r"""
The paper's ablation says that experts helped.

## CogVideoX: noise levels in strata, and a schedule that ends in noise

Training draws a noise level for each clip. The loss depends strongly on the level. So the loss of a batch varies even
if only its levels change. CogVideoX divides the range into as many intervals as there are workers, and each worker
draws in its own (*explicit uniform sampling*). For a batch of $B$ clips:

$$t_b = \frac{\pi(b) + u_b}{B}, \qquad u_b \sim U(0, 1), \quad \pi \text{ a random order of } 0, \ldots, B - 1.$$

**Claim.** Each batch covers all levels. The mean of the loss stays, and its standard deviation shrinks several times.

**What to look at:** at the left, each row is a batch. Look for gaps, and for levels close together. At the right, both
histograms have the same middle, but the one with strata is narrow.
"""

# %%
count, B = size(24, 4), 16
at = (np.arange(count) + 0.5) / count
measured = losses(clips_of(8, 32, 32).batch(np.random.default_rng(0), count), at)  # of `small`, by level


def levels_of(batches, stratified):
    """Levels (batches, B) as the library's training draws them."""
    kind = {"shared": 1, "given": 0, "independent": 0, "distribution": "uniform", "stratified": stratified}
    return np.stack([training_levels(generator, B, 1, **kind)[:, 0] for _ in range(batches)])


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.7), layout="constrained")
means, spread = [], []
for row, (name, stratified, hatch) in enumerate((("each at random", False, ""), ("in strata", True, "//"))):
    drawn = levels_of(2000, stratified)
    left.plot(drawn[:3].T, np.tile(3 * row + np.arange(3), (B, 1)), f"C{row}|", markersize=10)
    values = np.interp(drawn, at, measured).mean(axis=1)
    right.hist(values, 40, density=True, alpha=0.6, hatch=hatch, label=name)
    means.append(values.mean())
    spread.append(values.std())
left.set(
    xlabel="noise level",
    title="the levels of three batches each",
    yticks=(1, 4),
    yticklabels=("at random", "in strata"),
)
right.set(xlabel="mean loss of a batch of 16", ylabel="density", title="the same network, only other levels")
right.legend(fontsize=8)
plt.show()
assert (np.sort(np.floor(drawn * B), axis=1) == np.arange(B)).all()  # one in each interval
print(f"loss of a batch: at random {means[0]:.3f} ± {spread[0]:.3f}, in strata {means[1]:.3f} ± {spread[1]:.3f}")
assert abs(means[0] - means[1]) < spread[0] / 5 and spread[1] < spread[0] / 2

# %% [markdown]
r"""
Usual schedules leave a trace of the clip at their last level, so training never sees pure noise, from which sampling
starts ([chapter 3](03_adding_noise.ipynb)). CogVideoX bends the curve so that $\alpha(1) = 0$: *zero terminal SNR*.
Then predicting the noise teaches nothing at level 1, because the input *is* the noise. So CogVideoX predicts the
velocity $\alpha \epsilon - \sigma x_0$, which is $-x_0$ at level 1.
"""

# %%
for name in ("ddpm_linear", "zero_terminal_snr"):
    curve = curves.make(name)
    print(f"{name:18} alpha at level 1: {curve.alpha(1.0):.4f}")
assert curve.alpha(1.0) == 0 and curve.velocity(1.0) == (-1, 0)  # velocity: -1 of the clean clip, 0 of the noise
show("cogvideox")

# %% [markdown]
r"""
## All of it on one page

This table is made from `minivdit/training/recipes.py`. The last column is the FLOPs of the whole training with this
idea alone, as a multiple of those of `quick`. Any row can be added to another preset with `--set`. (`quick` already has
joint attention, so Kling's second row changes nothing.)
"""

# %%
rows = ["| system | idea | settings | FLOPs |", "|---|---|---|---|"]
for name, found in recipes.RECIPES.items():
    for idea, settings in found.ideas.items():
        ratio = likely_minutes(recipe(name, idea), 1e11) / likely_minutes(base, 1e11)
        rows.append(f"| {found.system} | {idea} | `{' '.join(settings)}` | {ratio:.2f} |")
Markdown("\n".join(rows))

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/15_the_systems](solutions/15_the_systems.ipynb).

**1. A layer that halves time, as the clip comes in.** Compute a causal convolution with `kernel` (3,), whose first
number belongs to the newest frame, but only at times 0, 2, 4, ... of the *clip*. Before the clip's first frame put two
copies of it instead of zeros, as CogVideoX does. The clip comes in chunks `x` (T, C) of any length, 1 included. For the
first chunk `state` is None. For each later chunk it is the state that you returned before. Return the outputs of this
chunk, and the new state.
"""


# %%
def causal_half(x, kernel, state):
    pass  # fill me in, about 6 lines


check.ch15_causal(causal_half)

# %% [markdown]
r"""
**2. What padding wastes.** Clips of several shapes (T, H, W) go into one batch. Each is padded along all three axes to
the largest length of the batch. What share of the batch is padding?
"""


# %%
def padded_share(shapes):
    pass  # fill me in, about 3 lines


check.ch15_waste(padded_share)

# %% [markdown]
r"""
**3. Skiparse.** Return the groups of `tokens` tokens for a step `k`, as two integer arrays (tokens,) with the labels 0
to k - 1. In the first array a group is every k-th token, in the second every k-th run of k tokens.
"""


# %%
def skiparse(tokens, k):
    pass  # fill me in, about 2 lines


check.ch15_skiparse(skiparse)

# %% [markdown]
r"""
**4. Strata, one in each.** Return random noise levels (batch,) in [0, 1), drawn from a NumPy `generator`: exactly one
in each of `batch` equal intervals, anywhere in it. A clip's level may tell only one thing about other levels: that its
interval is taken. (Why would sorted levels harm a training?)
"""


# %%
def stratified_levels(batch, generator):
    pass  # fill me in, about 2 lines


check.ch15_strata(stratified_levels)

# %% [markdown]
r"""
**5. Train a causal compressor.** `clips` (500, 9, 6) are clips of 9 frames with 6 numbers each. The 6 numbers are
mixtures of 3 hidden numbers, and a little noise. The hidden numbers change at random, so a frame can't be predicted
well from its neighbours. From these clips learn two functions, by gradient descent or otherwise. `encode` turns clips
(B, 9, 6) into latents (B, 5, 6), and latent t sees only frames 0 to 2 t. `decode` turns latents into clips again.

To keep every second frame and interpolate the others gives a mean squared error of about 0.1. Reach 0.015 on new clips.
Why can about half as many numbers be enough?
"""


# %%
def train_compressor(clips):
    pass  # fill me in, about 6 lines; return encode, decode


check.ch15_compress(train_compressor)

# %% [markdown]
r"""
**6. Break it.** Give a clip of 24 frames to a `CausalConv` in two pieces, and forget `past`. Which outputs are wrong?
Now apply three such layers in a row. Up to which output are values wrong then, and why does the first piece stay right?
What would one see in a clip?

**7. An open question.** Choose a product from the first table. You can only ask it for clips. Which prompts and which
measurement could tell whether it has factorised or full attention? What else could explain the same result?
"""

# %% [markdown]
r"""
## In practice

- Of [Open-Sora](references.md#zheng-2024), [Open-Sora Plan](references.md#lin-2024),
  [CogVideoX](references.md#yang-2024) and [HunyuanVideo](references.md#kong-2024) you can read the code. Diagrams of
  Sora, Luma, Kling and Runway are guesses.
- Most open systems today combine causal 3D autoencoders, full attention, rectified flow and given frames at level 0.
- A miniature shows what an idea *does*. Only ablations of large models say whether it makes better clips there.

## Further reading

- The reports themselves: Open-Sora's `docs/report_01.md` to `report_04.md`, Open-Sora Plan's `docs/Report-v1.3.0.md`.
- Here: `examples/results/tried.md` says what was tried in this project, and what didn't help.

Next: [chapter 16](16_capstone.ipynb), the capstone.
"""
