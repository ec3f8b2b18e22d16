"""What a file of weights keeps; and whatever it says of itself, it can be used, or it is refused in one line."""

import copy
import dataclasses
import random

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.generation import TextToVideo
from minivdit.generation.weights import SHIPPED, shipped
from minivdit.lab.cli.draw import warn_of_weak_weights
from minivdit.lab.explorer.explore import describe
from minivdit.lab.pipeline.card import model_card
from minivdit.training import presets

PROMPTS = ["a 3 moving right", "a 7 moving up"]
NOTES = {
    "seed": 1,
    "steps": 1000,
    "minutes": 3.5,
    "machine": "2 threads of a processor",
    "date": "2020-02-20",
    "metrics": {"digit_frames": 0.3},
}
JUNK = [
    None,
    True,
    0,
    -1,
    2,
    3,
    10**40,
    0.5,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "joint",
    "\x1b[2J\n",
    "9" * 5000,
]
JUNK += ["9" * 5000, [], {}, [[]], [1, 2], ["x"], {"x": 1}, [10**12, 1, 1], "\ud800", [None], {"": {"": []}}]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


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
    assert shipped() == ["colour", "colour-framewise", "framewise", "joint", "perframe", "small"]
    for name, size in (("joint", (64, 64)), ("small", (32, 32)), ("colour", (32, 32))):
        model = TextToVideo.load(name)
        assert model.name == name and model.settings.size == size
        assert (SHIPPED / f"{name}.safetensors").stat().st_size < 12e6
    assert TextToVideo.load().fingerprint() == TextToVideo.load("joint").fingerprint()


class TestBadFiles:
    @pytest.fixture
    def path(self, model, tmp_path):
        model.save(tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    def test_no_name(self):
        with pytest.raises(InputError, match=r"weights are the name of a file, .*, not 3"):
            TextToVideo.load(3)

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
            ("transformer", "width", 10**4000, "width can't be"),
            ("transformer", "width", -4, "must all be at least 1"),
            ("transformer", "width", "wide", "width can't be 'wide'"),
            ("transformer", "width", None, "width can't be None"),
            ("transformer", "mlp_ratio", 100_000, "promises .* weights but holds"),
            ("transformer", "patch_size", [1000, 1000, 1000], "promises .* weights but holds"),
            ("transformer", "depth", 1000, "promises .* layers but holds"),
            ("transformer", "text_depth", 1000, "promises .* layers but holds"),
            ("transformer", "latent_channels", 3, "transformer has 3 latent channels and its autoencoder 2"),
            ("transformer", "patterns", ["joint", 3], "patterns can't be 3"),
            ("transformer", "patterns", "joint", "patterns can't be 'joint'"),
            ("transformer", "causal", 1, "causal can't be 1"),
            ("autoencoder", "latent_channels", 3, "transformer has 2 latent channels and its autoencoder 3"),
            ("autoencoder", "image_channels", 0, "image_channels, .* are 1 or more, not 0"),
            ("autoencoder", "image_channels", 2, "its pictures have 2 channels, neither 1 nor 3"),
            ("autoencoder", "image_channels", 10**9, "channels, neither 1 nor 3"),
            ("autoencoder", "channels", [10**6, 4], "promises .* weights but holds"),
            ("autoencoder", "channels", [1] * 100_000, "promises .* layers but holds"),
            ("settings", "size", [64], r"size can't be \[64\]"),
            ("settings", "size", [64, 0], "must be at least 1"),
            ("settings", "steps", "40", "steps can't be '40'"),
            ("settings", "steps", 0, "at least 1 step and at most 100,000"),
            ("settings", "steps", 10**9, "at least 1 step and at most 100,000"),
            ("settings", "steps", 10**13, "steps can't be"),
            ("settings", "shift", "x", "shift can't be 'x'"),
            ("settings", "shift", float("nan"), "shift can't be nan"),
            ("settings", "digit_size", -1, "digit_size at least 0"),
            ("settings", "sampler", "dpm", "'dpm' is not a sampler"),
            (
                "autoencoder",
                "time_factor",
                3,
                "time_factor is 1, 2, 4, ..., with a halving at most at each of the 2 levels",
            ),
            ("autoencoder", "time_factor", 10**9, "with a halving at most at each of the 2 levels"),
            ("autoencoder", "time_factor", 4, "promises .* weights but holds"),
            ("settings", "prediction", "noise", "noise prediction can't start from level 1"),
        ],
    )
    def test_hostile_settings_are_refused_before_memory_is_set_aside(
        self, path, monkeypatch, part, field, value, message
    ):
        for network in ("VideoDiT", "make_autoencoder"):
            monkeypatch.setattr(f"minivdit.generation.weights.{network}", None)
        self.change(path, **{part: {**load_tensors(path)[1][part], field: value}})
        self.refused(path, message)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("transformer", [], r"'transformer' in it is \[\], not an object"),
            ("notes", "trained well", "'notes' is 'trained well', not an object"),
            ("notes", None, "'notes' is None, not an object"),
            ("notes", {"preset": "x"}, "'preset' in 'notes' is 'x', not an object"),
            ("notes", {"preset": {"data": [1]}}, r"'data' in 'preset' in 'notes' is \[1\], not an object"),
            ("notes", {"preset": {"data": {"num_digits": 2}}}, "'num_digits' in .* is 2, not a list"),
            ("notes", {"preset": {"data": {"pixels_per_frame": ["x"]}}}, "is 'x', not a whole number or a number"),
            ("notes", {"metrics": 0.5}, "'metrics' in 'notes' is 0.5, not an object"),
            ("notes", {"metrics": {"digit_frames": float("nan")}}, "'digit_frames' in .* is nan, not from 0 to 1"),
            ("notes", {"steps": "many"}, "'steps' in 'notes' is 'many', not a whole number or null"),
            ("notes", {"steps": True}, "'steps' in 'notes' is True"),
            ("notes", {"steps": 10**4000}, "'steps' in 'notes' is 1000000"),
            ("notes", {"minutes": float("inf")}, "'minutes' in 'notes' is inf, not from 0"),
            ("notes", {"machine": ["x"]}, "'machine' in 'notes'"),
            ("notes", {"start": {"notes": {"start": {"notes": 3}}}}, "'notes' of what it went on from is 3"),
            ("max_words", -5, "max_words must lie between 1 and 1000, not -5"),
            ("max_words", 10**9, "max_words must lie between 1 and 1000"),
            ("max_words", 4.5, "'max_words' in it is 4.5, not a whole number"),
            ("max_words", True, "'max_words' in it is True"),
            ("max_words", None, "'max_words' in it is None"),
            ("words", [1, 2], "an item of 'words' in it is 1, not a text"),
            ("words", "right", "'words' in it is 'right', not a list"),
            ("words", {"a": 1}, "not a list"),
            ("words", ["a", "\x1b[31mred"], r"printable, without spaces, of 1 to 40 letters, not '\\x1b"),
            ("words", ["\ud800"], "printable, without"),
            ("words", ["a", "b c"], "printable, without"),
            ("words", ["a", ""], "printable, without"),
            ("words", ["a" * 41], "printable, without"),
            ("words", ["a"] * 10**6, "words must differ"),
            ("words", [str(number) for number in range(50_001)], "at most 50,000"),
            ("words", [str(number) for number in range(50_000)], "promises .* weights but holds"),
        ],
    )
    def test_what_else_the_file_says_is_checked_too(self, path, field, value, message):
        self.change(path, **{field: value})
        self.refused(path, message)

    @pytest.mark.parametrize("dtype", [np.int32, np.int8, bool, np.complex64])
    def test_values_that_are_no_floating_numbers(self, path, dtype):
        tensors, metadata = load_tensors(path)
        name = "transformer.patch_in.weight"
        save_tensors(path, {**tensors, name: tensors[name].astype(dtype)}, metadata)
        self.refused(path, "patch_in.weight in the weights holds values that aren't finite float32 numbers")

    def test_values_that_are_not_finite(self, path):
        tensors, metadata = load_tensors(path)
        tensors["transformer.patch_in.weight"][0, 0] = np.nan
        save_tensors(path, tensors, metadata)
        with pytest.raises(InputError, match="finite"):
            TextToVideo.load(path)


# Anything at all -----------------------------------------------------------------------------------------------------


def places(value, at=()):
    """The ways to all parts of a value from JSON."""
    yield at
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*at, key))


def change(value, generator):
    """Put junk in a part's place, or wrap it, take it away, or write it twice."""
    *way, last = generator.choice(list(places(value))[1:])
    for key in way:
        value = value[key]
    action = generator.randrange(5)
    if action == 0:
        del value[last]
    elif action == 1:
        value[last] = [value[last]]
    elif action == 2 and isinstance(value, list):
        value.append(value[last])
    else:
        value[last] = copy.deepcopy(generator.choice(JUNK))


@pytest.fixture(scope="module")
def stored(make_model, tmp_path_factory):
    """A folder, and the tensors and metadata of a whole file of weights that went on from others."""
    folder, model = tmp_path_factory.mktemp("stored"), make_model()
    parts = {"autoencoder": model.autoencoder.config, "transformer": model.transformer.config}
    data = dataclasses.replace(presets.get("tiny").data, size=(16, 24), num_frames=4)
    tiny = dataclasses.replace(presets.get("tiny"), data=data, **parts)
    start = {**NOTES, "preset": config.plain(tiny)}
    model.notes = {**start, "start": {"name": "before", "weights": "0a1b2c3d", "notes": start}}
    model.save(folder / "whole.safetensors")
    return folder, *load_tensors(folder / "whole.safetensors")


def test_three_hundred_files_with_something_wrong_in_them(stored):
    folder, tensors, metadata = stored
    generator, refused, path = random.Random(0), 0, folder / "changed.safetensors"
    assert "tiny" in model_card(folder / "whole.safetensors")
    for _ in range(300):
        changed = copy.deepcopy(metadata)
        for _ in range(generator.choice((1, 1, 2))):
            change(changed, generator)
        save_tensors(path, tensors, changed)
        try:
            model = TextToVideo.load(path)
            if changed.get("notes") == metadata["notes"]:
                model.threads = 1
                model.generate("", num_frames=2, size=(16, 24), steps=1, guidance_scale=1)
            else:
                describe(model)
                warn_of_weak_weights(model)
                model_card(path)
        except InputError as error:
            refused += 1
            assert len(str(error)) < 1000
    assert 100 < refused < 300


@pytest.mark.parametrize("deep", [101, 900, 100_000])
def test_what_is_nested_too_deeply_is_refused(stored, deep, monkeypatch):
    folder, tensors, metadata = stored
    nested = "[" * deep + "]" * deep
    monkeypatch.setattr("minivdit.base.files.json.dumps", lambda value: nested)
    save_tensors(folder / "deep.safetensors", tensors, metadata)
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        load_tensors(folder / "deep.safetensors")
