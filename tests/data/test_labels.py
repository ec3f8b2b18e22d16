"""Labels of files are never trusted: whatever they hold, a picture is read as it is seen, or refused in one line."""

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from minivdit.base.errors import InputError
from minivdit.data import labels
from minivdit.data.labels import Label, Place
from minivdit.data.reading import open_clip
from minivdit.lab.display import write_grid

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 12, 1), dtype=np.uint8)


@pytest.fixture
def label(tmp_path):
    """What the strip of one clip says, parsed."""
    write_grid(tmp_path / "clip.png", CLIPS[:1], captions=["a 3"], about={"seed": 1})
    return json.loads(Image.open(tmp_path / "clip.png").info[labels.NAME])


def relabel(path, text, picture=None):
    """The same picture (or another) with this label."""
    image = Image.open(path) if picture is None else picture
    image.load()
    info = PngImagePlugin.PngInfo()
    info.add_text(labels.NAME, text)
    image.save(path, pnginfo=info)


def test_a_label_comes_back_as_it_was():
    places = (Place(1, 2, 3, 8, 12, factor=2, columns=2, gap=1), Place(0, 0, 3, 4, 4, channels=3, columns=3))
    packed = labels.pack(np.zeros((3, 4, 4, 3), np.uint8))
    label = Label((100, 200), 1, 7.5, places, ("a 3", "ü \udc80 \n"), ("", packed), {"seed": 1, "more": [1, None]})
    assert Label.loads(label.dumps()) == label and label.dumps().isascii()
    assert Label.loads("GIF made by hand") is None and Label.loads("") is None


def test_a_place_knows_the_corner_of_each_frame():
    strip = Place(top=5, left=7, frames=5, height=8, width=10, factor=2, columns=3, gap=1)
    assert [strip.corner(time) for time in range(5)] == [(5, 7), (5, 28), (5, 49), (22, 7), (22, 28)]
    assert strip.end() == (38, 69)
    assert Place(5, 7, 4, 8, 10, factor=3).end() == (29, 37)


HOSTILE = {
    "top": [-1, 10**9, 1.0, "1", None, True, [1], 300],
    "height": [0, -8, 10**6, None, 2**70],
    "frames": [0, 4, 10**9, "3", None],
    "factor": [0, 10**6, None],
    "channels": [0, 2, 4, None],
    "columns": [-1, 0, 1, 10**9, "3"],
    "gap": [-1, 10**6],
    "caption": [None, 3, ["a"]],
    "pixels": [None, 3, "not base64", "AAAA", labels.pack(np.zeros(10**7, np.uint8)), labels.pack(CLIPS[0, :2])],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in HOSTILE.items() for value in values])
def test_a_clip_that_cannot_be_there_is_not_looked_for(tmp_path, label, name, value):
    label["clips"][0][name] = value
    relabel(tmp_path / "clip.png", json.dumps(label))
    clip = open_clip(tmp_path / "clip.png")
    assert not clip.own and "is read as it is seen" in clip.notes[0] and "\n" not in clip.notes[0]
    assert clip.video.shape[0] == 1 and len(clip.notes[0]) < 500


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"size": [10, 10]},
        {"size": [10]},
        {"size": "10"},
        {"pictures": 2},
        {"frames_per_second": 0},
        {"frames_per_second": float("nan")},
        {"frames_per_second": float("inf")},
        {"frames_per_second": "8"},
        {"about": []},
        {"clips": []},
        {"clips": {}},
        {"clips": [3]},
        {"clips": [{}] * 20_000},
    ],
    ids=str,
)
def test_damaged_labels_are_noted(tmp_path, label, change):
    relabel(tmp_path / "clip.png", json.dumps(label | change))
    clip = open_clip(tmp_path / "clip.png")
    assert not clip.own and "is read as it is seen" in clip.notes[0] and len(clip.notes[0]) < 500


@pytest.mark.parametrize(
    "text", ['{"minivdit":', '{"minivdit":' + "[" * 100_000, '{"minivdit":NaN}', '{"minivdit":1} and more']
)
def test_what_is_no_json_is_noted(tmp_path, label, text):
    relabel(tmp_path / "clip.png", text)
    assert "is read as it is seen" in open_clip(tmp_path / "clip.png").notes[0]
    with pytest.raises(InputError, match="doesn't say that it holds several clips"):
        open_clip(tmp_path / "clip.png#0")


def test_a_picture_that_was_changed_is_noticed(tmp_path, label):
    text = json.dumps(label, separators=(",", ":"))
    whole = np.asarray(Image.open(tmp_path / "clip.png")).copy()
    shift = Image.fromarray(np.roll(whole, 1, axis=1))
    smaller = Image.fromarray(whole[:-1])
    blurred = Image.fromarray(whole).resize(
        whole.shape[::-1], Image.Resampling.BILINEAR, box=(0.4, 0, *whole.shape[::-1])
    )
    for picture in (shift, smaller, blurred):
        relabel(tmp_path / "clip.png", text, picture)
        (note,) = open_clip(tmp_path / "clip.png").notes
        assert "another program has changed it" in note


def test_a_film_that_lost_frames_or_was_drawn_over_is_noticed(tmp_path):
    write_grid(tmp_path / "clip.gif", CLIPS[:1])
    with Image.open(tmp_path / "clip.gif") as image:
        comment, pictures = image.info["comment"], []
        for time in range(3):
            image.seek(time)
            pictures.append(image.copy())
    for kept in (pictures[:2], [*pictures, pictures[1]]):
        kept[0].save(tmp_path / "clip.gif", save_all=True, append_images=kept[1:], comment=comment)
        assert "another program has changed it" in open_clip(tmp_path / "clip.gif").notes[0]


def test_a_film_whose_kept_pixels_are_others_is_noticed(tmp_path):
    av = pytest.importorskip("av")
    write_grid(tmp_path / "clip.mp4", CLIPS[:1])
    with av.open(str(tmp_path / "clip.mp4")) as film:
        label = json.loads(film.metadata["comment"])
    label["clips"][0]["pixels"] = labels.pack(255 - CLIPS[0])
    with av.open(str(tmp_path / "clip.mp4")) as film, av.open(str(tmp_path / "other.mp4"), "w") as copy:
        copy.metadata["comment"] = json.dumps(label, separators=(",", ":"))
        stream = copy.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert "another program has changed it" in open_clip(tmp_path / "other.mp4").notes[0]
