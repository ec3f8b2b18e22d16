"""Latents of one's own clips are those that each step would make, and are made once."""

import dataclasses
import time
from itertools import islice

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.backend import blas_threads
from minivdit.base.config import plain
from minivdit.data import ClipSettings, open_folder
from minivdit.models import Tokenizer, VideoDiT, make_autoencoder
from minivdit.training import presets
from minivdit.training.checkpoint import save_checkpoint
from minivdit.training.latents import LatentClips, encoded
from minivdit.training.loop import Run, train
from minivdit.training.tasks import TransformerTask

SEEN = ClipSettings(size=(16, 16), num_frames=4, frames_per_second=0, fit="crop", held_out=0)
GREY = dataclasses.replace(SEEN, channels=1)
CONFIG = presets.get("tiny").autoencoder


@pytest.fixture
def folder(tmp_path):
    """Clips of several lengths and shapes, of random pixels, in tmp_path/clips."""
    generator = np.random.default_rng(0)
    (tmp_path / "clips").mkdir()
    for number, shape in enumerate([(7, 16, 24), (2, 32, 16), (5, 16, 16)]):
        np.save(tmp_path / "clips" / f"{number}.npy", generator.integers(0, 256, (*shape, 3), dtype=np.uint8))
        (tmp_path / "clips" / f"{number}.txt").write_text(f"clip {number}")
    return tmp_path / "clips"


def autoencoder_of(channels, seed=0, **changes):
    config = dataclasses.replace(CONFIG, image_channels=channels, **changes)
    model, generator = make_autoencoder(config, np.random.default_rng(seed)), np.random.default_rng(seed + 1)
    for parameter in model.parameters().values():
        parameter.data += 0.1 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return model


@pytest.mark.parametrize("changes", [{}, {"moment": "whole"}, {"short": "loop"}, {"fit": "scale"}, {"channels": 1}])
def test_they_are_the_latents_that_each_step_would_make(folder, tmp_path, changes):
    clips = open_folder(folder, dataclasses.replace(SEEN, **changes)).clips()
    autoencoder = autoencoder_of(clips.settings.channels)
    once = encoded(clips, autoencoder, tmp_path)
    ours, theirs = (maker.batch(np.random.default_rng(3), 40) for maker in (once, clips))
    assert ours.captions == theirs.captions and len(set(ours.captions)) == 3
    np.testing.assert_allclose(ours.latents, autoencoder.encode(theirs.video), atol=1e-5)
    assert plain(once.describe()) == plain(clips.describe())  # a training goes on with either
    assert not once.latents[0].flags.writeable  # mapped, to be read only


def test_they_are_made_once_and_again_where_something_has_changed(folder, tmp_path, monkeypatch):
    clips, autoencoder = open_folder(folder, SEEN).clips(), autoencoder_of(3)
    first = encoded(clips, autoencoder, tmp_path)
    (kept,) = tmp_path.glob("latents-*.npy")
    with monkeypatch.context() as patch:
        patch.setattr(autoencoder, "encode", None)
        again = encoded(open_folder(folder, SEEN).clips(), autoencoder, tmp_path)
    assert all(map(np.array_equal, first.latents, again.latents))
    encoded(clips, autoencoder_of(3, seed=5), tmp_path)
    (other,) = tmp_path.glob("latents-*.npy")
    assert other != kept
    np.save(folder / "2.npy", np.load(folder / "2.npy")[:, ::-1])  # as many bytes
    upside_down = encoded(open_folder(folder, SEEN).clips(), autoencoder, tmp_path)
    assert not np.allclose(upside_down.latents[2], first.latents[2])
    np.testing.assert_allclose(upside_down.latents[0], first.latents[0], atol=1e-6)
    (last,) = tmp_path.glob("latents-*.npy")
    whole = [array.copy() for array in upside_down.latents]
    last.write_bytes(last.read_bytes()[:-100])
    mended = encoded(open_folder(folder, SEEN).clips(), autoencoder, tmp_path)
    assert all(map(np.array_equal, mended.latents, whole))


def test_what_is_another_each_time_is_encoded_each_time(folder, tmp_path):
    anywhere = open_folder(folder, dataclasses.replace(SEEN, fit="random")).clips()
    assert encoded(anywhere, autoencoder_of(3), tmp_path) is anywhere
    clips = open_folder(folder, dataclasses.replace(SEEN, num_frames=5)).clips()
    assert encoded(clips, autoencoder_of(3, time_factor=2), tmp_path) is clips
    assert not list(tmp_path.glob("latents-*"))


def test_a_step_takes_no_longer_than_one_of_digits(folder, tmp_path):
    """The same networks on grey clips of the same size: only where the batch comes from differs."""
    tiny = presets.get("tiny")
    autoencoder, tokenizer = autoencoder_of(1), Tokenizer()
    clips = open_folder(folder, GREY)
    once = encoded(clips.clips(), autoencoder, tmp_path)
    assert isinstance(once, LatentClips)

    def quickest(clips, tokenizer):
        model = VideoDiT(tiny.transformer, len(tokenizer), np.random.default_rng(0))
        task, times = TransformerTask(model, autoencoder, tokenizer, clips, 16, tiny.diffusion), []
        for _ in range(10):
            started = time.process_time()
            with blas_threads(1):  # as in training
                loss, _ = task.loss(task.batch(np.random.default_rng(0)))
                ag.gradients(loss, task.parameters.values())
            times.append(time.process_time() - started)
        return min(times)

    assert quickest(once, Tokenizer(clips.words, clips.longest)) < quickest(tiny.data.clips(), tokenizer)


def test_a_training_that_was_stopped_goes_on_with_the_same_bits(folder, tmp_path):
    """The second half finds the latents that the first half left, or makes the same ones anew."""
    tiny, autoencoder = presets.get("tiny"), autoencoder_of(1)
    clips = open_folder(folder, GREY)
    tokenizer, settings = Tokenizer(clips.words, clips.longest), dataclasses.replace(tiny.training, steps=4, batch=4)

    def begin():
        model = VideoDiT(tiny.transformer, len(tokenizer), np.random.default_rng(0))
        once = encoded(clips.clips(), autoencoder, tmp_path)
        return Run(TransformerTask(model, autoencoder, tokenizer, once, 4, tiny.diffusion), settings)

    whole = begin()
    losses = [state.loss for state in train(whole)]
    stopped = begin()
    first = [state.loss for state in islice(train(stopped), 2)]
    save_checkpoint(tmp_path / "half.safetensors", stopped.state(), stopped.about())
    for again in ("kept", "made anew"):
        rest = begin()
        assert rest.resume(tmp_path / "half.safetensors") == ""
        assert first + [state.loss for state in train(rest)] == losses, again
        for name, parameter in rest.parameters.items():
            np.testing.assert_array_equal(parameter.data, whole.parameters[name].data, err_msg=again)
        for path in tmp_path.glob("latents-*.npy"):
            path.unlink()
