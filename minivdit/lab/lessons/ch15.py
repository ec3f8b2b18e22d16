"""Checks of chapter 15: a causal layer in chunks, padding, Skiparse, levels in strata, time compressed by training."""

import numpy as np

from ...models.patterns import labels
from .exercise import Wrong, agree, agree_all, exercise, shaped

DRAWS = 200  # of stratified levels
WANTED = 0.015  # mean squared error of clips that were compressed to half


@exercise("causal_half")
def ch15_causal(answer, generator):
    channels, kernel = int(generator.integers(2, 6)), generator.standard_normal(3)
    x = generator.standard_normal((int(generator.integers(9, 20)), channels))
    padded = np.concatenate([x[:1], x[:1], x])
    whole = np.stack([kernel @ padded[t : t + 3][::-1] for t in range(len(x))])
    cuts = np.sort(generator.choice(np.arange(1, len(x)), 3, replace=False))
    state, first = None, 0
    for number, chunk in enumerate(np.split(x, cuts)):  # some of one frame
        got = answer(chunk, kernel, state)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Wrong("return two things: the chunk's output, and the state for the next chunk")
        wanted = [whole[t] for t in range(first, first + len(chunk)) if t % 2 == 0]
        agree(f"the output of chunk {number + 1}", got[0], np.reshape(wanted, (-1, channels)))
        state, first = got[1], first + len(chunk)


@exercise("padded_share")
def ch15_waste(answer, generator):
    shapes = generator.integers(1, 12, (int(generator.integers(2, 6)), 3))
    held = sum(t * h * w for t, h, w in shapes.tolist())
    batch = np.zeros((len(shapes), *shapes.max(axis=0)))
    agree("the share that is padding", answer([tuple(map(int, shape)) for shape in shapes]), 1 - held / batch.size)


@exercise("skiparse")
def ch15_skiparse(answer, generator):
    k = int(generator.integers(2, 6))
    tokens = k * k * int(generator.integers(1, 4)) + int(generator.integers(0, k))
    expected = {
        f"the groups of every {k}-th of the {name}": labels(f"skip:{k}", (tokens, 1, 1), block)
        for block, name in enumerate(("tokens", "runs"))
    }
    agree_all("return two arrays. Is the stub filled in?", answer(tokens, k), expected)


@exercise("stratified_levels")
def ch15_strata(answer, generator):
    batch = int(generator.integers(8, 30))
    draws = [answer(batch, generator) for _ in range(DRAWS)]
    for level in draws:
        agree("the number of levels", np.size(level) if level is not None else None, batch)
    levels = np.array(draws, float).reshape(DRAWS, batch)
    place = np.floor(levels * batch).astype(int)
    if not np.array_equal(np.sort(place), np.tile(np.arange(batch), (DRAWS, 1))):
        raise Wrong(f"not every one of the {batch} intervals has exactly one level")
    within = levels * batch - place
    if abs(within.mean() - 0.5) > 0.05 or not 0.25 < within.std() < 0.33:  # uniform: 0.5 and 0.289
        raise Wrong("inside its interval a level can be anywhere, all places equally likely")
    for what, offsets in (("clip", within), ("interval", np.take_along_axis(within, place.argsort(axis=1), axis=1))):
        related = np.corrcoef(offsets.T + 1e-9 * np.random.default_rng(0).random(offsets.T.shape))  # of any two
        if np.abs(related - np.eye(batch)).max() > 0.5:
            raise Wrong(f"the place inside its interval must be drawn for each {what} by itself")
    if np.abs(levels.mean(axis=0) - 0.5).max() > 0.15:
        raise Wrong("the order isn't random: a clip's place in the batch tells its level")
    steps = np.diff(place, axis=1) % batch  # from clip to clip; the same in all draws if an order is only rotated
    if min(len(np.unique(column)) for column in steps.T) < 4:
        raise Wrong("the order isn't random: one clip's level tells that of the next")


def walks(generator, mixing, clips, frames=9):
    """Clips (B, T, C) of C numbers a frame, made from fewer hidden ones that walk, with a little noise.

    mixing: (hidden, C). Numbers have variance about 1, the noise 0.01.
    """
    hidden = generator.standard_normal((clips, frames, len(mixing)))
    for t in range(1, frames):
        hidden[:, t] = 0.8 * hidden[:, t - 1] + 0.6 * hidden[:, t]
    return hidden @ mixing + 0.1 * generator.standard_normal((clips, frames, mixing.shape[1]))


@exercise("train_compressor")
def ch15_compress(answer, generator):
    mixing = np.linalg.qr(generator.standard_normal((6, 6)))[0][:3] * 2**0.5
    trained = answer(walks(generator, mixing, 500))
    if not isinstance(trained, tuple | list) or len(trained) != 2 or not all(map(callable, trained)):
        raise Wrong("return two functions: encode and decode. Is the stub filled in?")
    encode, decode = trained
    clips = walks(generator, mixing, 50)
    latents = shaped(f"what encode makes of clips {clips.shape}", encode(clips.copy()), (len(clips), 5, 6))
    for t in range(1, 9):
        changed = clips.copy()
        changed[:, t:] += 1
        if not np.allclose(np.asarray(encode(changed))[:, : (t + 1) // 2], latents[:, : (t + 1) // 2], atol=1e-6):
            raise Wrong(f"encode isn't causal: frame {t} changes a latent of earlier frames")
    rebuilt = shaped("what decode makes", decode(latents.copy()), clips.shape)
    error = ((rebuilt - clips) ** 2).mean()
    if not error <= WANTED:
        raise Wrong(f"new clips come back with an error of {error:.3f}; at most {WANTED} is wanted")
