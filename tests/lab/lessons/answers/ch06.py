"""Answers to the exercises of chapter 6: right ones of several styles, and the mistakes that people make."""

import itertools
import math

import numpy as np


def together(tokens, grid, patch, order=(0, 3, 1, 4, 2, 5, 6)):
    boxes = tokens.reshape(*grid, *patch, -1).transpose(order)
    return boxes.reshape(*np.multiply(grid, patch), -1)


def together_by_loops(tokens, grid, patch):
    clip = np.zeros((*np.multiply(grid, patch), tokens.shape[1] // math.prod(patch)), np.float32)
    for token, place in zip(tokens, np.ndindex(*grid)):
        box = tuple(slice(at * side, (at + 1) * side) for at, side in zip(place, patch))
        clip[box] = token.reshape(*patch, -1)
    return clip


def together_by_einsum(tokens, grid, patch):
    boxes = np.einsum("tyxabcd->taybxcd", tokens.reshape((*grid, *patch, -1)))
    return boxes.reshape([side * count for side, count in zip(patch, grid)] + [-1])


def together_by_swaps(tokens, grid, patch):
    boxes = tokens.reshape(*grid, *patch, -1)
    boxes = np.moveaxis(boxes, 3, 1)  # t, pt, y, x, ph, pw, C
    boxes = boxes.swapaxes(3, 4)
    return boxes.reshape(grid[0] * patch[0], grid[1] * patch[1], grid[2] * patch[2], -1).tolist()


def together_by_places(tokens, grid, patch):
    t, y, x = np.indices(np.multiply(grid, patch))
    number = np.ravel_multi_index((t // patch[0], y // patch[1], x // patch[2]), grid)
    inside = np.ravel_multi_index((t % patch[0], y % patch[1], x % patch[2]), patch)
    return tokens.reshape(len(tokens), math.prod(patch), -1)[number, inside]


def near(grid, reach, places=None):
    places = np.indices(grid).reshape(3, -1) if places is None else places
    apart = np.abs(places[:, :, None] - places[:, None])
    return (apart <= np.reshape(reach, (3, 1, 1))).all(axis=0)


def near_by_loops(grid, reach):
    places = list(itertools.product(*map(range, grid)))
    return [[all(abs(a - b) <= r for a, b, r in zip(one, other, reach)) for other in places] for one in places]


def near_by_kron(grid, reach):
    bands = [np.abs(np.subtract.outer(range(length), range(length))) <= most for length, most in zip(grid, reach)]
    return np.kron(np.kron(bands[0], bands[1]), bands[2])


def near_by_einsum(grid, reach):
    t, y, x = (np.tri(n, n, r) - np.tri(n, n, -r - 1) for n, r in zip(grid, reach))
    return np.einsum("ab,cd,ef->acebdf", t, y, x).reshape(math.prod(grid), -1)


def near_by_counting(grid, reach):
    number = np.arange(math.prod(grid))
    x, y, t = number % grid[2], number // grid[2] % grid[1], number // (grid[2] * grid[1])
    close = np.ones((len(number), len(number)), np.int8)
    for axis, most in zip((t, y, x), reach):
        close &= np.abs(axis[:, None] - axis) <= most
    return close


def turned(x, angle):
    """Entries i and i + d / 2 as a pair."""
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def turned_pairs(x, angle):
    points = x.reshape(len(x), -1, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    matrices = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return (matrices @ points[..., None]).reshape(x.shape)


def turned_as_complex(x, angle):
    return (np.ascontiguousarray(x).view(complex) * np.exp(1j * angle)).view(float)


def turned_in_place(x, angle):
    first = x[:, ::2].copy()
    x[:, ::2] = first * np.cos(angle) - x[:, 1::2] * np.sin(angle)
    x[:, 1::2] = first * np.sin(angle) + x[:, 1::2] * np.cos(angle)
    return x


def turned_by_loops(x, angle):
    rows = []
    for row, angles in zip(x, angle):
        rows.append([])
        for i, by in enumerate(angles):
            a, b = row[2 * i], row[2 * i + 1]
            rows[-1] += [a * math.cos(by) - b * math.sin(by), a * math.sin(by) + b * math.cos(by)]
    return rows


def turned_by_repeats(x, angle):
    other = np.stack([-x[:, 1::2], x[:, ::2]], axis=-1).reshape(x.shape)
    return x * np.cos(angle).repeat(2, axis=1) + other * np.sin(angle).repeat(2, axis=1)


RIGHT = {
    "ch06_unpatchify": [together, together_by_loops, together_by_einsum, together_by_swaps, together_by_places],
    "ch06_near": [near, near_by_loops, near_by_kron, near_by_einsum, near_by_counting],
    "ch06_rotate": [turned_pairs, turned_as_complex, turned_in_place, turned_by_loops, turned_by_repeats],
    "ch06_tokens": [
        lambda f, h, w, factor, patch: (f // patch[0]) * (h // factor // patch[1]) * (w // factor // patch[2]),
        lambda f, h, w, factor, patch: f * h * w // (factor**2 * math.prod(patch)),
        lambda f, h, w, factor, patch: np.prod([f / patch[0], h / factor / patch[1], w / factor / patch[2]]),
        lambda f, h, w, factor, patch: len(range(0, f, patch[0])) * (h * w // (factor * patch[1] * factor * patch[2])),
        lambda f, h, w, factor, patch: (
            np.zeros((f, h // factor, w // factor))[:: patch[0], :: patch[1], :: patch[2]].size
        ),
    ],
}

WRONG = {
    "ch06_unpatchify": [
        lambda tokens, grid, patch: tokens.reshape(*np.multiply(grid, patch), -1),  # no transpose
        lambda tokens, grid, patch: together(tokens, grid, patch, (0, 3, 2, 4, 1, 5, 6)),  # x for y
        lambda tokens, grid, patch: together(tokens, grid, patch, (3, 0, 4, 1, 5, 2, 6)),  # in the box first
        lambda tokens, grid, patch: together(tokens, grid, patch, (0, 3, 1, 5, 2, 4, 6)),  # pw for ph
        lambda tokens, grid, patch: together(tokens, grid, patch)[..., ::-1],  # channels turned round
        lambda tokens, grid, patch: together(tokens, patch, grid),  # patch and grid exchanged
    ],
    "ch06_near": [
        lambda grid, reach: near(grid, np.add(reach, 1)),
        lambda grid, reach: near(grid, reach[::-1]),  # x, y, t
        lambda grid, reach: near(grid, [sum(reach)] * 3),
        lambda grid, reach: near(grid, reach, np.indices(grid[::-1]).reshape(3, -1)[::-1]),  # t fastest
        lambda grid, reach: np.logical_not(near(grid, reach)),
        lambda grid, reach: np.triu(near(grid, reach)),  # forwards only
        lambda grid, reach: np.abs(np.subtract.outer(range(math.prod(grid)), range(math.prod(grid)))) <= reach[2],
    ],
    "ch06_rotate": [
        turned,  # the chapter's convention
        lambda x, angle: turned_pairs(x, -angle),
        lambda x, angle: turned_pairs(x, 2 * angle),
        lambda x, angle: x * np.cos(angle).repeat(2, axis=1),
        lambda x, angle: np.concatenate(  # right, but in the other order
            [turned_pairs(x, angle)[:, ::2], turned_pairs(x, angle)[:, 1::2]], axis=1
        ),
        lambda x, angle: turned_pairs(x, angle[:1].repeat(len(angle), 0)),  # every token like the first
    ],
    "ch06_tokens": [
        lambda frames, height, width, factor, patch: frames * height * width // (factor**3 * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // (factor * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // factor**2,
        lambda frames, height, width, factor, patch: frames * height * width // np.prod(patch),
        lambda frames, height, width, factor, patch: (height // factor // patch[1]) * (width // factor // patch[2]),
    ],
}
