"""Drawing with an autoencoder that makes one latent frame of four: lengths, abilities, files, the explorer."""

import dataclasses

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.generation.given import Given
from minivdit.lab.explorer.collect import collect
from minivdit.models import AutoencoderConfig, VideoDiT, VideoDiTConfig, make_autoencoder

PROMPT = "a 3 moving right"


@pytest.fixture(scope="module")
def model(make_model):
    """Nine frames, in three latent frames."""
    made, generator = make_model(num_frames=9, size=(16, 16), steps=2), np.random.default_rng(0)
    config = VideoDiTConfig(latent_channels=2, width=24, depth=2, heads=2, text_depth=1)
    made.transformer = VideoDiT(config, len(made.tokenizer), generator)
    made.autoencoder = make_autoencoder(AutoencoderConfig(1, 2, (4, 4), 4), generator)
    for part in (made.transformer, made.autoencoder):
        for parameter in part.parameters().values():
            parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return made


def clip(frames, seed=0):
    return np.random.default_rng(seed).random((1, frames, 16, 16, 1), dtype=np.float32)


def test_a_clip_has_four_times_the_frames_that_the_network_sees(model):
    assert model.generate(PROMPT).shape == (1, 9, 16, 16, 1)
    assert model.generate(PROMPT, num_frames=1).shape == (1, 1, 16, 16, 1)
    assert model.generate(f"{PROMPT} then up", num_frames=17, size=(16, 24)).shape == (1, 17, 16, 24, 1)
    assert next(model.denoise(PROMPT)).x.shape == (1, 3, 4, 4, 2)


def test_a_length_that_cannot_be_drawn_names_two_that_can(model):
    with pytest.raises(InputError, match="num_frames 8 must be 1 and a multiple of 4, such as 5 or 9"):
        model.generate(PROMPT, num_frames=8)


def test_whole_groups_may_be_given_and_come_back_as_they_were(model):
    video = clip(9)
    drawn = model.animate(video[:, 0], PROMPT)
    assert drawn.shape == video.shape and (drawn[:, 0] == video[:, 0]).all()
    other = model.animate(clip(9, seed=1)[:, 0], PROMPT)
    assert abs(drawn - other)[:, 1:].max() > 1e-3  # what is given matters
    keys = {time: video[:, time] for time in (5, 6, 7, 8)}
    drawn = model.keyframes(keys, PROMPT)
    assert all((drawn[:, time] == video[:, time]).all() for time in keys)


@pytest.mark.parametrize("times", [(1,), (0, 8), (5, 6, 7), (0, 1, 2, 3)])
def test_a_part_of_a_group_is_refused(model, times):
    first = next(time for time in times if time)
    with pytest.raises(InputError, match=rf"frame {first} is given, but not all .* \(frame 0, 1 to 4, 5 to 8, ...\)"):
        model.keyframes({time: clip(9)[:, time] for time in times}, PROMPT)


@pytest.mark.parametrize("frames, backwards, given", [(9, False, 1), (9, True, 4), (5, True, 4), (13, False, 1)])
def test_extending_takes_whole_groups_unless_told_otherwise(model, frames, backwards, given, monkeypatch):
    seen, draw = [], model.draw
    monkeypatch.setattr(
        model, "draw", lambda *a, **o: seen.append(a[1].known.all(axis=(2, 3, 4)).sum()) or draw(*a, **o)
    )
    video = clip(frames)
    longer = model.extend(video, PROMPT, 10, backwards=backwards)
    assert longer.shape[1] == frames + 10 and set(seen) == {given}
    kept = longer[:, 10:] if backwards else longer[:, :frames]
    np.testing.assert_array_equal(kept, video)


def test_what_gives_single_frames_says_what_it_needs(model):
    video = clip(9)
    for ability in (
        lambda: model.interpolate(video, PROMPT),
        lambda: model.recursive(PROMPT),
        lambda: model.loop(PROMPT),
    ):
        with pytest.raises(InputError, match="codes 4 together; take weights that code each frame by itself"):
            ability()
    with pytest.raises(InputError, match="give whole groups"):
        model.extend(video, context=3)
    for lead_to_three in (lambda: model.connect(video, clip(3)), lambda: model.extend(clip(3), backwards=True)):
        with pytest.raises(InputError, match="codes 4 frames together; give a clip of at least as many to lead to"):
            lead_to_three()


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_connecting_and_extending_give_whole_groups_of_clips_of_any_length(model, frames):
    video, after = clip(frames), clip(9, seed=1)
    long = TextToVideo(
        model.transformer, model.autoencoder, model.tokenizer, dataclasses.replace(model.settings, num_frames=17)
    )
    joined = long.connect(video, after, PROMPT)
    assert joined.shape[1] == frames + 12 + 9
    np.testing.assert_array_equal(joined[:, :frames], video)
    np.testing.assert_array_equal(joined[:, -9:], after)
    np.testing.assert_array_equal(long.extend(video, PROMPT, 4)[:, :frames], video)


def test_a_mask_over_all_time_works(model):
    mask = np.zeros((16, 16), bool)
    mask[:, 8:] = True
    video = clip(9)
    drawn = model.inpaint(video, mask, PROMPT)
    np.testing.assert_array_equal(drawn[..., :8, :], video[..., :8, :])
    assert model.edit(video, PROMPT).shape == video.shape


def test_latents_are_known_where_all_frames_of_their_group_are():
    known = np.ones((1, 9, 8, 8, 1), bool)
    known[0, 6, 5, 2] = False
    latents = Given(np.zeros((1, 9, 8, 8, 1), np.float32), known).known_latents(4, 4)
    assert latents.shape == (1, 3, 2, 2, 1) and latents.sum() == 11 and not latents[0, 2, 1, 0, 0]


def test_weights_are_read_back(model, tmp_path):
    model.save(tmp_path / "causal.safetensors", half=False)
    again = TextToVideo.load(tmp_path / "causal.safetensors")
    np.testing.assert_array_equal(again.generate(PROMPT), model.generate(PROMPT))


def test_the_explorer_shows_a_frame_for_each_latent_frame(model):
    recording = collect(model, PROMPT, moments=1)
    assert recording.grid == (3, 2, 2) and len(recording.video) == 3


def test_the_longest_clip_that_fits_is_one_that_can_be_drawn(model, monkeypatch):
    monkeypatch.setattr("minivdit.base.machine.available_memory", lambda: 12_000_000)
    with pytest.raises(InputError, match=r"the longest clip of this size that fits has (\d+) frames") as told:
        model.generate(PROMPT, num_frames=4001)
    longest = int(str(told.value).split("fits has ")[1].split()[0])
    assert longest % 4 == 1 and 1 < longest < 4001
    model.check_request(1, longest, (16, 16))
    with pytest.raises(InputError):
        model.check_request(1, longest + 4, (16, 16))
