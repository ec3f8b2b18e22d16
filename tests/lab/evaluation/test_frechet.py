"""The Frechet distance against its closed forms, and what it sees in clips."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.backend import to_device, to_numpy
from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips
from minivdit.lab.evaluation import frozen, recombined, shuffled_frames
from minivdit.lab.evaluation.blobs import brightness
from minivdit.lab.evaluation.frechet import (
    clip_features,
    frame_features,
    frame_maps,
    frechet_distance,
    resampled_distances,
)
from minivdit.lab.evaluation.judge import load_judge


def test_it_is_zero_to_itself_and_symmetric():
    a, b = np.random.default_rng(0).standard_normal((2, 300, 7))
    b = 2 * b @ np.random.default_rng(1).standard_normal((7, 7))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_closed_forms():
    a = np.random.default_rng(0).standard_normal((500, 5))
    assert frechet_distance(a, a + [1, 2, 0, 0, 0]) == pytest.approx(5)
    # Scaling by s: covariances commute, so the distance is sum (1 - s)^2 variance.
    centred = a - a.mean(0)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * np.trace(np.cov(a, rowvar=False)))
    one = np.random.default_rng(1).standard_normal((400, 1))
    expected = (one.mean() - 2 * one.mean() - 1) ** 2 + one.var(ddof=1)
    assert frechet_distance(one, 2 * one + 1) == pytest.approx(expected)


def test_against_the_square_root_of_the_product():
    """The textbook form, sqrt(A B) by eigenvalues of the (unsymmetric) product, on well-conditioned data."""
    generator = np.random.default_rng(2)
    a, b = (generator.standard_normal((800, 6)) @ generator.standard_normal((6, 6)) for _ in range(2))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    overlap = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_fewer_samples_than_dimensions_is_finite_and_one_is_refused():
    a, b = np.random.default_rng(0).standard_normal((2, 4, 30))
    assert 0 < frechet_distance(a, b) < 200
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(a[:1], b)


class Once:
    """Stands in for a Generator: every clip is drawn once."""

    def multinomial(self, clips, chances, resamples):
        assert clips == len(chances)
        return np.ones((resamples, clips), int)


def test_clips_drawn_once_each_have_the_distance_itself():
    a, b = np.random.default_rng(3).standard_normal((2, 60, 5))
    assert resampled_distances(a, b, 20, Once(), 2) == pytest.approx(frechet_distance(a, b))


def test_resampled_clips_spread_as_other_clips_do():
    generator = np.random.default_rng(4)

    def clips():  # 100 of 3 frames: the frames of a clip are much alike
        return (generator.standard_normal((100, 1, 4)) + 0.3 * generator.standard_normal((100, 3, 4))).reshape(300, 4)

    far = np.array([1.0, 0, 0, 0])
    others = np.std([frechet_distance(clips(), clips() + far) for _ in range(200)])
    resampled = [resampled_distances(clips(), clips() + far, 100, generator).std() for _ in range(5)]
    assert 0.75 < np.mean(resampled) / others < 1.35
    frames = [resampled_distances(clips(), clips() + far, 300, generator).std() for _ in range(5)]
    assert np.mean(frames) < 0.75 * np.mean(resampled)  # as if each frame were a clip of its own: too sure


@pytest.fixture(scope="module")
def maps(strokes, one_digit):
    """Maps of 60 real clips, of 60 other real clips, and of the first spoilt in several ways."""
    generator = np.random.default_rng(5)
    video = one_digit.video
    others = CaptionedClips(strokes, (32, 32), 8, 16, (1,), held_out="include").batch(generator, 60).video
    soft = video.copy()
    for axis in (2, 3):
        soft = 0.5 * soft + 0.25 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    variants = {
        "real": video,
        "others": others,
        "recombined": recombined(video, generator),
        "shuffled": shuffled_frames(video, generator),
        "frozen": frozen(video),
        "soft": soft,
        "noisy": np.clip(video + 0.1 * generator.standard_normal(video.shape), 0, 1),
    }
    return {name: frame_maps(clips, 16) for name, clips in variants.items()}


def distance(maps, name, features):
    return frechet_distance(features(maps[name]), features(maps["others"]))


@pytest.mark.parametrize("control", ["recombined", "shuffled"])
def test_reordering_frames_raises_only_the_clip_distance(maps, control):
    assert maps[control].shape == (60, 8, 7, 7, 64)
    assert distance(maps, control, frame_features) == pytest.approx(distance(maps, "real", frame_features), rel=1e-3)
    assert distance(maps, control, clip_features) > 3 * distance(maps, "real", clip_features)


def test_recombination_is_further_off_than_shuffling(maps):
    assert distance(maps, "recombined", clip_features) > 1.5 * distance(maps, "shuffled", clip_features)


def test_a_frozen_clip_is_far_from_clips(maps):
    assert distance(maps, "frozen", clip_features) > 10 * distance(maps, "real", clip_features)


@pytest.mark.parametrize("spoilt", ["soft", "noisy"])
def test_worse_pictures_raise_both(maps, spoilt):
    for features in (frame_features, clip_features):
        assert distance(maps, spoilt, features) > 2 * distance(maps, "real", features)


def test_grey_clips_have_the_judges_features_and_the_same_distance_in_three_channels(one_digit):
    real, others = one_digit.video[:20, :3], one_digit.video[20:40, :3]
    with ag.no_grad():
        alone = load_judge().maps(to_device(real.reshape(-1, 32, 32))).data
    np.testing.assert_array_equal(frame_maps(real, 28), to_numpy(alone).reshape(20, 3, 4, 4, 64))
    for features in (frame_features, clip_features):
        one, three = (
            frechet_distance(*(features(frame_maps(clips.repeat(channels, -1), 16)) for clips in (real, others)))
            for channels in (1, 3)
        )
        assert three == pytest.approx(one, rel=1e-3)


@pytest.fixture(scope="module")
def coloured(strokes):
    """Two sets of 60 real clips of red, yellow and magenta digits, and the first spoilt; its brightness stays."""
    maker = CaptionedClips(strokes, (32, 32), 8, 16, (1,), held_out="include", colors=True)
    generator, labels = np.random.default_rng(6), []
    while len(labels) < 120:
        motions = maker.draw_motions(generator)
        labels += [motions] * (motions[0].colour in ("red", "yellow", "magenta"))
    real, others = (maker.render(generator, part).video for part in (labels[:60], labels[60:]))
    permuted = real[..., [1, 2, 0]]  # green, cyan, yellow
    changing = np.concatenate([real[:, :4], permuted[:, 4:]], axis=1)
    return {"real": real, "others": others, "permuted": permuted, "changing": changing}


@pytest.mark.parametrize("spoilt", ["permuted", "changing"])
def test_wrong_colours_raise_both_though_every_brightness_is_right(coloured, spoilt):
    light = [brightness(coloured[name]) for name in ("real", spoilt)]
    np.testing.assert_array_equal(*light)
    maps = {name: frame_maps(coloured[name], 16) for name in ("real", "others", spoilt)}
    for features in (frame_features, clip_features):
        assert distance(maps, spoilt, features) > 2 * distance(maps, "real", features)


def test_colours_that_change_raise_the_clip_distance_where_each_frame_may_have_any_colour(coloured):
    """Real clips in all colours: the frames are the same ones in all, but clips change their colour on the way."""
    sets = {"real": [], "others": [], "changing": []}
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        for name, found in sets.items():
            found.append(coloured[name][..., order])
    maps = {name: frame_maps(np.concatenate(found), 16) for name, found in sets.items()}
    assert distance(maps, "changing", frame_features) == pytest.approx(distance(maps, "real", frame_features), rel=1e-3)
    assert distance(maps, "changing", clip_features) > 2 * distance(maps, "real", clip_features)


def test_clips_of_one_frame_have_features(one_digit):
    features = clip_features(frame_maps(one_digit.video[:3, :1], 16))
    assert features.shape == (3, 192) and (features[:, 64:] == 0).all()
