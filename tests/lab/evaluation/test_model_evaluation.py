"""A model is judged by what it draws for captions that are its own to know, beside real clips of them."""

import copy

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.data import HELD_OUT, SPEEDS, CaptionedClips, parse
from minivdit.lab.evaluation import judge_model, shares
from minivdit.lab.evaluation.kept_clips import as_bytes, as_floats
from minivdit.lab.evaluation.model_evaluation import clip_maker, real_clips
from minivdit.lab.pipeline import train as pipeline
from minivdit.models import Autoencoder, Tokenizer, VideoDiT
from minivdit.training import presets


@pytest.fixture(scope="module")
def model():
    preset, generator, tokenizer = presets.get("tiny"), np.random.default_rng(0), Tokenizer()
    transformer = VideoDiT(preset.transformer, len(tokenizer), generator)
    notes = {"preset": {"data": {"digits": "strokes"}}}
    return pipeline.assemble(preset, transformer, Autoencoder(preset.autoencoder, generator), tokenizer, notes)


def test_a_model_is_judged_beside_real_clips_and_chance(model):
    report, clips, real, captions = judge_model(model, 7, seed=2, batch=3)  # the last batch is smaller
    assert clips.shape == real.shape == (7, 4, 16, 16, 1) and len(captions) == 7
    written = as_floats(as_bytes(model.generate(captions[3:6], seed=5)))  # judged is what a file would hold
    np.testing.assert_array_equal(clips[3:6], written)
    _, plain, *_ = judge_model(model, 7, seed=2, batch=3, steps=1)
    np.testing.assert_array_equal(plain[3:6], as_floats(as_bytes(model.generate(captions[3:6], seed=5, steps=1))))
    scores = shares(report)
    names = ["digit_frames", "digit", "direction", "obeys", "flawless", "one_class", "on_path"]
    assert [name for name, *_ in scores] == names
    assert all(0 <= figure <= 1 for _, *figures in scores for figure in figures)
    direction = dict((name, figures) for name, *figures in scores)["direction"]
    assert direction[1] > direction[2]  # the ceiling lies above the floor


def captions_of(maker, generator, count):
    return real_clips(maker, generator, count)[0].captions


def test_prompts_are_what_training_showed_or_pairs_that_no_caption_had(model):
    for held_out in ("exclude", "only"):
        maker = clip_maker(model, 1, held_out, 4, (16, 16))
        captions = captions_of(maker, np.random.default_rng(0), 100)
        asked = {(motion.digit, motion.direction) for text in captions for motion in parse(text)}
        assert asked <= set(HELD_OUT) if held_out == "only" else not asked & set(HELD_OUT)


def test_prompts_are_of_the_speeds_asked_for_and_that_training_showed(model):
    *_, captions = judge_model(model, 6, speeds=("fast",), steps=1)
    assert {motion.speed for text in captions for motion in parse(text)} == {"fast"}
    with pytest.raises(InputError, match="knows no speed 'very fast'; choose among slow, normal, fast"):
        judge_model(model, 6, speeds=("very fast",), steps=1)
    quick = copy.copy(model)
    pixels = presets.get("full").data.pixels_per_frame
    quick.notes = {"preset": {"data": {"digits": "strokes", "speeds": [*SPEEDS], "pixels_per_frame": pixels}}}
    found = captions_of(clip_maker(quick, 1, "exclude", 4, (16, 16)), np.random.default_rng(0), 100)
    assert {motion.speed for text in found for motion in parse(text)} == {*SPEEDS}


def test_prompts_have_random_numbers_of_their_own(model):
    """None of the streams that clips are drawn from, nor of those of a training's batches."""
    *_, captions = judge_model(model, 4, seed=3, steps=1)
    maker = clip_maker(model, 1, "exclude", 4, (16, 16))
    for numbers in ((3,), *((3, stream) for stream in range(6)), *((3, stream, 0) for stream in range(6))):
        assert captions_of(maker, np.random.default_rng(numbers), 4) != captions


def test_judging_kept_clips_gives_the_same_report(model, tmp_path, monkeypatch):
    asked = {"prompts": 3, "steps": 1, "seed": 2, "keep": tmp_path / "kept.safetensors"}
    first, clips, *_ = judge_model(model, **asked)
    monkeypatch.setattr(type(model), "generate", None)
    again, kept, *_ = judge_model(model, **asked)
    assert again.to_json() == first.to_json() and (kept == clips).all()
    with pytest.raises(InputError, match="holds other clips: caption"):
        judge_model(model, **asked | {"held_out": "only"})


@pytest.mark.parametrize("asked", [{"prompts": 10**9}, {"num_frames": 100_000_000}, {"size": (100_000, 100_000)}])
def test_what_does_not_fit_is_refused_before_anything_is_made(model, asked, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 8 * 2**30)
    monkeypatch.setattr(CaptionedClips, "__init__", None)
    with pytest.raises(InputError, match=r"of memory and 8\.59 GB are free; (the l|choose a sm)"):
        judge_model(model, **{"prompts": 2, **asked})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"prompts": 2.5}, "prompts must be a whole number from 2 upwards, not 2.5"),
        ({"num_digits": None}, "num_digits must be a whole number"),
        ({"num_frames": "4"}, "num_frames must be a whole number"),
        ({"size": "16x16"}, "height must be a whole number"),
        ({"batch": 0}, "batch must be a whole number from 1 upwards"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"guidance_scale": 1e39}, "guidance_scale must be a finite number"),
        ({"negative_prompt": "a cat"}, "'cat' is no digit"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_made(model, asked, message, monkeypatch):
    monkeypatch.setattr(CaptionedClips, "__init__", None)
    with pytest.raises(InputError, match=message):
        judge_model(model, **{"prompts": 2, **asked})


def test_a_model_is_judged_at_another_length_and_size(model):
    settings = model.settings
    longer, (height, width) = 2 * settings.num_frames, settings.size
    report, clips, real, _ = judge_model(model, 2, num_frames=longer, size=(height, 2 * width), steps=1)
    assert clips.shape == real.shape == (2, longer, height, 2 * width, 1)
    assert report.settings["frames"] == longer and tuple(report.settings["size"]) == (height, 2 * width)
