"""Every ability, on a tiny model with random weights: what is given stays, what is not is drawn, levels say which."""

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.generation import Given
from minivdit.generation.batch import NoiseByClip, Predictor
from minivdit.generation.sources import check_pixels

PROMPTS = ["a 3 moving right", "a 7 moving up"]
LENGTH = 8  # of a clip in training


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(num_frames=LENGTH, size=(16, 16), steps=2)


def noise(*shape, seed=0):
    """A video or an image that no network would draw."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.fixture
def calls(model, monkeypatch):
    """The (noise levels of the frames, x) of every call of the network, of the half with captions."""
    seen, predict = [], Predictor.__call__

    def watched(self, x, level, tokens):
        seen.append((level[: len(level) // 2].copy(), x[: len(x) // 2].copy()))
        return predict(self, x, level, tokens)

    monkeypatch.setattr(Predictor, "__call__", watched)
    return seen


def equal(a, b):
    return np.array_equal(a, b)


def test_no_ability_draws_from_the_noise_of_another(model, monkeypatch):
    """Else a clip that is edited with the seed that drew it gets back the very noise that it was made of."""
    drawn, draw = [], NoiseByClip.standard_normal

    def watched(self, shape, dtype):
        drawn.append(draw(self, shape, dtype))
        return drawn[-1]

    monkeypatch.setattr(NoiseByClip, "standard_normal", watched)
    image, clip = noise(16, 16, 1), noise(LENGTH, 16, 16, 1)
    how = {"seed": 0, "sampler": "euler"}  # which draws noise at its start only
    model.generate("", **how)
    model.animate(image, **how)
    model.extend(clip, num_frames=LENGTH, **how)  # two rounds
    model.interpolate(clip, **how)  # three stretches
    model.connect(clip, clip, **how)
    model.loop(image=image, **how)  # two clips
    model.loop(**how)  # three, the last two from the same noise
    model.edit(clip, "", **how)
    model.inpaint(clip, clip[..., 0] > 0.5, resample=0, **how)
    beginnings = {array[0].reshape(-1)[:8].tobytes() for array in drawn}
    assert len(beginnings) == len(drawn) - 2 == 13


# Frames --------------------------------------------------------------------------------------------------------------


def test_animate_starts_with_the_image(model, calls):
    image = noise(16, 24, 1)
    clip = model.animate(image, PROMPTS[0])
    assert clip.shape == (1, LENGTH, 16, 24, 1) and clip.dtype == np.float32
    assert equal(clip[0, 0], image)
    levels, x = calls[0]
    assert levels[0].tolist() == [0] + [1] * (LENGTH - 1)  # given; pure noise
    np.testing.assert_allclose(x[:, 0], model.autoencoder.encode(image[None, None])[:, 0], atol=1e-5)
    other = model.animate(noise(16, 24, 1, seed=1), PROMPTS[0])
    assert np.abs(other - clip)[:, 1:].max() > 1e-4  # the image changes what is drawn


def test_keyframes_stay_where_they_are_put_in_every_clip(model, calls):
    images = {time: noise(2, 16, 16, 1, seed=time) for time in (0, 3, 5)}
    clips = model.keyframes(images, PROMPTS, num_frames=6, sampler="euler", seed=4)
    assert clips.shape == (2, 6, 16, 16, 1)
    assert all(equal(clips[:, time], image) for time, image in images.items())
    assert not calls[0][0][:, [0, 3, 5]].any() and (calls[0][0][:, [1, 2, 4]] == 1).all()
    assert equal(clips, model.keyframes(images, PROMPTS, num_frames=6, sampler="euler", seed=4))
    assert not equal(clips, model.keyframes(images, PROMPTS, num_frames=6, sampler="euler", seed=5))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("length, more", [(LENGTH, 4), (LENGTH, 10), (3, 3)])
def test_extend_keeps_the_clip_and_draws_in_rounds(model, calls, backwards, length, more):
    clip = noise(2, length, 16, 16, 1)
    longer = model.extend(clip, PROMPTS, more, backwards=backwards, guidance_scale=1)
    assert longer.shape[1] == length + more
    assert equal(longer[:, -length:] if backwards else longer[:, :length], clip)
    context = min(4, length)
    given = [False] * (LENGTH - context) + [True] * context
    assert all(((level == np.float32(0.1)) == (given if backwards else given[::-1])).all() for level, _ in calls)
    assert len(calls) == 2 * -(-more // (LENGTH - context))  # two steps a round
    starts = [x[:, np.array(given if backwards else given[::-1]) == 0] for _, x in calls[::2]]
    assert all(not equal(starts[0], other) for other in starts[1:])  # each round has noise of its own


def test_extend_shows_its_context_under_as_much_noise_as_is_asked_for(model, calls):
    clip = noise(1, LENGTH, 16, 16, 1)
    for level in (0.0, 0.2):
        calls.clear()
        longer = model.extend(clip, PROMPTS[0], 4, context_noise=level)
        assert equal(longer[:, :LENGTH], clip)
        ends = model.autoencoder.encode(clip)[:, -4:]
        shown = [x[:, :4] for levels, x in calls if (levels[:, :4] == np.float32(level)).all()]
        assert len(shown) == 2 and equal(*shown)  # at every step, and the same
        np.testing.assert_allclose(np.corrcoef(shown[0].ravel(), np.ravel(ends))[0, 1] > 0.9999, level == 0)
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="context_noise"):
            model.extend(clip, context_noise=wrong)


def test_each_round_of_extend_may_have_a_caption_of_its_own(model, monkeypatch):
    clip, seen, asked = noise(1, 5, 16, 16, 1), [], []
    draw = type(model).draw
    monkeypatch.setattr(
        type(model), "draw", lambda self, prompt, *a, **k: asked.append(prompt) or draw(self, prompt, *a, **k)
    )

    def follow(frames):
        seen.append(frames)
        return PROMPTS[len(seen) % 2 : len(seen) % 2 + 1]

    longer = model.extend(clip, follow, 8, guidance_scale=1)
    assert len(seen) == 2 and asked == [PROMPTS[1:2], PROMPTS[:1]]
    assert equal(seen[0], longer[:, 1:5]) and equal(seen[1], longer[:, 5:9])  # the frames that the round is given
    earlier = model.extend(clip, follow, 4, backwards=True, guidance_scale=1)
    assert equal(seen[2], earlier[:, 4:8])
    seen.clear()
    model.connect(clip, clip, follow, 4, guidance_scale=1)
    model.loop(follow, guidance_scale=1)
    assert [frames.shape[1] for frames in seen] == [2, 1, 1, 3]  # the last: before the seam, which lies in the middle


def test_interpolate_keeps_the_frames_and_adds_between(model, calls):
    clip = noise(2, 6, 16, 16, 1)
    for factor in (2, 3):
        dense = model.interpolate(clip, PROMPTS, factor)
        assert dense.shape[1] == 5 * factor + 1
        assert equal(dense[:, ::factor], clip)
    assert all(len(level[0]) <= LENGTH for level, _ in calls)  # no stretch is longer than in training
    assert model.interpolate(clip[:, :2], "", 2).shape[1] == 3


def test_connect_shows_the_ends_of_both(model, calls):
    before, after = noise(5, 16, 16, 1), noise(3, 16, 16, 1, seed=1)
    whole = model.connect(before, after, PROMPTS[0])
    assert whole.shape == (1, 5 + 4 + 3, 16, 16, 1)
    assert equal(whole[0, :5], before) and equal(whole[0, -3:], after)
    assert (calls[0][0][0] == [0, 0, 1, 1, 1, 1, 0, 0]).all()
    clean = model.autoencoder.encode(np.stack([before[-2], before[-1], after[0], after[1]])[None])
    np.testing.assert_allclose(calls[0][1][:, [0, 1, 6, 7]], clean, atol=1e-5)
    assert model.connect(before, after, num_frames=6, context=1).shape[1] == 5 + 6 + 3


def test_a_loop_ends_as_it_began_and_is_drawn_anew_around_the_seam(model, calls):
    image = noise(16, 16, 1)
    loop = model.loop(PROMPTS[0], image)
    assert loop.shape == (1, LENGTH, 16, 16, 1) and equal(loop[0, 0], image)
    closing, seam = calls[0][0][0], calls[2][0][0]
    assert (closing == 0).nonzero()[0].tolist() == [0, LENGTH]
    assert (seam > 0).nonzero()[0].tolist() == [3]  # before the image, which lies in the middle now
    del calls[:]
    assert model.loop(PROMPTS, guidance_scale=1, num_frames=16).shape == (2, 16, 16, 16, 1)
    assert (calls[-1][0][0] > 0).nonzero()[0].tolist() == [6, 7, 8, 9]


# Parts of frames, and noise -------------------------------------------------------------------------------------------


def test_resampling_draws_anew_and_keeps_what_is_given_and_counts_its_steps(model):
    clip, mask, told = noise(1, LENGTH, 16, 16, 1), np.zeros((16, 16), bool), []
    mask[4:12, 8:16] = True
    plain, again = (
        model.inpaint(clip, mask, PROMPTS[0], steps=10, resample=times, progress=lambda *done: told.append(done[:2]))
        for times in (0, 2)
    )
    assert equal(again[:, :, ~mask], plain[:, :, ~mask]) and not np.allclose(again[:, :, mask], plain[:, :, mask])
    assert told[:11] == [(done, 10) for done in range(11)] and told[11:] == [(done, 16) for done in range(17)]
    with pytest.raises(InputError, match="resample"):
        model.inpaint(clip, mask, resample=-1)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "ddpm", "dpm_solver"])
def test_inpaint_changes_nothing_outside_the_mask(model, sampler):
    clip, mask = noise(2, 4, 16, 16, 1), np.zeros((4, 16, 16), bool)
    mask[1:3, 4:12, :9] = True
    drawn = model.inpaint(clip, mask, PROMPTS, sampler=sampler)
    assert equal(drawn[:, ~mask], clip[:, ~mask])
    assert np.abs(drawn - clip)[:, mask].mean() > 0.05
    hidden = np.where(mask[..., None], 1 - clip, clip)
    assert equal(drawn, model.inpaint(hidden, mask, PROMPTS, sampler=sampler))  # what was there isn't looked at
    assert equal(drawn[:, 0], clip[:, 0])


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver"])
@pytest.mark.parametrize("prediction", ["velocity", "clean", "noise"])
def test_known_latents_are_on_their_way_from_noise_to_clean(make_model, sampler, prediction):
    """At every level they are what the clean ones with some noise are, and at the end they are clean."""
    curve = "ddpm_cosine" if prediction == "noise" else "rectified_flow"
    model = make_model(num_frames=4, size=(16, 16), prediction=prediction, curve=curve)
    clip, known = noise(1, 4, 16, 16, 1), np.zeros((1, 4, 16, 16, 1), bool)
    known[:, :, :8] = True
    clean = model.autoencoder.encode(clip)
    curve = model.settings.process.curve
    for step in model.denoise(PROMPTS[:1], given=Given(clip, known), steps=5, sampler=sampler):
        rest = (step.x - curve.alpha(step.levels[0, 0]) * clean)[:, :, :2]
        sigma = float(curve.sigma(step.levels[0, 0]))
        assert rest.std() == pytest.approx(sigma, rel=0.3, abs=1e-5)
    np.testing.assert_allclose(step.x[:, :, :2], clean[:, :, :2], atol=1e-4)


def test_edit_starts_on_the_way(model, calls):
    clip = noise(1, 4, 16, 16, 1)
    edited = model.edit(clip, PROMPTS[0], 0.4)
    np.testing.assert_allclose(calls[0][0], np.full((1, 4), 0.4), rtol=1e-6)
    clean = model.autoencoder.encode(clip)
    assert np.corrcoef(calls[0][1].ravel(), clean.ravel())[0, 1] > 0.6
    light, heavy = (np.abs(model.edit(clip, PROMPTS[0], level) - model.decode(clean)).mean() for level in (0.05, 1.0))
    assert light < 0.5 * heavy
    assert not equal(edited, model.edit(clip, PROMPTS[1], 0.4))


def test_nothing_given_is_generate(model):
    blank = Given.nothing(2, LENGTH, (16, 16))
    assert equal(model.draw(PROMPTS, blank, seed=3), model.generate(PROMPTS, seed=3))


# Captions that change -------------------------------------------------------------------------------------------------


def test_captions_one_after_the_other(model):
    plain = model.generate(PROMPTS[0], seed=1)
    turned = model.generate([f"{PROMPTS[0]}, then up", PROMPTS[0]], seed=1)
    assert np.abs(turned[0] - plain[0]).max() > 1e-4
    alone = model.generate([PROMPTS[0]] * 2, seed=1)
    np.testing.assert_allclose(turned[1], alone[1], atol=1e-5)


def test_each_frame_has_its_caption(model, monkeypatch):
    tokens = []
    predict = Predictor.__call__
    monkeypatch.setattr(Predictor, "__call__", lambda self, *inputs: tokens.append(inputs[2]) or predict(self, *inputs))
    model.generate("a 3 moving right then up", steps=1)
    assert tokens[0].shape[:2] == (2, 2)  # with captions and without; one for each half
    assert (tokens[0][1] == tokens[0][1, :1]).all()
    assert [model.tokenizer.decode(row) for row in tokens[0][0]] == ["a 3 moving right", "then a 3 moving up"]
    model.generate("a 3 moving right then up then left", steps=1)
    captions = [model.tokenizer.decode(row) for row in tokens[1][0]]  # patches are two frames long
    assert LENGTH == 8 and captions == ["a 3 moving right"] * 2 + ["then a 3 moving up", "then a 3 moving left"]


# What can't be done --------------------------------------------------------------------------------------------------


IMAGE, CLIP = noise(16, 16, 1), noise(4, 16, 16, 1)


@pytest.mark.parametrize(
    ("ability", "arguments", "message"),
    [
        ("animate", [noise(16, 20, 1)], "width 20 must be a multiple of 8, such as 16 or 24"),
        (
            "animate",
            [noise(16, 3)],
            r"must be an array \(clips, height, width, channels\), not one of shape \(16, 3\); .* give a\[..., None\]",
        ),
        ("animate", [noise(16, 16, 3)], "a clip has 3 channels; this model draws 1"),
        ("animate", [np.zeros((16, 16, 1), np.int32)], "must be floats in .* or bytes .uint8., not int32"),
        ("animate", [None], "the image at time 0 is missing; give an array, the name of a file, or a Pillow image"),
        ("edit", [None, ""], "the clip is missing"),
        ("extend", [noise(16, 16)], r"\(clips, frames, .*, not one of shape \(16, 16\); .* give a\[..., None\]"),
        ("animate", [IMAGE * 255], r"must lie in \[0, 1\]; it goes from"),
        ("animate", [IMAGE * np.nan], r"must lie in \[0, 1\]; it goes from nan"),
        ("animate", [np.zeros((0, 16, 1))], "must be an array"),
        ("animate", [IMAGE, PROMPTS], "1 clips need one caption for all or one each, not 2"),
        ("animate", [IMAGE, "a dog"], "'dog' is no digit"),
        ("animate", [IMAGE, "", 7], "num_frames 7 must be a multiple of 2, such as 6 or 8"),
        ("keyframes", [{}], "there are no keyframes"),
        ("keyframes", [{8: IMAGE}], "a time must be a whole number from 0 to 7, not 8"),
        ("keyframes", [{-1: IMAGE}], "a time must be a whole number from 0 to 7, not -1"),
        ("keyframes", [{"first": IMAGE}], "a time must be a whole number from 0 to 7, not 'first'"),
        ("keyframes", [{0: IMAGE}, "", 0], "num_frames must be a whole number from 1 upwards, not 0"),
        ("animate", [IMAGE, None], "a caption is text"),
        ("animate", [IMAGE, "", "16"], "num_frames must be a whole number .* not '16'"),
        ("extend", [CLIP, "", 2.5], "num_frames must be a whole number .* not 2.5"),
        ("interpolate", [CLIP, "", True], "factor must be a whole number .* not True"),
        ("connect", [CLIP, CLIP, "", "2"], "num_frames must be a whole number"),
        ("loop", ["", None, float("nan")], "num_frames must be a whole number .* not nan"),
        ("edit", [CLIP, "", "much"], "level must be a finite number, not 'much'"),
        ("edit", [CLIP, "", np.nan], "level must be a finite number, not nan"),
        ("keyframes", [{0: IMAGE, 3: noise(16, 24, 1)}], "must have one size"),
        ("keyframes", [{0: IMAGE, 1: IMAGE}, "", 2], "every pixel is given"),
        ("extend", [CLIP, "", 0], "num_frames must be a whole number from 1 upwards, not 0"),
        ("extend", [IMAGE, "", 4], r"the clip must be an array \(clips, frames"),
        ("interpolate", [CLIP, "", 1], "factor must be a whole number from 2 upwards, not 1"),
        ("interpolate", [CLIP[:1]], "at least 2 frames"),
        ("connect", [CLIP, noise(4, 16, 24, 1)], "can't be connected; give equal sizes"),
        ("connect", [CLIP, CLIP, "", 5], "num_frames 9 must be a multiple of 2, such as 8 or 10"),
        ("loop", ["", None, 1], "num_frames must be a whole number from 3 upwards, not 1"),
        ("edit", [CLIP, "", 0], "noise level above 0 and up to 1, not 0"),
        ("edit", [CLIP, "", 1.2], "noise level above 0 and up to 1, not 1.2"),
        ("inpaint", [CLIP, np.zeros((16, 16), bool)], "a mask is a boolean array"),
        ("inpaint", [CLIP, np.ones((16, 16))], "a mask is a boolean array"),
        ("inpaint", [CLIP, np.ones((3, 16, 16), bool)], "a mask is a boolean array"),
        ("generate", ["a 3 moving right then"], "nothing on one side of 'then'"),
        ("generate", [" then ".join([PROMPTS[0]] * 5)], "5 captions don't fit into 4 steps of time"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(model, ability, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        getattr(model, ability)(*arguments)
    assert "\n" not in str(caught.value)


def test_bytes_and_grey_arrays_without_channels_are_taken(model):
    grey, clip = (np.rint(255 * part[..., 0]).astype(np.uint8) for part in (IMAGE, CLIP))
    expected = model.animate(grey[..., None] * np.float32(1 / 255), steps=1)
    for image in (grey, grey[..., None], grey[None], grey * np.float32(1 / 255)):
        assert equal(model.animate(image, steps=1), expected)
    expected = model.edit(clip[..., None] * np.float32(1 / 255), PROMPTS[0], steps=1)
    for video in (clip, clip[None], clip * np.float32(1 / 255)):
        assert equal(model.edit(video, PROMPTS[0], steps=1), expected)


def test_whole_numbers_of_any_kind_are_taken(model):
    frames = {np.int64(0): IMAGE, 3.0: IMAGE}
    assert equal(
        model.keyframes(frames, "", 4.0, seed=np.uint8(3)), model.keyframes({0: IMAGE, 3: IMAGE}, "", 4, seed=3)
    )
    assert model.interpolate(CLIP, "", np.float32(3)).shape[1] == 3 * (len(CLIP) - 1) + 1


def test_every_ability_is_led_away_from_a_negative_prompt(model):
    mask = np.ones((16, 16), bool)
    for ability, given in {
        "animate": [IMAGE, PROMPTS[0]],
        "extend": [CLIP, PROMPTS[0], 2],
        "interpolate": [CLIP, PROMPTS[0]],
        "connect": [CLIP, CLIP, PROMPTS[0]],
        "loop": [PROMPTS[0]],
        "edit": [CLIP, PROMPTS[0]],
        "inpaint": [CLIP, mask, PROMPTS[0]],
    }.items():
        plain, led = (getattr(model, ability)(*given, negative_prompt=words) for words in ("", PROMPTS[1]))
        assert plain.shape == led.shape and np.abs(plain - led).max() > 1e-5, ability


@pytest.mark.parametrize("context", [0, LENGTH])
def test_rounds_need_something_given_and_something_to_draw(model, context):
    with pytest.raises(InputError, match="choose from 1 to 7"):
        model.extend(noise(LENGTH, 16, 16, 1), context=context)


def test_a_clip_that_does_not_fit_is_refused_with_the_longest_that_does(model, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 8e6)
    with pytest.raises(InputError, match=r"longest clip of this size that fits has \d+ frames") as refusal:
        model.animate(IMAGE, num_frames=10**9)
    longest = int(str(refusal.value).split("fits has ")[1].split()[0])
    assert longest % 2 == 0 and model.animate(IMAGE, num_frames=longest, steps=1).shape[1] == longest
    with pytest.raises(InputError, match=f"fits has {longest} frames"):
        model.animate(IMAGE, num_frames=longest + 2)
    with pytest.raises(InputError, match=r"draw \d+ at a time"):
        model.generate([""] * 10**6)
    with pytest.raises(InputError, match="choose a smaller size: not even one frame fits"):
        model.generate("", size=(10**6, 10**6))


def test_pixels_are_kept_bit_for_bit():
    given = Given(noise(1, 2, 4, 4, 1), noise(1, 2, 4, 4, 1, seed=1) > 0.5)
    kept = given.keep(np.zeros((1, 2, 4, 4, 1), np.float32))
    assert equal(kept, np.where(given.known, given.video, 0)) and kept.dtype == np.float32
    half = np.full((4, 4, 1), 0.1, np.float64)
    half[0, 0], half[0, 1] = 1 + 1e-7, -1e-7  # a rounding error outside is cut off
    checked = check_pixels(half, ("clips", "height", "width", "channels"), "it")
    assert checked.max() == 1 and checked.min() == 0
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]; it goes from 0 to 1.001"):
        check_pixels(np.linspace(0, 1.001, 16).reshape(4, 4, 1), ("clips", "height", "width", "channels"), "it")
    assert check_pixels(half, ("clips", "height", "width", "channels"), "it").dtype == np.float32


def test_latents_are_known_where_all_their_pixels_are():
    known = np.ones((1, 1, 8, 8, 1), bool)
    known[0, 0, 5, 2] = False
    latents = Given(np.zeros((1, 1, 8, 8, 1), np.float32), known).known_latents(4)
    assert latents[0, 0, :, :, 0].tolist() == [[True, True], [False, True]]
