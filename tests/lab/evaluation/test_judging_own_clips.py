"""What stands in the place of judge and tracking: copies are found, and clips that are unlike real ones are told."""

import dataclasses

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import ClipSettings, open_folder
from minivdit.lab.evaluation import own_clips
from minivdit.lab.evaluation.own_clips import judge_own, nearest
from minivdit.lab.pipeline.train import assemble
from minivdit.models import Tokenizer, VideoDiT, make_autoencoder
from minivdit.training import presets

SEEN = ClipSettings(size=(16, 16), num_frames=4, frames_per_second=0, channels=1, held_out=0.3)


@pytest.fixture
def folder(tmp_path):
    """24 clips of 7 frames in which a bar of random brightness moves down."""
    generator = np.random.default_rng(0)
    for number in range(24):
        clip = np.zeros((7, 16, 20, 1), np.uint8)
        begin, left, light = generator.integers(0, 6), generator.integers(2, 10), generator.integers(120, 255)
        for time in range(7):
            clip[time, begin + time : begin + time + 3, left : left + 6] = light
        np.save(tmp_path / f"{number}.npy", clip)
        (tmp_path / f"{number}.txt").write_text("a bar falls")
    return open_folder(tmp_path, SEEN)


@pytest.fixture
def model(folder):
    preset, generator = presets.get("tiny"), np.random.default_rng(0)
    tokenizer = Tokenizer(folder.words, folder.longest)
    coder = make_autoencoder(preset.autoencoder, generator)
    return assemble(preset, VideoDiT(preset.transformer, len(tokenizer), generator), coder, tokenizer)


def judged(model, folder, video, monkeypatch, **how):
    """The report on clips that a model is said to have drawn."""
    monkeypatch.setattr(own_clips, "drawn_clips", lambda model, captions, *given, **how: video[: len(captions)])
    return judge_own(model, presets.get("tiny").diffusion, folder, **how)


def test_the_nearest_clip_is_found_wherever_in_time_it_lies(folder):
    clips, generator = folder.clips("train"), np.random.default_rng(1)
    cuts = clips.draw(generator, generator.integers(len(clips.names), size=9))
    distances, found = nearest(clips.cut(cuts).video, clips)
    assert np.abs(distances).max() < 1e-3
    assert np.array_equal(clips.cut(found).video, clips.cut(cuts).video)
    noise = generator.random((5, 4, 16, 16, 1), dtype=np.float32)
    every = [cut for clip in range(len(clips.names)) for cut in clips.windows(clip)]
    slowly = np.sqrt(((clips.cut(every).video[None] - noise[:, None]) ** 2).mean(axis=(2, 3, 4, 5)))
    distances, found = nearest(noise, clips)
    np.testing.assert_allclose(distances, slowly.min(axis=1), atol=1e-4)


def test_windows_are_all_that_a_batch_may_take(folder):
    clips, generator = folder.clips("all"), np.random.default_rng(0)
    drawn = {tuple(cut.frames) for cut in clips.draw(generator, np.zeros(200, int))}
    assert drawn == {tuple(cut.frames) for cut in clips.windows(0)} and len(drawn) == 4
    begins = dataclasses.replace(clips.settings, moment="start")
    assert len(open_folder(folder.folder, begins).clips("all").windows(0)) == 1


def test_clips_that_were_learnt_by_heart_are_called_copies(folder, model, monkeypatch):
    training = folder.clips("train")
    report = judged(model, folder, training.cut(training.each()).video, monkeypatch)
    drawn, real = report.columns["drawn"], report.columns["held out"]
    assert drawn["copied"].mean == 1 and drawn["nearest"].mean < 1e-3
    assert real["copied"].mean == 0 and real["nearest"].mean > 0.01
    assert np.abs(report.drawn - report.nearest).max() < 1e-3
    assert report.losses["held_out_loss"] > 0 and "copied" in str(report)


def test_new_clips_are_no_copies_and_noise_is_far_from_real_clips(folder, model, monkeypatch):
    test = folder.clips("test")
    real = test.cut(test.each()).video
    report = judged(model, folder, real, monkeypatch)
    assert report.columns["drawn"] == report.columns["held out"]
    noise = np.random.default_rng(0).random(real.shape, dtype=np.float32)
    columns = judged(model, folder, noise, monkeypatch).columns
    for measure in ("frechet_frames", "frechet_clips", "nearest"):
        assert columns["drawn"][measure].mean > 2 * columns["held out"][measure].mean
    for spoilt in ("shuffled frames", "frozen"):
        assert columns[spoilt]["frechet_clips"].mean > columns["held out"]["frechet_clips"].mean


def test_without_held_out_clips_there_is_nothing_to_judge_beside(folder, model):
    none = open_folder(folder.folder, dataclasses.replace(SEEN, held_out=0))
    with pytest.raises(InputError, match=r"of the clips in .* none is held out of training, and 2 are needed"):
        judge_own(model, presets.get("tiny").diffusion, none)
