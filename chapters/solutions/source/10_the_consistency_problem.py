# %% [markdown]
r"""
# Solutions to chapter 10

Worked answers to the exercises of [chapter 10](../10_the_consistency_problem.ipynb). Try them yourself first.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit import diffusion
from minivdit.base.backend import blas_threads
from minivdit.lab.lessons import check, size
from minivdit.lab.study.ball import GRID, PACES, PATCH, SCALE, WIDTH, Rolling, look_at
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings

# %% [markdown]
r"""
**1. The worst pair.** Broadcasting gives all pairs, (B, T, 1) - (B, 1, T). Two hues may be neighbours although their
angles differ by nearly a whole turn. `np.angle` gives the angle of a complex number between -180 and 180 degrees, so
its absolute value is the short way.
"""


# %%
def worst_pair(hue):
    away = np.angle(np.exp(1j * (hue[:, :, None] - hue[:, None, :])))  # (B, T, T)
    return np.degrees(np.abs(away)).max(axis=(1, 2))


check.ch10_hue(worst_pair)

# %% [markdown]
r"""
**2. Noise that is handed on.** Variances add up: share² + (1 - share²) = 1. The covariance of neighbours is the weight
of the noise before, which is share itself. For frames k apart, the noise was handed on k times, so their correlation is
share to the power of k. (With noise in common the weight was the root of the share, since *both* frames carried it.)
"""


# %%
def noise_handed_on(own, share):
    noise = own.copy()
    for t in range(1, own.shape[1]):
        noise[:, t] = share * noise[:, t - 1] + np.sqrt(1 - share**2) * own[:, t]
    return noise


check.ch10_noise(noise_handed_on)

# %% [markdown]
r"""
**3. How far does a link reach?** For each k, pair every frame with the frame k later. The last k frames of a clip have
none, so they count neither in the numerator nor in the denominator. On the fast ball all shares are large: no link of
`time` finds it.
"""


# %%
def left_behind_after(inked):
    shares = []
    for k in range(1, inked.shape[1]):
        now, then = inked[:, :-k], inked[:, k:]
        shares.append((now & ~then).sum() / now.sum())
    return np.array(shares)


check.ch10_left(left_behind_after)

# %% [markdown]
r"""
**4. Is the gap wider?** Subtract until one number is left for each seed, and only then ask how much the numbers spread. What a
seed does to both patterns has cancelled by then. With the spreads of all four added, as for unrelated runs, the interval would
be needlessly wide.
"""


# %%
def interval(framewise, joint, t):
    fast, slow = framewise - joint
    wider = fast - slow
    half = t * wider.std(ddof=1) / np.sqrt(len(wider))
    return wider.mean() - half, wider.mean() + half


check.ch10_paired(interval)

# %% [markdown]
r"""
**5. Train: the colour for less.** One block of full attention carries the colour to all tokens at once. The other three
blocks may be cheap. (`("frame", "frame", "frame", "joint")` does it, too, for a little more.) Below stands the
chapter's training, shortened.
"""


# %%
def trained(patterns, seed, steps):
    config = VideoDiTConfig(
        latent_channels=3,
        patch_size=PATCH,
        width=48,
        depth=4,
        heads=4,
        text_depth=0,
        positions="both",
        patterns=patterns,
    )
    model = VideoDiT(config, 3, np.random.default_rng(seed))
    settings = TrainingSettings(
        steps=steps,
        batch=32,
        shards=2,
        learning_rate=6e-3,
        matrix_learning_rate=0.03,
        warmup=min(20, steps - 1),
        ema_decay=0.97,
    )
    run = Run(Rolling(model), settings, seed)
    for _ in train(run):
        pass
    for name, averaged in run.average.average.items():
        run.parameters[name].data = averaged
    return model


@blas_threads(1)
def draw(model, word, noise, steps=20):
    words = np.full((len(noise), 1), 1 + list(PACES).index(word), np.int32)
    with ag.no_grad():
        clean = diffusion.sample(
            lambda x, level: model(x, level, words).data,
            noise,
            diffusion.level_matrix(steps, *noise.shape[:2]),
            Rolling.process,
            sampler="ddpm",
            generator=np.random.default_rng(5),
        )
    return (clean / SCALE).clip(0, 1)


patterns = ("frame", "joint", "frame", "time")
pairs = np.mean([costs.score_pairs(one, GRID) for one in patterns])
print(f"{pairs:,.0f} pairs a block, {pairs / np.prod(GRID) ** 2:.0%} of joint's")
assert pairs <= 0.4 * np.prod(GRID) ** 2
thrifty = trained(patterns, seed=0, steps=240)


def roll_fast(noise):
    return draw(thrifty, "fast", noise)


check.ch10_rolls(roll_fast)

# %% [markdown]
r"""
**6. Break it: time alone.** Each place sees itself in all frames, and never its neighbours. So every column of patches
draws by itself.
"""

# %%
columns = trained(("time",) * 4, seed=0, steps=size(240, 8))
noise = np.random.default_rng(0).standard_normal((32, 6, 4, 20, 3), dtype=np.float32)
figure, panels = plt.subplots(1, 8, figsize=(9, 1.9), layout="constrained")
for half, word in zip((panels[:4], panels[4:]), PACES):
    video = draw(columns, word, noise)
    for axes, clip in zip(half, video):
        axes.imshow(np.pad(clip, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=0.35).reshape(-1, WIDTH, 3)[:-1])
        axes.set(xticks=[], yticks=[])
    half[0].set_title(f"time alone, {word}", loc="left", fontsize=9)
    hue, _, seen = look_at(video)
    change = np.degrees(np.abs(np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1]))))).mean()
    print(f"{word}: change of hue {change:.0f} degrees, {seen.mean():.0%} of the frames show ink")
plt.show()

# %% [markdown]
r"""
The slow ball stays in its column for several frames, and so do its colour and its ink: its stripes keep their colour
better. The fast ball enters a new column in each frame. This column has never heard of the ball, so it chooses a new
colour. Some frames have no ball, some have two, and many have half a ball: neighbours don't know of each other. The
network can't even draw *one* picture as a whole. For that it needs `frame`.

**7. Open.** A start: `rolling` takes any speed, and `trained` a new task that draws speeds between 0.4 and 3.2 (the
word of the caption stays "slow" or "fast"; or give the network more words). A patch is 2 pixels wide here. With patches
of 4 pixels the same ball needs twice the speed to leave its patch at once. If `framewise` then begins to lag at twice
the speed, it is the speed in patches that counts.
"""
