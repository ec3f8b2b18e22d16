"""Did the network only learn digits by heart? The training digit that is most like each drawn one, beside it.

python examples/nearest_digit.py

Likeness is the correlation of two pictures, each cut out around the centre of its ink. Digits that are copied from the
training would be more like their nearest neighbour than new digits by other people, those of the test set, are.
"""

import numpy as np
from matplotlib.figure import Figure

from minivdit.data import CaptionedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import save_figure
from minivdit.lab.evaluation.tracking import ink_centres, windows

CLIPS, SHOWN, SIDE = 48, 16, 28

model = TextToVideo.load()
settings = model.settings
maker = CaptionedClips(
    digit_source("auto", "test"), settings.size, settings.num_frames, settings.digit_size, (1,), synonyms=False
)
new = maker.batch(np.random.default_rng(0), CLIPS)
drawn = model.generate(new.captions, seed=0)
training = digit_source("auto", "train").images[:, None, :, :, None] / np.float32(255)  # (N, 1, 28, 28, 1): stills


def pictures(clips, digit_size):
    """The digit of the last frame of clips (B, T, H, W, 1), cut out around its ink: (B, SIDE * SIDE) and its norm 1."""
    places = np.stack([ink_centres(clip) for clip in clips[:, -1:]])[:, None]  # (B, one digit, 1 frame, 2)
    cut = windows(clips[:, -1:], places, digit_size, SIDE).reshape(len(clips), -1)
    even = cut - cut.mean(axis=1, keepdims=True)
    return cut, even / np.maximum(np.linalg.norm(even, axis=1, keepdims=True), 1e-6)


known, known_normed = pictures(training, SIDE)
rows = {}
for name, clips in (("drawn", drawn), ("new people's", new.video)):
    cut, normed = pictures(clips, settings.digit_size)
    likeness = normed @ known_normed.T
    rows[name] = cut, known[likeness.argmax(axis=1)], likeness.max(axis=1)
    low, middle, high = np.quantile(rows[name][2], [0.1, 0.5, 0.9])
    print(
        f"{name} digits and their nearest of {len(known):,}: {middle:.3f} (a tenth below {low:.3f}, above {high:.3f})"
    )

figure = Figure(figsize=(10, 3.2), layout="constrained")
for axes, (name, (cut, nearest, likeness)) in zip(figure.subplots(2, 1), rows.items()):
    both = [picture[:SHOWN].reshape(-1, SIDE, SIDE) for picture in (cut, nearest)]
    axes.imshow(np.vstack([np.hstack(list(row)) for row in both]), cmap="gray", vmin=0, vmax=1)
    axes.set(yticks=[SIDE / 2, 1.5 * SIDE], xticks=(np.arange(SHOWN) + 0.5) * SIDE)
    axes.set_yticklabels([f"{name} digits", "nearest in training"])
    axes.set_xticklabels([f"{value:.2f}" for value in likeness[:SHOWN]])
save_figure("nearest_digit.png", figure)
print(f"nearest_digit.png: the first {SHOWN}, with their likeness")
