"""Answers to the exercises of chapter 17: right ones of several styles, and the mistakes that people make."""

import functools
import itertools
import math

import numpy as np


def cut(count, size):
    return [slice(count * rank // size, count * (rank + 1) // size) for rank in range(size)]


def edges(count, size):
    return [count * rank // size for rank in range(1, size)]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def slices_by_loops(held):
    found = []
    for part in cut(len(held[0][0]), len(held)):
        total = np.zeros(part.stop - part.start, np.float32)
        for shards in held:
            for shard in shards:
                total = total + shard[part]
        found.append(total)
    return found


def slices_in_place(held):
    total, *others = flat(held)
    for other in others:
        total += other
    return np.split(total, edges(len(total), len(held)))


def slices_of(total, size):
    return [total[part] for part in cut(len(total), size)]


def each_rank_first(held):
    return slices_of(sum(sum(shards) for shards in held), len(held))


def rows_of(grads):
    return cut(len(grads[0]), len(grads))


def gather_by_loops(grads):
    size, (rows, width) = len(grads), grads[0].shape
    found = [np.zeros((rows * (rank + 1) // size - rows * rank // size, width)) for rank in range(size)]
    for grad in grads:
        for rank, part in enumerate(rows_of(grads)):
            found[rank] += grad[part]
    return found


def gather_in_place(grads):
    for other in grads[1:]:
        grads[0] += other
    return np.split(grads[0], edges(len(grads[0]), len(grads)))


def heads_by_loops(parts):
    found = []
    for heads in cut(parts[0].shape[1], len(parts)):
        pieces = []
        for part in parts:
            pieces.append(part[:, heads])
        found.append(np.vstack(pieces))
    return found


def heads_by_blocks(parts):
    blocks = [np.split(part, edges(part.shape[1], len(parts)), axis=1) for part in parts]
    return tuple(np.concatenate(column) for column in zip(*blocks))


def heads_into_room(parts):
    tokens, (_, heads, width) = sum(map(len, parts)), parts[0].shape
    ends = np.cumsum([len(part) for part in parts])
    found = []
    for mine in cut(heads, len(parts)):
        room = np.empty((tokens, mine.stop - mine.start, width))
        for part, end in zip(parts, ends):
            room[end - len(part) : end] = part[:, mine]
        found.append(room)
    return found


def heads_of_whole(whole, size):
    return [whole[:, heads] for heads in cut(whole.shape[1], size)]


def join(outputs, logs):
    top = np.max(logs, axis=0)
    weights = np.exp(np.array(logs) - top)
    total = weights.sum(axis=0)
    return (weights * outputs).sum(axis=0) / total, top + np.log(total)


def join_two(one, other):
    (out, log), (other_out, other_log) = one, other
    both = np.logaddexp(log, other_log)
    return out * np.exp(log - both) + other_out * np.exp(other_log - both), both


def join_by_loops(outputs, logs):
    outputs, logs = np.stack(outputs), np.stack(logs)
    out, log = np.zeros(outputs.shape[1:]), np.zeros(logs.shape[1:])
    for query in range(out.shape[0]):
        top = max(one[query, 0] for one in logs)
        weights = [math.exp(one[query, 0] - top) for one in logs]
        for weight, part in zip(weights, outputs):
            out[query] += weight / sum(weights) * part[query]
        log[query] = top + math.log(sum(weights))
    return out, log


def join_softmax(outputs, logs):
    logs = np.concatenate(logs, axis=1)
    log = np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return np.einsum("qp,pqd->qd", np.exp(logs - log), np.stack(outputs)), log


def join_from_largest(outputs, logs):
    """From the largest logarithm on, each part is added to what there is."""
    result = None
    for log, out in sorted(zip(logs, outputs), key=lambda pair: -pair[0].max()):
        result = (out, log) if result is None else join_two(result, (out, log))
    return result


def seconds(tokens, width, ranks, speed, bandwidth, latency):
    own = tokens / ranks
    computing = 2 * (2 * own * tokens * width) / speed
    message = 4 * own * width / ranks
    return computing, 4 * (ranks - 1) * (message / bandwidth + latency)


def seconds_by_loop(tokens, width, ranks, speed, bandwidth, latency):
    sending = 0.0
    for _ in ("q", "k", "v", "output"):
        for _ in range(ranks - 1):
            sending += latency + 4 * tokens * width / ranks**2 / bandwidth
    return [4 * tokens * tokens * width / (ranks * speed), sending]


def changed(**other):
    """The seconds with other powers or factors: a mistake."""

    def answer(tokens, width, ranks, speed, bandwidth, latency):
        computing, sending = seconds(tokens, width, ranks, speed, bandwidth, latency)
        return computing * other.get("computing", lambda n, r: 1)(tokens, ranks), sending * other.get(
            "sending", lambda n, r: 1
        )(tokens, ranks)

    return answer


RIGHT = {
    "ch17_bits": [
        slices_by_loops,
        slices_in_place,
        lambda held: slices_of(functools.reduce(np.add, flat(held)), len(held)),
        lambda held: slices_of(sum(flat(held)), len(held)),
        lambda held: slices_of(np.add.accumulate(flat(held))[-1], len(held)),
        lambda held: tuple(slices_of(np.stack(flat(held)).sum(axis=0), len(held))),
    ],
    "ch17_gather": [
        gather_by_loops,
        gather_in_place,
        lambda grads: [sum(grad[part] for grad in grads) for part in rows_of(grads)],
        lambda grads: np.split(np.sum(grads, axis=0), edges(len(grads[0]), len(grads))),
        lambda grads: tuple(np.einsum("rnd->nd", np.stack(grads))[part] for part in rows_of(grads)),
        lambda grads: [sum(grads).astype(np.float32)[part] for part in rows_of(grads)],
    ],
    "ch17_heads": [
        heads_by_loops,
        heads_by_blocks,
        heads_into_room,
        lambda parts: heads_of_whole(np.concatenate(parts), len(parts)),
        lambda parts: np.split(np.concatenate(parts), edges(parts[0].shape[1], len(parts)), axis=1),
        lambda parts: [np.vstack([p[:, heads].astype(np.float32) for p in parts]) for heads in rows_of_heads(parts)],
    ],
    "ch17_join": [
        join,
        join_by_loops,
        join_softmax,
        join_from_largest,
        lambda outputs, logs: functools.reduce(join_two, sorted(zip(outputs, logs), key=lambda pair: -pair[1].max())),
        lambda outputs, logs: tuple(array.tolist() for array in join(outputs, logs)),
    ],
    "ch17_seconds": [
        seconds,
        seconds_by_loop,
        lambda n, d, r, s, b, late: np.array(
            [4 * n**2 * d / r / s, 16 * n * d * (r - 1) / r**2 / b + 4 * (r - 1) * late]
        ),
        lambda n, d, r, s, b, late: (4 * (n / r) * n * d / s, 4 * (4 * n / r * d * (1 - 1 / r) / b + (r - 1) * late)),
        lambda n, d, r, s, b, late: [np.float64(4 * n * n * d) / s / r, (r - 1) * (16 * n * d / r / r / b + 4 * late)],
    ],
}


def rows_of_heads(parts):
    return cut(parts[0].shape[1], len(parts))


WRONG = {
    "ch17_bits": [
        each_rank_first,
        lambda held: slices_of(sum(reversed(flat(held))), len(held)),
        lambda held: slices_of(np.sum(flat(held), axis=0, dtype=np.float64).astype(np.float32), len(held)),
        lambda held: [sum(flat(held))] * len(held),  # nobody owns anything
        lambda held: np.array_split(sum(flat(held)), len(held)),  # cut elsewhere
        lambda held: slices_of(sum(flat(held)) / len(flat(held)), len(held)),  # the mean
        lambda held: [slices_of(sum(shards), len(held))[rank] for rank, shards in enumerate(held)],  # nothing was sent
        lambda held: slices_of(sum(flat(itertools.zip_longest(*held, fillvalue=0))), len(held)),  # in turn
    ],
    "ch17_gather": [
        lambda grads: [grad[part] for grad, part in zip(grads, rows_of(grads))],  # each its own: nothing was added
        lambda grads: [sum(grads)] * len(grads),
        lambda grads: [sum(grads)[part] / len(grads) for part in rows_of(grads)],  # the mean
        lambda grads: np.array_split(sum(grads), len(grads)),
        lambda grads: [grads[0][part] for part in rows_of(grads)],
        lambda grads: [sum(grads)[part] for part in rows_of(grads)][::-1],
        lambda grads: np.concatenate([sum(grads)[part] for part in rows_of(grads)]),
    ],
    "ch17_heads": [
        lambda parts: parts,
        lambda parts: np.array_split(np.concatenate(parts), len(parts), axis=1),
        lambda parts: [part[:, heads] for part, heads in zip(parts, rows_of_heads(parts))],  # nothing came
        lambda parts: heads_of_whole(np.concatenate(parts[::-1]), len(parts)),
        lambda parts: heads_by_loops(parts)[::-1],
        lambda parts: [np.concatenate(parts).swapaxes(0, 1)[heads] for heads in rows_of_heads(parts)],  # heads first
        lambda parts: [np.concatenate(parts)] * len(parts),
    ],
    "ch17_join": [
        lambda outputs, logs: (np.mean(outputs, axis=0), np.mean(logs, axis=0)),
        lambda outputs, logs: (sum(np.exp(log) * out for out, log in zip(outputs, logs)), sum(logs)),
        lambda outputs, logs: (  # overflows, and divides 0 by 0
            sum(np.exp(log) * out for out, log in zip(outputs, logs)) / sum(map(np.exp, logs)),
            np.log(sum(map(np.exp, logs))),
        ),
        lambda outputs, logs: (join(outputs, logs)[0], np.max(logs, axis=0)),  # the largest alone
        lambda outputs, logs: (np.sum(outputs, axis=0), join(outputs, logs)[1]),
        lambda outputs, logs: join(outputs, logs)[::-1],
        lambda outputs, logs: (join(outputs, [2 * log for log in logs])[0], join(outputs, logs)[1]),
        lambda outputs, logs: join(outputs, logs)[0],
    ],
    "ch17_seconds": [
        changed(computing=lambda n, r: r),  # nothing is shared out
        changed(computing=lambda n, r: 1 / r),  # keys as well as queries
        changed(computing=lambda n, r: 0.5),  # scores alone
        changed(sending=lambda n, r: 1 / 4),  # one exchange
        changed(sending=lambda n, r: r / 2),  # the ring's bytes
        lambda n, d, r, s, b, late: (4 * n**2 * d / r / s, 4 * (r - 1) * (n * d / r**2 / b + late)),  # numbers
        lambda n, d, r, s, b, late: (4 * n**2 * d / r / s, 4 * (r - 1) * 4 * n * d / r**2 / b),  # no latency
        lambda n, d, r, s, b, late: sum(seconds(n, d, r, s, b, late)),
        lambda n, d, r, s, b, late: seconds(n, d, r, s, b, late)[::-1],
    ],
}
