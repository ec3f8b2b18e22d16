"""Answers to the exercises of chapter 4: right ones of several styles, and the mistakes that people make."""

import numpy as np

from minivdit.diffusion import Process, make


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def squares(x, data):
    return ((x[:, None] - data) ** 2).sum(-1)


def uncertainty(x, data, alpha, sigma):
    weights = softmax(-squares(x, alpha * data) / (2 * sigma**2))
    return (weights * squares(weights @ data, data)).sum(1)


def uncertainty_by_loops(x, data, alpha, sigma):
    result = []
    for point in x:
        exponent = [-(((point - alpha * c) / sigma) ** 2).sum() / 2 for c in data]
        weights = [np.exp(e - max(exponent)) for e in exponent]
        guess = sum(w * c for w, c in zip(weights, data)) / sum(weights)
        result.append(sum(w * ((c - guess) ** 2).sum() for w, c in zip(weights, data)) / sum(weights))
    return result


def uncertainty_by_moments(x, data, alpha, sigma):
    weights = softmax((alpha * x @ data.T - alpha**2 * (data**2).sum(1) / 2) / sigma**2)
    data = data - data.mean(0)
    return weights @ (data**2).sum(1) - ((weights @ data) ** 2).sum(1)


def uncertainty_of_pairs(x, data, alpha, sigma):
    """Half the mean squared distance of two independent draws."""
    exponent = -squares(x, alpha * data) / (2 * sigma**2)
    weights = np.exp(exponent - np.logaddexp.reduce(exponent, axis=1, keepdims=True))
    return np.einsum("ni,nj,ij->n", weights, weights, squares(data, data)) / 2


def uncertainty_per_axis(x, data, alpha, sigma):
    x, data = x.astype(np.float32), data.astype(np.float32)
    weights = softmax(-squares(x / np.float32(alpha), data) * np.float32(alpha / sigma) ** 2 / 2)
    return sum(np.einsum("nm,nm->n", weights, (axis - (weights @ axis)[:, None]) ** 2) for axis in data.T)


def uncertainty_that_vanishes(x, data, alpha, sigma):
    weights = np.exp(-squares(x, alpha * data) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights * squares(weights @ data, data)).sum(1)


def spread(level):
    return level[:, :, None, None, None]


FLOW = make("rectified_flow")


def ddim(x, noise, here, there):
    here, there = spread(here), spread(there)
    return (1 - there) * (x - here * noise) / (1 - here) + there * noise


def ddim_by_frames(x, noise, here, there):
    for b, t in np.ndindex(*here.shape):
        clean = (x[b, t] - here[b, t] * noise[b, t]) / (1 - here[b, t])
        x[b, t] = clean + there[b, t] * (noise[b, t] - clean)
    return x


def ddim_by_ratio(x, noise, here, there):
    kept = (1 - there) / (1 - here)
    return np.einsum("bt,bthwc->bthwc", kept, x) + np.einsum("bt,bthwc->bthwc", there - kept * here, noise)


def ddim_as_euler(x, noise, here, there):
    velocity = (noise - x) / (1 - spread(here))
    return x - spread(here - there) * velocity


def ddim_by_library(x, noise, here, there):
    clean, noise = Process(FLOW, "noise").to_clean_and_noise(noise, x, here)
    return FLOW.mix(clean, noise, there)


def deviations(alpha_bar, before, beta):
    return np.sqrt((1 - before) / (1 - alpha_bar) * beta)


def before(alpha_bar):
    return np.r_[1, alpha_bar[:-1]]


def long_beta(alpha_bar):
    return 1 - alpha_bar / before(alpha_bar)


def deviations_by_loop(alpha_bar):
    result, last = [], 1.0
    for now in alpha_bar:
        result.append(((1 - last) / (1 - now) * (1 - now / last)) ** 0.5)
        last = now
    return result


def deviations_as_precision(alpha_bar):
    """One over the variance: what x tells of the step before, and what the clean point tells, added."""
    last = before(alpha_bar)[1:]
    beta = 1 - alpha_bar[1:] / last
    return np.concatenate([[0.0], ((1 - beta) / beta + 1 / (1 - last)) ** -0.5])


def distances(a, b):
    return np.linalg.norm(a[:, None] - b, axis=-1)


def off_diagonal(a):
    return distances(a, a)[~np.eye(len(a), dtype=bool)].mean()


def energy(a, b):
    return 2 * distances(a, b).mean() - off_diagonal(a) - off_diagonal(b)


def energy_by_loops(a, b):
    def length(p, q):
        return sum((i - j) ** 2 for i, j in zip(p, q)) ** 0.5

    def within(points):
        pairs = [length(p, q) for i, p in enumerate(points) for q in points[:i]]
        return sum(pairs) / len(pairs)

    return 2 * sum(length(p, q) for p in a for q in b) / (len(a) * len(b)) - within(a) - within(b)


def energy_by_factor(a, b):
    within = [distances(p, p).mean() * len(p) / (len(p) - 1) for p in (a, b)]
    return np.array(2 * distances(a, b).mean() - sum(within))


def energy_by_triangle(a, b):
    def within(points):
        return distances(points, points)[np.triu_indices(len(points), 1)].mean()

    return 2 * np.sqrt(((a[:, None] - b) ** 2).sum(2)).mean() - within(a) - within(b)


def energy_by_products(a, b):
    together = np.vstack([a, b])
    gram = together @ together.T
    apart = np.sqrt(np.maximum(gram.diagonal()[:, None] + gram.diagonal() - 2 * gram, 0))
    n, m = len(a), len(b)
    np.fill_diagonal(apart, 0)
    return 2 * apart[:n, n:].mean() - apart[:n, :n].sum() / (n * n - n) - apart[n:, n:].sum() / (m * m - m)


def biased_energy(a, b, power=1, factor=2):
    return factor * (distances(a, b) ** power).mean() - sum((distances(p, p) ** power).mean() for p in (a, b))


# The best guess for half-moons of the chapter's shape: each is a row of normal distributions along its arc.
ANGLE = np.pi * (np.arange(20) + 0.5) / 20
ARC, WIDTH = 1.5 * np.stack([np.cos(ANGLE) - 0.5, np.sin(ANGLE) - 0.25], axis=-1), 0.08


def best_pair(x, level, label, arc=ARC):
    """The best guess of clean and noise, (n, 2) each."""
    side, t = np.where(label == 0, 1, -1)[:, None], level[:, None]
    variance = ((1 - t) * WIDTH) ** 2 + t**2
    weights = softmax(-squares(side * x, (1 - t[0, 0]) * arc) / (2 * variance))
    centre = side * (weights @ arc)
    clean = centre + (1 - t) * WIDTH**2 / variance * (x - (1 - t) * centre)
    return clean, (x - (1 - t) * clean) / t


def velocity(x, level, label):
    clean, noise = best_pair(x, level, label)
    return noise - clean


def velocity_in_place(x, level, label):
    clean, noise = best_pair(x, level, label)
    noise -= clean
    x[...], label[...] = 0, 0
    return noise


def velocity_from_clean(x, level, label):
    return (x - best_pair(x, level, label)[0]) / level[:, None]


def velocity_from_noise(x, level, label):
    noise = best_pair(x, level, label)[1]
    return np.where(level[:, None] < 1, (noise - x) / np.maximum(1 - level[:, None], 1e-6), velocity(x, level, label))


RIGHT = {
    "ch04_ddim_step": [
        ddim,
        ddim_by_frames,
        ddim_by_ratio,
        ddim_as_euler,
        ddim_by_library,
        lambda *a: ddim(*(array.astype(np.float32) for array in a)),
    ],
    "ch04_deviations": [
        lambda alpha_bar: deviations(alpha_bar, before(alpha_bar), long_beta(alpha_bar)),
        lambda alpha_bar: deviations(*(f(alpha_bar.astype(np.float32)) for f in (np.array, before, long_beta))),
        lambda alpha_bar: np.diag(deviations(alpha_bar, before(alpha_bar), np.diag(long_beta(alpha_bar)))),
        deviations_by_loop,
        deviations_as_precision,
    ],
    "ch04_energy": [
        energy,
        energy_by_loops,
        energy_by_factor,
        energy_by_triangle,
        energy_by_products,
        lambda a, b: np.float32(energy(a.astype(np.float32), b.astype(np.float32))),
    ],
    "ch04_train": [
        velocity,
        velocity_in_place,
        velocity_from_clean,
        velocity_from_noise,
        lambda *a: velocity(*a).astype(np.float32).tolist(),
    ],
    "ch04_uncertainty": [
        uncertainty,
        uncertainty_by_loops,
        uncertainty_by_moments,
        uncertainty_of_pairs,
        uncertainty_per_axis,
    ],
}

WRONG = {
    "ch04_ddim_step": [
        lambda x, n, here, there: x - spread(here - there) * n,  # as if the noise were the velocity
        lambda x, n, here, there: (1 - spread(there)) * (x - spread(here) * n) + spread(there) * n,  # not divided
        lambda x, n, here, there: ddim(x, n, there, here),  # exchanged
        lambda x, n, here, there: (x - spread(here) * n) / (1 - spread(here)),  # clean at once
        lambda x, n, here, there: ddim(x, n, np.full_like(here, here.mean()), np.full_like(there, there.mean())),
        lambda x, n, here, there: ddim(
            x, np.random.default_rng(0).standard_normal(n.shape), here, there
        ),  # fresh noise
    ],
    "ch04_deviations": [
        lambda alpha_bar: np.sqrt(long_beta(alpha_bar)),  # the paper's other choice
        lambda alpha_bar: deviations(alpha_bar, alpha_bar, long_beta(alpha_bar)),  # off by one: no step between
        lambda alpha_bar: deviations(alpha_bar, before(alpha_bar), long_beta(alpha_bar)) ** 2,  # variances
        lambda alpha_bar: deviations(alpha_bar, before(alpha_bar), long_beta(alpha_bar))[::-1],  # as they are sampled
        lambda alpha_bar: deviations(alpha_bar, before(alpha_bar), 1 - alpha_bar),  # alpha_bar taken for alpha
        lambda beta: deviations(np.cumprod(1 - beta), before(np.cumprod(1 - beta)), beta),  # taken for beta
    ],
    "ch04_energy": [
        biased_energy,  # with each point's distance to itself
        lambda a, b: energy(a, b) - distances(a, b).mean(),  # the 2 forgotten
        lambda a, b: biased_energy(a, b, power=2),  # squares
        lambda a, b: np.sqrt(np.abs(energy(a, b))),
        lambda a, b: np.abs(energy(a, b)),
        lambda a, b: max(energy(a, b), 0),  # may be below 0
        lambda a, b: np.linalg.norm(a.mean(0) - b.mean(0)),  # of the means
        lambda a, b: 2 * distances(a, b).mean() - distances(a, a).mean() - off_diagonal(b),  # for one set only
    ],
    "ch04_train": [
        lambda x, level, label: velocity(x, level, np.zeros_like(label)),  # doesn't read the label
        lambda x, level, label: velocity(x, level, 1 - label),  # reads it the wrong way round
        lambda x, level, label: -velocity(x, level, label),
        lambda x, level, label: best_pair(x, level, label)[0],  # predicts clean
        lambda x, level, label: best_pair(x, level, label)[1],  # predicts noise
        lambda x, level, label: velocity(x, np.full_like(level, 0.5), label),  # doesn't read the level
        lambda x, level, label: velocity(x, np.maximum(1 - level, 0.05), label),  # 1 is clean, 0 is noise
        lambda x, level, label: x - np.where(label[:, None] == 0, 1, -1) * ARC.mean(0),  # to the mean of the moon
    ],
    "ch04_uncertainty": [
        uncertainty_that_vanishes,
        lambda x, data, alpha, sigma: uncertainty(x, data, 1, sigma),  # alpha forgotten
        lambda x, data, alpha, sigma: uncertainty(x, data, alpha, sigma**0.5),  # sigma not squared
        lambda x, data, alpha, sigma: uncertainty(x, data, alpha, sigma / 2**0.5),  # the half forgotten
        lambda x, data, alpha, sigma: uncertainty(x, data, alpha, sigma) / data.shape[1],  # the mean over the axes
        lambda x, data, alpha, sigma: np.sqrt(uncertainty(x, data, alpha, sigma)),
        lambda x, data, alpha, sigma: np.full(len(x), ((data - data.mean(0)) ** 2).sum(1).mean()),  # knows nothing of x
        lambda x, data, alpha, sigma: squares(x, data).min(1),  # the distance of the nearest
    ],
}
