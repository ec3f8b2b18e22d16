"""Answers to the exercises of chapter 14: right ones of several styles, and the mistakes that people make."""

import numpy as np


def spread(level):
    return level[:, :, None, None, None]


def away_from(given):
    frame = np.arange(len(given))
    return np.abs(frame[:, None] - frame[given]).min(axis=1)


def outwards(steps, given, lag, first=1, extra=0, given_level=0.0):
    late = lag * (away_from(given) - first)
    row = np.arange(steps + late.max() + 1 + extra)[:, None]
    return np.where(given, given_level, np.clip(1 - (row - late) / steps, 0, 1))


def outwards_by_loop(steps, given, lag):
    frames, levels = len(given), []
    begin = [lag * (min(abs(f - g) for g in range(frames) if given[g]) - 1) for f in range(frames)]
    for row in range(steps + max(begin) + 1):
        levels.append([0 if given[f] else min(1, max(0, 1 - (row - begin[f]) / steps)) for f in range(frames)])
    return levels


def outwards_by_walking(steps, given, lag):
    """Row after row: whoever has begun goes down one step."""
    late, level, rows = lag * (away_from(given) - 1), 1.0 - given, []
    while True:
        rows.append(level)
        if not level.round(9).any():
            return np.array(rows).round(12)
        level = level - (len(rows) > late) * ~given * (level > 1e-9) / steps


def outwards_by_interp(steps, given, lag):
    late = lag * np.maximum(away_from(given) - 1, 0)
    row = np.arange(steps + late[~given].max() + 1)
    columns = [np.interp(row, [begin, begin + steps], [1, 0]) * (not known) for begin, known in zip(late, given)]
    return np.stack(columns, axis=1).astype(np.float32)


def truth_in_place(velocity, x, clean, known, level):
    x -= clean
    x /= spread(level)
    velocity[np.broadcast_to(known, x.shape)] = x[np.broadcast_to(known, x.shape)]
    return velocity


def truth_by_noise(velocity, x, clean, known, level):
    t = level.reshape(*level.shape, 1, 1, 1)
    noise = (x - (1 - t) * clean) / t
    return known * (noise - clean) + ~known * velocity


def truth_by_loop(velocity, x, clean, known, level):
    out = velocity.copy()
    for b, t in np.ndindex(level.shape):
        for y, column in np.argwhere(known[b, t, ..., 0]):
            out[b, t, y, column] = (x[b, t, y, column] - clean[b, t, y, column]) / level[b, t]
    return out


def latents_by_loop(known, in_time, factor):
    frames, height, width = known.shape
    out = np.empty((1 + (frames - 1) // in_time, height // factor, width // factor), bool)
    for t, y, x in np.ndindex(out.shape):
        part = known[:1] if t == 0 else known[1 + (t - 1) * in_time : 1 + t * in_time]
        out[t, y, x] = part[:, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].all()
    return out


def latents(known, in_time, factor, whole=np.all):
    padded = np.concatenate([known[:1]] * (in_time - 1) + [known])  # the first frame fills a group of its own
    t, height, width = padded.shape
    boxes = padded.reshape(t // in_time, in_time, height // factor, factor, width // factor, factor)
    return whole(boxes, axis=(1, 3, 5))


def latents_by_minimum(known, in_time, factor):
    starts = np.r_[0, np.arange(1, len(known), in_time)]
    out = np.logical_and.reduceat(known, starts)
    out = np.logical_and.reduceat(out, np.arange(0, known.shape[1], factor), axis=1)
    return np.logical_and.reduceat(out, np.arange(0, known.shape[2], factor), axis=2)


def latents_by_counting(known, in_time, factor):
    kernel = lambda n: np.kron(np.eye(n // factor), np.ones(factor))
    count = np.einsum("tyx,Yy,Xx->tYX", known.astype(float), kernel(known.shape[1]), kernel(known.shape[2]))
    count = np.concatenate([count[:1] * in_time, np.add.reduceat(count[1:], np.arange(0, len(known) - 1, in_time))])
    return count == in_time * factor**2


def latents_from_unknown(known, in_time, factor):
    out = np.ones((1 + len(known) // in_time, known.shape[1] // factor, known.shape[2] // factor))
    for t, y, x in np.argwhere(~known):
        out[-(-t // in_time), y // factor, x // factor] = 0
    return out


def rounds(frames, wanted, window, context):
    whole, rest = divmod(wanted - frames, window - context)
    return [window - context] * whole + [rest] * (rest > 0)


def rounds_by_recursion(frames, wanted, window, context):
    new = min(window - context, wanted - frames)
    return (new, *rounds_by_recursion(frames + new, wanted, window, context)) if new else ()


def rounds_by_while(frames, wanted, window, context):
    added = []
    while frames < wanted:
        added += [min(window - context, wanted - frames)]
        frames += added[-1]
    return np.array(added, dtype=np.int32)


RIGHT = {
    "ch14_outwards": [
        outwards,
        outwards_by_loop,
        outwards_by_walking,
        outwards_by_interp,
        lambda steps, given, lag: np.minimum(1, np.maximum(0, outwards(steps, given, lag).round(9)))[
            : steps + lag * away_from(given).max() + 1
        ],
    ],
    "ch14_truth": [
        lambda velocity, x, clean, known, level: np.where(known, (x - clean) / spread(level), velocity),
        truth_in_place,
        truth_by_noise,
        truth_by_loop,
        lambda velocity, x, clean, known, level: (
            velocity + known * (np.einsum("btyxc,bt->btyxc", x - clean, 1 / level) - velocity)
        ),
    ],
    "ch14_latents": [latents_by_loop, latents, latents_by_minimum, latents_by_counting, latents_from_unknown],
    "ch14_rounds": [
        rounds,
        rounds_by_recursion,
        rounds_by_while,
        lambda frames, wanted, window, context: [
            min(window - context, wanted - at) for at in range(frames, wanted, window - context)
        ],
        lambda frames, wanted, window, context: np.diff([*range(frames, wanted, window - context), wanted]),
    ],
}

WRONG = {
    "ch14_outwards": [
        lambda *a: outwards(*a, first=0),  # the neighbours wait, too
        lambda *a: outwards(*a, extra=1),  # one row too many
        lambda *a: outwards(*a, given_level=1.0),
        lambda *a: outwards(*a).T,
        lambda steps, given, lag: outwards(steps, given, lag)[::-1],  # rising
        lambda steps, given, lag: outwards(steps, given, 0),  # all together
        lambda steps, given, lag: outwards(steps, np.arange(len(given)) == np.argmax(given), lag),  # the first one only
        lambda steps, given, lag: np.linspace(1, 0, steps + 1)[:, None] * ~given,  # the chapter's matrix
    ],
    "ch14_truth": [
        lambda velocity, x, clean, known, level: np.where(known, x - clean, velocity),  # not divided
        lambda velocity, x, clean, known, level: np.where(known, (clean - x) / spread(level), velocity),  # backwards
        lambda velocity, x, clean, known, level: np.where(known, clean, velocity),  # the clean latents, not a velocity
        lambda velocity, x, clean, known, level: np.where(~known, (x - clean) / spread(level), velocity),  # the others
        lambda velocity, x, clean, known, level: (x - clean) / spread(level),  # everywhere
        lambda velocity, x, clean, known, level: np.where(known, (x - clean) / level.mean(), velocity),  # one level
        lambda velocity, x, clean, known, level: np.where(known, (x - clean) / (1 - spread(level)), velocity),
        lambda velocity, x, clean, known, level: velocity,
    ],
    "ch14_latents": [
        lambda known, n, f: latents(known, n, f, whole=np.any),
        lambda known, n, f: latents(known, n, f, whole=np.mean) > 0.5,
        lambda known, n, f: known[::n, ::f, ::f],  # one pixel of each
        lambda known, n, f: latents(np.concatenate([known[1:], known[-1:]]), n, f),  # groups begin one frame late
        lambda known, n, f: known[:-1].reshape(-1, n, known.shape[1] // f, f, known.shape[2] // f, f).all((1, 3, 5)),
        lambda known, n, f: latents(known, n, f).swapaxes(1, 2),
        lambda known, n, f: latents(known[:, ::f, ::f], n, 1),
    ],
    "ch14_rounds": [
        lambda frames, wanted, window, context: [window - context] * -(-(wanted - frames) // (window - context)),
        lambda frames, wanted, window, context: [window] * ((wanted - frames) // window) + [(wanted - frames) % window],
        lambda frames, wanted, window, context: [wanted - frames],  # in one
        lambda frames, wanted, window, context: [1] * (wanted - frames),
        lambda frames, wanted, window, context: [context] * ((wanted - frames) // context),
        lambda frames, wanted, window, context: rounds(0, wanted, window, context),  # from nothing
        lambda frames, wanted, window, context: len(rounds(frames, wanted, window, context)),  # how many
    ],
}
