"""TextToVideo on a tiny model with random weights: what comes out, and what is refused."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minivdit.base.errors import InputError

PROMPTS = ["a 3 moving right", "a 7 moving up"]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def test_generate_gives_float32_video_in_range(model):
    video = model.generate(PROMPTS, seed=1)
    assert video.shape == (2, 4, 16, 24, 1)
    assert video.dtype == np.float32
    assert video.min() >= 0 and video.max() <= 1 and video.std() > 0


def test_any_length_and_size_that_the_patches_divide(model):
    assert model.generate(PROMPTS[0], num_frames=10, size=(8, 40)).shape == (1, 10, 8, 40, 1)


def test_threads_that_draw_at_the_same_time_draw_as_one_alone(model):
    expected = model.generate(PROMPTS, seed=1)
    with ThreadPoolExecutor(3) as pool:
        for video in pool.map(lambda _: model.generate(PROMPTS, seed=1), range(6)):
            np.testing.assert_array_equal(video, expected)


def test_seed_and_prompt_decide_the_clip(model):
    first = model.generate(PROMPTS[0], seed=1)
    np.testing.assert_array_equal(first, model.generate(PROMPTS[0], seed=1))
    assert np.abs(first - model.generate(PROMPTS[0], seed=2)).max() > 1e-3
    assert np.abs(first - model.generate(PROMPTS[1], seed=1)).max() > 1e-5


@pytest.mark.parametrize("sampler", ["euler", "ddpm"])
def test_a_clip_does_not_depend_on_the_others_drawn_with_it(model, sampler):
    alone = model.generate(PROMPTS[0], seed=1, sampler=sampler)
    together = model.generate([PROMPTS[0], *PROMPTS], seed=1, sampler=sampler)
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_the_number_of_threads_changes_nothing_but_rounding(model):
    before, model.threads = model.threads, 1
    one = model.generate(PROMPTS * 2, seed=1)
    model.threads = 3
    three = model.generate(PROMPTS * 2, seed=1)
    model.threads = before
    np.testing.assert_allclose(one, three, atol=1e-5)


def test_no_process_is_left_behind_even_when_the_caller_stops_half_way(model):
    model.generate(PROMPTS, seed=1)
    for _ in zip(range(2), walk := model.denoise(PROMPTS, seed=1)):
        pass
    walk.close()
    model.denoise(PROMPTS, seed=1)  # never begun
    assert multiprocessing.active_children() == []


def test_guidance_is_conditional_at_one_and_moves_away_from_the_empty_caption(model):
    conditional, empty = model.generate(PROMPTS[0], guidance_scale=1.0), model.generate("", guidance_scale=1.0)
    assert np.abs(conditional - empty).max() > 1e-5
    np.testing.assert_allclose(model.generate(PROMPTS[0], guidance_scale=0.0), empty, atol=1e-5)
    assert np.abs(model.generate(PROMPTS[0], guidance_scale=4.0) - conditional).max() > 1e-5


@pytest.mark.parametrize("sampler", ["euler", "ddim", "ddpm", "dpm_solver"])
def test_every_sampler_draws(model, sampler):
    assert np.isfinite(model.generate(PROMPTS[0], sampler=sampler)).all()


def test_denoise_yields_every_step_and_ends_clean(model):
    steps = list(model.denoise(PROMPTS, seed=1, steps=5))
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert (steps[-1].levels == 0).all()
    np.testing.assert_allclose(steps[-1].x, steps[-1].clean, atol=1e-5)
    np.testing.assert_array_equal(model.decode(steps[-1].x), model.generate(PROMPTS, seed=1, steps=5))


def test_the_fingerprint_changes_with_any_weight(make_model):
    model = make_model()
    before = model.fingerprint()
    model.autoencoder.latent_mean.data[0] += 0.25
    assert model.fingerprint() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a dog moving right"}, "'dog' is no digit"),
        ({"num_frames": 1}, "num_frames 1 .* multiple of 2, such as 2"),
        ({"num_frames": 0}, "num_frames must be a whole number from 1 upwards, not 0"),
        ({"num_frames": 7}, "num_frames 7 .* such as 6 or 8"),
        ({"size": (16, 20)}, "width 20 .* such as 16 or 24"),
        ({"size": (0, 16)}, "height must be a whole number from 1 upwards, not 0"),
        ({"size": (-8, 16)}, "height must be a whole number from 1 upwards, not -8"),
        ({"steps": 0}, "steps must be a whole number from 1 upwards, not 0"),
        ({"steps": "x"}, "steps must be a whole number from 1 upwards, not 'x'"),
        ({"guidance": 3}, "'guidance' is no argument here; guidance_scale is meant"),
        ({"negative": "a 7"}, "'negative' is no argument here; negative_prompt is meant"),
        ({"frames": 4}, "'frames' is no argument here; num_frames is meant"),
        ({"fps": 4}, "'fps' is no argument here; the argument frames_per_second of write_grid is meant"),
        ({"magic": 4}, "'magic' is no argument here; drawing takes seed, steps, guidance_scale, negative_prompt, samp"),
        ({"sampler": "magic"}, "'magic' is not a sampler"),
        ({"prompt": []}, "there is no caption"),
        ({"prompt": None}, "a caption is text such as 'a 3 moving right', or a list of such, not NoneType"),
        ({"prompt": b"a 3 moving right"}, "a caption is text .* not bytes"),
        ({"prompt": [PROMPTS[0], 3]}, "a caption is text .* not int"),
        ({"num_frames": "16"}, "num_frames must be a whole number from 1 upwards, not '16'"),
        ({"num_frames": 4.5}, "num_frames must be a whole number .* not 4.5"),
        ({"size": (16, 24, 1)}, "size must be .height, width. in pixels, or one number for a square"),
        ({"size": "16x24"}, "height must be a whole number .* not '16x24'"),
        ({"seed": -1}, "seed must be a whole number from 0 upwards, not -1"),
        ({"seed": None}, "seed must be a whole number .* not None"),
        ({"seed": True}, "seed must be a whole number .* not True"),
        ({"seed": (1, 2)}, r"seed must be a whole number .* not \(1, 2\)"),
        ({"seed": 2**128}, "is not a seed"),
        ({"steps": 2.5}, "steps must be a whole number .* not 2.5"),
        ({"steps": "3"}, "steps must be a whole number .* not '3'"),
        ({"guidance_scale": np.nan}, "guidance_scale must be a finite number, not nan"),
        ({"guidance_scale": np.inf}, "guidance_scale must be a finite number, not inf"),
        ({"guidance_scale": 1e39}, r"guidance_scale must be a finite number, not 1e\+39"),
        ({"guidance_scale": "3"}, "guidance_scale must be a finite number, not '3'"),
        ({"sampler": []}, "is not a sampler"),
        ({"index": 1}, "index must be a whole number from 0 to 0, not 1"),
        ({"negative_prompt": "a cat"}, "'cat' is no digit"),
        ({"negative_prompt": 3}, "a caption is text"),
        ({"negative_prompt": PROMPTS}, "1 clips need one caption for all or one each, not 2"),
        ({"negative_prompt": PROMPTS[1], "guidance_scale": 1}, "a negative prompt has no effect at guidance 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(model, options, message):
    with pytest.raises(InputError, match=message) as caught:
        model.generate(**{"prompt": PROMPTS[0], **options})
    assert "\n" not in str(caught.value)


def test_what_is_plainly_meant_is_taken(model):
    clip = model.generate(PROMPTS[0], num_frames=6, size=(16, 16), seed=2, steps=2, guidance_scale=2)
    same = {"num_frames": 6.0, "size": 16, "seed": np.int64(2), "steps": np.float32(2), "guidance_scale": np.array(2)}
    np.testing.assert_array_equal(clip, model.generate(np.str_(PROMPTS[0]), **same))
    np.testing.assert_array_equal(model.generate(tuple(PROMPTS)), model.generate(np.array(PROMPTS)))


@pytest.mark.parametrize("options", [{"prompt": "a dog moving right"}, {"seed": -1}, {"guidance_scale": np.nan}])
def test_refused_before_anything_runs(model, options):
    with pytest.raises(InputError):
        model.denoise(**{"prompt": PROMPTS[0], **options})  # not even a step was asked for


def test_a_drawing_that_leaves_the_range_of_numbers_is_no_clip(model):
    with pytest.raises(InputError, match=r"drawing gave values that aren't numbers; lower the guidance \(3 is usual\)"):
        model.generate(PROMPTS[0], guidance_scale=3e38)


def test_a_decoder_that_leaves_the_range_of_numbers_gives_no_clip(make_model):
    model = make_model()
    model.decode = lambda latents: np.full((1, 4, 16, 24, 1), np.nan, np.float32)
    with pytest.raises(InputError, match="values that aren't numbers"):
        model.generate(PROMPTS[0])


def test_a_negative_prompt_stands_in_the_place_of_the_empty_caption(model):
    led = model.generate(PROMPTS[0], negative_prompt=PROMPTS[1], guidance_scale=0)
    np.testing.assert_allclose(led, model.generate(PROMPTS[1], guidance_scale=1), atol=1e-5)
    plain = model.generate(PROMPTS[0])
    np.testing.assert_array_equal(plain, model.generate(PROMPTS[0], negative_prompt=""))
    assert np.abs(plain - model.generate(PROMPTS[0], negative_prompt=PROMPTS[1])).max() > 1e-5
    each = model.generate(PROMPTS, negative_prompt=["", PROMPTS[0] + ", then up"])
    np.testing.assert_allclose(each[:1], plain, atol=1e-5)


@pytest.mark.parametrize("sampler", ["euler", "ddpm"])
def test_one_of_several_clips_drawn_again_alone(model, sampler):
    prompts = [*PROMPTS, PROMPTS[0]]
    how = {"seed": 3, "sampler": sampler, "negative_prompt": ["", PROMPTS[0], PROMPTS[1]]}
    together = model.generate(prompts, **how)
    for index in range(3):
        alone = model.generate(prompts, index=index, **how)
        np.testing.assert_allclose(alone, together[index : index + 1], atol=1e-5)


def test_of_a_crowd_too_large_for_memory_one_can_be_drawn(model):
    prompts = [PROMPTS[0]] * 10**6
    assert model.generate(prompts, index=999_999, steps=1).shape == (1, 4, 16, 24, 1)
