# %% [markdown]
r"""
# Solutions to chapter 0

Worked answers to the exercises of [chapter 0](../00_start_here.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.lab.display import show
from minivdit.lab.evaluation import observe, prompt_metrics, read_captions
from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Play backwards.** Axis 1 is time; a step of -1 goes through it from the end.
"""


# %%
def backwards(video):
    return video[:, ::-1]


check.ch00_backwards(backwards)

# %% [markdown]
r"""
**2. Side by side.** The widths are to add up, and the width is axis 3. So join along this axis.
"""


# %%
def beside(first, second):
    return np.concatenate([first, second], axis=3)


check.ch00_beside(beside)

# %% [markdown]
r"""
**3. How far the ink spreads.** There are three steps: find the share of each pixel in the ink, then the centre, then
the mean square of the distance from the centre. `keepdims` keeps axes of length 1, so that the shapes fit (B, T, H, W).
"""


# %%
def spread(video):
    image = video[..., 0]  # (B, T, H, W)
    share = image / image.sum(axis=(2, 3), keepdims=True)  # sums to 1 in every frame
    y, x = np.indices(image.shape[2:])  # (H, W) each
    from_y = y - (share * y).sum(axis=(2, 3), keepdims=True)  # (B, T, H, W)
    from_x = x - (share * x).sum(axis=(2, 3), keepdims=True)
    return np.sqrt((share * (from_y**2 + from_x**2)).sum(axis=(2, 3)))


check.ch00_spread(spread)

# %% [markdown]
r"""
**4. Rows and columns exchanged.** Each frame is mirrored at its diagonal. What moved right now moves down.
"""

# %%
clips = CaptionedClips(digit_source("strokes", "test"), size=(32, 32), num_frames=8, digit_size=16, num_digits=(1,))
motions = [[DigitMotion(digit, "right", "normal")] for digit in range(10)]
video = clips.render(np.random.default_rng(0), motions).video
exchanged = video.swapaxes(2, 3)
show(np.concatenate([video[2:4], exchanged[2:4]]), captions=["a 2", "a 3", "exchanged", "exchanged"], columns=4)

right, down = ([f"a {digit} moving {direction}" for digit in range(10)] for direction in ("right", "down"))
for name, shown, captions in (
    ("as they were, 'right'", video, right),
    ("exchanged, 'right'", exchanged, right),
    ("exchanged, 'down'", exchanged, down),
):
    seen = observe(shown, digit_size=16, digits=1)
    found = prompt_metrics(seen, read_captions(captions, shown.shape[2:4]))
    print(f"{name:22} direction right in {found['direction'].mean():4.0%}, digit in {found['digit'].mean():4.0%}")

# %% [markdown]
r"""
All clips now go down, and most digits can't be read any more. A digit that looks much the same after mirroring, such as
the 0, may still be read. The canvas is square, so the array keeps its shape and no error is raised. Test code with
sizes that all differ. On 20 x 32 pixels the shape shows the mistake. The checks of these exercises use such sizes.

**5. Which is hardest?** There is no one answer; it depends on the weights. A share $p$ of $n$ clips is uncertain by
about $\sqrt{p(1-p)/n}$. To tell 80% from 90%, this number should be below 3%. You then need about 180 clips of each
kind. And if you compare ten digits, one of them will look bad by chance. Draw it again with other seeds before you
believe it.
"""
