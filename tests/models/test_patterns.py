"""Attention patterns are partitions: every token in exactly one group, on any grid."""

import itertools

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd.attend import NEVER
from minivdit.base.errors import InputError
from minivdit.models.patterns import PATTERNS as every_pattern
from minivdit.models.patterns import (
    average_attention_distance,
    labels,
    links,
    most_links,
    parse_pattern,
    partition,
    reachable,
    regroup,
    ungroup,
    with_occurrences,
)

PATTERNS = ["frame", "time", "joint", "window", "window:1x3x2", "window:4x2x5", "skip", "skip:3", "skip:7"]
GRIDS = [(4, 4, 4), (3, 5, 7), (1, 3, 5), (5, 1, 1), (1, 1, 1), (2, 9, 4)]
CASES = list(itertools.product(PATTERNS, GRIDS, (0, 1)))


def test_every_pattern_is_tested():
    assert {name.partition(":")[0] for name in PATTERNS} == set(every_pattern)


@pytest.mark.parametrize("pattern, grid, occurrence", CASES)
def test_every_token_is_in_exactly_one_group(pattern, grid, occurrence):
    part = partition(pattern, grid, occurrence)
    tokens = np.prod(grid)
    group = labels(pattern, grid, occurrence)
    real = np.ones(part.index.shape, bool) if part.padding is None else ~part.padding
    assert sorted(part.index[real]) == list(range(tokens))
    assert real.any(axis=1).all(), "a group of nothing but padding"
    assert part.place.shape == (tokens,)
    assert np.array_equal(part.index.reshape(-1)[part.place], np.arange(tokens))
    # The groups are those of the labels, and their tokens stand in order.
    for slots, filled in zip(part.index, real):
        members = slots[filled]
        assert np.array_equal(members, np.flatnonzero(group == group[members[0]]))


@pytest.mark.parametrize("pattern, grid, occurrence", CASES)
def test_slots_know_their_frame(pattern, grid, occurrence):
    part = partition(pattern, grid, occurrence)
    real = np.ones(part.index.shape, bool) if part.padding is None else ~part.padding
    frame = np.indices(grid)[0].reshape(-1)
    assert np.array_equal(part.time[real], frame[part.index[real]])
    assert (part.time[~real] == NEVER).all()
    assert part.time.dtype == np.int32


@pytest.mark.parametrize("pattern, grid, occurrence", CASES)
def test_regroup_and_ungroup_are_inverse_and_adjoint(pattern, grid, occurrence):
    part = partition(pattern, grid, occurrence)
    generator = np.random.default_rng(0)
    x = ag.Tensor(generator.standard_normal((2, np.prod(grid), 3)), requires_grad=True)
    grouped = regroup(x, part=part)
    assert grouped.shape == (2, *part.index.shape, 3)
    assert np.array_equal(ungroup(grouped, part=part).data, x.data)
    if part.padding is not None:
        assert not grouped.data[:, part.padding].any()
    # <A x, c> = <x, A' c>: the pullback of each is its transpose.
    c = generator.standard_normal(grouped.shape)
    (grad,) = ag.gradients(grouped, [x], c)
    assert (grouped.data * c).sum() == pytest.approx((x.data * grad).sum())
    g = ag.Tensor(c, requires_grad=True)
    tokens = ungroup(g, part=part)
    c = generator.standard_normal(tokens.shape)
    (grad,) = ag.gradients(tokens, [g], c)
    assert (tokens.data * c).sum() == pytest.approx((g.data * grad).sum())


def test_regroup_refuses_another_number_of_tokens():
    part = partition("joint", (2, 2, 2))
    with pytest.raises(ValueError, match="8 tokens"):
        regroup(np.zeros((1, 9, 3)), part=part)
    with pytest.raises(ValueError, match="groups and slots"):
        ungroup(np.zeros((1, 2, 4, 3)), part=part)


def as_grid(pattern, grid, occurrence=0):
    return labels(pattern, grid, occurrence).reshape(grid).tolist()


def test_each_pattern_on_a_small_grid():
    assert as_grid("frame", (2, 1, 3)) == [[[0, 0, 0]], [[1, 1, 1]]]
    assert as_grid("time", (2, 1, 3)) == [[[0, 1, 2]], [[0, 1, 2]]]
    assert as_grid("joint", (2, 1, 3)) == [[[0, 0, 0]], [[0, 0, 0]]]
    assert as_grid("skip:2", (2, 1, 3)) == [[[0, 1, 0]], [[1, 0, 1]]]
    assert as_grid("skip:2", (2, 1, 4), occurrence=1) == [[[0, 0, 1, 1]], [[0, 0, 1, 1]]]
    assert as_grid("window:1x1x2", (1, 1, 5)) == [[[0, 0, 1, 1, 2]]]
    assert as_grid("window:1x1x2", (1, 1, 5), occurrence=1) == [[[0, 1, 1, 2, 2]]]


def test_windows_shift_in_every_other_block_by_half_a_box():
    grid = (4, 6, 8)
    boxes = [labels("window:2x2x4", grid, occurrence) for occurrence in range(4)]
    assert np.array_equal(boxes[0], boxes[2]) and np.array_equal(boxes[1], boxes[3])
    assert not np.array_equal(boxes[0], boxes[1])
    plain, shifted = (box.reshape(grid) for box in boxes[:2])
    # One step along t and y and two along x, the shifted partition's boxes are the plain one's.
    inner = shifted[1:-1, 1:-1, 2:-2]
    same_plain = plain[:-2, :-2, :-4].reshape(-1)
    same_inner = inner.reshape(-1)
    assert np.array_equal(same_plain[:, None] == same_plain, same_inner[:, None] == same_inner)
    # Neighbours across a border of the plain boxes share a shifted one.
    assert plain[0, 0, 3] != plain[0, 0, 4] and shifted[0, 0, 3] == shifted[0, 0, 4]


def test_a_window_that_covers_an_axis_is_not_cut_by_the_shift():
    for occurrence in (0, 1):
        group = labels("window:2x4x4", (4, 4, 4), occurrence).reshape(4, 16)
        assert (group == group[:, :1]).all()


@pytest.mark.parametrize("pattern, bad_or_message", [
    ("spiral", "choose from frame, time, joint, window, skip"),
    ("", "choose from"),
    ("window:2x2", "bad argument"),
    ("window:2x0x2", "bad argument"),
    ("window:axbxc", "bad argument"),
    ("skip:0", "bad argument"),
    ("skip:two", "bad argument"),
    ("skip:-1", "bad argument"),
    ("frame:2", "bad argument"),
])  # fmt: skip
def test_an_unknown_pattern_or_argument_is_refused(pattern, bad_or_message):
    with pytest.raises(InputError, match=bad_or_message):
        parse_pattern(pattern)


@pytest.mark.parametrize("occurrence", [0, 1])
def test_an_argument_beyond_the_grid_is_as_good_as_the_whole_grid(occurrence):
    grid, huge = (2, 3, 4), 10**30  # more than an integer of NumPy holds
    for pattern, same in ((f"skip:{huge}", "skip:24"), (f"window:{huge}x2x{huge}", "window:2x2x4")):
        assert (labels(pattern, grid, occurrence) == labels(same, grid, occurrence)).all()


def test_names_alone_have_defaults():
    assert parse_pattern("window") == ("window", (2, 2, 2))
    assert parse_pattern("skip") == ("skip", 2)
    assert parse_pattern("window:1x4x8") == ("window", (1, 4, 8))


def test_turns_count_blocks_of_the_same_pattern():
    assert with_occurrences(["window", "joint", "window", "skip", "window"]) == [
        ("window", 0), ("joint", 0), ("window", 1), ("skip", 0), ("window", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("grid", [(4, 3, 5), (16, 4, 4), (1, 3, 3), (5, 1, 1)])
def test_average_attention_distance_of_the_report(grid):
    frames, area, tokens = grid[0], grid[1] * grid[2], np.prod(grid)
    assert average_attention_distance(("joint",), grid) == pytest.approx(1 - 1 / tokens)
    for order in (("frame", "time"), ("time", "frame"), ("frame", "time", "frame", "time")):
        assert average_attention_distance(order, grid) == pytest.approx(2 - (1 / frames + 1 / area))
    assert average_attention_distance(("frame",) * 9, grid) == (np.inf if frames > 1 else 1 - 1 / tokens)
    assert average_attention_distance(("time",) * 9, grid) == (np.inf if area > 1 else 1 - 1 / tokens)


@pytest.mark.parametrize("step", [2, 4])
def test_average_attention_distance_of_skips(step):
    """A pair is one step apart if it agrees in either of two digits (1/k each, 1/k^2 both), else two."""
    grid = (4, 8, 8)
    expected = 2 - 2 / step + 1 / step**2 - 1 / np.prod(grid)
    assert average_attention_distance((f"skip:{step}",) * 2, grid) == pytest.approx(expected)


def test_a_single_window_block_reaches_nobody_else_but_two_do():
    assert average_attention_distance(("window",), (4, 4, 4)) == np.inf
    assert 2 < average_attention_distance(("window",) * 2, (4, 4, 4)) < 6


def test_reachable_follows_the_blocks_in_their_order():
    grid = (3, 2, 2)
    t = np.indices(grid)[0].reshape(-1)
    same_frame = t[:, None] == t[None, :]
    assert np.array_equal(reachable(("frame",) * 5, grid), same_frame)
    assert reachable(("frame", "time"), grid).all()
    assert reachable(("joint",), grid).all()
    earlier = t[None, :] <= t[:, None]
    assert np.array_equal(reachable(("joint",), grid, causal=True), earlier)
    assert np.array_equal(reachable(("frame", "time"), grid, causal=True), earlier)
    # Shifted windows first or last is not the same: what arrives depends on the way it can take.
    one, two = reachable(("window:1x1x2", "frame"), (2, 1, 4)), reachable(("window:1x1x2",) * 2, (2, 1, 4))
    assert two.sum() < one.sum()
    assert not np.array_equal(two, two.T)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 3, 4), (2, 7, 5), (8, 4, 4)])
@pytest.mark.parametrize(
    "patterns", [("joint",), ("frame", "time"), ("window",) * 3, ("window:4x3x2", "skip:3", "skip:3")]
)
def test_links_are_counted_without_making_them(patterns, grid, causal):
    assert most_links(patterns, grid, causal) == max(int(link.sum()) for link in links(patterns, grid, causal))
