# %% [markdown]
r"""
# 0. Start here

*About 40 minutes with the exercises. Runs in about a minute.*

**You'll do:** check your machine. Take a video apart as an array. Turn a sentence into a clip with the weights that
come with this package. Then measure how good such clips are.

**You'll learn:** how videos are laid out in this project; what comes between a sentence and a clip; why a good picture
is not a measurement.

**You need:** Python and a little NumPy. No GPU, no data set, no network.

![A caption goes in, the model turns noise into a clip, a judge counts](pictures/00.svg)
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit.data import PIXELS_PER_FRAME, SPEEDS, CaptionedClips, DigitMotion, digit_source, parse
from minivdit.generation import TextToVideo
from minivdit.lab.cli import doctor
from minivdit.lab.display import draw_strip, show
from minivdit.lab.evaluation import Estimate, observe, prompt_metrics, read_captions
from minivdit.lab.lessons import check, size

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## Is everything there?

Each line below names something that the chapters need. `[OK]` means that it is there. After `[FAIL]` the line says what
to do. `[--]` marks something that you can do without, such as a GPU. (`minivdit doctor` on the command line checks a
few more things.)
"""

# %%
to_mend = doctor.report(
    (doctor.check_python, doctor.check_packages, doctor.check_blas, doctor.check_memory, doctor.check_weights)
)

# %% [markdown]
r"""
## A video is an array

**Claim.** A video is an array of numbers. Whatever you do to a video, you do to these numbers.

All videos in this project have five axes, always in this order. A group of clips that are handled together is a
[batch](glossary.md#batch).

| axis | letter | what it counts |
|---|---|---|
| 0 | B | clips of a batch |
| 1 | T | frames |
| 2 | H | rows of pixels, from the top |
| 3 | W | columns of pixels, from the left |
| 4 | C | [channels](glossary.md#channel): 1 for grey, 3 for colour |

The numbers go from 0 (black) to 1 (white). The models are trained on clips of moving digits. A generator makes them,
each with a caption that says which digit moves, and in which direction. Here are four:
"""

# %%
source = digit_source("strokes", split="test")  # digits drawn by a built-in pen
clips = CaptionedClips(source, size=(32, 32), num_frames=8, digit_size=16, num_digits=(1,))
batch = clips.batch(generator, 4)
print(batch.video.shape, batch.video.dtype, "from", batch.video.min(), "to", batch.video.max())

show(batch.video, captions=batch.captions, columns=4)

# %% [markdown]
r"""
An array can be cut along any axis. A cut along B gives one clip, a cut along T gives one frame. A cut along H gives one
row of pixels through time. We draw such a row, with time running down. A thing that stands still leaves a vertical
trace. A thing that moves sideways leaves a slanted one, and the slope says how fast it moves.
"""

# %%
moving = clips.render(
    generator,
    [[DigitMotion(1, "right", "slow")], [DigitMotion(1, "right", "fast")], [DigitMotion(1, "down", "normal")]],
)
figure, rows = plt.subplots(2, 3, figsize=(9, 4.2), layout="constrained")
for clip, caption, (above, below) in zip(moving.video, moving.captions, rows.T):
    row = int(clip[0, :, :, 0].sum(axis=1).argmax())  # the row with most ink in the first frame
    above.imshow(clip[0, :, :, 0], cmap="gray")
    above.axhline(row, color="C1", linewidth=1)
    above.set_title(caption, fontsize=9)
    below.imshow(clip[:, row, :, 0], cmap="gray", aspect="auto")
    below.set(xlabel="column", yticks=range(0, 8, 2))
rows[0, 0].set_ylabel("row")
rows[1, 0].set_ylabel("frame")
figure.suptitle("above: the first frame; below: its marked row of pixels, frame after frame", fontsize=10)
plt.show()

# %% [markdown]
r"""
The trace of the fast digit is more slanted than that of the slow one. Where a trace turns round, the digit has bounced
off the wall. (It is a box of 16 x 16 pixels around the digit that bounces. So a thin digit turns before its ink touches
the wall.) The third digit moves down. It leaves the marked row, and later it may bounce back into it. Its trace has no
slope.

How fast does a digit move? Follow its centre of mass, the mean position of its ink. Let $I_{yx}$ be the brightness of the
pixel in row $y$ and column $x$:

$$\bar y = \frac{\sum_{y,x} y\, I_{yx}}{\sum_{y,x} I_{yx}}, \qquad \bar x = \frac{\sum_{y,x} x\, I_{yx}}{\sum_{y,x} I_{yx}}$$

As a simple loop over all pixels:
"""


# %%
def centre_by_loops(image):
    """Of one image (H, W): (y, x)."""
    total, y_sum, x_sum = 0.0, 0.0, 0.0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            total += image[y, x]
            y_sum += y * image[y, x]
            x_sum += x * image[y, x]
    return np.array([y_sum / total, x_sum / total])


fast = moving.video[1, :, :, :, 0]  # (T, H, W)
path = np.array([centre_by_loops(frame) for frame in fast])  # (T, 2)

# %% [markdown]
r"""
Vectorised, with no loop at all. `np.indices` gives the row and the column of every pixel. `einsum` multiplies the image
by these positions. It then sums over `h` and `w`, the two letters that are missing to the right of the arrow. Each pair
of neighbouring frames gives one speed. A bounce makes one of these speeds too small, so we take their median:
"""

# %%
rows_and_columns = np.indices(fast.shape[1:])  # (2, H, W)
vectorised = np.einsum("thw,ihw->ti", fast, rows_and_columns) / fast.sum(axis=(1, 2))[:, None]
assert np.allclose(path, vectorised, atol=1e-4)

speed = np.linalg.norm(np.diff(path, axis=0), axis=1)
told = PIXELS_PER_FRAME[SPEEDS.index("fast")] * 32 / 64  # speeds are given for a canvas of 64 pixels
print(f"measured {np.median(speed):.2f} pixels a frame; a fast digit should make {told:.2f}")
assert abs(np.median(speed) - told) < 0.05

# %% [markdown]
r"""
## A sentence is numbers, too

Captions have a small grammar. The parser turns a caption into a list of motions. The generator turns a list of motions
into a clip. A word outside the grammar raises an error. The model never draws something else instead.
"""

# %%
print(parse("the digit three drifts slowly up and to the left while a 7 is moving down"))
try:
    parse("a 3 moving rightt")
except ValueError as error:
    print(error)

# %% [markdown]
r"""
A network takes numbers. The [tokenizer](glossary.md#tokenizer) gives each word a number of its own. The number 1 starts
each caption. Zeros at the end fill the caption up to a fixed length.
"""

# %%
model = TextToVideo.load("small")  # 32 x 32 pixels, 8 frames, one digit
for numbers in model.tokenizer.encode(["a 3 moving right", "an 8 moving up and left"]):
    print(*numbers)

# %% [markdown]
r"""
## A prompt becomes a clip
"""

# %%
prompts = ["a 3 moving right", "a 7 moving up", "a 0 moving down and left", "an 8 moving quickly left"]
steps = size(model.settings.steps, 2)
started = time.perf_counter()
drawn = model.generate(prompts, seed=1, steps=steps)
print(f"{drawn.shape} in {time.perf_counter() - started:.1f} seconds; weights {model.name}, {model.fingerprint()}")

show(drawn, captions=prompts, columns=4)

# %% [markdown]
r"""
What happened? [Sampling](glossary.md#sampling) began with pure noise and removed a little of it in each step. In each
step the network answered one question: given this caption, which clip is hidden in this noise? From this answer, the
[sampler](glossary.md#sampler) computes a clip with a little less noise. `model.denoise` hands out the result of each
step, so we can watch how the network's answer changes.
"""

# %%
way = list(model.denoise(prompts[0], seed=1, steps=steps))
shown = [way[index] for index in np.linspace(0, len(way) - 1, 5).round().astype(int)]
figure, rows = plt.subplots(len(shown), 1, figsize=(8, 5.6), layout="constrained")
for axes, step in zip(np.atleast_1d(rows), shown):
    draw_strip(axes, model.decode(step.clean)[0], label=f"step {step.index + 1}")
figure.suptitle(f"'{prompts[0]}': what the network takes for the clean clip", fontsize=10)
plt.show()

# %% [markdown]
r"""
At first the answer is a blur. Then strokes appear that differ from frame to frame. At the end there is a digit.
[Chapter 4](04_removing_noise.ipynb) is about this loop.

The noise is made of random numbers, which are drawn from a [seed](glossary.md#seed). The same seed gives the same clip.
Another seed gives another clip for the same caption.
"""

# %%
few = size(model.settings.steps, 2)
again = model.generate(prompts[0], seed=1, steps=few)
others = [model.generate(prompts[0], seed=seed, steps=few) for seed in (2, 3, 4)]
assert np.allclose(drawn[:1], again, atol=1e-3)
assert all(np.abs(other - again).max() > 0.1 for other in others)

show(np.concatenate([again, *others]), captions=[f"seed {seed}" for seed in (1, 2, 3, 4)], columns=4)

# %% [markdown]
r"""
## Is it what was asked for?

Four nice clips prove nothing. They may be lucky ones, or somebody may have picked the best. So we draw more clips and
count. The [judge](glossary.md#judge), a small network that was trained to read digits, looks at every frame. A tracker
follows the digit and compares its path with the caption.

One number alone proves nothing either. We put two others beside it, the [ceiling and the
floor](glossary.md#ceiling-and-floor). The ceiling is the same measure on real clips. It may be below 100%, since the
judge makes mistakes, too. The floor is the measure on the drawn clips with wrong captions. It may be above 0%, since a
wrong caption may fit by chance.
"""

# %%
asked = [f"a {digit} moving {way}" for digit in range(10) for way in ("right", "up", "down and left")]
asked = asked[: size(30, 4)]
answers = model.generate(asked, seed=7, steps=size(20, 2))  # half the steps, to be quick
real = clips.render(generator, [parse(caption) for caption in asked]).video


def share_right(videos, captions):
    seen = observe(videos, digit_size=model.settings.digit_size, digits=1)
    right = prompt_metrics(seen, read_captions(captions, videos.shape[2:4]))["obeys"]  # 1 where right
    return Estimate.share(right)  # the mean, and a range that holds it with 95% confidence


wrong = asked[1:] + asked[:1]  # everyone gets the neighbour's caption
figures = {
    "real clips (ceiling)": share_right(real, asked),
    "drawn clips": share_right(answers, asked),
    "drawn clips, wrong captions (floor)": share_right(answers, wrong),
}
for name, share in figures.items():
    print(f"{name:36}{share.mean:>4.0%} of {share.n} are right (so between {share.low:.0%} and {share.high:.0%})")

# %%
figure, axes = plt.subplots(figsize=(7, 1.9), layout="constrained")
means = np.array([share.mean for share in figures.values()])
ranges = [[share.mean - share.low, share.high - share.mean] for share in figures.values()]
axes.barh(list(figures), means, xerr=np.transpose(ranges), color=["0.6", "C0", "0.8"], capsize=4)
axes.set(xlim=(0, 1.02), xlabel=f"share of {len(asked)} clips in which digit and direction are right")
axes.invert_yaxis()
plt.show()

# %% [markdown]
r"""
The thin lines are 95% [confidence intervals](glossary.md#confidence-interval). They are long, because we drew few
clips. `minivdit evaluate` draws more. Also, we measured one model on one kind of clip. Clips with two digits are
harder: the digits often melt, or one of them appears twice. The README of the project has the figures.

## From caption to clip

Each part between sentence and clip has a chapter that takes it apart:

```
caption -> words -> text encoder ------------------.                       chapter 8
                                                   v
noise -> patches -> transformer blocks: attention, text, levels -> less noise, again and again
         chapter 6  chapters 5, 7, 11                              chapters 3, 4
                                                   |
         clip <- autoencoder's decoder <- latents <'                       chapter 9
```

## Exercises

Fill in a stub, run its cell, and read what `check` says. The last two exercises have no check. Worked solutions are in
[solutions/00_start_here](solutions/00_start_here.ipynb).

**1. Play backwards.** `video` is (B, T, H, W, C). Return the same clips with their frames in the opposite order. The
frames themselves stay as they are.
"""


# %%
def backwards(video):
    pass  # fill me in, about 1 line


check.ch00_backwards(backwards)

# %% [markdown]
r"""
**2. Side by side.** `first` and `second` are batches of clips. Their shapes differ only in the width W. Put each clip
of `second` to the right of the clip of `first` with the same number. Return one batch, as wide as both together.
"""


# %%
def beside(first, second):
    pass  # fill me in, about 1 line


check.ch00_beside(beside)

# %% [markdown]
r"""
**3. How far does the ink spread?** Pixels with ink lie at some distance from the centre of mass. For each frame of each
clip, return the root of the mean square of this distance, weighted by brightness. `video` is (B, T, H, W, 1), and the
result is (B, T):

$$s = \sqrt{\frac{\sum_{y,x} I_{yx}\, \big((y - \bar y)^2 + (x - \bar x)^2\big)}{\sum_{y,x} I_{yx}}}$$

where $(\bar y, \bar x)$ is the centre of mass of that frame. (If a digit melts, $s$ grows.)
"""


# %%
def spread(video):
    pass  # fill me in, about 6 lines


check.ch00_spread(spread)

# %% [markdown]
r"""
**4. Break it and explain.** Exchange rows and columns of the real clips: `real.swapaxes(2, 3)`. Nothing raises an
error. First predict what you'll see: which way do the digits move now, and which digits can still be read? Then show
some clips, and measure with `share_right`, once with the captions `asked` and once with captions that say the new
directions. Why can a canvas of 32 x 32 pixels hide this mistake?

**5. A question to explore.** Which digit, or which direction, does the model get wrong most often? Choose captions, draw
clips with several seeds, and count. How many clips do you need before you believe your answer?
"""

# %% [markdown]
r"""
## In practice

- **Size.** One second of a film of 1280x720 pixels has 24 frames. These are 24 * 720 * 1280 * 3, about 66 million
  numbers. So large systems compress a film first ([Rombach et al. 2022](references.md#rombach-2022)), and draw
  compressed clips. Ours does so, too.
- **Sora** was described as a diffusion transformer on space-time patches of compressed video ([Brooks et al.
  2024](references.md#brooks-2024)); **CogVideoX** ([Yang et al. 2024](references.md#yang-2024)) and **Open-Sora**
  ([Zheng et al. 2024](references.md#zheng-2024)) are built in a similar way, and their code and weights are public.
- **Captions** of large systems are free text. A network that was first trained on very much text reads them. Our
  captions follow a grammar, so that we can *measure* whether a clip shows what its caption says.

## Further reading

- [Srivastava et al. 2015](references.md#srivastava-2015): moving MNIST. [Mittal et al.
  2017](references.md#mittal-2017): moving digits with captions, drawn by a model without diffusion.
- The README of the project: what the shipped weights can do and what they can't, with figures.

Next: [chapter 1](01_autograd.ipynb), how a program finds the slope of what it computes. Or look at [the
map](README.md#the-map).
"""
