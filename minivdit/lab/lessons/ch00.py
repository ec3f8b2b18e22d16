"""Checks of chapter 0: a video is an array."""

import numpy as np

from .exercise import agree, different, exercise


def _video(generator):
    return generator.random((*different(generator, 4, 2, 8), 1))  # (B, T, H, W, 1)


@exercise("backwards")
def ch00_backwards(answer, generator):
    video = _video(generator)
    agree("the clip", answer(video), np.flip(video, 1))


@exercise("beside")
def ch00_beside(answer, generator):
    first = _video(generator)
    second = generator.random((*first.shape[:3], first.shape[3] + 1, 1))
    agree("the pair of clips", answer(first, second), np.concatenate([first, second], axis=3))


@exercise("spread")
def ch00_spread(answer, generator):
    video = _video(generator)
    batch, frames, height, width, _ = video.shape
    expected = np.zeros((batch, frames))
    for b in range(batch):
        for t in range(frames):
            image = video[b, t, :, :, 0]
            places = np.array(list(np.ndindex(height, width)))
            centre = np.average(places, axis=0, weights=image.ravel())
            expected[b, t] = np.average(((places - centre) ** 2).sum(axis=1), weights=image.ravel()) ** 0.5
    agree("the standard deviation of the ink (B, T)", answer(video), expected)
