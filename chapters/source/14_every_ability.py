# %% [markdown]
r"""
# 14. Every ability from one network: noise levels per frame

*About 60 minutes with the exercises. Runs in two minutes.*

**You'll do:** bring a picture to life with ten lines of sampling loop; then keyframes, extension, interpolation, loops,
inpainting, editing and captions that change on the way, all with the same weights and the same loop.

**You'll learn:** that a frame at [noise level](glossary.md#noise-level) 0 is a frame that is given; what training has
to do so that a network can use it; how errors add up when a clip is extended again and again.

**You need:** [chapter 3](03_adding_noise.ipynb), chapters 4 and 9, and [chapter 8](08_text_guidance.ipynb).

![Six tasks, each a row of given and noisy frames, and one network](pictures/14.svg)
"""

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit import diffusion
from minivdit.base import seeds
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.generation import Given, TextToVideo
from minivdit.lab.display import show
from minivdit.lab.display.strips import draw_strip
from minivdit.lab.evaluation import drift, observe, seam, track
from minivdit.lab.lessons import check, size

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

small = TextToVideo.load("small")  # 8 frames of 32 x 32: for loops and measurements
joint = TextToVideo.load("joint")  # 16 frames of 64 x 64: for pictures
source = digit_source("strokes", split="test")
steps = size(20, 2)  # of sampling; more would be better, and take longer


def clips_for(model):
    settings = model.settings
    return CaptionedClips(
        source, settings.size, settings.num_frames, settings.digit_size, num_digits=(1,), synonyms=False
    )


def strips(**clips):
    """A strip of frames for the first clip of each batch."""
    _, frames, height, width, _ = next(iter(clips.values())).shape
    strip = 8 * height / (width * min(frames, 16)) + 0.15  # inches
    figure, rows = plt.subplots(len(clips), 1, figsize=(9, strip * len(clips)), layout="constrained", squeeze=False)
    for axes, (name, video) in zip(rows[:, 0], clips.items()):
        draw_strip(axes, video[0], label=name.replace("_", " "))
    plt.show()


# %% [markdown]
r"""
## One level for each frame

The network of this project takes noise levels of shape (B, T): one for each frame. Sampling is then a walk through a
*matrix* of levels, steps down, frames across. From text alone all frames fall from 1 to 0 together. **Claim.** Every task in which whole frames are given is that matrix with their columns put to 0, and clean frames standing
there. (An edit starts further down, a staircase tilts it, inpainting needs one thing more.)
"""

# %%
T = 8
frame = np.arange(T)
tasks = {
    "from text": frame < 0,
    "animate": frame == 0,
    "keyframes": np.isin(frame, (0, 4, 7)),
    "extend": frame < 4,
    "extend\nbackwards": frame >= 4,
    "interpolate": frame % 2 == 0,
}
figure, panels = plt.subplots(1, 7, figsize=(10, 2.5), layout="constrained", sharey=True)
for axes, (name, given) in zip(panels, tasks.items()):
    levels = diffusion.level_matrix(10, 1, T, given=given)  # (11, 1, 8)
    assert not levels[:, 0, given].any() and (levels[0, 0, ~given] == 1).all()
    picture = axes.imshow(levels[:, 0], cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set(title=name, xlabel="frame", xticks=(0, 7))
panels[6].imshow(diffusion.level_matrix(10, 1, T, highest=0.6)[:, 0], cmap="cividis", vmin=0, vmax=1, aspect="auto")
panels[6].set(title="edit", xlabel="frame", xticks=(0, 7))
panels[0].set_ylabel("step")
figure.colorbar(picture, ax=panels, label="noise level")
plt.show()

# %% [markdown]
r"""
Let us do it by hand. The simple loop: a picture is frame 0, the others begin as noise, and each frame goes along its
own velocity by its own step (Euler's rule for rectified flow; the picture's step is always 0, so it stays).
"""

# %%
settings, process = small.settings, small.settings.process
real = clips_for(small).render(np.random.default_rng(3), [[DigitMotion(3, "right")]])
image, caption = real.video[:, 0], real.captions[0]

video = np.zeros((1, T, *settings.size, 1), np.float32)
video[:, 0] = image
clean = small.autoencoder.encode(video)  # (1, T, h, w, C), only frame 0 of it means anything
tokens = small.tokenizer.encode([caption])
noise = seeds.generator(0, seeds.KEYFRAMES, 0).standard_normal(clean.shape[1:], dtype=np.float32)[None]

given = frame == 0
levels = diffusion.level_matrix(steps, 1, T, given=given)  # (steps + 1, 1, T)
x = np.where(given[None, :, None, None, None], clean, noise)
for here, there in itertools.pairwise(levels):
    with ag.no_grad():
        velocity = small.transformer(x, here, tokens).data  # noise - clean, as the network sees it
    moved = np.empty_like(x)
    for t in range(T):  # sigma is how far along the straight way a frame is (the curve may be shifted)
        moved[:, t] = x[:, t] + (process.curve.sigma(there[0, t]) - process.curve.sigma(here[0, t])) * velocity[:, t]
    x = moved.astype(np.float32)
by_hand = small.decode(x)

ready = small.animate(image, caption, seed=0, steps=steps, sampler="euler", guidance_scale=1)
assert np.array_equal(ready[:, 0], image)  # bit for bit
assert np.allclose(by_hand[:, 1:], ready[:, 1:], atol=1e-2)
strips(given=video, by_hand=by_hand, library=ready)

# %% [markdown]
r"""
The library's `animate` is the same walk, vectorised over frames, with guidance and any sampler. Two details: the
autoencoder isn't perfect, so given pixels are put back exactly at the end; and wherever something is
known, the network's *answer* is replaced by the true one, so that known parts go their own way from noise to clean. That also
serves where only a part of a frame is known and the frame's level can't be 0: the network isn't told which part
(`diffusion/inpainting.py`).

## What training has to do

A network that has only seen clips with one level for all frames can't do this: Open-Sora's report 1.1 says that they
tried it, and it worked poorly ([Zheng et al. 2024](references.md#zheng-2024)). So training draws *matrices*: clips with
one level, clips in which some frames are given, and clips with independent levels ([Chen et al.
2024](references.md#chen-2024) call that diffusion forcing).
"""

# %%
drawn = diffusion.training_levels(generator, 36, T)
order = np.lexsort((drawn.std(axis=1), (drawn == 0).any(axis=1)))
figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
picture = axes.imshow(drawn[order].T, cmap="cividis", vmin=0, vmax=1, aspect="auto")
axes.set(xlabel="clips of a training batch, sorted", ylabel="frame", title="noise levels in training")
figure.colorbar(picture, label="noise level")
plt.show()

many = diffusion.training_levels(generator, 20_000, T)
some_given = (many == 0).any(axis=1)
one_level = (many == many[:, :1]).all(axis=1)
print(f"one level for all: {one_level.mean():.0%}, some given: {some_given.mean():.0%}, "
      f"independent: {1 - (one_level | some_given).mean():.0%}")  # fmt: skip
assert abs(one_level.mean() - 0.6) < 0.02 and abs(some_given.mean() - 0.2) < 0.02

# %% [markdown]
r"""
**Claim.** The trained network uses what it is given, and it matters that it is *told* what is given. Take real clips.
The last frame is at level 0.7; of the frames before it, the first n are given, the rest are at 0.7 too. How well is the
last frame predicted, if the levels are told, and if the network is told 0.7 for all?
"""

# %%
count = size(24, 4)
batch = clips_for(small).batch(np.random.default_rng(7), count)
latents = small.autoencoder.encode(batch.video)
noise = generator.standard_normal(latents.shape, dtype=np.float32)
told = small.tokenizer.encode(batch.captions)


def last_frame_errors(number_given, honest):
    levels = np.full((count, T), 0.7, np.float32)
    levels[:, :number_given] = 0
    x = process.mix(latents, noise, levels).astype(np.float32)
    with ag.no_grad():
        prediction = small.transformer(x, levels if honest else np.full_like(levels, 0.7), told).data
    return ((prediction - (noise - latents))[:, -1] ** 2).mean(axis=(1, 2, 3))


numbers = (0, 1, 2, 4, 7)
figure, axes = plt.subplots(figsize=(6.5, 2.9), layout="constrained")
errors = {}
for name, honest, style in (("levels told", True, "o-"), ("not told", False, "s--")):
    errors[name] = np.array([last_frame_errors(n, honest) for n in numbers])  # (5, clips)
    mean, spread = errors[name].mean(axis=1), errors[name].std(axis=1, ddof=1) / count**0.5
    axes.errorbar(numbers, mean, 2 * spread, fmt=style, capsize=3, label=name)
axes.set(
    xlabel="frames given before it",
    ylabel="error of the last frame",
    title="what is given helps, if it is known to be given",
)
axes.grid(alpha=0.3)
axes.legend()
plt.show()
assert errors["levels told"][-1].mean() < errors["levels told"][0].mean()
assert errors["levels told"][-1].mean() < errors["not told"][-1].mean()

# %% [markdown]
r"""
## Pictures come to life

From here on: the larger weights, and one line for each ability. The same picture, two captions:
"""

# %%
maker = clips_for(joint)
real = maker.render(np.random.default_rng(9), [[DigitMotion(2, "right")]])
video, caption = real.video, real.captions[0]
length = video.shape[1]
image = video[:, 0]  # there is room to the right and above

alive = joint.animate(np.repeat(image, 2, axis=0), ["a 2 moving right", "a 2 moving up"], seed=1, steps=steps)
assert all(np.array_equal(clip[0], image[0]) for clip in alive)
for clip, asked in zip(alive, ("right", "up")):
    places = track(clip[None], joint.settings.digit_size).positions[0, 0]  # (T, 2)
    down, right = np.nanmean(np.diff(places, axis=0)[:4], axis=0)
    print(f"asked {asked:5}: {right:+.1f} pixels a frame to the right, {-down:+.1f} up (first 4 steps)")
strips(right=alive[:1], up=alive[1:])

# %% [markdown]
r"""
The first frame is exact by construction; whether the others go on from it is up to the network. Look for a digit that jumps or
doubles in the second frame, and for the sign of the speed: this digit was drawn by another hand than those of training, so it
may fail.

## Keyframes, extension, interpolation

What is given stays, bit for bit; what lies between, before or after is drawn to fit it. Compare with the real clip
above each.
"""

# %%
keys = {time: video[:, time] for time in (0, length // 2, length - 1)}
between = joint.keyframes(keys, caption, length, seed=2, steps=steps)
half = video[:, : length // 2]
longer = joint.extend(half, caption, num_frames=length // 2, context=length // 2, seed=2, steps=steps)
earlier = joint.extend(video[:, length // 2 :], caption, num_frames=length // 2, backwards=True, seed=2, steps=steps)
dense = joint.interpolate(video[:, ::2], caption, seed=2, steps=steps)

assert all(np.array_equal(between[:, time], image) for time, image in keys.items())
assert np.array_equal(longer[:, : length // 2], half)
assert np.array_equal(earlier[:, length // 2 :], video[:, length // 2 :])
assert np.array_equal(dense[:, ::2], video[:, ::2])
strips(real=video, three_keyframes=between, second_half_drawn=longer, first_half_drawn=earlier, every_2nd_given=dense)

# %% [markdown]
r"""
How near is what was drawn to what really happened? There isn't one right answer: a digit may move on at another speed.
The more is given, and the nearer, the less room there is for that: least where every second frame is given. (One clip each; the
order of the others may be chance.)
"""

# %%
free = {
    "keyframes": (between, [t for t in range(length) if t not in keys]),
    "extended": (longer, range(length // 2, length)),
    "backwards": (earlier, range(length // 2)),
    "interpolated": (dense, range(1, 2 * (length // 2) - 1, 2)),
}
ink = (video**2).mean()
for name, (clip, times) in free.items():
    error = np.mean([((clip[:, t] - video[:, t]) ** 2).mean() for t in times])
    print(f"{name:13} mean squared error of drawn frames {error / ink:5.2f} (a black frame: about 1)")

# %% [markdown]
r"""
## Loops

For a loop one frame more is drawn, with the same picture at both ends, and the last is left out. `loop` draws it, rotates it in time so that the seam lies in the middle, and
draws the frames about the seam anew. Repeated, it should have no jump: `seam` compares the step from last to first
frame with the median step.
"""

# %%
looped = joint.loop("a 0 moving down", seed=3, steps=steps)
jump, step = seam(looped)
cut, cut_step = seam(video)
print(f"jump at the seam: loop {jump[0] / step[0]:.2f} median steps, an ordinary clip {cut[0] / cut_step[0]:.2f}")
show(np.concatenate([looped, looped], axis=1), columns=1)

# %% [markdown]
r"""
## Inpainting: a part of space and time

`Given` says for each *pixel* whether it is known. The network works on latents, so a latent is known only if all of its
pixels are; the simple loop and the vectorised form:
"""

# %%
right_half = np.zeros(joint.settings.size, bool)
right_half[:, joint.settings.size[1] // 2 + 3 :] = True  # where to draw; not along a border of latents
factor = joint.autoencoder.config.factor
known = np.broadcast_to(~right_half[None, None, :, :, None], (*video.shape[:-1], 1))
latents = Given(video, known).known_latents(factor)  # (1, T, h, w, 1)

h, w = latents.shape[2:4]
for y in range(h):
    for x in range(w):
        box = ~right_half[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        assert (latents[:, :, y, x] == box.all()).all()

filled = joint.inpaint(video, right_half, caption, seed=4, steps=steps)
assert np.array_equal(filled[:, :, ~right_half], video[:, :, ~right_half])  # what is known stays, bit for bit
strips(real=video, given=np.where(right_half[None, None, :, :, None], 0.3, video), drawn=filled)

# %% [markdown]
r"""
## Editing: from a clip under noise

For an edit no frame is given: the whole clip is put under noise of some level, and drawn from there with another
caption (SDEdit, [Meng et al. 2021](references.md#meng-2021)). **Claim.** The level decides between keeping and
changing: with little noise the old digit stays, with much the new one comes. A judge, the small network that reads
digits, says which there is.
"""

# %%
count = size(8, 2)
before, after = 1, 8
olds = clips_for(small).render(np.random.default_rng(5), [[DigitMotion(before, "right", "slow")]] * count)
starts = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)[:: size(1, 3)]
shares = []
for level in starts:
    edited = small.edit(olds.video, f"an {after} moving slowly right", level=level, seed=6, steps=size(14, 2))
    classes = observe(edited, small.settings.digit_size, 1).classes
    shares.append([(classes == digit).mean() for digit in (before, after)])
    if level in (0.1, 0.6):
        print(f"level {level}: read as {before} in {shares[-1][0]:.0%} of frames, as {after} in {shares[-1][1]:.0%}")

figure, axes = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for share, digit, style in zip(np.array(shares).T, (before, after), ("o-", "s--")):
    axes.plot(starts, share, style, label=f"read as {digit}, the {'old' if digit == before else 'new'} digit")
axes.set(
    xlabel="noise level at which drawing starts",
    ylabel="share of frames",
    ylim=(-0.03, 1.03),
    title=f"{count} clips of a {before}, edited to an {after}",
)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
Near level 1 nothing of the old clip is left and editing is drawing from text. (The levels of these weights are shifted
towards noise, as in chapter 3: level 0.7 is more noise than it sounds.)

## Captions that change on the way

"a 4 moving right, then up" becomes two captions, one for the first half of the frames and one for the second. Every
frame's tokens look at their own caption, while attention between frames is what *can* keep the digit the same.
"""

# %%
prompt = "a 4 moving right, then up"
tokens = joint.tokenizer.encode_over_time([prompt], length)  # (1, T, L)
for t in (0, length // 2 - 1, length // 2, length - 1):
    print(f"frame {t:>2} is told: {joint.tokenizer.decode(tokens[0, t])}")
turned = joint.generate(prompt, seed=7, steps=steps)
seen = observe(turned, joint.settings.digit_size, 1)
places, classes = seen.tracks.positions[0, 0], seen.classes[0, 0]  # (T, 2), (T,)
for name, half in (("first", slice(length // 2)), ("second", slice(length // 2, length))):
    down, right = np.nanmean(np.diff(places[half], axis=0), axis=0)
    read = (classes[half] == 4).mean()
    print(f"{name:6} half: {right:+.1f} pixels a frame to the right, {-down:+.1f} up; read as a 4 in {read:.0%}")
strips(turned=turned)

# %% [markdown]
r"""
Whether it turns *and is still a 4*, the two lines above and the strip say, not the caption (a speed alone would count a broken
digit as a success): which clips a network saw in training decides.
(Whether turning clips were among them is in its notes: `joint.notes`.)

## Again and again: errors add up

`extend` can be repeated without end, each round seeing only the last frames. **Claim.** It drifts: what is drawn becomes
what is given, mistakes included.
"""

# %%
count, rounds = size(8, 2), size(6, 2)
first = clips_for(small).batch(np.random.default_rng(13), count)
long = small.extend(first.video, first.captions, num_frames=4 * rounds, context=4, seed=8, steps=size(14, 2))
measured = drift(long, small.settings.digit_size, 1, every=4)
stretches = np.arange(measured["likeness"].shape[1])
figure, axes = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for (name, label), style in zip(
    {"likeness": "looks like its first frame", "one_class": "read as the same digit"}.items(), ("o-", "s--")
):
    axes.plot(4 * stretches + 2, np.nanmean(measured[name], axis=0), style, label=label)
axes.axvspan(0, 8, color="0.9")
axes.annotate("given", (0.5, 0.05), fontsize=9)
axes.set(xlabel="frame", ylabel="mean over clips", ylim=(0, 1.05), title=f"{count} clips, extended {rounds} times")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
strips(extended=long)

# %% [markdown]
r"""
## Any order you like

Levels needn't fall together. In a *staircase* frame t begins to fall a little after frame t - 1: early frames are
nearly done while late ones are still noise. One more matrix, the same sampler.
"""


# %%
def staircase(steps, frames, lag):
    """Levels (steps + lag (frames - 1) + 1, 1, frames): frame t falls from step lag t on, in so many steps."""
    step = np.arange(steps + lag * (frames - 1) + 1)[:, None]
    return np.clip(1 - (step - lag * np.arange(frames)) / steps, 0, 1).astype(np.float32)[:, None]


told, nothing = small.tokenizer.encode(["a 6 moving right"]), small.tokenizer.encode([""])


@ag.no_grad()
def predict(x, level, tokens):
    return small.transformer(x, np.broadcast_to(level, (len(x), T)), tokens).data


levels = staircase(steps, T, lag=size(3, 1))
noise = generator.standard_normal((1, *clean.shape[1:]), dtype=np.float32)
denoise = diffusion.guided(predict, told, nothing, 3.0)
drawn = diffusion.sample(denoise, noise, levels, process, sampler="euler")
figure, axes = plt.subplots(figsize=(3.4, 2.2), layout="constrained")
axes.imshow(levels[:, 0], cmap="cividis", aspect="auto")
axes.set(xlabel="frame", ylabel="step", title="a staircase")
plt.show()
strips(staircase=small.decode(drawn))

# %% [markdown]
r"""
With the stairs moving on for ever, a clip without end comes out at one side while noise goes in at the other: long
rollouts that aren't cut into rounds.

## Exercises

Worked solutions are in [solutions/14_every_ability](solutions/14_every_ability.ipynb).

**1. The matrix.** Levels (steps + 1, T): from 1 down to 0 in equal steps, and 0 all along in frames where the boolean
`given` (T,) is True.
"""


# %%
def levels_for(steps, given):
    pass  # fill me in, about 2 lines


check.ch14_levels(levels_for)

# %% [markdown]
r"""
**2. Where the walk begins.** On rectified flow, from level `start`: given frames clean, the others mixed. `clean` and
`noise` are (B, T, h, w, C), `given` is boolean (B, T).
"""


# %%
def first_state(clean, noise, given, start):
    pass  # fill me in, about 2 lines


check.ch14_start(first_state)

# %% [markdown]
r"""
**3. Known latents.** From `known`, boolean (T, H, W), pixels that are given: boolean (T, H / factor, W / factor),
latents all of whose pixels are given.
"""


# %%
def known_latents(known, factor):
    pass  # fill me in, about 3 lines


check.ch14_latents(known_latents)

# %% [markdown]
r"""
**4. Rounds.** A clip of `frames` frames is extended to `wanted` frames by a network that draws clips of `window` frames,
of which the first `context` are given. The list of how many new frames each round adds; the last round's surplus is cut
off.
"""


# %%
def new_frames(frames, wanted, window, context):
    pass  # fill me in, about 4 lines


check.ch14_rounds(new_frames)

# %% [markdown]
r"""
## In practice

- **Sora**'s report lists the same family: animating pictures, extending in both directions, editing with SDEdit,
  connecting clips, loops ([Brooks et al. 2024](references.md#brooks-2024)). How it is done isn't told.
- **Open-Sora** 1.1 gives known frames timestep 0 and trains with random masks, as here ([Zheng et al.
  2024](references.md#zheng-2024)).
- **Diffusion forcing** ([Chen et al. 2024](references.md#chen-2024)) is where independent levels come from, with the
  staircase as one use of many.
- **Inpainting** by keeping the known part on its own way from noise to clean: [Lugmayr et al.
  2022](references.md#lugmayr-2022).

## Further reading

- `minivdit/generation/abilities.py`: every ability is a choice of what is given, in a few lines each;
  `examples/every_ability.py` draws them all.
- `minivdit/diffusion/levels.py`, `minivdit/diffusion/inpainting.py`.

Next: [chapter 15](15_the_systems.ipynb), the systems.
"""
