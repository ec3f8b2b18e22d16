"""Answers to the exercises of chapter 9: right ones of several styles, and the mistakes that people make."""

import numpy as np


def of_ink(a, b, mask=None):
    mask = b > 0.02 if mask is None else mask
    axes = (1, 2, 3, 4)
    return -10 * np.log10(((a - b) ** 2 * mask).sum(axes) / mask.sum(axes))


def of_ink_by_loops(a, b):
    found = []
    for one, other in zip(a, b):
        errors = [(x - y) ** 2 for x, y in zip(one.ravel(), other.ravel()) if y > 0.02]
        found.append(10 * np.log10(len(errors) / sum(errors)))
    return found


def of_ink_with_nan(a, b):
    a[b <= 0.02] = np.nan
    return -20 * np.log10(np.sqrt(np.nanmean((a - b) ** 2, axis=(1, 2, 3, 4))))


def of_ink_masked(a, b):
    errors = np.ma.masked_array((a - b) ** 2, b <= 0.02)
    return np.asarray(10 * np.log10(1 / errors.reshape(len(a), -1).mean(axis=1)))


def variances(patches):
    return np.linalg.svd(patches - patches.mean(axis=0), compute_uv=False) ** 2


def enough(sizes, share):
    return int(np.argmax(np.cumsum(sizes) >= share * sizes.sum())) + 1


def enough_by_loop(patches, share):
    rising = np.linalg.eigvalsh(np.cov(patches.T))
    kept, found = 0, 0.0
    while found < share * rising.sum():
        kept += 1
        found += rising[-kept]
    return kept


def enough_by_rebuilding(patches, share):
    centred = patches - patches.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    for kept in range(1, patches.shape[1] + 1):
        lost = centred - centred @ directions[:kept].T @ directions[:kept]
        if (lost**2).sum() <= (1 - share) * (centred**2).sum():
            return kept
    return patches.shape[1]


def enough_in_place(patches, share):
    patches -= patches.mean(axis=0)
    sizes = np.sort(np.linalg.eigvals(patches.T @ patches).real)[::-1]
    return np.searchsorted(np.cumsum(sizes) / sizes.sum(), share) + 1


AXES = (0, 1, 2, 3)


def moments_of_all(batches):
    everything = np.concatenate(batches)
    return everything.mean(AXES), everything.std(AXES)


def moments_by_sums(batches):
    count = total = squares = 0
    for batch in batches:
        rows = batch.reshape(-1, batch.shape[-1])
        count, total, squares = count + len(rows), total + rows.sum(0), squares + (rows**2).sum(0)
    return [total / count, np.sqrt(squares / count - (total / count) ** 2)]


def moments_by_welford(batches):
    count, mean, spread = 0, 0.0, 0.0
    for batch in batches:
        n, its = batch[..., 0].size, batch.mean(AXES)
        away = its - mean
        spread = spread + n * batch.var(AXES) + away**2 * count * n / (count + n)
        count, mean = count + n, mean + away * n / (count + n)
    return mean, (spread / count) ** 0.5


def moments_weighted(batches):
    weights = np.array([len(batch) for batch in batches]) / sum(map(len, batches))
    means = np.array([batch.mean(AXES) for batch in batches])
    mean = weights @ means
    return np.stack([mean, np.sqrt(weights @ np.array([b.var(AXES) for b in batches]) + weights @ (means - mean) ** 2)])


def moments_in_place(batches):
    count = sum(batch[..., 0].size for batch in batches)
    mean = sum(np.einsum("bthwc->c", batch) for batch in batches) / count
    for batch in batches:
        batch -= mean
    return mean, np.sqrt(sum(np.einsum("bthwc,bthwc->c", batch, batch) for batch in batches) / count)


def step_by_step(alpha_bar, deviation):
    alpha, sigma = deviation * np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    return (alpha / np.hypot(alpha, sigma)) ** 2


def by_logits(alpha_bar, deviation):
    return 1 / (1 + np.exp(-(np.log(alpha_bar / (1 - alpha_bar)) + 2 * np.log(deviation))))


def one_at_a_time(alpha_bar, deviation):
    return [float(s * s * a / (s * s * a + 1 - a)) for a, s in zip(alpha_bar, deviation)]


def level_in_place(alpha_bar, deviation):
    noise = 1 - alpha_bar
    alpha_bar *= deviation**2
    alpha_bar /= alpha_bar + noise
    return alpha_bar


def tokens_by_counting(frames, height, width):
    latent_frames = 1 + len(range(1, frames, 4))
    return latent_frames * len(range(0, height, 16)) * len(range(0, width, 16))


def tokens_by_cells(frames, height, width):
    cells = np.ones(((frames + 3) // 4, height // 8, width // 8))
    return cells[:, ::2, ::2].size


RIGHT = {
    "ch09_psnr": [
        of_ink,
        of_ink_by_loops,
        of_ink_with_nan,
        of_ink_masked,
        lambda a, b: of_ink(a.astype(np.float32), b.astype(np.float32)),
    ],
    "ch09_linear": [
        lambda patches, share: enough(variances(patches), share),
        enough_by_loop,
        enough_by_rebuilding,
        enough_in_place,
        lambda patches, share: enough(np.linalg.eigvalsh(np.cov(patches.astype(np.float32).T))[::-1], share),
    ],
    "ch09_normalise": [moments_of_all, moments_by_sums, moments_by_welford, moments_weighted, moments_in_place],
    "ch09_level": [
        step_by_step,
        by_logits,
        one_at_a_time,
        level_in_place,
        lambda alpha_bar, deviation: 1 - (1 - alpha_bar) / (1 + alpha_bar * (deviation**2 - 1)),
    ],
    "ch09_tokens": [
        lambda frames, height, width: (1 + (frames - 1) // 4) * (height // 16) * (width // 16),
        lambda frames, height, width: (frames + 3) // 4 * height * width / 256,
        lambda frames, height, width: np.prod([(frames - 1) / 4 + 1, height / 8 / 2, width / 8 / 2]),
        tokens_by_counting,
        tokens_by_cells,
    ],
}

WRONG = {
    "ch09_level": [
        lambda alpha_bar, deviation: alpha_bar,
        lambda alpha_bar, deviation: deviation * alpha_bar / (deviation * alpha_bar + 1 - alpha_bar),  # no square
        lambda alpha_bar, deviation: alpha_bar / (alpha_bar + deviation**2 * (1 - alpha_bar)),  # the other way
        lambda alpha_bar, deviation: np.minimum(1, deviation**2 * alpha_bar),  # the noise not counted
        lambda alpha_bar, deviation: deviation**2 * alpha_bar / (1 - alpha_bar),  # the ratio itself
    ],
    "ch09_linear": [
        lambda patches, share: enough(np.linalg.svd(patches, compute_uv=False) ** 2, share),  # the mean forgotten
        lambda patches, share: enough(variances(patches) ** 0.5, share),  # not squared
        lambda patches, share: enough(variances(patches)[::-1], share),  # the smallest first
        lambda patches, share: enough(variances(patches), share) - 1,  # counted from 0
        lambda patches, share: enough(np.sort(patches.var(axis=0))[::-1], share),  # columns, not directions
        lambda patches, share: round(share * patches.shape[1]),
    ],
    "ch09_normalise": [
        lambda batches: (moments_of_all(batches)[0], moments_of_all(batches)[1] ** 2),  # the variance
        lambda batches: (  # the mean of means, whatever the batch
            np.mean([batch.mean(AXES) for batch in batches], axis=0),
            moments_of_all(batches)[1],
        ),
        lambda batches: (moments_of_all(batches)[0], np.mean([batch.std(AXES) for batch in batches], axis=0)),
        lambda batches: (  # the spread of the batches' means forgotten
            moments_of_all(batches)[0],
            np.sqrt(np.average([b.var(AXES) for b in batches], axis=0, weights=[len(b) for b in batches])),
        ),
        lambda batches: moments_of_all(batches[-1:]),  # of the last batch
        lambda batches: (np.concatenate(batches).mean(), np.concatenate(batches).std()),  # all channels together
        lambda batches: moments_of_all(batches)[::-1],
    ],
    "ch09_psnr": [
        lambda a, b: of_ink(a, b, np.ones_like(b, bool)),  # black counted
        lambda a, b: 2 * of_ink(a, b),  # 20 for 10
        lambda a, b: -of_ink(a, b),
        lambda a, b: of_ink(a, b, a > 0.02),  # the ink of the wrong one
        lambda a, b: np.full(len(a), of_ink(a[None, :, 0], b[None, :, 0])),  # all clips together
        lambda a, b: of_ink(a, b) * np.log(10),
        lambda a, b: -10 * np.log10(((a - b) ** 2 * (b > 0.02)).mean((1, 2, 3, 4))),  # divided by all pixels
        lambda a, b: -10 * np.log10(np.abs((a - b) * (b > 0.02)).sum((1, 2, 3, 4)) / (b > 0.02).sum((1, 2, 3, 4))),
    ],
    "ch09_tokens": [
        lambda frames, height, width: frames // 4 * (height // 16) * (width // 16),  # the first frame forgotten
        lambda frames, height, width: (1 + frames // 4) * (height // 8) * (width // 8),  # patches forgotten
        lambda frames, height, width: frames * (height // 16) * (width // 16),  # time not compressed
        lambda frames, height, width: (1 + frames // 4) * (height // 16) * (height // 16),  # a square
        lambda frames, height, width: (1 + frames // 4) // 2 * (height // 16) * (width // 16),  # patches in time
    ],
}
