"""What abilities take: arrays, files and Pillow images alike, and only what the weights know."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from minivdit.base.errors import InputError
from minivdit.data.reading import open_clip
from minivdit.generation.sources import check_kind
from minivdit.lab.display import write_clip, write_grid

CLIPS = np.random.default_rng(0).integers(0, 120, (2, 4, 16, 24, 1), dtype=np.uint8)
VIDEO = CLIPS * np.float32(1 / 255)
PROMPT = "a 3 moving right"


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture
def files(tmp_path):
    write_grid(tmp_path / "clip.gif", CLIPS[:1], captions=[PROMPT])
    write_grid(tmp_path / "two.gif", CLIPS, captions=[PROMPT, PROMPT])
    Image.fromarray(CLIPS[0, 0, ..., 0]).save(tmp_path / "first.png")
    return tmp_path


def test_files_and_images_are_taken_as_arrays_are(model, files):
    expected = model.animate(VIDEO[0, 0], PROMPT, steps=1)
    for image in (
        files / "clip.gif",
        str(files / "first.png"),
        Image.open(files / "first.png"),
        Image.open(files / "clip.gif"),
    ):
        np.testing.assert_array_equal(model.animate(image, PROMPT, steps=1), expected)
    expected = model.extend(VIDEO[0], PROMPT, 2, steps=1)
    np.testing.assert_array_equal(model.extend(files / "clip.gif", PROMPT, 2, steps=1), expected)
    for pair in ([files / "two.gif#0", f"{files / 'two.gif'}#1"], [files / "clip.gif", files / "two.gif#1"]):
        drawn = model.edit(pair, ["a 7 moving up"] * 2, steps=1)
        np.testing.assert_array_equal(drawn, model.edit(VIDEO, ["a 7 moving up"] * 2, steps=1))
    np.testing.assert_array_equal(
        model.keyframes({0: files / "first.png", 3: VIDEO[0, 3]}, PROMPT, steps=1),
        model.keyframes({0: VIDEO[0, 0], 3: VIDEO[0, 3]}, PROMPT, steps=1),
    )
    np.testing.assert_array_equal(
        model.connect(files / "clip.gif", VIDEO[1], PROMPT, 4, steps=1),
        model.connect(VIDEO[0], VIDEO[1], PROMPT, 4, steps=1),
    )


def test_a_mask_may_be_a_picture(model, files):
    area = np.zeros((16, 24), bool)
    area[:8] = True
    Image.fromarray(area).save(files / "mask.png")
    expected = model.inpaint(VIDEO[0], area, PROMPT, steps=1)
    for mask in (files / "mask.png", Image.open(files / "mask.png")):
        np.testing.assert_array_equal(model.inpaint(files / "clip.gif", mask, PROMPT, steps=1), expected)


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (np.zeros((64, 96), np.uint8), "has 64x96 pixels .*, and these weights draw 16x24"),
        (np.zeros((4, 24), np.uint8), "has 4x24 pixels"),
        (np.zeros((20, 28), np.uint8), "has 20x28 pixels"),
        (np.full((16, 24), 200, np.uint8), "is dark on light, and these weights draw light on dark"),
        (np.full((16, 24, 3), (90, 0, 0), np.uint8), "has colours, and these weights draw in grey"),
    ],
)
def test_another_kind_is_refused_with_the_cure(model, tmp_path, picture, problem):
    Image.fromarray(picture).save(tmp_path / "picture.png")
    for source in (tmp_path / "picture.png", Image.fromarray(picture)):
        with pytest.raises(InputError, match=problem) as refusal:
            model.animate(source)
        way = "pad" if picture.shape == (4, 24) else "scale"  # where no side is too long
        assert f"model.fit(picture, '{way}')" in str(refusal.value) and "\n" not in str(refusal.value)
        fitted = model.fit(source)
        assert fitted.video.shape == (1, 16, 24, 1) and len(fitted.notes) == 1
        assert model.animate(fitted, steps=1).shape == (1, 4, 16, 24, 1)


def test_up_to_twice_the_size_is_drawn_as_it_is(model):
    for size in ((32, 48), (8, 16), (24, 24)):
        assert model.animate(Image.new("L", size[::-1]), steps=1).shape[2:4] == size


def test_what_the_same_weights_drew_may_have_any_size(model, tmp_path):
    video = np.zeros((4, 48, 56, 1), np.uint8)
    write_clip(tmp_path / "clip.gif", video, about={"fingerprint": model.fingerprint()})
    assert model.extend(tmp_path / "clip.gif", PROMPT, 2, steps=1).shape == (1, 6, 48, 56, 1)
    write_clip(tmp_path / "clip.gif", video, about={"fingerprint": "another"})
    with pytest.raises(InputError, match="has 48x56 pixels"):
        model.extend(tmp_path / "clip.gif", PROMPT, 2, steps=1)


def test_lists_have_one_size_and_hold_pictures(model, files):
    Image.new("L", (24, 24)).save(files / "square.png")
    with pytest.raises(InputError, match="must have one size"):
        model.animate([files / "first.png", files / "square.png"], ["", ""])
    with pytest.raises(InputError, match="there is no file nothing"):
        model.animate("nothing.png")
    with pytest.raises(InputError, match="holds 2 clips; choose one of"):
        model.extend(files / "two.gif")
    with pytest.raises(InputError, match="must be an array"):
        model.animate([])


def test_what_is_noted_of_the_reading_is_warned_of(model, tmp_path):
    shades = [Image.new("L", (24, 16), level) for level in (10, 20)]
    shades[0].save(tmp_path / "film.gif", save_all=True, append_images=shades[1:], duration=[100, 300])
    with pytest.warns(UserWarning, match="last longer than others; with these repeated, it has 4 frames"):
        model.edit(tmp_path / "film.gif", PROMPT, steps=1)


def test_weights_in_colour_take_colours_and_grey(make_model, tmp_path):
    """Colours stay, what is grey is so in colour, and grey weights are told of the colours of other weights' clips."""
    model, grey = make_model(image_channels=3), make_model()
    colours = np.random.default_rng(1).integers(0, 120, (4, 16, 24, 3), dtype=np.uint8)
    colours[..., 0] += 100
    write_clip(tmp_path / "clip.gif", colours)
    Image.fromarray(colours[0]).save(tmp_path / "picture.png")
    Image.fromarray(CLIPS[0, 0, ..., 0]).save(tmp_path / "grey.png")
    for source in (tmp_path / "picture.png", Image.fromarray(colours[0]), tmp_path / "clip.gif"):
        drawn = model.animate(source, PROMPT, steps=1)
        np.testing.assert_array_equal(drawn, model.animate(colours[0], PROMPT, steps=1))
        np.testing.assert_array_equal(drawn[0, 0], colours[0] * np.float32(1 / 255))
        assert model.fit(source).video.shape[1:] == (16, 24, 3)
        with pytest.raises(InputError, match="has colours, and these weights draw in grey"):
            grey.animate(source)
        assert grey.fit(source).video.shape[1:] == (16, 24, 1)
    same = [tmp_path / "grey.png", CLIPS[0, 0], CLIPS[0, 0, ..., 0], CLIPS[0, 0].repeat(3, axis=-1)]
    first, *others = (model.animate(source, PROMPT, steps=1) for source in same)
    assert first.shape == (1, 4, 16, 24, 3) and all(np.array_equal(first, other) for other in others)


def test_only_digits_are_taken_light_on_dark(make_model):
    """Dark red on white becomes light red on black for weights that draw digits; others draw it as it is."""
    picture = np.full((16, 24, 3), 255, np.uint8)
    picture[4:12, 8:16] = (128, 0, 0)
    model = make_model(image_channels=3)
    with pytest.raises(InputError, match="is dark on light"):
        model.animate(Image.fromarray(picture))
    fitted = model.fit(Image.fromarray(picture)).video[0]
    np.testing.assert_allclose(fitted[0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(fitted[8, 12], (1, 127 / 255, 127 / 255), atol=1e-6)
    model.settings = dataclasses.replace(model.settings, digit_size=0)
    np.testing.assert_allclose(model.fit(Image.fromarray(picture)).video[0], picture / 255, atol=1e-6)
    assert check_kind(open_clip(Image.fromarray(picture), 3), model) is None
