# %% [markdown]
r"""
# 16. Capstone: your own text-to-video, end to end

*About 140 minutes with the exercises. Runs in three minutes.*

**You'll do:** invent a world of four drawn shapes that fall, rise and drift. Give it a language, a judge and a transformer.
Predict what the training will cost and reach. Train it, draw, measure, save and describe it. Plan what comes next.

**You'll learn:** in which order the parts of a text-to-video system are built, and why the judge comes before the network. Why you
write your forecast down before you look. What changes, and what doesn't, when the world is your own.

**You need:** the chapters before. Each step names the chapter that explains it.

![Ten steps from a world of one's own to weights with a card](pictures/16.svg)
"""

# %%
import dataclasses
import itertools
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base import backend, machine
from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.data import paint
from minivdit.diffusion import guided, level_matrix, sample
from minivdit.generation.batch import Predictor
from minivdit.lab.display import draw_strip, show
from minivdit.lab.evaluation import Estimate, recombined, shuffled_frames, track, windows
from minivdit.lab.lessons import check, size
from minivdit.lab.pipeline.card import model_card
from minivdit.lab.pipeline.forecast import USUAL_SHARE
from minivdit.models import Tokenizer, VideoDiT, VideoDiTConfig, costs
from minivdit.models.patterns import average_attention_distance
from minivdit.nn import Module, fingerprint
from minivdit.nn.optim import EMA, MuonAdamW, clip_global_norm, warmup_cosine
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings
from minivdit.training.tasks import DiffusionSettings, TransformerTask

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## 1. A world, small enough to own

Our world has a black canvas, four shapes and four motions. It doesn't use the library's digits. The whole notebook,
training included, should run in three minutes on a laptop. So a clip is very small: 16 x 16 pixels, 8 frames.

A shape is a few straight strokes of a pen. **Claim.** The ink of a pixel depends only on its distance to the nearest stroke. For a
pixel at $p$ and a stroke from $a$ to $b$ that distance is

$$\bigl\| p - a - s\,(b - a) \bigr\|, \qquad s = \mathrm{clip}\!\left(\frac{(p - a) \cdot (b - a)}{\|b - a\|^2},\ 0,\ 1\right),$$

where $s$ (`share` in the code) says how far along the stroke its nearest point is.
"""

# %%
SIDE, FRAMES, BOX = 16, 8, 8  # pixels of a clip's side, frames, pixels of a shape's side
angles = np.linspace(0, 2 * np.pi, 17)
OUTLINES = {  # (y, x) of the corners of each line, y downwards
    "ring": [np.stack([np.sin(angles), np.cos(angles)], axis=-1)],
    "cross": [[(-1, -1), (1, 1)], [(-1, 1), (1, -1)]],
    "triangle": [[(-1, 0), (1, 1), (1, -1), (-1, 0)]],
    "bolt": [[(-1, -0.9), (-1, 0.9), (1, -0.9), (1, 0.9)]],
}
STROKES = {  # (strokes, 2 ends, 2)
    name: np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in map(np.array, lines)])
    for name, lines in OUTLINES.items()
}


def distance_by_loops(strokes):
    distances = np.full((BOX, BOX), np.inf)
    for y in range(BOX):
        for x in range(BOX):
            for start, end in strokes:
                along, there = end - start, np.array([y, x]) - start
                share = min(max(there @ along / (along @ along), 0), 1)  # how far along the stroke its nearest point is
                distances[y, x] = min(distances[y, x], np.linalg.norm(there - share * along))
    return distances


def distance(strokes):  # (strokes, 2, 2) in pixels -> (BOX, BOX)
    along = strokes[:, 1] - strokes[:, 0]
    there = np.stack(np.indices((BOX, BOX)), axis=-1)[:, :, None] - strokes[:, 0]  # (BOX, BOX, strokes, 2)
    share = ((there * along).sum(axis=-1) / (along**2).sum(axis=-1)).clip(0, 1)
    return np.linalg.norm(there - share[..., None] * along, axis=-1).min(axis=-1)


def draw_shape(generator, name):
    """One drawing, (BOX, BOX) in [0, 1]: stretched, turned and bent a little, with a pen of random width."""
    turn = generator.uniform(-0.2, 0.2)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    strokes = STROKES[name] * generator.uniform(0.85, 1.1, 2) @ rotation
    strokes += generator.uniform(-0.12, 0.12, 2) * np.sin(3 * strokes[..., ::-1] + generator.uniform(-3, 3, 2))
    return (generator.uniform(1.05, 1.35) - distance((BOX - 1) / 2 + 2.6 * strokes)).clip(0, 1).astype(np.float32)


for strokes in STROKES.values():
    assert np.allclose(distance_by_loops(3.5 + 2.6 * strokes), distance(3.5 + 2.6 * strokes))

# %% [markdown]
r"""
Next come the motions. A shape that `falls` is at $y_t = y_0 + g t^2 / 2$: slow at first, then faster. (The library's
digits don't accelerate.) The other motions have constant speed. Each motion is a *law*: a table (T, 2) that says where
a shape is at each time, relative to its start.

A caption is *a*, a shape and a motion. Four pairs of shape and motion are [held out](glossary.md#held-out) of training,
each shape once and each motion once. So later we can ask for "a triangle falls", although no triangle fell in training.
[Chapter 8](08_text_guidance.ipynb) says why this is worth asking.
"""

# %%
GRAVITY, SPEED = 0.28, 0.95  # pixels a frame a frame, pixels a frame
ticks = np.arange(FRAMES)
LAWS = {  # (T, 2), the way (y, x) from the start
    "falls": np.outer(GRAVITY * ticks**2 / 2, (1, 0)),
    "rises": np.outer(SPEED * ticks, (-1, 0)),
    "drifts left": np.outer(SPEED * ticks, (0, -1)),
    "drifts right": np.outer(SPEED * ticks, (0, 1)),
}
SHAPES, MOTIONS = list(STROKES), list(LAWS)
PAIRS = [(shape, motion) for shape in SHAPES for motion in MOTIONS]
HELD_OUT = [("ring", "rises"), ("cross", "drifts left"), ("triangle", "falls"), ("bolt", "drifts right")]
SHOWN = [pair for pair in PAIRS if pair not in HELD_OUT]


@dataclasses.dataclass
class Clips:
    video: np.ndarray  # (B, T, H, W, 1) in [0, 1]
    captions: list
    pairs: list
    frame_step: int = 1  # one frame follows the other: nothing is left out between them


class World:
    """Clips of some of PAIRS. `batch` and `describe` are all that a training asks of data."""

    def __init__(self, pairs):
        self.pairs = pairs

    def describe(self):
        return {"world": "falling shapes", "pairs": [" ".join(pair) for pair in self.pairs], "gravity": GRAVITY}

    def batch(self, generator, count):
        return self.render(generator, [self.pairs[k] for k in generator.integers(len(self.pairs), size=count)])

    def render(self, generator, pairs):
        drawings = np.stack([draw_shape(generator, shape) for shape, _ in pairs])
        way = np.stack([LAWS[motion] for _, motion in pairs])  # (B, T, 2)
        low, high = way.min(axis=1), way.max(axis=1)
        start = -low + generator.random(low.shape) * (SIDE - BOX - (high - low))  # anywhere, as long as it stays inside
        video = np.zeros((len(pairs), FRAMES, SIDE, SIDE), np.float32)
        paint(video, np.arange(len(pairs)), drawings, (start[:, None] + way).astype(np.float32))
        return Clips(video[..., None], [f"a {shape} {motion}" for shape, motion in pairs], pairs)


tokenizer = Tokenizer(["a", *SHAPES, *dict.fromkeys(" ".join(MOTIONS).split())], max_words=4)
try:
    tokenizer.encode(["a triangel falls"])
except InputError as error:
    print(error)
every_pair = World(PAIRS).render(generator, PAIRS)
show(every_pair.video, captions=every_pair.captions, columns=8, factor=3)

# %% [markdown]
r"""
The tokenizer is the library's, with other words ([chapter 8](08_text_guidance.ipynb)). Look at the clips now. If they
contain a mistake, the network will learn it.

## 2. The judge comes first

Decide how to measure clips *before* you have drawn any. **Claim.** In our world everything that a caption says can be
measured in a clip, without any training.

*Where is the shape?* The library's tracker finds it in each frame. *Which motion is it?* We take the law that fits
best, wherever the shape started. For places $p_t$ and a law $l_t$ the misfit is

$$\min_a\ \sqrt{\frac{1}{T} \sum_t \| p_t - a - l_t \|^2}.$$

The sum of squares is smallest where $a$ is the mean of $p_t - l_t$. So `misses_by_loops` subtracts that mean. `misses`
subtracts the means of places and laws instead, which gives the same.
"""


# %%
def misses_by_loops(places):  # (B, T, 2) -> (B, laws): root mean square distance to each law, px
    misses = np.zeros((len(places), len(LAWS)))
    for clip, way in enumerate(places):
        for number, law in enumerate(LAWS.values()):
            start = (way - law).mean(axis=0)
            misses[clip, number] = np.sqrt(((way - start - law) ** 2).sum(axis=-1).mean())
    return misses


def misses(places):
    laws = np.stack(list(LAWS.values()))
    centred = places - places.mean(axis=1, keepdims=True)
    laws = laws - laws.mean(axis=1, keepdims=True)
    return np.sqrt(((centred[:, None] - laws) ** 2).sum(axis=-1).mean(axis=-1))


def see(video):  # (B, T, H, W, 1) -> places (B, T, 2), NaN where lost, and looks (B, T, BOX * BOX) of length 1
    places = track(video, BOX, 1).positions
    looks = windows(video, places, BOX, BOX)[:, 0].reshape(*video.shape[:2], -1)
    looks = looks - looks.mean(axis=-1, keepdims=True)
    return places[:, 0], looks / np.maximum(np.linalg.norm(looks, axis=-1, keepdims=True), 1e-6)


places, _ = see(every_pair.video)
assert np.allclose(misses_by_loops(places), misses(places))

# %% [markdown]
r"""
*Which shape is it?* We compare it with known drawings, and take the shape of the most similar one. (Chapter 2's judge
was a network. For four shapes, comparing is enough.) *Does it stay the same?* `steady` is the mean correlation of the
other frames with the first.
"""

# %%
known = World(PAIRS).render(np.random.default_rng(100), PAIRS * 20)
known_looks = see(known.video)[1].reshape(-1, BOX * BOX)
known_shapes = np.repeat([SHAPES.index(shape) for shape, _ in known.pairs], FRAMES)


def judge(video, pairs):
    """What clips show against what was asked, values (B,) by name. miss: px from the law; NaN where it was lost."""
    places, looks = see(video)
    found = known_shapes[(looks @ known_looks.T).argmax(axis=-1)]  # (B, T)
    asked = np.array([SHAPES.index(shape) for shape, _ in pairs])
    shape = ((found == asked[:, None]) & ~np.isnan(places[..., 0])).mean(axis=1)
    miss = misses(places)
    nearest = np.nan_to_num(miss, nan=np.inf).argmin(axis=1)
    motion = (nearest == [MOTIONS.index(motion) for _, motion in pairs]) & (miss.min(axis=1) < 1)
    steady = (looks[:, 1:] * looks[:, :1]).sum(axis=-1).mean(axis=1)
    return {
        "shape": shape,
        "motion": motion,
        "prompt": (shape > 0.5) & motion,
        "steady": steady,
        "miss": miss.min(axis=1),
    }


NAMES = ("shape", "motion", "prompt", "steady", "miss")


def show_marks(title, values):
    cells = []
    for name in NAMES:
        found = (Estimate.average if name in ("steady", "miss") else Estimate.share)(values[name])
        cells.append(f"{found.mean:.2f} ±{(found.high - found.low) / 2:.2f}" if found.n else "-")
    print(f"{title:26}" + "".join(f"{cell:>13}" for cell in cells))


TESTS = PAIRS * size(8, 2)
real = World(PAIRS).render(np.random.default_rng(101), TESTS)
others = [TESTS[k] for k in generator.permutation(len(TESTS))]
ceiling = judge(real.video, TESTS)
floors = {
    "other captions": judge(real.video, others),
    "frames of other clips": judge(recombined(real.video, generator), TESTS),
    "frames shuffled": judge(shuffled_frames(real.video, generator), TESTS),
    "noise": judge(generator.random(real.video.shape, dtype=np.float32), TESTS),
}
print(f"{'':26}" + "".join(f"{name:>13}" for name in NAMES))
for name, values in {"real (ceiling)": ceiling, **floors}.items():
    show_marks(name, values)
assert ceiling["prompt"].mean() > 0.95  # a judge that can't read real clips can't judge drawn ones

# %% [markdown]
r"""
Compare the rows. Real clips are the [ceiling](glossary.md#ceiling-and-floor), and they pass nearly everything. Each
kind of spoilt clip fails in other columns. If each clip is judged by a caption chosen at random, about one shape in
four is right, one motion in four, and one prompt in sixteen. If a judge can't tell these rows apart, don't use it.
(`minivdit evaluate` makes the same table for digits.)

## 3. What the network will see

Large systems begin with an [autoencoder](glossary.md#autoencoder), to have few tokens ([chapter
9](09_latent_diffusion.ipynb)). For 256 pixels [patches](glossary.md#patch) are enough ([chapter
6](06_patches_and_positions.ipynb)). So we take pixels, scaled to mean 0 and standard deviation 1. How large should a
patch be? We compute what each size costs, before anything runs ([chapter 12](12_the_bill.ipynb)).
"""


# %%
@dataclasses.dataclass(frozen=True)
class PixelsConfig:
    image_channels: int = 1
    latent_channels: int = 1
    factor: int = 1

    def latent_frames(self, frames):
        return frames


class Pixels(Module):
    """Stands where an autoencoder would: pixels to numbers of mean 0 and deviation 1, and back."""

    def __init__(self, mean, deviation):
        self.config, self.mean, self.deviation = PixelsConfig(), np.float32(mean), np.float32(deviation)

    def encode(self, video):
        return (video - self.mean) / self.deviation

    def decode(self, latents):
        return (latents * self.deviation + self.mean).clip(0, 1)


pixels = Pixels(known.video.mean(), known.video.std())
BATCH = 16


def priced(batch=BATCH, frames=FRAMES, side=SIDE, **changes):
    config = VideoDiTConfig(
        **{
            "latent_channels": 1,
            "patch_size": (1, 4, 4),
            "width": 64,
            "depth": 4,
            "heads": 4,
            "text_depth": 1,
            "positions": "both",
            **changes,
        }
    )
    grid = tuple(length // patch for length, patch in zip((frames, side, side), config.patch_size))
    return config, grid, costs.clip_cost(config, grid, batch, words=tokenizer.length, vocabulary=len(tokenizer))


print(f"{'patch':12}{'tokens':>8}{'numbers a token':>17}{'a training step':>18}")
for patch in ((1, 2, 2), (1, 4, 4), (2, 4, 4), (1, 8, 8)):
    _, grid, cost = priced(patch_size=patch)
    print(f"{patch!s:12}{np.prod(grid):>8}{np.prod(patch):>17}{machine.amount(cost.training_flops, 'FLOPs'):>18}")

# %% [markdown]
r"""
We take (1, 4, 4). A shape spans two or three patches in each direction. Each frame keeps a [noise
level](glossary.md#noise-level) of its own. And a step is cheap. (2, 4, 4) costs half as much and would be a good
choice, too.

## 4. Which pattern?

What does an [attention pattern](glossary.md#attention-pattern) cost, and what is its [average attention
distance](glossary.md#average-attention-distance) ([chapter 11](11_joint_attention.ipynb))?
"""

# %%
print(f"{'pattern':16}{'a training step':>18}{'average distance':>18}")
for patterns in (("frame",), ("frame", "time"), ("joint",)):
    _, grid, cost = priced(patterns=patterns)
    far = average_attention_distance(patterns, grid)
    print(f"{', '.join(patterns):16}{machine.amount(cost.training_flops, 'FLOPs'):>18}{far:>18.2f}")
config, grid, cost = priced(patterns=("joint",))
print(cost)

# %% [markdown]
r"""
Scores are a small part of this cost, so a cheaper pattern saves little. We take `joint`. With 100 times as many tokens,
scores would be the largest part.

## 5. A forecast, in writing

The FLOPs and the machine's speed give a time:

$$\text{seconds} = \frac{\text{steps} \cdot \text{FLOPs of a step}}{\text{share} \cdot \text{speed of matrix products}}.$$

A training reaches only a share of that speed. The library assumes a quarter.

And how good will the clips be? Write it down *now*. Later, any result will seem reasonable to you. Our numbers come
from a trial with another seed and fewer steps. Your first forecast will be a guess, and it will probably be wrong. By
comparing forecasts with results you learn what to expect.
"""

# %%
STEPS = size(1000, 4)
with backend.blas_threads(1):  # as in training, where each thread has a part of the batch
    speed = machine.matmul_speed(seconds=size(2, 0.2))  # of one core
forecast = {
    "processor seconds": STEPS * cost.training_flops / (USUAL_SHARE * speed),
    "prompt, pairs shown": 0.95,
    "prompt, pairs held out": 0.85,
    "steady": 0.8,
    "gravity": GRAVITY,
}
print(
    f"{STEPS} steps of {machine.amount(cost.training_flops, 'FLOPs')}, {machine.amount(USUAL_SHARE * speed, 'FLOP/s')}"
)
for name, value in forecast.items():
    print(f"{name:24}{value:8.2f}")

# %% [markdown]
r"""
## 6. Training

We use the library's `TransformerTask`, because what it does with a batch doesn't depend on the world. It draws noise
levels, mixes clips with noise, and compares velocities ([chapter 3](03_adding_noise.ipynb)). With clip $x_0$, noise
$\varepsilon$, level $t$ and caption $c$ the loss is

$$\mathbb{E}\ \bigl\| v_\theta\bigl((1 - t)\, x_0 + t\, \varepsilon,\ t,\ c\bigr) - (\varepsilon - x_0) \bigr\|^2.$$

In some of the clips a few frames are given, at level 0. So the network also learns to continue a picture.

**Claim.** A training step takes six lines. We write them out and compare them with the library's `Run` for three steps.
(`MuonAdamW` uses [Muon](glossary.md#muon) for the matrices of the blocks, with the rate `matrix_learning_rate`, and
AdamW for all else. Muon makes the momentum of a matrix orthogonal, so that every direction moves equally far: [Jordan
2024](references.md#jordan-2024).)
"""

# %%
diffusion = DiffusionSettings(shared=0.8, given=0.2, independent=0.0)  # rectified flow, velocity, captions hidden: 10%


def new_task(batch=BATCH, seed=1):
    network = VideoDiT(config, len(tokenizer), np.random.default_rng(seed))
    return TransformerTask(network, pixels, tokenizer, World(SHOWN), batch, diffusion)


rates = {"learning_rate": 2e-3, "matrix_learning_rate": 0.02}
settings = TrainingSettings(steps=STEPS, batch=BATCH, shards=2, warmup=30, ema_decay=0.98, **rates)
by_hand, by_library = new_task(batch=4), new_task(batch=4)
parameters = by_hand.parameters
optimiser, average = MuonAdamW(parameters, **rates), EMA(parameters, settings.ema_decay)
run = Run(by_library, dataclasses.replace(settings, shards=1))
for step in range(3):
    batch = by_hand.batch(np.random.default_rng(step))
    loss, _ = by_hand.loss(batch)
    gradients = dict(zip(parameters, ag.gradients(loss, list(parameters.values()))))
    clip_global_norm(gradients, settings.clip)
    optimiser.step(gradients, warmup_cosine(step, settings.warmup, settings.steps))
    average.update()
    state = run.advance(batch)
    assert np.isclose(float(loss.data), state.loss, rtol=1e-3)
for name, parameter in parameters.items():
    assert np.allclose(parameter.data, by_library.parameters[name].data, atol=1e-3), name
print(f"the same after 3 steps; {by_hand.model.parameter_count():,} weights, predicted {cost.parameters:,}")

# %% [markdown]
r"""
`Run` adds speed and safety. It works on two halves of a batch at the same time, prepares the next batch meanwhile, and
can save checkpoints. (`examples/train_in_one_page.py` is a whole training without them.) `train` yields after every
step, and we keep the error by noise level. An untrained network of this kind predicts 0 everywhere. So its error is the
mean square of the target $\varepsilon - x_0$: 1 for the noise plus 1 for the pixels.
"""

# %%
run = Run(new_task(), settings, seed=1)
started = sum(os.times()[:4])  # of this process and of those that have worked for it, waiting not counted
history = np.array(
    [[np.nan if error is None else error for error in state.extras["levels"]] for state in train(run)], float
)
seconds = sum(os.times()[:4]) - started
print(f"{seconds:.0f} processor seconds, predicted {forecast['processor seconds']:.0f}")

# %%
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
every = max(1, STEPS // 50)
ends = np.arange(every, STEPS + 1, every)
for number, (low, style) in enumerate(zip((0, 0.25, 0.5, 0.75), ("-", "--", "-.", ":"))):
    mean = [np.nanmean(history[end - every : end, number]) for end in ends]
    axes.plot(ends, mean, style, label=f"{low} to {low + 0.25}")
axes.axhline(2, color="0.6", linewidth=1)
axes.annotate("a network that answers 0", (ends[-1] * 0.98, 2.02), fontsize=8, color="0.35", ha="right", va="bottom")
axes.set(xlabel="step", ylabel="mean squared error", title="error by noise level", ylim=(0, 2.2))
axes.grid(alpha=0.3)
axes.legend(title="level")
plt.show()


def test_loss(pairs):
    batch = TransformerTask(run.task.model, pixels, tokenizer, World(pairs), size(96, 8), diffusion).batch(
        np.random.default_rng(7)
    )
    with ag.no_grad():
        return float(run.task.loss(batch)[0].data)


for name, pairs in (("pairs shown", SHOWN), ("pairs held out", HELD_OUT)):
    last = test_loss(pairs)
    with run.average.applied():
        print(f"{name:16} loss {last:.3f}, with averaged weights {test_loss(pairs):.3f}")
run.use_average()  # from here on

# %% [markdown]
r"""
The error at each noise level falls towards a bound of its own ([chapter 4](04_removing_noise.ipynb)). Near pure noise,
the input doesn't show where the shape starts. Near level 0, weak noise looks like the soft edge of a stroke. The
network learns most in between.

The loss on held-out pairs comes from data that the network hasn't seen. But it doesn't say whether a triangle that is
asked to fall does fall. To see that, we draw. (The [moving average](glossary.md#exponential-moving-average) of the
weights differs little from the last weights here, because the learning rate is almost 0 at the end.)

## 7. Drawing

We draw with guidance ([chapter 8](08_text_guidance.ipynb)), from level 1 to level 0 ([chapter 4](04_removing_noise.ipynb)). For
rectified flow the simplest sampler is Euler's rule, with the guided velocity:

$$x \leftarrow x + (t' - t)\, \bigl(v(x, t, \varnothing) + w\, [v(x, t, c) - v(x, t, \varnothing)]\bigr).$$

Here $t'$ is the next level, $c$ the caption, $\varnothing$ the empty caption, and $w$ the guidance scale.
"""

# %%
process, network = diffusion.process, run.task.model


def predict(x, level, tokens):
    with ag.no_grad():
        return network(x, level, tokens).data


captions = ["a ring falls", "a bolt rises"]
told, empty = tokenizer.encode(captions), tokenizer.encode([""] * len(captions))
start = generator.standard_normal((len(captions), FRAMES, SIDE, SIDE, 1), dtype=np.float32)
levels, scale, x = np.linspace(1, 0, 5, dtype=np.float32), 2.0, start
for now, after in itertools.pairwise(levels):
    level = np.full((len(x), FRAMES), now)
    plain = predict(x, level, empty)
    x = x + (after - now) * (plain + scale * (predict(x, level, told) - plain))
by_library = sample(guided(predict, told, empty, scale), start, levels, process, sampler="euler")
assert np.allclose(x, by_library, atol=1e-3)
DRAWING_STEPS = size(20, 2)


def draw(captions, seed=0, scale=2.0, first=None, network=network):
    """Clips (B, T, H, W, 1) in [0, 1]; first: pictures (B, H, W, 1) that they begin with."""
    generator = np.random.default_rng(seed)
    told, empty = tokenizer.encode(captions), tokenizer.encode([""] * len(captions))
    x = generator.standard_normal((len(captions), FRAMES, SIDE, SIDE, 1), dtype=np.float32)
    given = np.zeros(FRAMES, bool)
    if first is not None:
        x[:, 0], given[0] = pixels.encode(first), True
    levels = level_matrix(DRAWING_STEPS, len(captions), FRAMES, given)
    with Predictor(network, backend.thread_count()) as predict:  # several processes share the clips
        denoise = guided(predict, told, empty, scale)
        return pixels.decode(sample(denoise, x, levels, process, sampler="ddpm", generator=generator))


drawn = draw(every_pair.captions, seed=5)
show(
    drawn,
    captions=[caption + " *" * (pair in HELD_OUT) for caption, pair in zip(every_pair.captions, PAIRS)],
    columns=8,
    factor=3,
)

# %% [markdown]
r"""
These are the first drawings of this network: one of each pair, and we picked none. A star marks pairs that were held
out. Here are some of them frame by frame. **What to look at:** does a shape's outline stay the same from left to right?
"""

# %%
figure, rows = plt.subplots(6, 1, figsize=(7, 7), layout="constrained")
for axes, pair in zip(rows, [("ring", "falls"), ("bolt", "rises"), *HELD_OUT]):
    held = " (never shown)" if pair in HELD_OUT else ""
    draw_strip(axes, drawn[PAIRS.index(pair)], f"a {' '.join(pair)}{held}")
plt.show()

# %% [markdown]
r"""
## 8. What is it worth?

A few good pictures persuade too easily, so we count. We use the same judge and the same table, for several guidance
scales, with separate rows for shown and held-out pairs. At scale 0 the caption has no influence. So these rows say what
*this* network gets by chance.
"""

# %%
tests = [f"a {' '.join(pair)}" for pair in TESTS]
held = np.array([pair in HELD_OUT for pair in TESTS])
print(f"{'':26}" + "".join(f"{name:>13}" for name in NAMES))
show_marks("real (ceiling)", ceiling)
marks, clips = {}, {}
for scale in (1.0, 2.0, 4.0, 0.0):
    clips[scale] = draw(tests, seed=6, scale=scale)
    marks[scale] = judge(clips[scale], TESTS)
    for name, rows in (("shown", ~held), ("held out", held)):
        show_marks(f"scale {scale:g}, {name}", {key: values[rows] for key, values in marks[scale].items()})
show_marks("other captions (floor)", floors["other captions"])

# %% [markdown]
r"""
A column at its ceiling can't compare two models any more, because both would get 1. Then use a measure that isn't at
its ceiling. Here there are two: `steady`, whether a shape stays the same, and `miss`, how closely it follows the law.
They show what you see in the strips: a stroke becomes thicker, a ring opens. Scale 4 makes both worse than scale 2.

Two questions are answered by no column. Does the network draw all the variety of its world? Shapes that fall should
start anywhere from left to right, and guidance is known to reduce variety. And does the network know gravity, or only
that things go down? We fit a parabola to the heights. Twice its coefficient of $t^2$ is the acceleration.
"""


# %%
def spread(video, across):  # deviation over the clips of the place across the motion, px
    return np.nanmean(see(video)[0], axis=1)[np.arange(len(video)), across].std()


def accelerations(video):  # of each clip, px a frame a frame, downwards
    heights = see(video)[0][..., 0]  # (B, T)
    heights = heights[~np.isnan(heights).any(axis=1)]
    return 2 * np.polyfit(ticks, heights.T, 2)[0] if len(heights) else np.array([np.nan])


falling = np.array([motion == "falls" for _, motion in TESTS])
rising = np.array([motion == "rises" for _, motion in TESTS])
found_gravity = {}
across = np.array([int(motion in ("falls", "rises")) for _, motion in TESTS])  # x for these, y for the others
print(f"{'':12}{'spread':>9}{'pull, falling':>18}{'pull, rising':>18}")
for name, video in (("real", real.video), *((f"scale {scale:g}", clips[scale]) for scale in (1.0, 2.0, 4.0))):
    pull = [Estimate.average(accelerations(video[which])) for which in (falling, rising)]
    found_gravity[name] = pull[0]
    cells = "".join(f"{value.mean:>11.3f} ±{(value.high - value.low) / 2:.3f}" for value in pull)
    print(f"{name:12}{spread(video, across):>9.2f}{cells}")

# %% [markdown]
r"""
Shapes that fall accelerate, and shapes that rise don't. The network has learnt both from clips alone. A large guidance
scale exaggerates the acceleration. But don't conclude too much, because the network has seen *this* gravity at *these*
heights. To know whether it has learnt a law or only a habit, you need another experiment (a project below).

The spread is smaller than in real clips, at scale 1 as well. So guidance isn't the reason. The network prefers the
middle. Every single clip may be right while the *set* of clips is wrong. The measures in the table don't show this,
because each looks at one clip at a time. A measure of the whole set shows it, such as this standard deviation, or the
Fréchet distance of `minivdit evaluate`.

Now compare with the forecast:
"""

# %%
best = marks[2.0]
outcome = {
    "processor seconds": seconds,
    "prompt, pairs shown": best["prompt"][~held].mean(),
    "prompt, pairs held out": best["prompt"][held].mean(),
    "steady": np.nanmean(best["steady"]),
    "gravity": found_gravity["scale 2"].mean,
}
for name, value in outcome.items():
    print(f"{name:24} forecast {forecast[name]:7.2f}, found {value:7.2f}")

# %% [markdown]
r"""
(These are processor seconds. Seconds on the clock also depend on what else the machine is doing. The training took
longer than predicted, because matrices as small as ours reach less than the usual share of the speed.)

The network has one more ability, since some frames were given in training: it can continue a picture. The matrix of levels then has
zeros in its first column ([chapter 14](14_every_ability.ipynb)). The pictures are first frames of real clips that it has never seen:
"""

# %%
asked = [(shape, motion) for shape in SHAPES for motion in ("falls", "drifts right")]
opening = World(PAIRS).render(np.random.default_rng(102), asked).video[:, 0]
continued = draw([f"a {' '.join(pair)}" for pair in asked], seed=8, first=opening)
assert np.allclose(continued[:, 0], opening, atol=1e-6)
show_marks("continued", judge(continued, asked))
show(continued, captions=[f"a {' '.join(pair)}" for pair in asked], columns=8, factor=3)

# %% [markdown]
r"""
## 9. Save it, and say what it is

A file of weights needs more than arrays. It also needs the words, the sizes and the diffusion process. The format
safetensors holds no code, so loading a file from a stranger runs none. Half precision halves the size of the file.
**Claim.** The loaded weights are the saved ones, rounded once.
"""

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "falling_shapes.safetensors"
about = {
    "words": tokenizer.words,
    "transformer": dataclasses.asdict(config),
    "pixels": [float(pixels.mean), float(pixels.deviation)],
    "process": dataclasses.asdict(diffusion),
    "world": World(SHOWN).describe(),
    "seed": run.seed,
    "steps": run.step,
}
save_tensors(path, {name: array.astype(np.float16) for name, array in network.state_dict().items()}, about)

tensors, told_about = load_tensors(path)
plain = {name: tuple(value) if isinstance(value, list) else value for name, value in told_about["transformer"].items()}
loaded = VideoDiT(VideoDiTConfig(**plain), len(told_about["words"]) + 2, np.random.default_rng(9))
loaded.load_state_dict({name: array.astype(np.float32) for name, array in tensors.items()})
for name, array in network.state_dict().items():
    assert np.array_equal(loaded.state_dict()[name], array.astype(np.float16).astype(np.float32)), name


again = draw(every_pair.captions, seed=5, network=loaded)
print(f"{path.stat().st_size / 1e6:.2f} MB; clips differ by {np.abs(again - drawn).mean():.5f} on average (0 to 1)")

# %% [markdown]
r"""
A [model card](glossary.md#model-card) says what a model has seen, what it can do, and what it can't. For the library's
own models `minivdit card` writes it. It refuses ours, and this is right, because a card about digits would be false. So
we write our own card, and compute every number in it:
"""

# %%
try:
    model_card(path)
except InputError as error:
    print(str(error).replace(f"{path.parent}/", ""), "\n")
print("\n".join(model_card("small").splitlines()[:8])[:600], "...\n")

shown_share, held_share = (Estimate.share(best["prompt"][rows]) for rows in (~held, held))
facts = {
    "draws": f"clips of one shape ({', '.join(SHAPES)}) that {' or '.join(MOTIONS)}: {SIDE}x{SIDE} pixels, {FRAMES} frames",
    "doesn't": "draw two shapes, other sizes, lengths, speeds or words; none of it was tried",
    "data": f"made on the fly, gravity {GRAVITY}; never shown: {', '.join(' '.join(pair) for pair in HELD_OUT)}",
    "network": f"{', '.join(config.patterns)} attention, {network.parameter_count():,} weights on pixels",
    "training": f"{run.step} steps of {BATCH} clips, {seconds:.0f} processor seconds, seed {run.seed}",
    "drawing": f"ddpm, {DRAWING_STEPS} steps, guidance 2",
    "prompt": f"{shown_share.mean:.2f} shown, {held_share.mean:.2f} held out; real clips {ceiling['prompt'].mean():.2f}, "
    f"other captions {floors['other captions']['prompt'].mean():.2f}; judge and data by the same hand",
    "file": f"{path.name}, weights {fingerprint(loaded)}",
}
for name, text in facts.items():
    print(f"{name:9} {text}")
folder.cleanup()

# %% [markdown]
r"""
"Judge and data by the same hand" means that the same person made both. It belongs on the card, because nobody else has
checked either of them.

## 10. Larger: a plan

What would a larger world cost? The same function tells us. In each row below the number of steps is a guess, and the
rest is computed from it. The last column assumes an accelerator that really reaches 100 TFLOP/s.
"""

# %%
plans = {  # batch, steps, what changes
    "this chapter": (BATCH, 1000, {}),
    "32x32, 16 frames, more words": (16, 8000, {"frames": 16, "side": 32, "width": 128, "depth": 6}),
    "64x64, latents / 4": (16, 30_000, {"frames": 16, "side": 16, "patch_size": (1, 2, 2), "latent_channels": 8,
                                        "width": 192, "depth": 8, "heads": 6}),
    "256x256, 32 frames, latents / 8": (64, 200_000, {"frames": 32, "side": 32, "patch_size": (1, 2, 2),
                                                      "latent_channels": 16, "width": 768, "depth": 16, "heads": 12}),
}  # fmt: skip
print(f"{'':34}{'tokens':>8}{'weights':>12}{'training':>16}{'here':>14}{'accelerator':>14}")
for name, (batch, steps, changes) in plans.items():
    _, grid, price = priced(batch=batch, **changes)
    total = steps * price.training_flops
    hours = [total / rate / 3600 for rate in (backend.thread_count() * USUAL_SHARE * speed, 1e14)]
    print(
        f"{name:34}{np.prod(grid):>8,}{price.parameters:>12,}{total:>10.1e} FLOPs"
        f"{hours[0]:>12,.2f} h{hours[1]:>12,.2f} h"
    )
_, _, joint = priced(batch=64, **plans["256x256, 32 frames, latents / 8"][2])
_, _, turns = priced(batch=64, **plans["256x256, 32 frames, latents / 8"][2], patterns=("frame", "time"))
print(f"in the last row frame and time in turn would cost {turns.training_flops / joint.training_flops:.0%} of joint")

# %% [markdown]
r"""
One rule saves weeks: begin with the smallest setting that works, change *one* thing at a time, and keep the judge. If
you go to the second row in one step and it fails, you don't know whether the canvas, the words or the network is the
reason.

### Projects

The last column names the measure that decides each project. Write your forecast first. Run at least three seeds before
you say *better*.

| size | idea | how to know |
|---|---|---|
| an hour | patches (2, 4, 4), or width 32: how cheap can it get? | `steady` and `miss` at equal FLOPs, not equal steps |
| an hour | `frame`, `time` in turn instead of `joint` | `steady` and `miss`, seed by seed and on the way, as in [chapter 10](10_the_consistency_problem.ipynb) |
| an hour | why is the spread too small: drawing steps, sampler, or too short a training? | the spread, if you change one of the three at a time |
| an hour | hold out 8 pairs of 16, then 12 | held-out `prompt` against the number of pairs shown |
| a day | law or habit? Random gravity in training; in the test, new values of gravity, with the first three frames given | plot found gravity against true gravity: slope 1 is a law, slope 0 a habit |
| a day | two shapes, "a ring falls and a bolt rises" | the share of clips in which each shape does *its own* motion; count exchanged motions apart |
| a day | shapes that bounce, or hide behind a wall | `miss` *after* the bounce; `shape` after the shape reappears |
| a day | let another person write a judge | look at the clips on which both judges disagree |
| a week | your own 200 phone clips at 32 x 32, captions of four words: `minivdit train own --clips FOLDER` | a person who doesn't know which clips are real; `minivdit evaluate --clips FOLDER --nearest nearest.gif` shows the nearest training clip beside every drawn one |
| a week | 64 x 64 on latents, on a GPU | the table of section 8; the ceiling is now real clips after the autoencoder |

There are four common ways to fool yourself: you tune on the test prompts, you show the best of many clips, your judge
was trained on the same clips as the network, or you leave out the floor.

## Exercises

Worked solutions are in [solutions/16_capstone](solutions/16_capstone.ipynb).

**1. Loss by level.** `error` and `level` are (B, T). Return the mean error in each of `bins` equally wide bins of the
noise level from 0 to 1, an array (bins,). Frames at level 0 were given and don't count. Level 1 belongs to the last
bin. (No bin is empty.)
"""


# %%
def by_level(error, level, bins):
    pass  # fill me in, about 3 lines


check.ch16_levels(by_level)

# %% [markdown]
r"""
**2. How fast?** `places` (B, T, 2) are from clips that follow one `law` (T, 2), each from an unknown start and with an
unknown strength. In each clip the place at time t is `start + strength * law[t]`, plus small errors. Return the
strengths (B,) with the least squared errors. (With the law of `falls`, the strength is the clip's gravity divided by
the world's gravity.)
"""


# %%
def strengths(places, law):
    pass  # fill me in, about 3 lines


check.ch16_strengths(strengths)

# %% [markdown]
r"""
**3. The floor, exactly.** n clips were asked to show the classes `asked` (n,), and they show the classes `seen` (n,),
where -1 stands for a clip that shows nothing. Suppose that the captions are put into a random order, every order
equally likely. Which share of the clips is right on average? Compute it without random numbers. Be careful: a network
that always draws the same class has a floor, too.
"""


# %%
def floor_of(asked, seen):
    pass  # fill me in, about 2 lines


check.ch16_floor(floor_of)

# %% [markdown]
r"""
**4. What fits?** A forward pass of one batch takes `flops`. The machine's matrix products run at `speed` FLOP/s, and a
training reaches the share `share` of this speed. How many whole training steps fit into `hours`? (What a backward pass
costs: [chapter 1](01_autograd.ipynb).)
"""


# %%
def steps_that_fit(flops, hours, speed, share):
    pass  # fill me in, about 1 line


check.ch16_steps(steps_that_fit)

# %% [markdown]
r"""
**5. Break it.** In `judge`, leave out `& (miss.min(axis=1) < 1)`. Say first which rows of the table of floors will
rise, in which columns, and to about which numbers. Then compute the table again. Why does the judge accept shuffled
frames more often than noise?

**6. An open question.** The same person made your judge and your data. Invent clips that your judge marks as perfect
and that nobody would call good. Which measure would have noticed? Add it, with its ceiling and its floors.

## In practice

- **Worlds like ours** are a research tool. [Kang et al. 2024](references.md#kang-2024) trained video models of several
  sizes on balls under simple laws. The models drew perfectly what they had seen. Larger models did better on new
  combinations, but no model did well on new speeds. The authors call this case-based generalisation: a habit, not a
  law.
- **Judges.** [VBench](references.md#huang-2023) divides "good" into sixteen measures and compares each with people's
  opinions. [CogVideoX](references.md#yang-2024) reports some of them. [HunyuanVideo](references.md#kong-2024) asked
  people to compare clips.
- **Data** is most of the work. Clips are filtered and cut, and a model writes long captions, because short ones teach
  little ([Open-Sora](references.md#zheng-2024); [Sora](references.md#brooks-2024)).
- **Scaling** is planned from small runs whose losses follow a line ([Kaplan et al. 2020](references.md#kaplan-2020)).
  Large systems are trained in stages: images first, then short small clips, then long large ones.
- **Model cards** were proposed by [Mitchell et al. 2019](references.md#mitchell-2019). They also ask for which people a
  model works less well.

## Further reading

- [Peebles and Xie 2023](references.md#peebles-2023): the network that you have just trained, on images, and how its
  quality follows its FLOPs.
- [Srivastava et al. 2015](references.md#srivastava-2015): moving digits, a world that was invented to be measured.
- Here: `minivdit/training/tasks.py` and `loop.py`; `minivdit/lab/evaluation/report.py`; `examples/results/tried.md`
  says what failed on the way.

That was the last chapter on models of your own. [Chapter 17](17_beyond_one_machine.ipynb) spreads a training over many
machines. [Chapter 18](18_on_to_the_big_ones.ipynb) leads on to large published models. In [the map](README.md#the-map)
you can see which chapters you have skipped.
"""
