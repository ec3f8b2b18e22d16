"""Answers to the exercises of chapter 15: right ones of several styles, and the mistakes that people make."""

import numpy as np

from minivdit import autograd as ag


def causal(x, kernel, state, keep=2, begin=True, phase=True, first=None):
    """state: the two frames before the chunk, and the number of its first frame."""
    before, start = state if state is not None else (x[[0, 0]] if first is None else first, 0)
    padded = np.concatenate([before if begin else x[[0, 0]], x])
    y = sum(kernel[j] * padded[2 - j : len(padded) - j] for j in range(3))
    return y[start % 2 if phase else 0 :: 2], (np.concatenate([before, x])[-keep:], start + len(x))


def causal_by_loop(x, kernel, state):
    frames, start = state or ([x[0], x[0]], 0)
    out = []
    for t, frame in enumerate(x, start):
        frames = [*frames[-2:], frame]
        if t % 2 == 0:
            out.append(kernel[0] * frames[2] + kernel[1] * frames[1] + kernel[2] * frames[0])
    return np.array(out).reshape(-1, x.shape[1]), (frames, start + len(x))


def causal_by_history(x, kernel, state):
    """Keeps the whole clip so far; right, if not thrifty."""
    clip = x if state is None else np.concatenate([state, x])
    done = len(clip) - len(x)
    at = np.arange(done + done % 2, len(clip), 2)
    return np.einsum("j,tjc->tc", kernel, clip[np.maximum(at[:, None] - np.arange(3), 0)]), clip


def causal_by_dict(x, kernel, state):
    state = state or {"before": np.stack([x[0], x[0]]), "even": True}
    padded = np.vstack([state["before"], x])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)  # (T, C, 3)
    y = windows @ kernel[::-1]
    return [y[0 if state["even"] else 1 :: 2], {"before": padded[-2:], "even": state["even"] ^ bool(len(x) % 2)}]


def padded_share(shapes):
    sizes = np.array(shapes)
    return 1 - sizes.prod(axis=1).sum() / (len(sizes) * sizes.max(axis=0).prod())


def padded_share_by_loops(shapes):
    t, h, w = (max(shape[axis] for shape in shapes) for axis in range(3))
    empty = 0
    for a, b, c in shapes:
        empty += t * h * w - a * b * c
    return empty / (t * h * w * len(shapes))


def padded_share_by_masks(shapes):
    most = np.max(shapes, axis=0)
    masks = [np.ones(most, bool) for _ in shapes]
    for mask, (t, h, w) in zip(masks, shapes):
        mask[:t, :h, :w] = False
    return np.mean(masks)


def padded_share_by_pad(shapes):
    most = np.max(shapes, axis=0)
    filled = [np.pad(np.ones(shape), [(0, end - side) for end, side in zip(most, shape)]) for shape in shapes]
    return 1 - np.stack(filled).mean(dtype=np.float64)


def padded_share_by_mean(shapes):
    return np.float64(np.mean([1 - np.prod(np.array(shape) / np.max(shapes, axis=0)) for shape in shapes]))


def skiparse_by_loop(tokens, k):
    first, second = [], []
    for i in range(tokens):
        first.append(i % k)
        second.append((i // k) % k)
    return [first, second]


def skiparse_by_tile(tokens, k):
    first = np.tile(np.arange(k), tokens)[:tokens]
    return first, np.repeat(first, k)[:tokens]


def skiparse_by_filling(tokens, k):
    labels = np.empty((2, tokens), int)
    for group in range(k):
        labels[0, group::k] = group
        for run in range(k * group, tokens, k * k):
            labels[1, run : run + k] = group
    return labels


def strata_by_loop(n, generator):
    levels = [generator.uniform(k / n, (k + 1) / n) for k in range(n)]
    generator.shuffle(levels)
    return levels


def strata_in_place(n, generator):
    levels = np.linspace(0, 1, n, endpoint=False)
    levels += generator.uniform(0, 1 / n, n)
    generator.shuffle(levels)
    return levels


def strata_by_sorting(n, generator):
    return ((np.argsort(generator.random(n)) + generator.random(n)) / n).tolist()


def cut_in_pairs(clips):
    """(B, 1 + m, 2 C): frames 2t - 1 and 2t side by side; before the first one stands itself."""
    clips = np.concatenate([clips[:, :1], clips], axis=1)
    return clips.reshape(len(clips), -1, 2 * clips.shape[-1])


def apart(pairs):
    return pairs.reshape(len(pairs), -1, pairs.shape[-1] // 2)[:, 1:]


def by_basis(clips, basis):
    return (lambda x: cut_in_pairs(x) @ basis), (lambda z: apart(z @ np.linalg.pinv(basis)))


def by_svd(clips, keep=slice(6), pairs=cut_in_pairs):
    rows = pairs(clips)[:, 1:].reshape(-1, 2 * clips.shape[-1])
    return by_basis(clips, np.linalg.svd(rows, full_matrices=False)[2][keep].T)


def by_covariance(clips):
    rows = cut_in_pairs(clips)[:, 1:].reshape(-1, 12)
    return by_basis(clips, np.linalg.eigh(rows.T @ rows)[1][:, -6:].astype(np.float32))


def by_gradients(clips, steps=400, rate=0.2):
    """Gradient descent with momentum, by the project's autograd."""
    generator = np.random.default_rng(0)
    rows = cut_in_pairs(clips)[:, 1:].reshape(-1, 12)
    down, up = (ag.Tensor(generator.standard_normal(shape) * 0.3, requires_grad=True) for shape in ((12, 6), (6, 12)))
    pace = [0.0, 0.0]
    for _ in range(steps):
        loss = ag.mean_squared_error((ag.Tensor(rows) @ down) @ up, rows)
        for k, gradient in enumerate(ag.gradients(loss, [down, up])):
            pace[k] = 0.9 * pace[k] + gradient
            (down, up)[k].data -= rate * pace[k]
    return (lambda x: cut_in_pairs(x) @ down.data), (lambda z: apart(z @ up.data))


def by_turns(clips):
    """Least squares for the decoder, then for the encoder, and so on."""
    rows = cut_in_pairs(clips)[:, 1:].reshape(-1, 12)
    down = np.random.default_rng(1).standard_normal((12, 6))
    for _ in range(40):
        up = np.linalg.lstsq(rows @ down, rows, rcond=None)[0]
        down = np.linalg.pinv(up)
    return [lambda x: cut_in_pairs(x) @ down, lambda z: apart(z @ up)]


def by_space(clips):
    """Three numbers for each frame, as the hidden ones are three; two frames make six."""
    basis = np.linalg.svd(clips.reshape(-1, 6), full_matrices=False)[2][:3].T
    encode = lambda x: (np.concatenate([x[:, :1], x], axis=1) @ basis).reshape(len(x), -1, 6)
    return encode, lambda z: z.reshape(len(z), -1, 3)[:, 1:] @ basis.T


def repeated(z):
    return np.concatenate([z[:, :1], z[:, 1:].repeat(2, axis=1)], axis=1)


def interpolated(z):
    x = repeated(z)
    x[:, 1::2] = (z[:, :-1] + z[:, 1:]) / 2
    return x


def ahead(clips):
    """Pairs of frame 2t and the one that follows."""
    basis = np.linalg.svd(cut_in_pairs(clips)[:, 1:].reshape(-1, 12), full_matrices=False)[2][:6].T
    encode = lambda x: np.concatenate([x, x[:, -1:]], axis=1).reshape(len(x), -1, 12) @ basis
    return encode, lambda z: (z @ basis.T).reshape(len(z), -1, 6)[:, :-1]


def whole_clip(clips):
    """One matrix for the clip as a whole."""
    basis = np.linalg.svd(clips.reshape(len(clips), -1), full_matrices=False)[2][:30].T
    return (lambda x: (x.reshape(len(x), -1) @ basis).reshape(-1, 5, 6)), (
        lambda z: (z.reshape(len(z), -1) @ basis.T).reshape(-1, 9, 6)
    )


RIGHT = {
    "ch15_causal": [causal, causal_by_loop, causal_by_history, causal_by_dict, lambda *a: list(causal(*a))],
    "ch15_waste": [
        padded_share,
        padded_share_by_loops,
        padded_share_by_masks,
        padded_share_by_pad,
        padded_share_by_mean,
    ],
    "ch15_skiparse": [
        skiparse_by_loop,
        skiparse_by_tile,
        skiparse_by_filling,
        lambda n, k: np.divmod(np.arange(n) % k**2, k)[::-1],
        lambda n, k: (np.arange(n, dtype=np.int32) % k, np.arange(n, dtype=np.uint8) // k % k),
    ],
    "ch15_strata": [
        strata_by_loop,
        strata_in_place,
        strata_by_sorting,
        lambda n, generator: (generator.permutation(n) + generator.random(n)) / n,
        lambda n, generator: generator.permutation((np.arange(n) + generator.random(n, dtype=np.float32)) / n),
    ],
    "ch15_compress": [by_svd, by_covariance, by_gradients, by_turns, by_space],
}

WRONG = {
    "ch15_causal": [
        lambda x, kernel, state: causal(x, kernel, None),  # each chunk as if it began the clip
        lambda *a: causal(*a, phase=False),  # the first frame of each chunk, even or odd
        lambda *a: causal(*a, begin=False),  # the cache is kept, but not used
        lambda x, kernel, state: causal(x, kernel, state, first=0 * x[[0, 0]]),  # zeros before the beginning
        lambda x, kernel, state: causal(x, kernel[::-1], state),  # oldest first
        lambda x, kernel, state: causal(x, kernel, state)[0],  # no state
        lambda x, kernel, state: (causal_by_loop(x, kernel, state)[0], (causal(x, kernel, state)[1][0] * 0, len(x))),
    ],
    "ch15_waste": [
        lambda shapes: 1 - padded_share(shapes),  # the share that isn't
        lambda shapes: padded_share([(t * h * w, 1, 1) for t, h, w in shapes]),  # sequences, one after the other
        lambda shapes: 1 - np.prod(shapes, axis=1).sum() / np.prod(np.max(shapes, axis=0)),  # of one clip
        lambda shapes: padded_share(shapes) / (1 - padded_share(shapes)),  # relative to the tokens that are there
        lambda shapes: 1 - np.prod(np.mean(shapes, axis=0)) / np.prod(np.max(shapes, axis=0)),  # the mean shape
        lambda shapes: padded_share([(t, 1, 1) for t, _, _ in shapes]),  # in time only
    ],
    "ch15_skiparse": [
        lambda n, k: (np.arange(n) % k, np.arange(n) // k),  # runs not taken modulo k
        lambda n, k: (np.arange(n) // k % k, np.arange(n) % k),  # exchanged
        lambda n, k: (np.arange(n) % k, np.arange(n) % k),
        lambda n, k: (np.arange(n) // -(-n // k), np.arange(n) // k % k),  # k stretches
        lambda n, k: (np.arange(n) % k, (np.arange(n) + k // 2) % k),  # the same, shifted
        lambda n, k: np.arange(n) % k,  # one of two
    ],
    "ch15_strata": [
        lambda n, generator: generator.random(n),  # not in strata
        lambda n, generator: (np.arange(n) + generator.random(n)) / n,  # in order
        lambda n, generator: (generator.permutation(n) + 0.5) / n,  # the middles
        lambda n, generator: (generator.permutation(n) + 1 - generator.random(n) / 4) / n,
        lambda n, generator: (generator.permutation(n) + generator.random()) / n,  # one offset for all
        lambda n, generator: ((np.arange(n) + generator.integers(n)) % n + generator.random(n)) / n,  # only rotated
        lambda n, generator: ((np.arange(n) + generator.random(n)) / n + generator.random()) % 1,
        lambda n, generator: np.roll((np.arange(n)[::-1] + generator.random(n)) / n, generator.integers(n)),
        lambda n, generator: (np.random.default_rng(0).permutation(n) + generator.random(n)) / n,  # always one order
        lambda n, generator: generator.permutation(np.linspace(0, 1, n, endpoint=False)),  # the lower ends
    ],
    "ch15_compress": [
        lambda clips: ((lambda x: x[:, ::2]), repeated),  # every second frame, shown twice
        lambda clips: ((lambda x: x[:, ::2]), interpolated),
        lambda clips: ((lambda x: x), (lambda z: z)),  # not compressed
        ahead,  # looks at the next frame
        whole_clip,
        lambda clips: by_basis(clips, np.random.default_rng(0).standard_normal((12, 6))),  # not trained
        lambda clips: by_svd(clips, slice(4)),  # too few
        lambda clips: by_gradients(clips, steps=3),  # hardly trained
        lambda clips: by_svd(clips)[0],  # no decoder
    ],
}
