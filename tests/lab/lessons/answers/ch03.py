"""Answers to the exercises of chapter 3: right ones of several styles, and the mistakes that people make."""

import numpy as np

from minivdit.diffusion import Process, make

FLOW = make("rectified_flow")


def spread(level):
    return level[:, :, None, None, None]


def noisier(x, fresh, here, there):
    here, there = spread(here), spread(there)
    ratio = (1 - there) / (1 - here)
    return ratio * x + np.sqrt(there**2 - (ratio * here) ** 2) * fresh


def noisier_by_frames(x, fresh, here, there):
    for b, t in np.ndindex(*here.shape):
        kept = (1 - there[b, t]) / (1 - here[b, t])
        x[b, t] = kept * x[b, t] + (there[b, t] ** 2 - kept**2 * here[b, t] ** 2) ** 0.5 * fresh[b, t]
    return x


def noisier_by_einsum(x, fresh, here, there):
    kept = (1 - there) / (1 - here)
    added = np.sqrt((there - kept * here) * (there + kept * here))
    return np.einsum("bthwc,bt->bthwc", x, kept) + np.einsum("bthwc,bt->bthwc", fresh, added)


def noisier_by_the_library(x, fresh, here, there):
    kept = FLOW.alpha(there) / FLOW.alpha(here)
    return (x.T * kept.T + fresh.T * np.sqrt(FLOW.sigma(there) ** 2 - (kept * FLOW.sigma(here)) ** 2).T).T


def noisier_in_float32(*inputs):
    x, fresh, here, there = (array.astype(np.float32) for array in inputs)
    kept = spread((1 - there) / (1 - here))
    return kept * x + np.sqrt(np.maximum(spread(there) ** 2 - (kept * spread(here)) ** 2, 0)) * fresh


def noisier_with(x, fresh, here, there, kept, added):
    return spread(kept) * x + spread(added) * fresh


def beta_by_loop(alpha_bar):
    before, beta = 1.0, []
    for after in alpha_bar:
        beta.append(min(1 - after / before, 0.999))
        before = after
    return beta


def beta_by_roll(alpha_bar):
    before = np.roll(alpha_bar, 1)
    before[0] = 1
    return np.clip((before - alpha_bar) / before, None, 0.999)


def beta_by_difference(alpha_bar):
    beta = -np.diff(alpha_bar, prepend=1) / np.append(1, alpha_bar[:-1])
    beta[beta > 0.999] = 0.999
    return beta


def beta_by_logarithm(alpha_bar):
    with np.errstate(divide="ignore"):
        return np.minimum(1 - np.exp(np.diff(np.log(alpha_bar), prepend=0)), 0.999)


def beta_of(alpha_bar):
    return 1 - alpha_bar / np.r_[1, alpha_bar[:-1]]


def clean_by_frames(x, v, t):
    return [[frame - level * move for frame, move, level in zip(*clip)] for clip in zip(x, v, t)]


def clean_in_place(x, v, t):
    v *= spread(t)
    x -= v
    return x


def level_by_search(decibels, shift):
    low, high = np.zeros_like(decibels), np.ones_like(decibels)
    for _ in range(60):
        middle = (low + high) / 2
        above = 20 * np.log10((1 - middle) / (shift * middle)) > decibels
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def level_by_variances(decibels, shift):
    ratio = np.sqrt(10 ** (decibels / 10))
    return (1 / shift) / (1 / shift + ratio)


RIGHT = {
    "ch03_beta": [
        beta_by_loop,
        beta_by_roll,
        beta_by_difference,
        beta_by_logarithm,
        lambda alpha_bar: np.minimum(beta_of(alpha_bar.astype(np.float32)), np.float32(0.999)),
        lambda alpha_bar: np.minimum(beta_of(alpha_bar), 0.999).tolist(),
    ],
    "ch03_clean": [
        lambda x, v, t: x - spread(t) * v,
        lambda x, v, t: x - np.einsum("bthwc,bt->bthwc", v, t),
        lambda x, v, t: (x.T - t.T * v.T).T,
        lambda *a: np.subtract(
            a[0], np.multiply(np.expand_dims(a[2], (2, 3, 4)), a[1]), dtype=np.float32, casting="unsafe"
        ),
        lambda x, v, t: Process(FLOW, "velocity").to_clean_and_noise(v, x, t)[0],
        clean_by_frames,
        clean_in_place,
    ],
    "ch03_level_of": [
        lambda decibels, shift: 1 / (1 + shift * 10 ** (decibels / 20)),
        lambda decibels, shift: 1 / (1 + np.exp(decibels * np.log(10) / 20 + np.log(shift))),
        lambda decibels, shift: [1 / (1 + shift * 10 ** (d / 20)) for d in decibels],
        lambda decibels, shift: (
            np.float32(1) / (1 + np.float32(shift) * np.float32(10) ** (decibels / 20).astype("f4"))
        ),
        level_by_search,
        level_by_variances,
    ],
    "ch03_noisier": [
        noisier,
        noisier_by_frames,
        noisier_by_einsum,
        noisier_by_the_library,
        noisier_in_float32,
    ],
}

WRONG = {
    "ch03_beta": [
        beta_of,  # not limited
        lambda alpha_bar: np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], 0.999),  # one is missing
        lambda alpha_bar: np.minimum(1 - alpha_bar, 0.999),  # all steps so far
        lambda alpha_bar: np.minimum(beta_of(np.sqrt(alpha_bar)), 0.999),  # from alpha
        lambda alpha_bar: np.minimum(alpha_bar / np.r_[1, alpha_bar[:-1]], 0.999),  # what stays
        lambda alpha_bar: np.minimum(np.r_[beta_of(alpha_bar)[1:], 0], 0.999),  # one step early
    ],
    "ch03_clean": [
        lambda x, v, t: x + spread(t) * v,
        lambda x, v, t: x - v,  # the scale is missing
        lambda x, v, t: x + (1 - spread(t)) * v,  # the noise
        lambda x, v, t: (x - spread(t) * v) / (1 - spread(t)),  # as if it were the noise that is predicted
        lambda x, v, t: x - t.mean() * v,  # one level for all
        lambda x, v, t: (1 - spread(t)) * x - spread(t) * v,  # as on the quarter circle
    ],
    "ch03_level_of": [
        lambda decibels, shift: 1 / (1 + shift * 10 ** (decibels / 10)),  # a ratio of variances
        lambda decibels, shift: 1 / (1 + 10 ** (decibels / 20) / shift),  # shifted the other way
        lambda decibels, shift: 1 / (1 + 10 ** (decibels / 20)),  # not shifted
        lambda decibels, shift: 1 - 1 / (1 + shift * 10 ** (decibels / 20)),  # upside down
        lambda decibels, shift: 1 / (1 + shift * np.exp(decibels / 20)),
        lambda decibels, shift: 10 ** (decibels / 20) / shift,  # the ratio
    ],
    "ch03_noisier": [
        lambda x, n, s, t: noisier_with(x, n, s, t, (1 - t) / (1 - s), t - s),  # levels, not variances
        lambda x, n, s, t: noisier_with(
            x, n, s, t, (1 - t) / (1 - s), np.sqrt(t**2 - s**2)
        ),  # the old noise not shrunk
        lambda x, n, s, t: noisier_with(x, n, s, t, 1 - t, t),  # as if x were clean
        lambda x, n, s, t: noisier_with(x, n, s, t, (1 - t) / (1 - s), t - s * (1 - t) / (1 - s)),  # amplitudes
        lambda x, n, s, t: noisier_with(x, n, s, t, np.ones_like(t), np.sqrt(t**2 - s**2)),  # not shrunk
        lambda x, n, s, t: noisier(x, n, np.full_like(s, s.mean()), np.full_like(t, t.mean())),  # one level for all
        lambda x, n, s, t: noisier_with(x, n, s, t, (1 - t) / (1 - s), t**2 - ((1 - t) / (1 - s) * s) ** 2),  # no root
    ],
}
