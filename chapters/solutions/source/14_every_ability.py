# %% [markdown]
r"""
# Solutions to chapter 14

Worked answers to the exercises of [chapter 14](../14_every_ability.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.lessons import check, size

# %% [markdown]
r"""
**1. From given frames outwards.** This is a staircase in both directions. The delay of a frame grows with its distance
from the nearest given frame.
"""


# %%
def outwards(steps, given, lag):
    frame = np.arange(len(given))
    distance = np.abs(frame[:, None] - np.flatnonzero(given)).min(axis=1)  # (T,), 0 where given
    late = lag * np.maximum(distance - 1, 0)
    rows = np.arange(steps + late.max() + 1)[:, None] if not given.all() else np.zeros((1, 1))
    return np.clip(1 - (rows - late) / steps, 0, 1) * ~given


check.ch14_outwards(outwards)

# %% [markdown]
r"""
**2. Put the truth in its place.** On rectified flow x = (1 - t) clean + t noise. Solve for the noise: (x - clean) / t + clean. Then the
velocity, noise less clean, is (x - clean) / t. The noise needn't be stored.
"""


# %%
def with_truth(velocity, x, clean, known, level):
    truth = (x - clean) / level[:, :, None, None, None]
    return np.where(known, truth, velocity)


check.ch14_truth(with_truth)

# %% [markdown]
r"""
**3. Known latents, with time compressed.** First reduce each frame in space, box by box. Then reduce time, and treat
the first frame by itself.
"""


# %%
def known_latents(known, in_time, factor):
    frames, height, width = known.shape
    in_space = known.reshape(frames, height // factor, factor, width // factor, factor).all(axis=(2, 4))
    later = in_space[1:].reshape(-1, in_time, *in_space.shape[1:]).all(axis=1)
    return np.concatenate([in_space[:1], later])


check.ch14_latents(known_latents)

# %% [markdown]
r"""
**4. Rounds.** Each round adds as many frames as the window has beyond its context. The last round adds only what is
still missing.
"""


# %%
def new_frames(frames, wanted, window, context):
    added = []
    while frames + sum(added) < wanted:
        added.append(min(window - context, wanted - frames - sum(added)))
    return added


check.ch14_rounds(new_frames)

# %% [markdown]
r"""
**5. Break it.** The last frame is predicted worse. The network takes the noise in the four frames for a part of the
picture, and tries to continue it. If it is told the true levels, it knows that these frames say little.
"""

# %%
model = TextToVideo.load("small")
count, settings = size(24, 4), model.settings
source = digit_source("strokes", split="test")
batch = CaptionedClips(
    source, settings.size, settings.num_frames, settings.digit_size, num_digits=(1,), synonyms=False
).batch(np.random.default_rng(7), count)
latents, words = model.autoencoder.encode(batch.video), model.tokenizer.encode(batch.captions)
noise = np.random.default_rng(0).standard_normal(latents.shape, dtype=np.float32)


def last_frame_error(real, told):
    """Mean squared error of the last frame, if the first four are at level `real`, and the network is told `told`."""
    levels = np.full(latents.shape[:2], 0.7, np.float32)
    levels[:, :4] = real
    x = settings.process.mix(latents, noise, levels).astype(np.float32)
    levels[:, :4] = told
    with ag.no_grad():
        prediction = model.transformer(x, levels, words).data
    return ((prediction - (noise - latents))[:, -1] ** 2).mean()


errors = {}
for real, told in ((0, 0), (0.7, 0.7), (0.7, 0)):
    errors[real, told] = last_frame_error(real, told)
    print(f"first frames at level {real}, told {told}: error of the last frame {errors[real, told]:.3f}")
assert errors[0, 0] < errors[0.7, 0.7] < errors[0.7, 0]

# %% [markdown]
r"""
**6. An open question.** The network should trust a sketch only in part, so a level between 0 and 1 fits. For example,
the two columns begin at 0.5, with the sketch mixed with noise, while the others begin at 1. All fall to 0 together.
Training with independent levels contains such clips. But there the errors of a frame are Gaussian noise, and the
mistakes of a sketch aren't. It is better to train with sketches that are made from real frames, for example blurred
ones. For several levels, compare the place of the digit with the sketch, and its look with real digits.
"""
