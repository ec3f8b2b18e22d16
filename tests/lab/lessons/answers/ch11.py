"""Answers to the exercises of chapter 11: right ones of several styles, and the mistakes that people make."""

import itertools
import math

import numpy as np


def near(grid, far):
    places = np.indices(grid).reshape(3, -1).T
    return (np.abs(places[:, None] - places[None, :]) <= np.array(far)).all(axis=-1)


def near_by_loops(grid, far):
    T, H, W = grid
    looks = np.zeros((T * H * W, T * H * W), bool)
    for t, y, x in itertools.product(range(T), range(H), range(W)):
        for i, j, k in itertools.product(range(T), range(H), range(W)):
            ok = abs(t - i) <= far[0] and abs(y - j) <= far[1] and abs(x - k) <= far[2]
            looks[(t * H + y) * W + x, (i * H + j) * W + k] = ok
    return looks


def near_by_kron(grid, far):
    bands = [np.abs(np.subtract.outer(range(n), range(n))) <= f for n, f in zip(grid, far)]
    return np.kron(np.kron(*bands[:2]), bands[2]) > 0


def near_in_an_array(grid, far):
    """By slices of an array of six axes, one token after the other."""
    looks = np.zeros((*grid, *grid), np.float32)
    for place in np.ndindex(*grid):
        box = tuple(slice(max(0, p - f), p + f + 1) for p, f in zip(place, far))
        looks[(*place, *box)] = 1
    return looks.reshape(math.prod(grid), -1)


def near_by_list(grid, far):
    places = list(itertools.product(*map(range, grid)))
    return [[all(abs(a - b) <= f for a, b, f in zip(p, q, far)) for q in places] for p in places]


def boxed(grid, sides):
    box = np.indices(grid).reshape(3, -1).T // np.array(sides)
    return (box[:, None] == box[None, :]).all(axis=-1)


def in_turn(cycle, keep=True, transposed=False, first=1):
    """Blocks until all are reached, or infinity when a whole cycle brings nothing."""
    cycle = [look.T if transposed else look for look in cycle]
    reached, blocks = np.eye(len(cycle[0]), dtype=bool), 0
    if reached.all():
        return 0
    while True:
        before = reached
        for look in cycle:
            reached = (look.astype(int) @ reached.astype(int) > 0) | (reached & keep)
            blocks += 1
            if reached.all():
                return blocks + first - 1
        if (reached == before).all() or blocks > 500:
            return math.inf


def blocks_by_sets(cycle):
    known = [{i} for i in range(len(cycle[0]))]
    for blocks in range(len(cycle) * len(known) + 1):
        if all(len(each) == len(known) for each in known):
            return blocks
        look = cycle[blocks % len(cycle)]
        known = [each.union(*(known[j] for j in np.flatnonzero(row))) for each, row in zip(known, look)]
    return math.inf


def blocks_by_cap(cycle):
    """Nothing new can come after N cycles."""
    n = len(cycle[0])
    reached = np.eye(n)
    for blocks in range(n * len(cycle) + 1):
        if (reached > 0).all():
            return float(blocks)
        reached = np.minimum(reached + cycle[blocks % len(cycle)] @ reached, 1)
    return np.inf


def blocks_in_place(cycle):
    for look in cycle:
        np.fill_diagonal(look, True)
    reached, count = np.eye(len(cycle[0]), dtype=bool), 0
    for look in itertools.islice(itertools.cycle(cycle), len(cycle) * len(cycle[0])):
        if reached.all():
            break
        reached, count = np.einsum("im,mj->ij", look, reached), count + 1
    return count if reached.all() else math.inf


def blocks_from_the_other_end(cycle):
    """The column of each token grows by itself."""
    n, most = len(cycle[0]), 0
    for token in range(n):
        has, count = np.arange(n) == token, 0
        while not has.all():
            if count > n * len(cycle):
                return math.inf
            has = has | cycle[count % len(cycle)][:, has].any(axis=1)
            count += 1
        most = max(most, count)
    return most


def far(step):
    """How many steps from each to each, (N, N)."""
    distance = np.where(np.eye(len(step), dtype=bool), 0, np.where(step, 1, np.inf))
    for middle in range(len(step)):
        distance = np.minimum(distance, distance[:, middle, None] + distance[None, middle])
    return distance


def far_by_search(step):
    total = 0
    for start in range(len(step)):
        seen, edge, depth = {start}, {start}, 0
        while edge:
            total, depth = total + depth * len(edge), depth + 1
            edge = {j for i in edge for j in np.flatnonzero(step[i]).tolist()} - seen
            seen |= edge
        if len(seen) < len(step):
            return math.inf
    return total / step.size


def far_by_powers(step):
    n, total, reach = len(step), 0, np.eye(len(step))
    for _ in range(n):
        missing = (reach == 0).sum()
        if not missing:
            return total / n**2
        total, reach = total + missing, np.minimum(reach + step @ reach, 1)
    return math.inf


def far_by_squaring(step):
    """Min-plus products of the matrix of direct steps."""
    d = np.where(np.eye(len(step), dtype=bool), 0.0, np.where(step, 1.0, np.inf))
    for _ in range(4):
        d = (d[:, :, None] + d[None]).min(axis=1)
    return float(d.mean())


def by_distance(weights, frame, combine):
    away = np.abs(frame[:, None] - frame[None, :])
    return np.array([combine(weights[away == d]) for d in range(frame.max() + 1)])


def spent_by_loops(weights, frame):
    spent = [0.0] * (int(frame.max()) + 1)
    for i, row in enumerate(weights):
        for j, weight in enumerate(row):
            spent[abs(int(frame[i]) - int(frame[j]))] += weight / len(weights)
    return spent


def spent_by_one_hot(weights, frame):
    away = np.abs(frame[:, None] - frame[None, :])
    return np.einsum("ij,ijd->d", weights, np.eye(frame.max() + 1)[away]) / len(frame)


def spent_by_add_at(weights, frame):
    spent = np.zeros(frame.max() + 1, np.float32)
    np.add.at(spent, np.abs(np.subtract.outer(frame, frame)), weights.astype(np.float32))
    return spent / np.float32(len(frame))


RIGHT = {
    "ch11_blocks": [in_turn, blocks_by_sets, blocks_by_cap, blocks_in_place, blocks_from_the_other_end],
    "ch11_distance": [
        lambda step: far(step).mean(),
        lambda step: np.float32(far(step).sum() / step.size),
        far_by_search,
        far_by_powers,
        far_by_squaring,
    ],
    "ch11_sliding": [near, near_by_loops, near_by_kron, near_in_an_array, near_by_list],
    "ch11_spent": [
        lambda w, frame: by_distance(w, frame, np.sum) / len(frame),
        lambda w, frame: np.bincount(np.abs(frame[:, None] - frame).ravel(), w.ravel()) / len(frame),
        spent_by_loops,
        spent_by_one_hot,
        spent_by_add_at,
    ],
}

WRONG = {
    "ch11_blocks": [
        lambda cycle: in_turn(cycle[::-1]),  # last block first
        lambda cycle: in_turn(cycle, keep=False),  # no residual path
        lambda cycle: -(-in_turn(cycle) // len(cycle)) if in_turn(cycle) < math.inf else math.inf,  # cycles
        lambda cycle: in_turn(cycle, first=2),  # one too many
        lambda cycle: in_turn([np.logical_or.reduce(cycle)]),  # all blocks at once
        lambda cycle: in_turn(cycle) if in_turn(cycle) < math.inf else len(cycle) * len(cycle[0]),  # gives up
    ],
    "ch11_distance": [
        lambda step: far(step).mean() * step.size / (step.size - len(step)),  # pairs with itself left out
        lambda step: far(step).mean() + 1,
        lambda step: far(step).max(),
        lambda step: np.where(np.isinf(far(step)), 0, far(step)).mean(),  # pairs without a way left out
        lambda step: np.minimum(far(step), 2).mean(),  # two steps at most
    ],
    "ch11_sliding": [
        lambda grid, far: near(grid, far[::-1]),  # in reverse
        lambda grid, far: near(grid[::-1], far[::-1]),  # ordered x, y, t
        lambda grid, far: near(grid, np.array(far) - 1),  # nearer than, not at most
        lambda grid, far: near(grid, (max(far),) * 3),  # a cube
        lambda grid, far: boxed(grid, 2 * np.array(far) + 1),  # boxes of the same size
        lambda grid, far: near(grid, np.array(far) // 2),  # taken for the side of the window
    ],
    "ch11_spent": [
        lambda w, frame: by_distance(w, frame, np.mean),  # mean over the keys
        lambda w, frame: by_distance(w, frame, np.sum),  # not averaged over the queries
        lambda w, frame: (
            np.array([(w * (frame[:, None] - frame == d)).sum() for d in range(frame.max() + 1)]) / len(frame)
        ),  # one direction only
        lambda w, frame: np.cumsum(by_distance(w, frame, np.sum) / len(frame)),
        lambda w, frame: by_distance(w, frame, np.mean) * len(frame),  # as the chapter's picture has it
        lambda w, frame: by_distance(w, np.arange(len(frame)), np.sum)[: frame.max() + 1] / len(frame),  # tokens away
    ],
}
