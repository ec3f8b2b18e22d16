"""Answers to the exercises of chapter 16: right ones of several styles, and the mistakes that people make."""

import math

import numpy as np


def binned(error, level, bins, given=False, reduce=np.mean):
    number = np.where((level > 0) | given, np.minimum((level * bins).astype(int), bins - 1), -1)
    return np.array([reduce(error[number == k]) for k in range(bins)])


def binned_by_bincount(error, level, bins):
    free = level > 0
    number = np.clip(np.floor(level[free] * bins).astype(int), 0, bins - 1)
    return np.bincount(number, error[free], bins) / np.bincount(number, minlength=bins)


def binned_by_loop(error, level, bins):
    inside = [[] for _ in range(bins)]
    for one, e in zip(level.ravel(), error.ravel()):
        if one != 0:
            inside[min(int(one * bins), bins - 1)].append(e)
    return [sum(errors) / len(errors) for errors in inside]


def binned_by_histogram(error, level, bins):
    level, error = level[level > 0], error[level > 0]
    count, edges = np.histogram(level, bins, (0, 1))
    return np.histogram(level, edges, weights=error)[0] / count


def binned_in_place(error, level, bins):
    error[level == 0] = np.nan
    level[level == 1] -= 1e-9
    level *= bins
    return np.array([np.nanmean(np.where(np.floor(level) == k, error, np.nan)) for k in range(bins)], np.float32)


def strength(places, law, centre=True):
    if centre:
        places, law = places - places.mean(axis=1, keepdims=True), law - law.mean(axis=0)
    return (places * law).sum(axis=(1, 2)) / (law**2).sum()


def strength_by_lstsq(places, law):
    frames = len(law)
    columns = np.column_stack([law.ravel(), np.tile([1, 0], frames), np.tile([0, 1], frames)])
    return np.linalg.lstsq(columns, places.reshape(len(places), -1).T, rcond=None)[0][0]


def strength_by_pinv(places, law):
    law = (law - law.mean(axis=0)).reshape(-1, 1)
    return places.reshape(len(places), -1) @ np.linalg.pinv(law)[0]


def strength_by_loop(places, law):
    middle, found = law.mean(axis=0), []
    for way in places:
        here = way.mean(axis=0)
        above = sum((p - here) @ (at - middle) for p, at in zip(way, law))
        found.append(above / sum((at - middle) @ (at - middle) for at in law))
    return found


def strength_by_pairs(places, law):
    """The differences between all times know no start."""
    apart = lambda a: a[..., :, None, :] - a[..., None, :, :]
    return np.einsum("bstc,stc->b", apart(places), apart(law)) / np.einsum("stc,stc", apart(law), apart(law))


def floor_by_shares(asked, seen):
    return sum(np.mean(asked == kind) * np.mean(seen == kind) for kind in set(asked.tolist()))


def floor_by_counts(asked, seen):
    count = np.bincount(seen + 1, minlength=asked.max() + 2)[1:]
    return count[asked].sum() / len(asked) ** 2


def floor_by_loops(asked, seen):
    right = 0
    for one in asked.tolist():
        for other in seen.tolist():
            right += one == other
    return right / (len(asked) * len(seen))


RIGHT = {
    "ch16_floor": [
        lambda asked, seen: (asked[:, None] == seen).mean(),
        floor_by_shares,
        floor_by_counts,
        floor_by_loops,
        lambda asked, seen: np.mean([(np.roll(asked, n) == seen).mean() for n in range(len(asked))], dtype=np.float64),
    ],
    "ch16_levels": [binned, binned_by_bincount, binned_by_loop, binned_by_histogram, binned_in_place],
    "ch16_steps": [
        lambda flops, hours, speed, share: int(hours * 3600 * speed * share / (3 * flops)),
        lambda flops, hours, speed, share: math.floor(3600 * hours / (3 * flops / (speed * share))),
        lambda flops, hours, speed, share: hours * 3600 * speed * share // (3 * flops),
        lambda flops, hours, speed, share: np.floor(hours * 60 * 60 / (flops + 2 * flops) * speed * share),
        lambda flops, hours, speed, share: [round(hours * 1200 * speed * share / flops - 0.5)][0],
    ],
    "ch16_strengths": [strength, strength_by_lstsq, strength_by_pinv, strength_by_loop, strength_by_pairs],
}

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
