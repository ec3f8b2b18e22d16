"""TextToVideo on a tiny model with random weights: what comes out, what is refused, what a file keeps."""

import multiprocessing

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minivdit.errors import InputError
from minivdit.files import load_tensors, save_tensors
from minivdit.generation import TextToVideo
from minivdit.generation.text_to_video import SHIPPED, shipped

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


def test_half_precision_file_keeps_the_model(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = TextToVideo.load(path)
    assert again.settings == model.settings and again.notes == model.notes
    assert again.transformer.config == model.transformer.config
    assert again.fingerprint() == model.fingerprint()
    np.testing.assert_allclose(again.generate(PROMPTS), model.generate(PROMPTS), atol=0.02)
    assert {array.dtype for array in load_file(path).values()} == {np.dtype("float16")}


def test_full_precision_file_is_exact(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path, half=False)
    np.testing.assert_array_equal(TextToVideo.load(path).generate(PROMPTS), model.generate(PROMPTS))


def test_all_weights_that_ship_can_be_named():
    assert shipped() == ["framewise", "joint", "perframe", "small"]
    for name, size in (("joint", (64, 64)), ("small", (32, 32))):
        model = TextToVideo.load(name)
        assert model.name == name and model.settings.size == size
        assert (SHIPPED / f"{name}.safetensors").stat().st_size < 12e6
    assert TextToVideo.load().fingerprint() == TextToVideo.load("joint").fingerprint()


def test_the_fingerprint_changes_with_any_weight(make_model):
    model = make_model()
    before = model.fingerprint()
    model.autoencoder.latent_mean.data[0] += 0.25
    assert model.fingerprint() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a dog moving right"}, "'dog' is no digit"),
        ({"num_frames": 0}, "num_frames 0 .* multiple of 2, such as 2"),
        ({"num_frames": 7}, "num_frames 7 .* such as 6 or 8"),
        ({"size": (16, 20)}, "width 20 .* such as 16 or 24"),
        ({"size": (0, 16)}, "height 0"),
        ({"size": (-8, 16)}, "height -8"),
        ({"steps": 0}, "at least 1 step"),
        ({"sampler": "magic"}, "'magic' is not a sampler"),
        ({"prompt": []}, "there is no caption"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(model, options, message):
    with pytest.raises(InputError, match=message) as caught:
        model.generate(**{"prompt": PROMPTS[0], **options})
    assert "\n" not in str(caught.value)


def test_refused_before_anything_runs(model):
    with pytest.raises(InputError):
        model.denoise("a dog moving right")  # not even a step was asked for


class TestBadFiles:
    @pytest.fixture
    def path(self, model, tmp_path):
        model.save(tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="no weights at"):
            TextToVideo.load(tmp_path / "nothing.safetensors")

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_truncated(self, path, keep):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match="not a whole safetensors file"):
            TextToVideo.load(path)

    def test_someone_elses_safetensors(self, path):
        save_file({"weight": np.zeros(3, np.float32)}, path)
        with pytest.raises(InputError, match="no text-to-video model"):
            TextToVideo.load(path)

    def change(self, path, **metadata):
        tensors, before = load_tensors(path)
        save_tensors(path, tensors, {**before, **metadata})

    def test_newer_format(self, path):
        self.change(path, format=99)
        self.refused(path, "format 99")

    def test_weights_of_another_configuration(self, path):
        self.change(path, transformer={**load_tensors(path)[1]["transformer"], "depth": 3})
        self.refused(path, r"promises .* weights but holds")
        self.change(path, transformer={**load_tensors(path)[1]["transformer"], "depth": 1})
        self.refused(path, r"another configuration.*blocks\.1")

    def test_unknown_field(self, path):
        self.change(path, settings={**load_tensors(path)[1]["settings"], "colour": "red"})
        with pytest.raises(InputError, match="colour"):
            TextToVideo.load(path)

    def refused(self, path, message):
        """The file is refused in one line that names it."""
        with pytest.raises(InputError, match=message) as caught:
            TextToVideo.load(path)
        assert str(caught.value).startswith(f"{path} holds no text-to-video model") and "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("part", "field", "value", "message"),
        [
            ("transformer", "width", 10**9, "promises .* weights but holds"),
            ("transformer", "width", 10**4000, "ValueError"),  # a number of weights too long to be written
            ("transformer", "width", -4, "must all be at least 1"),
            ("transformer", "width", "wide", "width can't be 'wide'"),
            ("transformer", "width", None, "width can't be None"),
            ("transformer", "mlp_ratio", 100_000, "promises .* weights but holds"),
            ("transformer", "patch_size", [1000, 1000, 1000], "promises .* weights but holds"),
            ("transformer", "depth", 10**12, "promises .* layers but holds"),
            ("transformer", "text_depth", 10**12, "promises .* layers but holds"),
            ("transformer", "latent_channels", 10**9, "promises .* weights but holds"),
            ("transformer", "patterns", ["joint", 3], "patterns can't be 3"),
            ("transformer", "patterns", "joint", "patterns can't be 'joint'"),
            ("transformer", "causal", 1, "causal can't be 1"),
            ("autoencoder", "image_channels", 10**9, "promises .* weights but holds"),
            ("autoencoder", "channels", [10**6, 4], "promises .* weights but holds"),
            ("autoencoder", "channels", [1] * 100_000, "promises .* layers but holds"),
            ("settings", "size", [64], r"size can't be \[64\]"),
            ("settings", "size", [64, 0], "must all be at least 1"),
            ("settings", "steps", "40", "steps can't be '40'"),
            ("settings", "steps", 0, "at least 1 step"),
            ("settings", "shift", "x", "shift can't be 'x'"),
            ("settings", "shift", float("nan"), "shift can't be nan"),
            ("settings", "digit_size", 0, "must all be at least 1"),
            ("settings", "sampler", "dpm", "'dpm' is not a sampler"),
            ("settings", "prediction", "noise", "noise prediction can't start from level 1"),
        ],
    )
    def test_hostile_settings_are_refused_before_memory_is_set_aside(
        self, path, monkeypatch, part, field, value, message
    ):
        for network in ("VideoDiT", "Autoencoder"):
            monkeypatch.setattr(f"minivdit.generation.text_to_video.{network}", None)
        self.change(path, **{part: {**load_tensors(path)[1][part], field: value}})
        self.refused(path, message)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("transformer", [], r"VideoDiTConfig is no object but \[\]"),
            ("notes", "trained well", "notes is no object but 'trained well'"),
            ("notes", None, "notes is no object but None"),
            ("notes", {"preset": "x"}, r"notes\.preset is no object but 'x'"),
            ("notes", {"preset": {"data": [1]}}, r"notes\.preset\.data is no object"),
            ("notes", {"metrics": 0.5}, r"notes\.metrics is no object"),
            ("max_words", -5, "max_words must lie between 1 and 1000, not -5"),
            ("max_words", 10**9, "max_words must lie between 1 and 1000"),
            ("max_words", 4.5, "TypeError"),
            ("words", [1, 2], "words of a tokenizer must be text"),
            ("words", ["a"] * 10**6, "promises .* weights but holds"),
        ],
    )
    def test_what_else_the_file_says_is_checked_too(self, path, field, value, message):
        self.change(path, **{field: value})
        self.refused(path, message)

    def test_values_that_are_not_finite(self, path):
        tensors, metadata = load_tensors(path)
        tensors["transformer.patch_in.weight"][0, 0] = np.nan
        save_tensors(path, tensors, metadata)
        with pytest.raises(InputError, match="finite"):
            TextToVideo.load(path)
