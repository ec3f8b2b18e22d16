# %% [markdown]
r"""
# 10. The consistency problem: frames one by one, pixel to same pixel, or all at once

*About 60 minutes with the exercises. Runs in about three minutes.*

**You'll do:** measure consistency, and see how the measure is fooled; train a network that has no link between frames and
watch its ball change colour; train one whose links go from a pixel to the same pixel (the article's Figure 1), and one that
links everything (Figure 2), alike; compare them with several seeds and two speeds.

**You'll learn:** why consistency means nothing without motion; why starting all frames from the same noise is no way
out; what frames and time in turn can do and what they find hard; how to say honestly how sure a comparison is.

**You need:** [chapter 3](03_adding_noise.ipynb) and [chapter 7](07_the_transformer_block.ipynb). Why a block sees what it
sees is told in [chapter 11](11_joint_attention.ipynb); what that costs, in [chapter 12](12_the_bill.ipynb).

![Frames whose pixels are linked to the same pixels of other frames](pictures/10.svg)

*The article* is the text that this project set out from, on how diffusion transformers came to make video. Its Figure 1 links each
pixel to the same pixel of the other frames, its Figure 2 links everything; it claims that with the first what moves *can't* stay
consistent, and that 100 frames cost 10,000 times one.
"""

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit import diffusion
from minivdit.base.backend import blas_threads
from minivdit.data import SPEEDS, CaptionedClips, digit_source
from minivdit.lab import evaluation as ev
from minivdit.lab.display import show
from minivdit.lab.evaluation import Estimate
from minivdit.lab.lessons import check, size
from minivdit.lab.study.ball import (
    FRAMES,
    GRID,
    HEIGHT,
    PACES,
    PATCH,
    SCALE,
    TURNS,
    WIDTH,
    Rolling,
    look_at,
    rolling,
    straight_line,
)
from minivdit.lab.study.digits import DIGIT_SIZE, PIXELS_PER_FRAME
from minivdit.lab.study.worlds import left_behind
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.models.patterns import links, reachable
from minivdit.models.schemes import SCHEMES
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## What it is, and how to be fooled

A clip is *[consistent](glossary.md#consistency)* if things stay what they are: the 3 remains a 3, and this 3 remains this 3. The library measures it
on moving digits: `one_class`, does the judge of [chapter 2](02_layers_and_learning.ipynb) read the same digit in every
frame; `likeness`, how well the digit's picture correlates with its first one. A figure like that says nothing by itself, so
beside it stand a ceiling, real clips, and floors: real clips spoilt in one way each.

**Claim.** A frozen clip wins everything that is about consistency.
"""

# %%
maker = CaptionedClips(digit_source("strokes", split="test"), num_digits=(1,), held_out="include", synonyms=False)
asked = [maker.draw_motions(generator) for _ in range(size(40, 6))]
real, others = (maker.render(generator, asked) for _ in range(2))
with blas_threads(1):
    report = ev.evaluate(real.video, real.captions, (real.video, others.video), maker.digit_size)

columns = {
    "real": "real",
    "recombined": "frames of\nother clips",
    "shuffled frames": "frames\nshuffled",
    "frozen": "frozen",
}
figure, panels = plt.subplots(1, 4, figsize=(9.5, 2.6), layout="constrained", sharey=True)
for axes, name in zip(panels, ("one_class", "likeness", "on_path", "travel")):
    values = [report[column][name].mean for column in columns]
    axes.barh(range(len(columns)), values, color=["C0", "C1", "C1", "C1"])
    title = "travel (px)" if name == "travel" else name
    axes.set(title=title, yticks=range(len(columns)), yticklabels=columns.values(), xlim=(0, max(1, *values)))
panels[0].invert_yaxis()
plt.show()
for name in ("one_class", "likeness", "on_path", "travel"):
    print(f"{name:10}", {column: round(float(report[column][name].mean), 2) for column in columns})
assert report["frozen"]["likeness"].mean >= report["real"]["likeness"].mean > report["recombined"]["likeness"].mean
assert report["frozen"]["travel"].mean == 0

# %% [markdown]
r"""
Each of the three floors is caught by another measure. *Frozen* is as consistent as the real clips, so a measure of motion must stand beside it: `travel`, how far the
digit goes. But *frames of other clips* travel, too: to jump is to move. It is `on_path` that refuses both, since it asks for one
bouncing line. *Shuffled* clips have identity and travel, and again only `on_path` notices. And the floor of `likeness` isn't 0: two
handwritten digits resemble each other. ([Ceiling and floor](glossary.md#ceiling-and-floor) will stand beside every figure here.)

## A world that trains in seconds

To compare networks we must train several, so we shrink the world: a corridor of 4 x 20 pixels, six frames, one ball. Its
*colour* is its identity, any hue of the circle. It rolls left or right, *slow* or *fast*, and the caption is this one
word. Slow is a fraction of a pixel a frame; fast, more than the ball's own width. Pixels are the latents, and a
[patch](glossary.md#patch) is 4 x 2 pixels: ten tokens a frame. (`rolling` and the rest of this world is in
`minivdit/lab/study/ball.py`.)
"""


# %%
def at_pace(word, count, seed=1):
    return rolling(np.random.default_rng(seed), np.full(count, PACES[word]))


def draw_clips(panels, clips):
    """Each clip as one picture: frame beneath frame, so that a straight way is a straight line."""
    for axes, clip in zip(panels, clips):
        gaps = np.pad(clip, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=0.35)
        axes.imshow(gaps.reshape(-1, WIDTH, 3)[:-1])
        axes.set(xticks=[], yticks=[])


figure, panels = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
for half, word in zip((panels[:4], panels[4:]), PACES):
    draw_clips(half, at_pace(word, 4)[0])
    half[0].set_title(word, loc="left", fontsize=9)
panels[0].set_ylabel("time, downwards", fontsize=8)
plt.show()

# %% [markdown]
r"""
The measures are as simple. Where is the ball: the centre of its ink. What is its hue: the ink's mean colour as an angle. Then
for each clip: by how many degrees the hue differs from that of the first frame; how far the centre is from the best
straight line, in pixels; and the speed of that line. To show nothing must not count as consistent: a frame without a ball gets the 90
degrees of chance (in a moment), and `seen` is the share of frames that show one. First as a loop, then for all clips at once.
"""


# %%
def hue_by_loop(frame):  # (H, W, 3) -> radians
    total = 0j
    for row in frame:
        for pixel in row:
            if pixel.max() > 0.25:
                total += pixel.max() * sum(value * turn for value, turn in zip(pixel, TURNS))
    return np.angle(total)


def measure(video):
    """Values (B,) by name."""
    hue, x, seen = look_at(video)  # of all frames at once: hues, centres, whether there is a ball; each (B, T)
    away = np.degrees(np.abs(np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1])))))
    off, speed = straight_line(x)
    return {
        "change of hue": np.where(seen[:, 1:] & seen[:, :1], away, 90).mean(axis=1),
        "off the line": off,
        "speed": speed,
        "seen": seen.mean(axis=1),
    }


CLIPS = size(64, 8)
truth, hues = at_pace("fast", CLIPS)
assert np.allclose(look_at(truth)[0][:, 0], [hue_by_loop(clip[0]) for clip in truth], atol=1e-4)
assert np.allclose(look_at(truth)[0], hues[:, None], atol=1e-3)  # the ball is the colour it was given


def table(rows, word):
    """Print the mean of each measure for {name: clips}."""
    print(f"{word}, {PACES[word]} px a frame".ljust(28), *(f"{name:>15}" for name in measure(truth)))
    for name, video in rows.items():
        print(name.ljust(28), *(f"{values.mean():15.2f}" for values in measure(video).values()))


def floors(video):
    mixed = {"frames of other clips": ev.recombined(video, generator), "shuffled": ev.shuffled_frames(video, generator)}
    return {"real": video, **mixed, "frozen": ev.frozen(video)}


for word in PACES:
    table(floors(at_pace(word, CLIPS)[0]), word)

# %% [markdown]
r"""
The floor of the hue can be had without a clip: two independent hues are between 0 and 180 degrees apart, all equally
likely, so **90 degrees** on average. That is what "no link" looks like.

## Train alike

One network for each [pattern](glossary.md#attention-pattern); all else is shared: the first weights (checked below), the batches,
the noise, the steps. The
network says what the *clean* clip is (the prediction `clean` of [chapter 3](03_adding_noise.ipynb)), which so small a network learns fastest. (`Rolling`, the task, is in
`minivdit/lab/study/ball.py`: draw clips, a level and noise; mix; compare the answer with the clean clip.)
"""

# %%
process = diffusion.Process(diffusion.make("rectified_flow"), "clean")


@blas_threads(1)  # products this small are quicker with one
def draw(model, word, noise, steps=20, sampler="ddpm"):
    """Clips (B, T, H, W, 3) from noise of that shape; any number of frames."""
    words = np.full((len(noise), 1), 1 + list(PACES).index(word), np.int32)
    levels = diffusion.level_matrix(steps, *noise.shape[:2])
    with ag.no_grad():
        clean = diffusion.sample(
            lambda x, level: model(x, level, words).data,
            noise.astype(np.float32),
            levels,
            process,
            sampler=sampler,
            generator=np.random.default_rng(5),
        )
    return (clean / SCALE).clip(0, 1)


def network(pattern, seed, positions="both"):
    config = VideoDiTConfig(
        latent_channels=3,
        patch_size=PATCH,
        width=48,
        depth=4,
        heads=4,
        text_depth=0,
        positions=positions,
        patterns=SCHEMES[pattern],
    )
    return VideoDiT(config, 3, np.random.default_rng(seed))


BATCH, STEPS = size(32, 4), size(240, 8)
MARKS = [STEPS // 8, STEPS // 4, STEPS // 2, STEPS]  # when to look how far it has come
noise = generator.standard_normal((CLIPS, FRAMES, HEIGHT, WIDTH, 3), dtype=np.float32)
history, losses = {}, {}


def trained(pattern, seed, **options):
    model = network(pattern, seed, **options)
    settings = TrainingSettings(
        steps=STEPS,
        batch=BATCH,
        shards=2,
        learning_rate=6e-3,
        matrix_learning_rate=0.03,
        warmup=min(20, STEPS - 1),
        ema_decay=0.97,
    )
    run, told = Run(Rolling(model, BATCH), settings, seed), []
    for state in train(run):
        told.append(state.loss)
        if state.step in MARKS:
            with run.average.applied():  # the running mean of the weights, better than the last ones
                half = noise[: CLIPS // 2]
                history[pattern, seed, state.step] = {
                    word: measure(draw(model, word, half, steps=12)) for word in PACES
                }
    for name, averaged in run.average.average.items():
        run.parameters[name].data = averaged
    losses[pattern, seed] = told
    print(f"{pattern}, seed {seed}: {STEPS} steps, loss {told[0]:.3f} to {np.mean(told[-20:]):.3f}")
    return model


first, second = (network(pattern, 0).state_dict() for pattern in ("framewise", "joint"))
assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)

# %% [markdown]
r"""
## Frames one by one

The pattern `frame` lets a token look only inside its own frame. An image model doesn't know a frame's number either, so this
first network gets rotary positions only, which tell how far apart two tokens are and nothing else. **Claim.** It is exactly
an image model that is called once for each frame.
"""

# %%
image = trained("perframe", 0, positions="rotary")
at_once = draw(image, "fast", noise, sampler="euler")
one_by_one = np.concatenate([draw(image, "fast", noise[:, t : t + 1], sampler="euler") for t in range(FRAMES)], axis=1)
assert np.allclose(at_once, one_by_one, atol=1e-3)

figure, panels = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
draw_clips(panels, at_once)
figure.suptitle("fast, frame by frame", fontsize=10)
plt.show()
table({"frame by frame": at_once}, "fast")

# %% [markdown]
r"""
Nearly every frame by itself is a good picture: a round ball of one colour. As a clip it is worthless, with a new ball in each
frame, and the change of hue at its floor of 90 degrees. Longer training won't help: the network has no way to know what
it draws in the next frame, and the caption doesn't say which colour.

**A way out?** Euler's sampler makes the picture out of its noise and nothing else. So give all frames *the same*
noise. Between the two lie all degrees of sharing: a part common to all frames and a part of each frame's own, weighted so that the
deviation stays 1 and the correlation between frames is the share c:

$$\text{noise}_t = \sqrt{c}\;\text{common} + \sqrt{1-c}\;\text{own}_t$$
"""

# %%
common = generator.standard_normal((CLIPS, 1, HEIGHT, WIDTH, 3), dtype=np.float32)
shares = np.array([0, 0.5, 0.8, 0.9, 0.99, 1])
mixed = {
    share: draw(image, "fast", np.sqrt(share) * common + np.sqrt(1 - share) * noise, sampler="euler")
    for share in shares
}

correlation = np.corrcoef((np.sqrt(0.8) * common + np.sqrt(0.2) * noise)[:, :2].swapaxes(0, 1).reshape(2, -1))[0, 1]
assert abs(correlation - 0.8) < 0.05  # between the noise of two frames

jumps = [np.abs(np.diff(look_at(video)[1])).mean() for video in mixed.values()]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for axes, values, title in (
    (left, [measure(video)["change of hue"].mean() for video in mixed.values()], "change of hue (degrees)"),
    (right, jumps, "way from frame to frame (px)"),
):
    axes.plot(shares, values, "o-")
    axes.set(xlabel="share of noise that all frames have in common", title=title)
    axes.grid(alpha=0.3)
right.axhline(PACES["fast"], color="C1", linestyle="--", label="asked for")
right.legend(fontsize=8)
figure.suptitle("frame by frame, with noise in common", fontsize=10)
plt.show()

figure, panels = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
for half, share in zip((panels[:4], panels[4:]), (0.9, 1)):
    draw_clips(half, mixed[share])
    half[0].set_title(f"share {share:g}", loc="left", fontsize=9)
plt.show()
table({f"share {share:g}": mixed[share] for share in (0.9, 0.99, 1)}, "fast")
assert np.allclose(mixed[1], mixed[1][:, :1], atol=1e-3)  # frozen, exactly

# %% [markdown]
r"""
That is the dilemma. With the same noise the clip is perfectly consistent, and frozen. In between the ball neither keeps its
colour nor rolls: it stays for some frames, then jumps somewhere else. Nowhere on the way is there a rolling ball, though at
some share the *length* of the steps is right, by chance: one more reason to ask for the straight line as well. Noise in common is used in
practice, but as a help for networks that have links.

## Pixel to same pixel

The next cheapest: after each block inside frames, one in which a token looks at *the same place* in all frames, the
pattern `time`. This is the article's Figure 1, in the library `framewise`. The corridor is one token high, so tokens can be
drawn as a map of place and time. The large dot is a token that holds the fast ball in the third frame, the small dots are the
ball's places in the others; what the token sees is yellow. The last two maps ask what it has *heard of* after two blocks, at
second hand, too.
"""

# %%
places = GRID[2]
way = measure(truth[:1])["speed"][0]
on_way = (
    np.round(look_at(truth[:1])[1][0] / PATCH[2] - 0.5).astype(int).clip(0, places - 1)
)  # the ball's token in each frame
chosen = 2 * places + on_way[2]

looks = dict(zip(("frame", "time", "joint"), links(["frame", "time", "joint"], GRID)))
reach = {"frame, time": reachable(["frame", "time"], GRID), "frame, frame": reachable(["frame", "frame"], GRID)}
figure, panels = plt.subplots(1, 5, figsize=(9.5, 2.1), layout="constrained")
for axes, (name, matrix) in zip(panels, [*looks.items(), *reach.items()]):
    axes.imshow(matrix[chosen].reshape(FRAMES, places), cmap="cividis", vmin=0, vmax=1)
    axes.plot(on_way, np.arange(FRAMES), "o", color="C1", markersize=4)
    axes.plot(on_way[2], 2, "o", color="C3", markersize=7)
    axes.set(xticks=[], yticks=[], title=f"looks at: {name}" if name in looks else f"hears of, in 2:\n{name}")
    axes.title.set_fontsize(9)
panels[0].set_ylabel("time, downwards", fontsize=8)
plt.show()

others_on_way = [t * places + on_way[t] for t in range(FRAMES) if t != 2]
for name, matrix in [*looks.items(), *reach.items()]:
    print(f"{name:13} the ball's token meets {matrix[chosen][others_on_way].sum()} of the ball's 5 other places")

# %% [markdown]
r"""
The direct link of the pattern `time` leads away from a fast ball: to the same place, where in the other frames there is only
background. How often does this happen? The library counts the patches with ink that have none one frame later. On our balls, and on digits on 64 x 64 pixels at the three speeds of `minivdit study` (its fast is chosen so that a digit
leaves its patch at once, and is four times that of the library's usual clips):
"""


# %%
def left_by_loop(video, patch):
    left = total = 0
    for clip in video:
        for now, then in itertools.pairwise(clip):
            for y in range(0, now.shape[0], patch[0]):
                for x in range(0, now.shape[1], patch[1]):
                    box = slice(y, y + patch[0]), slice(x, x + patch[1])
                    if now[box].max() > 0.25:
                        total, left = total + 1, left + (then[box].max() <= 0.25)
    return left / total


assert np.isclose(left_by_loop(truth[:4], PATCH[1:]), left_behind(truth[:4], PATCH[1:]))
for word in PACES:
    share = left_behind(at_pace(word, CLIPS)[0], PATCH[1:])
    print(f"ball, {word}: {share:.0%} of its patches are background one frame later")

digit_size = 2 * DIGIT_SIZE
for word, pixels in zip(SPEEDS, PIXELS_PER_FRAME):
    form = {"digit_size": digit_size, "num_digits": (1,), "speeds": (word,), "pixels_per_frame": PIXELS_PER_FRAME}
    video = CaptionedClips(digit_source("strokes", split="test"), **form).batch(generator, size(24, 4)).video
    shares = {side: left_behind(video, (side, side)) for side in (8, 16)}
    told = ", ".join(f"{share:.0%} of patches of {side} x {side}" for side, share in shares.items())
    print(f"digit, {word:6} ({pixels:4} px a frame): {told}")

# %% [markdown]
r"""
So a slow thing is linked to itself, and a fast one to the background that it has left. It is tempting to conclude, as the article
does, that such a network *cannot* keep a moving thing consistent. **That isn't so**, and the fourth map shows why: after a
block inside frames and one over time, everything has heard of everything. (Frames alone, the fifth, never get there.) The background token at the ball's old place can learn,
inside its frame, where the ball is now and what colour it has, and hand that on. What is lost isn't the link but its
directness: news travels through a token that must carry it beside its own business, and it takes two blocks, so that a
network of four has two exchanges where `joint` has four. Whether that matters isn't to be settled by argument.

## The experiment

Train all three alike: equal weights at the start, equal batches, equal steps. (All know absolute positions now, the number of the
frame too; so this `perframe` is a little wiser than our image model.)
"""

# %%
names = ("perframe", "framewise", "joint")
models = {(name, 0): trained(name, 0) for name in names}

drawn = {key: {word: draw(model, word, noise) for word in PACES} for key, model in models.items()}
figure, rows = plt.subplots(3, 10, figsize=(9.5, 4.8), layout="constrained")
for row, name in zip(rows, names):
    for half, word in zip((row[:5], row[5:]), PACES):
        draw_clips(half, drawn[name, 0][word])
        half[0].set_title(f"{name}, {word}", loc="left", fontsize=9)
plt.show()
for word in PACES:
    table({"real": at_pace(word, CLIPS)[0], **{name: drawn[name, 0][word] for name in names}}, word)
    print()

# %%
show(*(drawn[name, 0]["fast"][:6] for name in names), columns=1, factor=8, frames_per_second=3)

# %% [markdown]
r"""
(Moving, a clip in each row: `perframe`, `framewise`, `joint` from left to right, all fast.)

Where in the process is the difference made? The network's error on fixed test clips, at every
[noise level](glossary.md#noise-level), tells.
"""

# %%
LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97])


@blas_threads(1)
def errors(model, word):
    """Mean squared error of the clean clip at each of LEVELS, on the same clips and noise for all."""
    clean, words = SCALE * at_pace(word, CLIPS, seed=2)[0], np.full((CLIPS, 1), 1 + list(PACES).index(word), np.int32)
    found = []
    for level in LEVELS:
        level = np.full((CLIPS, FRAMES), level, np.float32)
        with ag.no_grad():
            guess = model(process.mix(clean, noise, level).astype(np.float32), level, words).data
        found.append(((guess - clean) ** 2).mean())
    return np.array(found)


loss = {key: {word: errors(model, word) for word in PACES} for key, model in models.items()}
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained", sharey=True)
for axes, word in zip(panels, PACES):
    for name, style in zip(names, ("o:", "s--", "D-")):
        axes.semilogy(LEVELS, loss[name, 0][word], style, markersize=4, label=name)
    axes.set(xlabel="noise level", title=word)
    axes.grid(alpha=0.3)
panels[0].set_ylabel("error of the clean clip")
panels[0].legend(fontsize=8)
plt.show()
for word in PACES:
    told = {name: round(float((loss[name, 0][word] / loss["perframe", 0][word])[4]), 2) for name in names[1:]}
    print(f"{word}: error at level {LEVELS[4]}, as a share of perframe's: {told}")

# %% [markdown]
r"""
At low noise a frame shows all by itself and the three are alike: links have nothing to add. At the highest nobody sees
anything. In between, where the other frames hold what this one has lost in noise, is where a clip is decided, and where links
pay. Between `framewise` and `joint`, though, these curves hardly tell.

## How sure, and after how long?

One training proves little: another seed, another result. And one moment of it proves little: who is behind may catch up. So
train with two further seeds, and look at all of them on the way. (`perframe` is shown at its end.)
"""

# %%
SEEDS = range(size(3, 2))
for seed in SEEDS[1:]:
    for name in ("framewise", "joint"):
        models[name, seed] = trained(name, seed)

# %%
figure, rows = plt.subplots(2, 2, figsize=(9.5, 5), layout="constrained", sharex=True, sharey="row")
for row, what in zip(rows, ("change of hue", "off the line")):
    for axes, word in zip(row, PACES):
        for name, style, colour in (("framewise", "s--", "C1"), ("joint", "D-", "C2")):
            for seed in SEEDS:
                values = [history[name, seed, step][word][what].mean() for step in MARKS]
                label = name if seed == 0 else None
                axes.plot(MARKS, values, style, color=colour, markersize=4, alpha=0.8, label=label)
        end = history["perframe", 0, STEPS][word][what].mean()
        axes.plot(STEPS, end, "o", color="C0", label="perframe")
        axes.set_title(f"{what}, {word}", fontsize=10)
        axes.grid(alpha=0.3)
    row[0].set(ylim=(0, None), ylabel="degrees" if what == "change of hue" else "px")
for axes in rows[1]:
    axes.set(xlabel="steps of training", xticks=MARKS)
rows[0, 0].legend(fontsize=8)
figure.suptitle("less is better; a line for each seed", fontsize=10)
plt.show()

# %% [markdown]
r"""
What a seed does is common to both patterns (the same first weights, the same batches), so take the *difference* within each
seed, `framewise` - `joint`, and give its mean an interval: Student's t, wide for so few. Above 0, `joint` is better. And if it is the
*pace* that makes the difference, as the count of patches left behind suggests, then the gap must be wider for the fast ball than
for the slow one: that, too, is a difference within each seed.
"""


# %%
def gap(what, word, step):
    """framewise - joint, one value for each seed."""
    both = [[history[name, seed, step][word][what].mean() for seed in SEEDS] for name in ("framewise", "joint")]
    return np.subtract(*both)


def with_interval(estimate):
    return f"{estimate.mean:6.2f} ({estimate.low:7.2f} to {estimate.high:6.2f})"


figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
for axes, what, unit in zip(panels, ("change of hue", "off the line"), ("degrees", "px")):
    for word, style, aside in (("slow", "o", 0.95), ("fast", "D", 1.05)):
        found = [Estimate.over_runs(gap(what, word, step)) for step in MARKS]
        means = np.array([one.mean for one in found])
        reach = means - [one.low for one in found]
        axes.errorbar(np.array(MARKS) * aside, means, reach, fmt=style, capsize=4, label=word)
        for step, one in zip(MARKS, found):
            verdict = "joint is better" if one.low > 0 else "framewise is better" if one.high < 0 else "not shown"
            print(f"{what}, {word}, step {step:3}: {with_interval(one)}  {verdict}")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks(MARKS, MARKS)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="steps of training", ylabel=unit, title=f"{what}: framewise - joint")
    axes.grid(alpha=0.3)
panels[0].legend(fontsize=8)
plt.show()

print("\nchange of hue: the gap with the fast ball, minus that with the slow one")
for step in MARKS:
    wider = Estimate.over_runs(gap("change of hue", "fast", step) - gap("change of hue", "slow", step))
    print(f"step {step:3}: {with_interval(wider)}")

print("\nshare of frames that show a ball, and training loss of framewise as a share of joint's, for each seed")
for step in MARKS:
    seen = [
        f"{name} {word} {np.mean([history[name, seed, step][word]['seen'] for seed in SEEDS]):.2f}"
        for name, word in itertools.product(names[1:], PACES)
    ]
    recent = [[np.mean(losses[name, seed][:step][-20:]) for seed in SEEDS] for name in names[1:]]
    shares = np.divide(*recent)
    print(f"step {step:3}: {', '.join(seen)}; loss", ", ".join(f"{share:.2f}" for share in shares))

sooner = [gap("change of hue", "fast", step) > 0 for step in MARKS[1:3]]
assert size(np.all(sooner) and np.all(shares < 1), True)  # in every seed; a few steps, as in the tests, show nothing

# %% [markdown]
r"""
Read it with care.

- **Identity.** Without links it stays at the floor, however long the training. With links all networks end near the ceiling,
  those that are linked pixel to same pixel, too: "cannot" is refuted.
- **Pace.** But who gets there first depends on it. With the fast ball `joint` leads, and halfway all its seeds hold their colour
  while those of `framewise` don't yet. With the slow ball `framewise` leads at first, as links from pixel to same pixel should for what
  stays where it is, and is overtaken. Early in the training the gap between the paces has its whole interval above 0: the detour
  is real. It doesn't say *can't*, it says *later*.
- **Motion.** With the slow ball `framewise` is the first to keep to the line, too; at the end no difference is shown. To roll
  straight when fast, neither has learned in so few steps: look at the floors again.
- **Loss.** That of `framewise` is the *lower* one at each of these steps, even while its fast balls change their colour. A loss
  adds up everything and doesn't say which part of it is the colour. Who chooses by the loss alone chooses the other network.
- **How sure?** Three seeds, one learning rate, one small world; and of some twenty intervals of 95%, one in twenty misses
  by chance. "Not shown" doesn't mean "the same": halfway, with the fast ball, all of `joint` lie below all of `framewise`, but by
  amounts so different that the interval can't exclude 0. And early on `joint` leaves many frames without a ball, which
  counts as chance: with the fast ball it leads in spite of that, and a part of its lag with the slow one may be no more than that. (The
  gap between the paces is hardly touched, since the balls are missing about equally at both.)

The article's claim thus wants a correction. Linked pixel to same pixel, frames *can* be consistent; for what moves fast it takes
longer to learn. How much of that is left in a large network after a long training, this corridor can't say.
"""

# %% [markdown]
r"""
## What it costs

Steps were equal; their price isn't. It is in the pairs of tokens for which scores are computed. ([Chapter 12](12_the_bill.ipynb) has the
whole bill.)
"""

# %%
for grid in (GRID, (16, 8, 8)):
    pairs = {name: np.mean([costs.score_pairs(one, grid) for one in SCHEMES[name]]) for name in names}
    print(grid, ", ".join(f"{name} {value:,.0f} pairs a block" for name, value in pairs.items()))
    assert pairs["joint"] == np.prod(grid) ** 2

# %% [markdown]
r"""
## At full size

All this was in a corridor, with one ball, four blocks and a short training. The same comparison on moving digits, through captions,
an autoencoder and the metrics at the top of this chapter, is one command: `minivdit study` trains the patterns alike with
several seeds, on this ball and on digits, at equal steps and at equal FLOPs, and writes every figure beside ceiling and
floor. The weights that ship are put beside each other by `minivdit compare`.

## Exercises

Worked solutions are in [solutions/10_the_consistency_problem](solutions/10_the_consistency_problem.ipynb).

**1. The worst pair.** A mean over frames can hide one bad frame. `hue` (B, T) in radians, anywhere from -pi to pi. For each clip
(B,): by how many *degrees* the two frames differ that differ most, the short way round the circle.
"""


# %%
def worst_pair(hue):
    pass  # fill me in, about 2 lines


check.ch10_hue(worst_pair)

# %% [markdown]
r"""
**2. Noise that is handed on.** Instead of one noise in common, each frame may take over a part of the noise of the frame before.
From `own` (B, T, H, W, C), independent standard normal: noise of deviation 1 in which the first frame is its own, and each
further one a weighted sum of the noise before it and its own, so that neighbours correlate by `share`. (By how much, then, do frames
that are k apart?)
"""


# %%
def noise_handed_on(own, share):
    pass  # fill me in, about 4 lines


check.ch10_noise(noise_handed_on)

# %% [markdown]
r"""
**3. Left behind.** `inked` (B, T, rows, columns) says which patches show ink. Of those that do: the share that doesn't
in the next frame. A patch of the last frame has no next one.
"""


# %%
def share_left(inked):
    pass  # fill me in, about 2 lines


check.ch10_left(share_left)

# %% [markdown]
r"""
**4. How sure?** `a` and `b` (n,) are a figure of two patterns, trained with the same n seeds. The interval (low, high) of the mean of
a - b: the mean, plus and minus t times its standard error, the deviation of the differences (divide by n - 1) over the root of n.
"""


# %%
def interval(a, b, t):
    pass  # fill me in, about 3 lines


check.ch10_paired(interval)

# %% [markdown]
r"""
## In practice

- **An image model with links over time added**: **Video Diffusion Models** puts an attention over time, pixel to same pixel, after each
  attention inside frames ([Ho, Salimans and others 2022](references.md#ho-salimans-2022)). **AnimateDiff** inserts such layers
  into an image model that stays as it was ([Guo et al. 2023](references.md#guo-2023)).
- **Frames and time in turn** in transformers: **Latte** ([Ma et al. 2024](references.md#ma-2024)) tried four ways to divide them;
  the STDiT of **Open-Sora** 1.0 to 1.2 puts time after space in every block ([Zheng et al. 2024](references.md#zheng-2024)).
- **Noise in common**: **PYoCo** trains a video model, which has links, from noise that is shared in part or handed on, as in
  exercise 2 ([Ge et al. 2023](references.md#ge-2023)).
- **All at once**: **CogVideoX** gives the reason of this chapter: a head that moves can't attend to itself in the next frame,
  the news has to go through patches of background ([Yang et al. 2024](references.md#yang-2024)).

## Further reading

- [Chapter 11](11_joint_attention.ipynb): the same links by disturbing a patch, and in the attention of trained weights.
- `minivdit/lab/study/`: how a fair comparison is set up; `minivdit/lab/evaluation/`, how digits are followed.

Next: [chapter 11](11_joint_attention.ipynb), who can influence whom.
"""
