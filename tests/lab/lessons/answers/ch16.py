"""Answers to the exercises of chapter 16: right ones of several styles, and the mistakes that people make."""

import numpy as np


def binned(error, level, bins, given=False, reduce=np.mean):
    number = np.where((level > 0) | given, np.minimum((level * bins).astype(int), bins - 1), -1)
    return np.array([reduce(error[number == k]) for k in range(bins)])


def strength(places, law, centre=True):
    if centre:
        places, law = places - places.mean(axis=1, keepdims=True), law - law.mean(axis=0)
    return (places * law).sum(axis=(1, 2)) / (law**2).sum()


RIGHT = {}

WRONG = {
    "ch16_floor": [
        lambda asked, seen: 1 / len(np.unique(asked)),  # only right for equal shares
        lambda asked, seen: (asked == seen).mean(),  # not dealt out
        lambda asked, seen: (asked[:, None] == asked).mean(),  # of perfect clips
        lambda asked, seen: (asked[:, None] == seen).sum() / len(asked),  # the sum over captions
        lambda asked, seen: (asked[:, None] == seen[seen >= 0]).mean(),  # clips without a shape left out
        lambda asked, seen: ((asked[:, None] == seen).sum() - (asked == seen).sum()) / (len(asked) * (len(asked) - 1)),
    ],
    "ch16_levels": [
        lambda error, level, bins: binned(error, level, bins, given=True),  # given frames counted
        lambda error, level, bins: binned(error, level, bins)[::-1],
        lambda error, level, bins: binned(error, level, bins, reduce=np.sum),
        lambda error, level, bins: binned(error, level.T.reshape(level.shape), bins),  # transposed
        lambda error, level, bins: binned(error, np.where(level == 1, 0, level), bins),  # level 1 left out
        lambda error, level, bins: binned(error, level * bins / (bins + 1), bins),  # off by one
    ],
    "ch16_steps": [
        lambda flops, hours, speed, share: int(hours * 3600 * speed * share / flops),  # forward passes only
        lambda flops, hours, speed, share: int(hours * 3600 * speed * share / (2 * flops)),
        lambda flops, hours, speed, share: int(hours * 3600 * speed / (3 * flops)),  # the share forgotten
        lambda flops, hours, speed, share: int(hours * 60 * speed * share / (3 * flops)),
        lambda flops, hours, speed, share: hours * 3600 * speed * share / (3 * flops),  # not whole
        lambda flops, hours, speed, share: round(hours * 3600 * speed * share / (3 * flops)),
    ],
    "ch16_strengths": [
        lambda places, law: strength(places, law, centre=False),  # the start taken for known
        lambda places, law: strength(places, law) * np.sqrt((law - law.mean(0)).ravel() @ (law - law.mean(0)).ravel()),
        lambda places, law: (places[:, -1] - places[:, 0]).sum(-1) / (law[-1] - law[0]).sum(),  # two places only
        lambda places, law: strength(places - places[:, :1], law - law[0], centre=False),  # the first place trusted
        lambda places, law: strength(places[..., :1], law[:, :1]),  # one axis only
        lambda places, law: 1 / strength(places, law),
    ],
}
