"""Moving MNIST as it was published, to be seen beside our captioned clips.

Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs"
(2015) made two digits bounce in a 64x64 box.
"""

import numpy as np

from ...data.moving_mnist import check_canvas, paint


def classic_trajectory(position, angle, num_frames, step=0.1):
    """Positions in the unit square by the published rule: move, then bounce, then record.

    position: (n, 2) as (y, x) in [0, 1]. angle: (n,) in radians, velocity (sin, cos) * step a frame.
    Returns float64 (n, num_frames, 2); the first is already moved once. A wall stops a digit (its
    coordinate becomes 0 or 1 exactly, the overshoot is lost) and reverses that component of its velocity.
    """
    position = np.array(position, np.float64)
    velocity = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * step
    path = np.empty((len(position), num_frames, 2))
    for frame in range(num_frames):
        position += velocity
        velocity[(position <= 0) | (position >= 1)] *= -1
        np.clip(position, 0, 1, out=position)
        path[:, frame] = position
    return path


def classic_moving_mnist(source, generator, batch_size, num_digits=2, num_frames=20, size=(64, 64), digit_size=28):
    """Clips of the classic data set: float32 (B, T, H, W, 1) in [0, 1] and the digits' labels (B, num_digits).

    source: a DigitSource. Defaults are the published ones. Whole pixels (truncated), overlaps by maximum.
    """
    check_canvas(size, num_frames, digit_size)
    count = batch_size * num_digits
    labels = generator.integers(10, size=count)
    digits = source.draw(generator, labels, digit_size)
    path = classic_trajectory(generator.random((count, 2)), generator.random(count) * 2 * np.pi, num_frames)
    corners = (path * (np.array(size) - digit_size)).astype(np.int64)  # (count, T, 2), truncated
    video = np.zeros((batch_size, num_frames, *size), np.float32)
    clip = np.repeat(np.arange(batch_size), num_digits)
    for slot in range(num_digits):
        paint(video, clip[slot::num_digits], digits[slot::num_digits], corners[slot::num_digits])
    return video[..., None], labels.reshape(batch_size, num_digits)
