# %% [markdown]
r"""
# Solutions to chapter 9

Worked answers to the exercises of [chapter 9](../09_latent_diffusion.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, digit_source
from minivdit.lab.lessons import check, size
from minivdit.models import Autoencoder, AutoencoderConfig
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings
from minivdit.training.tasks import AutoencoderLoss, AutoencoderTask

# %% [markdown]
r"""
**1. PSNR of the ink.** Take the mean over the ink of a clip first, and the logarithm last. A mean of decibels would be
another number. Divide by the number of pixels with ink, not by that of all pixels.
"""


# %%
def decibels_of_ink(rebuilt, clips):
    ink, axes = clips > 0.02, (1, 2, 3, 4)
    error = ((rebuilt - clips) ** 2 * ink).sum(axes) / ink.sum(axes)
    return -10 * np.log10(error)


check.ch09_psnr(decibels_of_ink)

# %% [markdown]
r"""
**2. How many numbers?** The square of a singular value of the *centred* patches, over n, is the variance along its direction. So the
kept share is a running sum of squares.
"""


# %%
def numbers_needed(patches, share):
    variances = np.linalg.svd(patches - patches.mean(axis=0), compute_uv=False) ** 2
    kept = np.cumsum(variances) / variances.sum()
    return int(np.argmax(kept >= share)) + 1


check.ch09_linear(numbers_needed)

# %% [markdown]
r"""
**3. Moments in one pass.** Count, sum and sum of squares are enough: the variance is the mean square minus the squared mean. Means of
means would be wrong, since the batches differ in length. (In float32 the difference of two large numbers loses digits; sum in
float64, as here.)
"""


# %%
def moments(batches):
    count = total = squares = 0
    for batch in batches:
        rows = batch.reshape(-1, batch.shape[-1]).astype(np.float64)
        count, total, squares = count + len(rows), total + rows.sum(axis=0), squares + (rows**2).sum(axis=0)
    mean = total / count
    return mean, np.sqrt(squares / count - mean**2)


check.ch09_normalise(moments)

# %% [markdown]
r"""
**4. The same for DDPM.** The signal-to-noise ratio is a ratio of variances, $s^2 \bar\alpha / (1 - \bar\alpha)$. Unit latents have
the ratio $r$ at $\bar\alpha = r / (1 + r)$.
"""


# %%
def alpha_bar_as_seen(alpha_bar, deviation):
    ratio = deviation**2 * alpha_bar / (1 - alpha_bar)
    return ratio / (1 + ratio)


check.ch09_level(alpha_bar_as_seen)

# %% [markdown]
r"""
**5. Tokens of a large system.** A side becomes 8 times smaller, and patches take 2 cells of it. So a token is 16 pixels
wide and high.
"""


# %%
def tokens_of_clip(frames, height, width):
    return (1 + (frames - 1) // 4) * (height // 16) * (width // 16)


check.ch09_tokens(tokens_of_clip)

# %% [markdown]
r"""
**6. Break it: no penalty, and one that is too large.**
"""

# %%
source = {split: digit_source("strokes", split=split) for split in ("train", "test")}
crops = CaptionedClips(source["train"], size=(20, 20), num_frames=1, digit_size=16, num_digits=(1,))
whole = CaptionedClips(source["test"], size=(32, 32), num_frames=8, digit_size=16, num_digits=(1,))
clips = whole.batch(np.random.default_rng(0), size(32, 4)).video
steps = size(400, 5)


def trained(kl):
    network = Autoencoder(AutoencoderConfig(latent_channels=4, channels=(32, 64)), np.random.default_rng(0))
    task = AutoencoderTask(network, crops, batch_size=16, loss=AutoencoderLoss(kl=kl))
    settings = TrainingSettings(steps=steps, batch=16, shards=2, learning_rate=1e-2, warmup=20, ema_decay=0.98)
    run = Run(task, settings)
    for _ in train(run):
        pass
    task.finish(run)
    for name, averaged in run.average.average.items():
        run.parameters[name].data = averaged
    return network


def psnr(a, b):
    return 10 * np.log10(1 / ((a - b) ** 2).mean())


for kl in (0, 3e-5, 0.1):
    network = trained(kl)
    latents = network.encode(clips)
    with ag.no_grad():
        _, log_variance = network.distribution(clips.reshape(-1, 32, 32, 1))
    deviation = network.latent_deviation.data
    draws = (np.exp(0.5 * log_variance.data).mean(axis=(0, 1, 2)) / deviation).mean()
    noise = 0.3 * np.random.default_rng(1).standard_normal(latents.shape, dtype=np.float32)
    print(f"kl {kl:<6} raw deviation {deviation.mean():5.2f}, draws {draws:5.3f} of it, "
          f"PSNR {psnr(network.decode(latents), clips):.1f} dB, "
          f"with noise of 0.3 {psnr(network.decode(latents + noise), clips):.1f} dB")  # fmt: skip

# %% [markdown]
r"""
**No penalty.** The encoder's deviations shrink to about half, since nothing rewards the encoder for being unsure. The
PSNR is the same, and the decoder copes with added noise as well as before. So in this short training the penalty hardly
matters. In a long one the deviations would go on shrinking, and the decoder would learn to bear less and less noise.

**Too large a penalty.** The cheapest latents are those that say nothing: mean 0, variance 1, whatever the picture. Here
the draws are many times as large as the spread of the means, so the decoder can't rely on its latents. It draws a blur,
a few decibels better than a black screen. Noise added to such latents changes nothing, since nothing is in them. This
is called *posterior collapse*.

**7. Open.** One candidate is how well the best linear guess predicts a cell from the same cell of the frame before and
from its neighbours. Another is the share of the variance at low spatial frequencies. More channels hold finer detail,
so both numbers should fall. There is one honest way to find out whether such a number predicts well. Train the same
small diffusion model on each kind of latents, and compare the *decoded* clips, since errors in latents of different
size can't be compared.
"""
