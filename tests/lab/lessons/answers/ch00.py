"""Answers to the exercises of chapter 0: right ones of several styles, and the mistakes that people make."""

import numpy as np


def beside_by_filling(first, second):
    both = np.empty((*first.shape[:3], first.shape[3] + second.shape[3], 1))
    both[:, :, :, : first.shape[3]] = first
    both[:, :, :, first.shape[3] :] = second
    return both


def beside_by_loops(first, second):
    return [[np.hstack([a, b]) for a, b in zip(*clips)] for clips in zip(first, second)]


def beside_overlaid(first, second):
    both = np.zeros((*first.shape[:3], first.shape[3] + second.shape[3], 1))
    both[:, :, :, : first.shape[3]] = first
    both[:, :, :, -first.shape[3] :] += first
    return both


def in_place(video):
    video[:] = video[:, ::-1].copy()
    return video


def frames_by_loop(video):
    turned = np.empty_like(video)
    for t in range(video.shape[1]):
        turned[:, t] = video[:, video.shape[1] - 1 - t]
    return turned


def moments(video):
    """The mean of (y, x) and of their squares, weighted by ink: (B, T, 2) each."""
    ink, places = video[..., 0], np.indices(video.shape[2:4])
    total = ink.sum((2, 3))[..., None]
    return tuple(np.einsum("bthw,ihw->bti", ink, places**power) / total for power in (1, 2))


def variances(video):
    first, second = moments(video)
    return second - first**2


def spread_by_loops(video):
    spread = np.zeros(video.shape[:2])
    for index in np.ndindex(*spread.shape):
        image = video[index][:, :, 0]
        total = sum(image[place] for place in np.ndindex(*image.shape))
        y = sum(place[0] * image[place] for place in np.ndindex(*image.shape)) / total
        x = sum(place[1] * image[place] for place in np.ndindex(*image.shape)) / total
        square = sum(((i - y) ** 2 + (j - x) ** 2) * image[i, j] for i, j in np.ndindex(*image.shape))
        spread[index] = (square / total) ** 0.5
    return spread


def spread_by_margins(video):
    square = 0.0
    for other in (3, 2):  # the ink of each row, then of each column
        ink = video[..., 0].sum(axis=other)
        ink /= ink.sum(axis=-1, keepdims=True)
        place = np.arange(ink.shape[-1])
        square = square + (ink * (place - (ink @ place)[..., None]) ** 2).sum(axis=-1)
    return np.sqrt(square)


def spread_of_complex_places(video):
    flat = video.reshape(*video.shape[:2], -1)
    y, x = np.indices(video.shape[2:4])
    place = np.broadcast_to((y + 1j * x).ravel(), flat.shape)
    centre = np.average(place, axis=2, weights=flat)[..., None]
    return np.average(np.abs(place - centre) ** 2, axis=2, weights=flat) ** 0.5


def spread_around(video, centre):
    places = np.moveaxis(np.indices(video.shape[2:4]), 0, -1)
    square = ((places - centre) ** 2).sum(axis=-1)
    return np.sqrt((video[..., 0] * square).sum((2, 3)) / video.sum((2, 3, 4)))


RIGHT = {
    "ch00_backwards": [
        lambda v: v[:, ::-1],
        lambda v: np.flip(v, axis=1),
        lambda v: v.astype(np.float32)[:, ::-1],
        lambda v: [list(reversed(clip)) for clip in v.tolist()],
        in_place,
        frames_by_loop,
    ],
    "ch00_beside": [
        lambda a, b: np.concatenate([a, b], axis=3),
        lambda a, b: np.append(a, b, axis=-2),
        lambda a, b: np.vstack([a.T.swapaxes(0, 1), b.T.swapaxes(0, 1)]).swapaxes(0, 1).T,
        lambda a, b: (
            np.pad(a, ((0, 0),) * 3 + ((0, b.shape[3]), (0, 0))) + np.pad(b, ((0, 0),) * 3 + ((a.shape[3], 0), (0, 0)))
        ),
        beside_by_filling,
        beside_by_loops,
    ],
    "ch00_spread": [
        lambda v: np.sqrt(variances(v).sum(axis=-1)),
        lambda v: np.sqrt(variances(v.astype(np.float32)).sum(axis=-1)).astype(np.float32),
        spread_by_loops,
        spread_by_margins,
        spread_of_complex_places,
        lambda v: np.linalg.norm(np.sqrt(variances(v)), axis=-1),
    ],
}

WRONG = {
    "ch00_backwards": [
        lambda v: v[::-1],  # the clips, not the frames
        lambda v: v[:, :, ::-1],  # upside down
        lambda v: v[::-1, ::-1],
        lambda v: np.roll(v, 1, axis=1),
        lambda v: v,
    ],
    "ch00_beside": [
        lambda a, b: np.concatenate([b, a], axis=3),  # exchanged
        lambda a, b: np.concatenate([a, b], axis=2),  # one above the other
        lambda a, b: np.concatenate([a, b], axis=3)[..., 0],  # lost its channel
        lambda a, b: np.concatenate([a, b[:, :, :, ::-1]], axis=3),  # mirrored
        beside_overlaid,
        lambda a, b: (a, b),
    ],
    "ch00_spread": [
        lambda v: variances(v).sum(axis=-1),  # the variance
        lambda v: np.sqrt(variances(v)).sum(axis=-1),  # two standard deviations, added
        lambda v: np.sqrt(variances(v)),  # for each axis
        lambda v: np.sqrt(variances(np.ones_like(v)).sum(axis=-1)),  # of the canvas
        lambda v: spread_around(v, (np.array(v.shape[2:4]) - 1) / 2),  # around the middle of the canvas
        lambda v: np.sqrt(variances(v).mean(axis=-1)),
        lambda v: v[..., 0].std(axis=(2, 3)),  # of the brightness
    ],
}
