"""Answers to the exercises of chapter 10: right ones of several styles, and the mistakes that people make."""

import numpy as np


def around(angle):
    """The size of angles, the short way round: radians in [0, pi]."""
    return np.abs(np.angle(np.exp(1j * angle)))


def pairs_away(hue):
    return around(hue[:, :, None] - hue[:, None, :])  # (B, T, T)


def handed_on(own, before, new):
    noise = own.copy()
    for t in range(1, own.shape[1]):
        noise[:, t] = before * noise[:, t - 1] + new * own[:, t]
    return noise


def interval(middle, half):
    return middle - half, middle + half


RIGHT = {}

WRONG = {
    "ch10_hue": [
        lambda hue: np.degrees(hue.max(axis=1) - hue.min(axis=1)),  # the circle forgotten
        lambda hue: pairs_away(hue).max(axis=(1, 2)),  # radians
        lambda hue: np.degrees(around(hue - hue[:, :1])).max(axis=1),  # from the first frame only
        lambda hue: np.degrees(around(np.diff(hue))).max(axis=1),  # from the frame before only
        lambda hue: np.degrees(pairs_away(hue)).mean(axis=(1, 2)),  # of all pairs
        lambda hue: np.degrees(pairs_away(hue)).max(axis=(0, 1)),  # frame by frame
        lambda hue: np.degrees(pairs_away(hue)).max(),  # all clips together
    ],
    "ch10_left": [
        lambda inked: (inked[:, :-1] & ~inked[:, 1:]).mean(),  # of all patches
        lambda inked: (~inked[:, :-1] & inked[:, 1:]).sum() / inked[:, :-1].sum(),  # newly reached
        lambda inked: (inked & ~np.roll(inked, -1, axis=1)).sum() / inked.sum(),  # the last before the first
        lambda inked: (inked[:, :-1] & ~inked[:, 1:]).sum() / inked.sum(),  # the last frame counted
        lambda inked: (inked[:-1] & ~inked[1:]).sum() / inked[:-1].sum(),  # clips for frames
    ],
    "ch10_noise": [
        lambda own, share: handed_on(own, share, 1 - share),  # no root: the deviation falls below 1
        lambda own, share: handed_on(own, share**0.5, (1 - share) ** 0.5),  # the correlation is the root
        lambda own, share: handed_on(own, (1 - share**2) ** 0.5, share),  # exchanged
        lambda own, share: handed_on(np.insert(own, 0, 0, axis=1), share, (1 - share**2) ** 0.5)[:, 1:],  # from nothing
        lambda own, share: handed_on(own.swapaxes(0, 1), share, (1 - share**2) ** 0.5).swapaxes(
            0, 1
        ),  # from clip to clip
        lambda own, share: (
            share**0.5 * own[:, :1] + (1 - share) ** 0.5 * own
        ),  # in common with the first, and not 1 there
        lambda own, share: (
            share * np.roll(own, 1, axis=1) + (1 - share**2) ** 0.5 * own
        ),  # only once, the last to the first
    ],
    "ch10_paired": [
        lambda a, b, t: interval((a - b).mean(), t * (a - b).std() / len(a) ** 0.5),  # divided by n
        lambda a, b, t: interval((a - b).mean(), t * (a - b).std(ddof=1)),  # of one run, not of the mean
        lambda a, b, t: interval((a - b).mean(), (a - b).std(ddof=1) / len(a) ** 0.5),  # t forgotten
        lambda a, b, t: interval((b - a).mean(), t * (a - b).std(ddof=1) / len(a) ** 0.5),
        lambda a, b, t: interval(
            (a - b).mean(), t * (a.var(ddof=1) + b.var(ddof=1)) ** 0.5 / len(a) ** 0.5
        ),  # as if the runs had nothing in common
    ],
}
