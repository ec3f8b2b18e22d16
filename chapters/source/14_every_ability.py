# %% [markdown]
r"""
# 14. Every ability from one network: noise levels per frame

*About 80 minutes with the exercises. Runs in two minutes.*

**You'll do:** animate a picture with a sampling loop of ten lines. Then draw between [keyframes](glossary.md#keyframe),
extend and interpolate clips, make loops, [inpaint](glossary.md#inpainting), edit, and follow captions that change
within a clip. All of this uses the same weights and the same loop.

**You'll learn:** that a frame at [noise level](glossary.md#noise-level) 0 is a frame that is given. How a network must
be trained so that it can use such a frame. How errors add up when a clip is extended again and again.

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
    """The frames of the first clip of each batch, 8 in a row."""
    _, frames, height, width, _ = next(iter(clips.values())).shape
    lines = -(-frames // 8)
    strip = lines * height / width + 0.15  # inches
    figure, rows = plt.subplots(len(clips), 1, figsize=(9, strip * len(clips)), layout="constrained", squeeze=False)
    for axes, (name, video) in zip(rows[:, 0], clips.items()):
        draw_strip(axes, video[0], label=name.replace("_", " "), rows=lines)
    plt.show()


# %% [markdown]
r"""
## One level for each frame

The network of this project takes noise levels of shape (B, T): one for each frame. So sampling follows a *matrix* of
levels $t_{s,f}$, with a row for each step $s$ and a column for each frame $f$. From text alone, all columns fall from 1
to 0 together. **Claim.** If whole frames are given, the loop stays as it is. Only the matrix changes, and at the start
x contains the given frames:

$$t_{s,f} = \begin{cases} 0 & \text{if frame } f \text{ is given (and clean)}, \\ 1 - s / S & \text{if it is drawn in } S \text{ steps.} \end{cases}$$

**What to look at:** each panel is one task, and time in the sampler runs downwards. Dark blue columns are given frames.
An edit begins at a level below 1. In a *staircase* the early frames are finished first.
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
matrices = {name: diffusion.level_matrix(10, 1, T, given=given) for name, given in tasks.items()}  # (11, 1, 8)
for name, given in tasks.items():
    assert not matrices[name][:, 0, given].any() and (matrices[name][0, 0, ~given] == 1).all()


def staircase(steps, frames, lag):
    """Levels (steps + lag (frames - 1) + 1, 1, frames): frame t falls from step lag t on, in so many steps."""
    step = np.arange(steps + lag * (frames - 1) + 1)[:, None]
    return np.clip(1 - (step - lag * np.arange(frames)) / steps, 0, 1).astype(np.float32)[:, None]


matrices["edit"] = diffusion.level_matrix(10, 1, T, highest=0.6)
matrices["staircase"] = staircase(10, T, lag=2)
figure, panels = plt.subplots(1, 8, figsize=(11, 2.5), layout="constrained")
for axes, (name, levels) in zip(panels, matrices.items()):
    picture = axes.imshow(levels[:, 0], cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set(title=name, xlabel="frame", xticks=(0, 7), yticks=(0, len(levels) - 1))
panels[0].set_ylabel("step")
figure.colorbar(picture, ax=panels, label="noise level")
plt.show()

# %% [markdown]
r"""
First we animate a picture with a simple loop. The picture is frame 0. The other frames begin as noise. The network
predicts a velocity $v_f$ for each frame, and each frame moves along its velocity by its own step (Euler's rule for
rectified flow):

$$x_f \leftarrow x_f + \bigl(\sigma(t_{s+1,f}) - \sigma(t_{s,f})\bigr)\, v_f.$$

For frame 0 both levels are 0. So its step is 0, and the picture stays as it is.
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
print(f"largest difference of a drawn pixel, by hand and by the library: {np.abs(by_hand - ready)[:, 1:].max():.1e}")

# %% [markdown]
r"""
The library's `animate` does the same for all frames at once, with guidance and any sampler. It adds two things:

- The autoencoder isn't perfect. So the given pixels are put back exactly at the end.
- Sometimes only a *part* of a frame is known. Then the level of this frame can't be 0, and the level doesn't tell the
  network which part is known. So at every step, wherever the clip is known, the network's prediction is replaced by the
  one that leads to the known clip (`diffusion/inpainting.py`; exercise 2).

## What training has to do

A network that has only seen clips with one level for all frames makes poor use of given frames, as Open-Sora found
(report 1.1, [Zheng et al. 2024](references.md#zheng-2024)). So training must also show it clips with several levels. In
some training clips all frames have one level, in some a few frames are given, and in some each frame has a level of its
own. The last kind is called [diffusion forcing](glossary.md#diffusion-forcing) ([Chen et al.
2024](references.md#chen-2024)).
"""

# %%
many = diffusion.training_levels(generator, 20_000, T)
some_given = (many == 0).any(axis=1)
one_level = (many == many[:, :1]).all(axis=1)
print(f"one level for all: {one_level.mean():.0%}, some given: {some_given.mean():.0%}, "
      f"independent: {1 - (one_level | some_given).mean():.0%}")  # fmt: skip
assert abs(one_level.mean() - 0.6) < 0.02 and abs(some_given.mean() - 0.2) < 0.02

# %% [markdown]
r"""
**Claim.** The trained network uses what it is given, and it must be *told* what is given. Take real clips. The first n
frames are given, and all others are at level 0.7. How well does the network predict the last frame? We compare two
cases: the network is told the true levels, or it is told 0.7 for all frames.

**What to look at:** the solid line should fall. If the dashed line is higher, telling the levels helps, although the network
sees the same frames both times.
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

From here on we use the weights `joint`, and each ability takes one line. Here is one picture with two captions.

**What to look at:** the first frame is exact by construction. Does the digit jump or double in the second frame? Does
it move to the side that the caption says? (The numbers say how fast.) The picture is drawn by the built-in pen of the
library, and the network was trained on handwritten digits (MNIST).
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
## Keyframes, extension, interpolation

The given frames stay, bit for bit. The frames between, before or after them are drawn to fit.

**What to look at:** compare each clip with the real one, frame by frame. Keyframes are given at the
beginning, in the middle and at the end. In the extended clip the whole first row is given. Look at the border between given
and drawn: does the digit keep its speed, its thickness, its shape?
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
strips(real=video, three_keyframes=between, second_half_drawn=longer)

# %% [markdown]
r"""
How near are the drawn frames to the real ones? There isn't one right answer, since a digit may move on at another speed.
The more frames are given nearby, the less freedom is left. So the error should be least where every second frame is given.
(This is one clip for each task. The order of the others may be chance.)
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

`loop` first draws a clip with one more frame, whose first and last frames are the same picture, and leaves out the
last. Then it rotates the clip in time so that the seam is in the middle, and draws the frames around the seam again.
`seam` measures two differences: the jump from the last frame to the first, and the median step between neighbouring
frames. If the seam can't be seen, jump divided by step is about 1.

**What to look at:** the player shows the loop twice. Can you tell where it begins again?
"""

# %%
looped = joint.loop("a 0 moving down", seed=2, steps=steps)
jump, step = seam(looped)
cut, cut_step = seam(video)
print(f"jump at the seam: loop {jump[0] / step[0]:.2f} median steps, an ordinary clip {cut[0] / cut_step[0]:.2f}")
show(np.concatenate([looped, looped], axis=1), columns=1)

# %% [markdown]
r"""
## Inpainting: a part of space and time

`Given` says for each *pixel* whether it is known. The network works on latents, and a latent is known only if all of
its pixels are known. We compare `known_latents` with a loop.

**What to look at:** the grey part is drawn anew. Does the digit go on across its border, at the same height?
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

filled = joint.inpaint(video, right_half, caption, seed=2, steps=steps)
assert np.array_equal(filled[:, :, ~right_half], video[:, :, ~right_half])  # what is known stays, bit for bit
strips(real=video, given=np.where(right_half[None, None, :, :, None], 0.3, video), drawn=filled)

# %% [markdown]
r"""
## Editing: from a clip under noise

For an edit no frame is given. The whole clip is mixed with noise at some level $s$,

$$x_s = (1 - s)\, x_0 + s\, \varepsilon,$$

and drawn from there with another caption ([SDEdit](glossary.md#sdedit), [Meng et al. 2021](references.md#meng-2021)).
**Claim.** With little noise the old digit stays, with much noise the new one comes. The judge of [chapter
2](02_layers_and_learning.ipynb) says which digit a frame shows.

**What to look at:** where do the two lines cross? At lower levels an edit mostly keeps the clip. At higher levels it
mostly follows the caption.
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
Near level 1 nothing of the old clip is left, and editing becomes drawing from text. (The noise schedule of these
weights is shifted towards noise, as in [chapter 3](03_adding_noise.ipynb). So a clip at level 0.7 has more noise than
$s = 0.7$ gives in the formula above.)

## Captions that change on the way

"a 0 moving right, then up" becomes two captions, one for each half of the frames. The tokens of a frame look at the
caption of this frame. Only attention between frames can keep the digit the same.

**What to look at:** in the first half the speed to the right should be positive, in the second half the speed upwards.
And is it still a 0? The speeds alone would count a broken digit as a success. (Of 32 clips that were asked to turn, 28
obeyed both halves of the caption, see `examples/results/README.md`. Often the digit of the second half looks as if
another person had written it.)
"""

# %%
prompt = "a 0 moving right, then up"
tokens = joint.tokenizer.encode_over_time([prompt], length)  # (1, T, L)
for t in (0, length // 2 - 1, length // 2, length - 1):
    print(f"frame {t:>2} is told: {joint.tokenizer.decode(tokens[0, t])}")
turned = joint.generate(prompt, seed=8, steps=steps)  # a seed that works
seen = observe(turned, joint.settings.digit_size, 1)
places, classes = seen.tracks.positions[0, 0], seen.classes[0, 0]  # (T, 2), (T,)
for name, half in (("first", slice(length // 2)), ("second", slice(length // 2, length))):
    down, right = np.nanmean(np.diff(places[half], axis=0), axis=0)
    read = (classes[half] == 0).mean()
    print(f"{name:6} half: {right:+.1f} pixels a frame to the right, {-down:+.1f} up; read as a 0 in {read:.0%}")

# %% [markdown]
r"""
## Again and again: errors add up

`extend` can be repeated without end. Each round sees only the last frames of the round before. **Claim.** The clip
[drifts](glossary.md#drift). The frames that one round has drawn are the given frames of the next, and they contain
mistakes.

A little noise can help. We can show the given frames to the network at level 0.1 instead of 0, because it has learnt to
use frames at any level. The noise then covers small mistakes. In `extend` this is the argument `context_noise`. With
`joint`, 23 of 24 clips still show the same digit after 48 more frames, instead of 17 (`examples/results/tried.md`).
With `small` the gain is smaller:

**What to look at:** where a dashed line falls, digits have turned into other digits. Where only the solid line falls,
digits have only changed their shape. Which of the two colours falls less?
"""

# %%
count, rounds = size(16, 2), size(6, 2)
first = clips_for(small).batch(np.random.default_rng(13), count)
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for context_noise, colour in ((0, "tab:orange"), (0.1, "tab:blue")):
    how = {"context": 4, "context_noise": context_noise, "seed": 8, "steps": size(14, 2)}
    long = small.extend(first.video, first.captions, num_frames=4 * rounds, **how)
    measured = drift(long, small.settings.digit_size, 1, every=4)
    for name, label, style in (("likeness", "like its first frame", "o-"), ("one_class", "the same digit", "s--")):
        shares = np.nanmean(measured[name], axis=0)
        label = f"{label}, context at level {context_noise}"
        axes.plot(4 * np.arange(len(shares)) + 2, shares, style, color=colour, label=label)
axes.axvspan(0, 8, color="0.9")
axes.annotate("given", (0.5, 0.05), fontsize=9)
axes.set(xlabel="frame", ylabel="mean over clips", ylim=(0, 1.05), title=f"{count} clips, extended {rounds} times")
axes.grid(alpha=0.3)
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
r"""
## Any order you like

The levels needn't fall together. In a *staircase* (the last panel of the first figure) frame t begins to fall a little
after frame t - 1. Early frames are nearly finished while late ones are still noise. The staircase is one more matrix
for the same sampler:
"""

# %%
told, nothing = small.tokenizer.encode(["a 6 moving right"]), small.tokenizer.encode([""])


@ag.no_grad()
def predict(x, level, tokens):
    return small.transformer(x, np.broadcast_to(level, (len(x), T)), tokens).data


levels = staircase(steps, T, lag=size(3, 1))
noise = generator.standard_normal((1, *clean.shape[1:]), dtype=np.float32)
denoise = diffusion.guided(predict, told, nothing, 3.0)
drawn = small.decode(diffusion.sample(denoise, noise, levels, process, sampler="euler"))
read = observe(drawn, small.settings.digit_size, 1).classes[0, 0] == 6
print(f"drawn by a staircase of {len(levels) - 1} steps: read as a 6 in {read.mean():.0%} of frames")

# %% [markdown]
r"""
Suppose that the staircase moves on without end. Then finished frames leave at one side, and new noise enters at the
other. Such a clip has no end, and needs no rounds.

## Exercises

Worked solutions are in [solutions/14_every_ability](solutions/14_every_ability.ipynb).

**1. From given frames outwards.** `given` is boolean (T,), and at least one frame is given. Return the noise levels, an
array (S, T) with a row for each step. A given frame has level 0 in all rows. Let k be the distance of another frame
from the nearest given one. Its level is 1 up to row `lag` (k - 1), counted from 0, and then falls to 0 in `steps` equal
steps. S is the smallest number for which the last row is all 0.
"""


# %%
def outwards(steps, given, lag):
    pass  # fill me in, about 5 lines


check.ch14_outwards(outwards)

# %% [markdown]
r"""
**2. Put the truth in its place.** `x` (B, T, h, w, C) are noisy latents of rectified flow. Each frame has its own noise
level, `level` (B, T), above 0. The network predicts `velocity`, which has the shape of x. Where the boolean `known` (B,
T, h, w, 1) is True, the clean latents are known. They are in `clean`, which has the shape of x, too. Return the
velocity, but where the latents are known, put the velocity that leads `x` straight to `clean`, whichever noise is in
`x`.
"""


# %%
def with_truth(velocity, x, clean, known, level):
    pass  # fill me in, about 3 lines


check.ch14_truth(with_truth)

# %% [markdown]
r"""
**3. Known latents, with time compressed.** A latent is again known only if all of its pixels are known. But this
autoencoder also compresses time. Latent frame 0 is made from frame 0, and latent frame t from the frames 1 + (t - 1) n
to t n, with n = `in_time`. `known` is boolean, (1 + m n, H, W). Return which latents are known, a boolean array (1 + m,
H / factor, W / factor).
"""


# %%
def known_latents(known, in_time, factor):
    pass  # fill me in, about 5 lines


check.ch14_latents(known_latents)

# %% [markdown]
r"""
**4. Rounds.** A clip of `frames` frames is extended to `wanted` frames. The network draws clips of `window` frames, of
which the first `context` are given. Return a list that says how many new frames each round adds. Of the last round,
only as many frames are kept as are still wanted.
"""


# %%
def new_frames(frames, wanted, window, context):
    pass  # fill me in, about 4 lines


check.ch14_rounds(new_frames)

# %% [markdown]
r"""
**5. Break it.** Above we told the network too high a level for given frames. Now tell it too low a level. Mix the first
four frames with noise at level 0.7, and tell the network that they are at level 0. Say first whether the last frame is
then predicted better or worse than with the truth. Then measure it, with `last_frame_errors` as a model.

**6. An open question.** Two frames of a clip are rough sketches. They show correctly where the digit is, but not how it
looks. Which matrix of levels would you use, and which tasks would training have to contain? What would you measure?
"""

# %% [markdown]
r"""
## In practice

- **Sora**'s report lists the same abilities: animating pictures, extending in both directions, editing with SDEdit,
  connecting clips, loops ([Brooks et al. 2024](references.md#brooks-2024)). It doesn't say how they are done.
- **Open-Sora** 1.1 gives known frames timestep 0 and trains with random masks, as here ([Zheng et al.
  2024](references.md#zheng-2024)).
- **Diffusion forcing** ([Chen et al. 2024](references.md#chen-2024)) trains with independent levels. The staircase is
  one of its uses.
- **Inpainting**: RePaint ([Lugmayr et al. 2022](references.md#lugmayr-2022)) overwrites the known part of x between
  steps. It also adds noise again a few times on the way, and repeats these steps. Here the argument `resample` does
  this.

## Further reading

- `minivdit/generation/abilities.py`: every ability chooses what is given, in a few lines. `examples/every_ability.py`
  draws them all.
- `minivdit/diffusion/levels.py`, `minivdit/diffusion/inpainting.py`.

Next: [chapter 15](15_the_systems.ipynb), the ideas of nine published systems.
"""
