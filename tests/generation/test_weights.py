"""Whatever the metadata of a file of weights say: it is loaded and can be used, or it is refused in one line."""

import copy
import dataclasses
import random

import pytest

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.generation import TextToVideo
from minivdit.lab.cli.draw import warn_of_weak_weights
from minivdit.lab.explorer.explore import describe
from minivdit.lab.pipeline.card import model_card
from minivdit.training import presets

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
