"""Frechet distance between two sets of clips, in features of the digit judge.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium" (2017),
for frames; Unterthiner et al., "Towards Accurate Generative Models of Video" (2018), for clips. Both
fit a Gaussian to each set's features and take

    |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2)).

The features are the judge's own, so figures compare only with figures of this project, of the same
canvas and at the same n: with few clips the distance is biased upwards. Always print the distance
between two sets of real clips of that n beside it.

In colour the judge looks at each channel as a picture of its own, and its features of the three stand side by side. So
covariances between channels count, too: a colour that is wrong, one that changes, and channels that lie beside each
other. These are three times as many features from as many clips, and the bias is larger than in grey; the distance
between real clips shows by how much. A set is seen as a whole: where single clips have wrong colours, and each colour
still comes as often as it should, the measure `colour` tells.
"""

import math

import numpy as np

from ... import autograd as ag
from ...base.backend import blas_threads, to_device, to_numpy
from ...base.errors import InputError
from .blobs import as_video
from .judge import CHUNK, WINDOW, load_judge
from .tracking import bilinear

RESAMPLES = 200  # of the clips, for an interval


def frame_maps(clips, digit_size):
    """Local judge features of whole frames: clips (B, T, H, W, C), C = 1 or 3 -> (B, T, h, w, 64 C).

    The judge's convolutions run over each channel of the frame, enlarged so that digits have the size they were
    learnt at, with a cell for every 8 pixels then. No tracking: an empty frame has features too. They are divided by
    the square root of C, so that grey clips in three equal channels have the distances that they have in one.
    """
    judge, video = load_judge(), as_video(clips)
    count, length, height, width, channels = video.shape
    zoom = WINDOW / digit_size
    rows, columns = (np.arange(round(side * zoom)) for side in (height, width))
    y, x = (rows[:, None] + 0.5) / zoom - 0.5, (columns + 0.5) / zoom - 0.5
    frames = np.moveaxis(video, -1, 2).reshape(-1, height, width)  # (B * T * C, H, W)
    maps = []
    with ag.no_grad():
        for first in range(0, len(frames), CHUNK):
            part = frames[first : first + CHUNK]
            if zoom != 1:
                part = bilinear(part, np.arange(len(part))[:, None, None], y, x)
            maps.append(to_numpy(judge.maps(to_device(part)).data))
    maps = np.concatenate(maps) / np.float32(math.sqrt(channels))
    maps = np.moveaxis(maps.reshape(count, length, channels, *maps.shape[1:]), 2, 4)  # (B, T, h, w, C, 64)
    return maps.reshape(*maps.shape[:4], -1)


def features(clips, digit_size):
    """What the two Frechet distances of clips (B, T, H, W, C) compare: {measure: (n, D)}."""
    maps = frame_maps(clips, digit_size)
    return {"frechet_frames": frame_features(maps), "frechet_clips": clip_features(maps)}


def frame_features(maps):
    """(B, T, h, w, C) -> (B * T, C): the mean over places, so *what* strokes there are but not where."""
    return maps.mean((2, 3)).reshape(-1, maps.shape[-1])


def clip_features(maps):
    """(B, T, h, w, C) -> (B, 3 C): what is seen, how much it varies, how much moves or changes in a step.

    The mean and the standard deviation over time of the frame features, and the mean absolute
    difference of neighbouring frames' *maps*: place counts there, so a frozen clip has 0 and
    shuffled frames have far too much.
    """
    frames = maps.mean((2, 3))  # (B, T, C)
    steps = np.abs(np.diff(maps, axis=1)).mean((1, 2, 3)) if maps.shape[1] > 1 else np.zeros_like(frames[:, 0])
    return np.concatenate([frames.mean(1), frames.std(1), steps], -1)


def frechet_distance(a, b):
    """Frechet distance between Gaussians fitted to the rows of a (n, D) and b (m, D); at least two rows each."""
    if min(len(a), len(b)) < 2:
        raise InputError(f"a Frechet distance needs at least 2 samples on each side, not {len(a)} and {len(b)}")
    return _distance(*(_gaussian(np.asarray(rows, float), np.ones(len(rows))) for rows in (a, b)))


@blas_threads(1)  # on a busy machine, threads would mostly wait for each other
def resampled_distances(a, b, clips, generator, resamples=RESAMPLES):
    """(resamples,): the distance of a (n, D) and b (n, D) whose clips are drawn again with replacement.

    clips: how many there are, each of n / clips rows; both sides lose and double the same ones, those of one caption.
    Clips that come twice make covariances too small, so these distances lie too high: their spread is what counts.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    result = np.empty(resamples)
    for number, counts in enumerate(generator.multinomial(clips, np.full(clips, 1 / clips), resamples)):
        weights = np.repeat(counts, len(a) // clips)
        kept = weights > 0
        result[number] = _distance(*(_gaussian(rows[kept], weights[kept]) for rows in (a, b)))
    return result


def _gaussian(rows, weights):
    """Mean (D,) and a factor F (n or D, D) of the covariance, F^T F, of rows (n, D) that count as their weights say."""
    mean = weights @ rows / weights.sum()
    factor = (rows - mean) * np.sqrt(weights / (weights.sum() - 1))[:, None]
    if len(factor) <= factor.shape[1]:
        return mean, factor
    values, vectors = np.linalg.eigh(factor.T @ factor)
    return mean, np.sqrt(np.maximum(values, 0))[:, None] * vectors.T


def _distance(one, other):
    (mean_a, a), (mean_b, b) = one, other
    # With A = a^T a and B = b^T b, the eigenvalues of A B are the squares of the singular values of a b^T, and 0.
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * overlap
    return float(max(distance, 0.0))
