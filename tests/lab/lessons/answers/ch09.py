"""Answers to the exercises of chapter 9: right ones of several styles, and the mistakes that people make."""

import numpy as np


def spread(level):
    return level[:, :, None, None, None]


def decibels(a, b, axis=None):
    return 10 * np.log10(1 / ((a - b) ** 2).mean(axis))


def fewer_numbers(patches, kept, mean=None):
    mean = patches.mean(axis=0) if mean is None else mean
    directions = np.linalg.svd(patches - mean, full_matrices=False)[2][kept]
    return (patches - mean) @ directions.T @ directions + mean


def unit(raw, axis, deviation=np.std):
    mean, spread = raw.mean(axis), deviation(raw, axis)
    return (raw - raw.mean(axis, keepdims=True)) / deviation(raw, axis, keepdims=True), mean, spread


RIGHT = {}

WRONG = {
    "ch09_level": [
        lambda level, deviation: level,
        lambda level, deviation: level * deviation / (level * deviation + 1 - level),  # the other way
        lambda level, deviation: level / (level + deviation**2 * (1 - level)),  # variances on one side only
        lambda level, deviation: level / deviation,
    ],
    "ch09_linear": [
        lambda patches, kept: fewer_numbers(patches, slice(kept), mean=np.float64(0)),  # the mean forgotten
        lambda patches, kept: fewer_numbers(patches, slice(kept)) - patches.mean(axis=0),  # and not put back
        lambda patches, kept: fewer_numbers(patches, slice(-kept, None)),  # the smallest directions
        lambda patches, kept: fewer_numbers(patches, slice(kept + 1)),
        lambda patches, kept: fewer_numbers(patches.T, slice(kept)).T,  # transposed
    ],
    "ch09_normalise": [
        lambda raw: unit(raw, (0, 1, 2, 3), np.var),  # by the variance
        lambda raw: unit(raw, (0, 1)),  # each cell by itself
        lambda raw: unit(raw, (0, 1, 2, 3, 4)),  # all channels together
        lambda raw: (raw / raw.std((0, 1, 2, 3)), *unit(raw, (0, 1, 2, 3))[1:]),  # the mean stays
        lambda raw: (raw * raw.std((0, 1, 2, 3)), *unit(raw, (0, 1, 2, 3))[1:]),
    ],
    "ch09_psnr": [
        lambda a, b: 2 * decibels(a, b),  # 20 for 10
        lambda a, b: decibels(a, b) / 2,  # of the deviation
        lambda a, b: -decibels(a, b),
        lambda a, b: decibels(a, b, axis=(1, 2, 3)).mean(),  # the mean of decibels
        lambda a, b: 10 * np.log(1 / ((a - b) ** 2).mean()),
        lambda a, b: 10 * np.log10(1 / ((a - b) ** 2).sum()),
    ],
    "ch09_tokens": [
        lambda frames, height, width: frames // 4 * (height // 16) * (width // 16),  # the first frame forgotten
        lambda frames, height, width: (1 + frames // 4) * (height // 8) * (width // 8),  # patches forgotten
        lambda frames, height, width: frames * (height // 16) * (width // 16),  # time not compressed
        lambda frames, height, width: (1 + frames // 4) * (height // 16) * (height // 16),  # a square
    ],
}
