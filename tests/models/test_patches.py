"""Patches and positions, for any grid and patch."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.models import AutoencoderConfig
from minivdit.models.patches import (
    clip_grid,
    patch_grid,
    patchify,
    rotary_angles,
    sincos_positions,
    unpatchify,
    wave_features,
)

SHAPES = [
    ((4, 8, 8), (1, 2, 2)),
    ((3, 5, 7), (1, 1, 1)),
    ((6, 9, 4), (2, 3, 1)),
    ((5, 6, 14), (5, 2, 7)),
    ((1, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("shape, patch_size", SHAPES)
def test_unpatchify_is_the_exact_inverse(shape, patch_size):
    latents = np.random.default_rng(0).standard_normal((2, *shape, 3), dtype=np.float32)
    grid = patch_grid(shape, patch_size)
    assert [side * cells for side, cells in zip(patch_size, grid)] == list(shape)
    tokens = patchify(latents, patch_size)
    assert tokens.shape == (2, np.prod(grid), 3 * np.prod(patch_size))
    assert np.array_equal(unpatchify(tokens, grid, patch_size).data, latents)


@pytest.mark.parametrize("shape, patch_size", SHAPES)
def test_a_token_is_one_box_of_the_clip(shape, patch_size):
    latents = np.random.default_rng(0).standard_normal((2, *shape, 3), dtype=np.float32)
    grid = patch_grid(shape, patch_size)
    tokens = patchify(latents, patch_size).data
    for number, corner in enumerate(np.ndindex(*grid)):
        box = tuple(slice(c * side, (c + 1) * side) for c, side in zip(corner, patch_size))
        assert np.array_equal(tokens[:, number], latents[(slice(None), *box)].reshape(2, -1))


def test_gradients_pass_through_patches_unchanged():
    latents = ag.Tensor(np.random.default_rng(0).standard_normal((1, 2, 4, 6, 3)), requires_grad=True)
    back = unpatchify(patchify(latents, (2, 2, 3)), (1, 2, 2), (2, 2, 3))
    cotangent = np.random.default_rng(1).standard_normal(latents.shape)
    assert np.array_equal(ag.gradients(back, [latents], cotangent)[0], cotangent)


@pytest.mark.parametrize("shape, patch_size, message", [
    ((4, 7, 8), (1, 2, 2), r"height 7 must be a multiple of 2, such as 6 or 8"),
    ((4, 8, 9), (1, 2, 4), r"width 9 .*such as 8 or 12"),
    ((3, 8, 8), (2, 2, 2), r"num_frames 3 .*such as 2 or 4"),
    ((0, 8, 8), (1, 2, 2), r"num_frames 0 .*such as 1"),
    ((4, 2, 8), (1, 3, 2), r"height 2 .*such as 3;"),
])  # fmt: skip
def test_a_size_that_does_not_fit_names_the_nearest_that_do(shape, patch_size, message):
    with pytest.raises(InputError, match=message):
        patch_grid(shape, patch_size)


def test_the_grid_of_a_clip_of_pixels():
    pixels = AutoencoderConfig(channels=(4, 4))
    assert clip_grid(6, (24, 64), pixels, (2, 3, 2)) == (3, 2, 8)
    with pytest.raises(InputError, match="height 20 must be a multiple of 12, such as 12 or 24"):
        clip_grid(6, (20, 64), pixels, (2, 3, 2))


def test_the_grid_of_a_clip_whose_frames_are_coded_four_at_a_time():
    pixels = AutoencoderConfig(channels=(4, 4), time_factor=4)
    assert clip_grid(29, (32, 32), pixels, (1, 2, 2)) == (8, 4, 4)
    assert clip_grid(13, (32, 32), pixels, (2, 2, 2)) == (2, 4, 4)
    with pytest.raises(InputError, match="num_frames 28 must be 1 and a multiple of 4, such as 25 or 29"):
        clip_grid(28, (32, 32), pixels, (1, 2, 2))
    with pytest.raises(InputError, match="the number of latent frames 8 must be a multiple of 3"):
        clip_grid(29, (32, 32), pixels, (3, 2, 2))


@pytest.mark.parametrize("width", [6, 12, 13, 16, 128])
@pytest.mark.parametrize("grid", [(3, 5, 7), (1, 1, 1), (16, 2, 9)])
def test_sincos_positions_tell_all_places_apart(grid, width):
    positions = sincos_positions(grid, width)
    assert positions.shape == (np.prod(grid), width) and positions.dtype == np.float32
    assert len(np.unique(positions.round(4), axis=0)) == np.prod(grid)


def test_positions_of_a_longer_grid_continue_those_of_a_shorter_one():
    short, long = (sincos_positions((frames, 3, 4), 24).reshape(frames, 3, 4, 24) for frames in (4, 9))
    assert np.array_equal(long[:4], short)
    short, long = (rotary_angles((2, 3, width), 12)[0].reshape(2, 3, width, 6) for width in (4, 9))
    assert np.array_equal(long[:, :, :4], short)


def test_wave_features_are_cosines_and_sines():
    values = np.array([[0.0, 1.0, 2.5]])
    features = wave_features(values, 5, longest=100.0)
    assert features.shape == (1, 3, 5) and features.dtype == np.float32
    expected = [np.cos(values), np.cos(values / 10), np.sin(values), np.sin(values / 10), 0 * values]
    np.testing.assert_allclose(features, np.stack(expected, axis=-1), atol=1e-6)


def test_noise_levels_close_to_each_other_differ_in_their_features():
    levels = np.linspace(0, 1, 1001)
    features = wave_features(1000 * levels, 64)
    steps = np.linalg.norm(np.diff(features, axis=0), axis=1)
    assert steps.min() > 0.5


@pytest.mark.parametrize("grid", [(4, 5, 6), (1, 7, 3)])
@pytest.mark.parametrize("head_width", [6, 8, 32])
def test_after_rotary_positions_scores_depend_on_differences_only(grid, head_width):
    """The same q and the same k at every token: q_i . k_j is equal wherever j - i is equal along all three axes."""
    generator = np.random.default_rng(0)
    tokens = int(np.prod(grid))
    cos, sin = rotary_angles(grid, head_width)
    assert cos.shape == sin.shape == (tokens, 1, head_width // 2)
    q, k = (np.tile(generator.standard_normal(head_width), (1, tokens, 1, 1)) for _ in range(2))
    q, k = (ag.rotary(a, cos, sin).data[0, :, 0] for a in (q, k))
    scores = q @ k.T
    place = np.indices(grid).reshape(3, -1).T
    by_difference = {}
    for i, j in np.ndindex(tokens, tokens):
        by_difference.setdefault(tuple(place[j] - place[i]), []).append(scores[i, j])
    assert max(np.ptp(values) for values in by_difference.values()) < 1e-5
    averages = np.array([np.mean(values) for values in by_difference.values()])
    assert np.ptp(averages) > 0.5, "and they do depend on them"
    # Lengths, and so the QK-norm before it, are left alone.
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), np.linalg.norm(q[0]), rtol=1e-5)


def test_each_axis_turns_pairs_of_its_own():
    cos, sin = rotary_angles((3, 4, 5), 24)
    angles = np.arctan2(sin, cos).reshape(3, 4, 5, 12)
    for axis, pairs in enumerate((slice(0, 4), slice(4, 8), slice(8, 12))):
        others = np.delete(np.arange(12), np.arange(12)[pairs])
        change = np.diff(angles, axis=axis)
        assert abs(change[..., pairs]).max() > 0.5
        assert not change[..., others].any()
