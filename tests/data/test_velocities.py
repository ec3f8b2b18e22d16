"""The camera's pan and the motion brush as fields of velocities: on real clips, digits move as the field says."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, DigitMotion, Steering, digit_source, due, field_maps, velocity_fields
from minivdit.lab.evaluation.tracking import clear_of_edges, early_velocity, ink_centres, track

STILL = np.zeros(2)


@pytest.fixture(scope="module")
def strokes():
    return digit_source("strokes", "test")


@pytest.fixture(scope="module")
def maker(strokes):
    return CaptionedClips(strokes, (48, 64), 8, 16, num_digits=(1,), steered=1.0)


def own_velocities(maker, clips):
    """(B, digits, 2) of the captions; NaN where there is no second digit."""
    own = np.full((*clips.tracks.shape[:2], 2), np.nan)
    for clip, motions in enumerate(clips.labels):
        for digit, motion in enumerate(motions):
            own[clip, digit] = maker.velocity(motion.direction, motion.speed)
    return own


def test_real_clips_move_as_their_fields_say_within_a_tenth(maker):
    clips = maker.batch(np.random.default_rng(0), 120)
    told = due(clips.velocities, clips.tracks[:, :, 0], own_velocities(maker, clips))[:, 0]
    seen = np.stack([early_velocity(clear_of_edges(video, ink_centres(video))) for video in clips.video])
    measured = ~np.isnan(seen[:, 0])
    held, panned = clips.velocities[:, 0, 0, 0] == 1, (clips.velocities[:, 0, 0, 1:] != 0).any(axis=1)
    for kind in (held & ~panned, panned & ~held, held & panned):  # a brush, a pan, both
        assert (kind & measured).sum() > 10
    fastest = 4.2 * 48 / 64
    assert np.abs(seen - told)[measured].max() < 0.1 * fastest
    missed, length = np.linalg.norm(seen - told, axis=1), np.linalg.norm(told, axis=1)
    moving = measured & (length > 0.5)
    assert (missed < 0.1 * length)[moving].mean() > 0.97
    own = own_velocities(maker, clips)[:, 0]
    assert (np.linalg.norm(seen - own, axis=1) > 0.5 * length)[moving].mean() > 0.7  # the caption alone doesn't say it


def test_of_two_digits_only_the_brushed_one_moves(strokes):
    maker = CaptionedClips(strokes, (64, 64), 8, 20, num_digits=(2,))
    generator = np.random.default_rng(1)
    labels = [maker.draw_motions(generator) for _ in range(40)]
    velocity = np.tile([2.0, -1.5], (40, 1))
    brushed = np.tile([False, True], (40, 1))
    steering = Steering(np.zeros((40, 2)), np.ones(40, bool), brushed, velocity)
    clips = maker.render(generator, labels, steering=steering)
    found = track(clips.video, 20, 2)
    apart = ~found.merged.any(axis=(1, 2)) & found.found.all(axis=(1, 2))
    assert apart.sum() > 10
    speeds = np.sort(np.linalg.norm(early_velocity(found.positions[apart]), axis=-1), axis=1)  # (n, 2)
    assert speeds[:, 0].max() < 0.1 and np.abs(speeds[:, 1] - 2.5).max() < 0.25
    told = due(clips.velocities, clips.tracks[:, :, 0], own_velocities(maker, clips))[apart]
    np.testing.assert_allclose(told, np.broadcast_to([STILL, (2.0, -1.5)], told.shape))


def test_a_digit_that_goes_with_the_camera_stays_where_it_is_and_one_that_it_leaves_behind_is_cut_off(strokes):
    maker = CaptionedClips(strokes, (32, 32), 8, 16, num_digits=(1,), synonyms=False)
    labels, pan = [[DigitMotion(3, "right", "fast")]] * 2, np.array([[0, 2.1], [0, -2.1]])
    calm = Steering.none(2)
    clips = maker.render(np.random.default_rng(0), labels, steering=calm._replace(pan=pan))
    np.testing.assert_allclose(clips.tracks[0, 0], clips.tracks[0, 0, :1].repeat(8, 0), atol=1e-5)
    np.testing.assert_allclose(np.ptp(clips.video[0], axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(clips.tracks[1, 0, :4, 1]), 4.2, atol=1e-5)
    assert clips.tracks[1, 0, -1, 1] > 32 and clips.video[1, -1].sum() < 0.3 * clips.video[1, 0].sum()
    assert clips.captions == ["a 3 moving quickly right"] * 2


def test_all_digits_get_the_cameras_velocity_and_bounce_off_walls_outside_of_the_picture(strokes):
    maker = CaptionedClips(strokes, (32, 40), 16, 16, num_digits=(2,))
    generator = np.random.default_rng(2)
    labels = [maker.draw_motions(generator) for _ in range(30)]
    pan = generator.uniform(-1.5, 1.5, (30, 2))
    clips = maker.render(generator, labels, steering=Steering.none(30)._replace(pan=pan))
    in_room = clips.tracks + (pan[:, None, None] * np.arange(16)[:, None])  # seen by one who stands still
    steps = np.abs(np.diff(in_room, axis=2))
    own = np.abs(own_velocities(maker, clips))[:, :, None]
    assert (np.abs(steps - own) < 1e-4).mean() > 0.9 and (steps < own + 1e-4).all()  # a bounce shortens a step
    middle = np.array([32, 40]) / 2 - 0.5
    assert (np.abs(clips.tracks[:, :, 0] - middle) <= middle - 7.5 + 1e-4).all()  # all in the first picture
    assert (np.abs(clips.tracks[:, :, -1] - middle) > middle).any()


def test_without_steering_clips_are_what_they_were(strokes):
    plain, none = CaptionedClips(strokes, (32, 32), 8, 16), Steering.none(6)
    labels = [plain.draw_motions(np.random.default_rng(3)) for _ in range(6)]
    before, after = (plain.render(np.random.default_rng(4), labels, steering=given) for given in (None, none))
    np.testing.assert_array_equal(before.video, after.video)
    assert before.velocities is None and not after.velocities.any()
    assert "steered" not in plain.describe()
    half = CaptionedClips(strokes, (32, 32), 8, 16, steered=0.5)
    fields = half.batch(np.random.default_rng(5), 60).velocities
    assert 15 < fields.any(axis=(1, 2, 3)).sum() < 45 and half.describe()["steered"] == [0.5]


def test_a_brush_leaves_out_digits_that_are_not_brushed_and_covers_most_of_those_that_are(strokes):
    maker = CaptionedClips(strokes, (64, 64), 4, 20, num_digits=(2,))
    generator = np.random.default_rng(6)
    labels = [maker.draw_motions(generator) for _ in range(40)]
    brushed = np.tile([True, False], (40, 1))
    brushed[:10] = False
    steering = Steering(np.zeros((40, 2)), np.ones(40, bool), brushed, np.ones((40, 2)))
    clips = maker.render(generator, labels, steering=steering)
    mask, corners = clips.velocities[..., 1] == 1, (clips.tracks[:, :, 0] - 9.5).round().astype(int)
    covered = np.array(
        [
            [mask[clip, top : top + 20, left : left + 20].mean() for top, left in boxes]
            for clip, boxes in enumerate(corners)
        ]
    )
    clear = (np.abs(corners[:, 0] - corners[:, 1]) >= 20).any(axis=1)
    assert clear[10:].sum() > 15 and covered[10:, 0][clear[10:]].min() > 0.5 and covered[10:, 1].max() == 0
    assert covered[:10].max() == 0 and mask[:10].any()


def test_a_pan_is_told_everywhere_and_a_brush_where_it_is_brushed():
    mask = np.zeros((8, 12), bool)
    mask[:4, :6] = True
    field = velocity_fields(2, (8, 12), pan=[(0, -2), (1, 0)], brush=(mask, (3, 0)))
    assert field.dtype == np.float32 and (field[..., 0] == 1).all()
    np.testing.assert_array_equal(field[0, 0, 0], [1, 3, 2])
    np.testing.assert_array_equal(field[0, 7, 11], [1, 0, 2])
    np.testing.assert_array_equal(field[1, 0, 0], [1, 2, 0])
    assert not velocity_fields(2, (8, 12)).any()
    np.testing.assert_array_equal(velocity_fields(1, (8, 12), pan=(0, -2))[0, 3, 3], [0, 0, 2])
    maps = field_maps(field, frames=3, factor=4, time_factor=4)
    assert maps.shape == (2, 3, 2, 3, 3) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[0, :, 0, 1], [[1, 1.5, 2]] * 3)  # half of this cell is brushed
    np.testing.assert_allclose(field_maps(field, 1, 4)[0, 0, 0, 0], [1, 3 / 4, 2 / 4])


MASK = np.ones((8, 12), bool)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"pan": (1, 2, 3)}, r"a pan is two numbers \(y, x\) in pixels a frame, such as \(0, -2\)"),
        ({"pan": "left"}, "a pan is two numbers"),
        ({"pan": (np.nan, 0)}, "a pan is two numbers"),
        ({"pan": [(0, 1)] * 3}, "a pan is two numbers"),
        ({"pan": (0, 12)}, "leaves a picture of 8x12 at once"),
        ({"brush": MASK}, r"a brush is a mask and a velocity"),
        ({"brush": (MASK, None)}, "the velocity of a brush is two numbers"),
        ({"brush": (MASK * 1.0, (0, 1))}, "boolean array .* not float64"),
        ({"brush": (MASK.T, (0, 1))}, r"= \(8, 12\), True where it is brushed, not bool of shape \(12, 8\)"),
    ],
)
def test_what_is_no_pan_and_no_brush_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        velocity_fields(2, (8, 12), **given)


def test_a_share_that_is_none_is_refused(strokes):
    with pytest.raises(InputError, match="steered is a share from 0 to 1, not 2"):
        CaptionedClips(strokes, steered=2)
