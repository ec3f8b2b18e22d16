"""Answers to the exercises of chapter 4: right ones of several styles, and the mistakes that people make."""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def best_guess(x, data, alpha, sigma):
    square = ((x[:, None] - alpha * data) ** 2).sum(-1)
    return softmax(-square / (2 * sigma**2)) @ data


def best_guess_that_vanishes(x, data, alpha, sigma):
    weights = np.exp(-((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2))
    return weights @ data / weights.sum(axis=1, keepdims=True)


def ddpm_deviations(beta, before):
    return np.sqrt((1 - before) / (1 - np.cumprod(1 - beta)) * beta)


def mean_distance(a, b, power=1):
    return (np.linalg.norm(a[:, None] - b, axis=-1) ** power).mean()


def spread(level):
    return level[:, :, None, None, None]


RIGHT = {}

WRONG = {
    "ch04_best": [
        best_guess_that_vanishes,
        lambda x, data, alpha, sigma: best_guess(x, data, 1, sigma),  # alpha forgotten
        lambda x, data, alpha, sigma: best_guess(x, data, alpha, sigma**0.5),  # sigma not squared
        lambda x, data, alpha, sigma: best_guess(x, data, alpha, sigma / 2**0.5),  # the half forgotten
        lambda x, data, alpha, sigma: data[((x[:, None] - alpha * data) ** 2).sum(-1).argmin(1)],  # the nearest
    ],
    "ch04_ddim_step": [
        lambda x, n, here, there: x - spread(here - there) * n,  # as if the noise were the velocity
        lambda x, n, here, there: (1 - spread(there)) * (x - spread(here) * n) + spread(there) * n,  # not divided
        lambda x, n, here, there: (1 - spread(here)) * (x - spread(there) * n) / (1 - spread(there)) + spread(here) * n,
        lambda x, n, here, there: (x - spread(here) * n) / (1 - spread(here)),  # clean at once
    ],
    "ch04_deviations": [
        np.sqrt,  # the paper's other choice
        lambda beta: ddpm_deviations(beta, np.cumprod(1 - beta)),  # off by one: no step between
        lambda beta: ddpm_deviations(beta, np.r_[1, np.cumprod(1 - beta)[:-1]]) ** 2,  # variances
        lambda beta: ddpm_deviations(beta, np.r_[1, np.cumprod(1 - beta)[:-1]])[::-1],  # as they are walked
    ],
    "ch04_energy": [
        lambda a, b: mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b),  # the 2 forgotten
        lambda a, b: 2 * mean_distance(a, b, 2) - mean_distance(a, a, 2) - mean_distance(b, b, 2),  # squares
        lambda a, b: np.sqrt(2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)),
        lambda a, b: np.linalg.norm(a.mean(0) - b.mean(0)),  # of the means
    ],
}
