"""The page as a file: small, whole, with nothing from outside, and honest about what it leaves out."""

import base64
import dataclasses
import json
import re
import zlib
from html import unescape

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.explorer import Explorer, Recording, Rounded, explore
from minivdit.lab.explorer import page as pages
from minivdit.lab.explorer.picture import ink
from minivdit.models.patterns import links

PROMPT = "a 3 moving right"


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)[1])


def unpack(text):
    return zlib.decompress(base64.b64decode(text))


@pytest.fixture(scope="module")
def explorer(make_model):
    return explore(PROMPT, [make_model("joint")], ["framewise"], moments=2)


@pytest.fixture(scope="module")
def random_recording():
    """As large as those of the weights that ship, with weights that no compression makes smaller."""
    grid, blocks, heads, steps = (16, 4, 4), 6, 4, (0, 13, 26, 39)
    generator = np.random.default_rng(0)
    link = links(["joint"], grid)[0]
    weights = generator.random((heads, link.sum()), dtype=np.float32)
    maps = {
        (step, block): Rounded.of(weights[:, ::-1] ** (block + 1), link) for step in steps for block in range(blocks)
    }
    video = generator.random((16, 64, 64, 1), dtype=np.float32)
    reach = np.full(256, 256)
    levels = dict.fromkeys(steps, 0.5)
    return Recording("joint", "", video, grid, 1, ("joint",) * blocks, [link] * blocks, reach, levels, 40, maps)


def test_the_page_holds_what_was_collected(explorer):
    data = data_of(explorer.html())
    assert data["grid"] == [5, 3, 4] and data["heads"] == 2 and data["blocks"] == [1, 2, 3]
    for recording, told in zip(explorer.recordings, data["recordings"]):
        np.testing.assert_array_equal(
            np.frombuffer(unpack(told["video"]), np.uint8), np.rint(recording.video * 255).astype(np.uint8).reshape(-1)
        )
        for block, groups in enumerate(told["groups"]):
            rows = np.unpackbits(np.frombuffer(unpack(groups["rows"]), np.uint8).reshape(-1, 8), axis=1)[:, :60]
            np.testing.assert_array_equal(rows[groups["which"]].astype(bool), recording.links[block])
            for step, rounded in enumerate(recording.maps[index, block] for index in recording.steps):
                content = unpack(told["maps"][step][block])
                np.testing.assert_array_equal(np.frombuffer(content, "<f4", 120).reshape(2, 60), rounded.scale)
                np.testing.assert_array_equal(np.frombuffer(content[480:], np.uint8), rounded.levels.reshape(-1))


def test_a_clip_in_colour_is_shown_in_its_colours(explorer):
    grey = explorer.recordings[0]
    video = grey.video * np.float32([1, 0, 0.5])
    page = dataclasses.replace(explorer, recordings=(dataclasses.replace(grey, video=video),))
    data = data_of(page.html())
    assert data["clip"] == [5, 24, 32, 3] and data["start"] == data_of(explorer.html())["start"]
    shown = np.frombuffer(unpack(data["recordings"][0]["video"]), np.uint8)
    np.testing.assert_array_equal(shown, np.rint(video * 255).astype(np.uint8).reshape(-1))
    assert page.picture().png != explorer.picture().png


def test_ink_is_as_opaque_as_bright_and_keeps_its_hue():
    frame = np.float32([[[0, 0, 0], [1, 1, 1], [0.4, 0, 0.2]]])
    np.testing.assert_allclose(
        ink(frame, np.bool_(False))[0], [[1, 1, 1, 0], [1, 1, 1, 0.9], [1, 0, 0.5, 0.36]], atol=2e-3
    )
    np.testing.assert_allclose(
        ink(frame, np.bool_(True))[0], [[0, 0, 0, 0], [0, 0, 0, 0.9], [0.5, 0, 0.25, 0.36]], atol=2e-3
    )
    np.testing.assert_array_equal(ink(frame[..., :1], np.bool_(False)), ink(frame[..., [0, 0, 0]], np.bool_(False)))


def test_nothing_comes_from_outside(explorer):
    page = explorer.html()
    assert not re.findall(r"https?:|//\w+\.\w|@import|url\(|<link|src=|href=", page)
    assert "default-src 'none'" in page and "{{" not in page


def test_the_page_says_what_is_shown_and_what_is_left_out(explorer):
    page = explorer.html()
    assert len(re.findall(r"[.:] ", re.search(r'class="lead">(.*?)</p>', page, flags=re.S)[1])) <= 3  # two sentences
    told = " ".join(data_of(page)["about"])
    assert "2 of 3 denoising steps (1, 3), all of 3 blocks, all 2 heads" in told and "Left out" in told


def test_a_page_stays_under_5_megabytes_and_says_what_that_cost(random_recording):
    page = pages.html([random_recording] * 3, PROMPT, 0)
    assert 1_000_000 < len(page.encode()) <= pages.MOST_BYTES == 5_000_000
    data = data_of(page)
    kept, blocks = len(data["steps"]), data["blocks"]
    assert kept == len(data["recordings"][0]["maps"]) == 1 and len(blocks) == len(data["recordings"][0]["maps"][0]) < 6
    assert (
        f"1 of 40 denoising steps (27), {len(blocks)} ({', '.join(map(str, blocks))}) of 6 blocks" in data["about"][1]
    )


def test_what_can_never_fit_is_one_line(random_recording, monkeypatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 100_000)
    with pytest.raises(InputError, match="not even one block"):
        pages.html([random_recording], PROMPT, 0)


def test_a_caption_can_not_break_the_page(explorer):
    hostile = dataclasses.replace(explorer, prompt='</script><b>"&')
    page = hostile.html()
    assert "<b>" not in page and data_of(page)["prompt"] == hostile.prompt


def test_a_caption_is_never_taken_for_a_place_in_the_page(explorer):
    for prompt in ("{{data}}", "{{title}} {{js}} {{css}} {{nothing}}", "word " * 5000):
        page = dataclasses.replace(explorer, prompt=prompt).html()
        title = unescape(re.search(r"<title>(.*?)</title>", page, flags=re.S)[1])
        assert title.startswith("Where does a patch look? ") and len(title) < 250
        assert title.endswith(prompt) or len(prompt) > 200
        assert data_of(page)["prompt"] == prompt
        assert len(page) < len(explorer.html()) + 2 * len(prompt) + 500


def test_it_is_written_whole_or_not_at_all(explorer, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    assert explorer.save(path) == path.stat().st_size and path.read_text(encoding="utf-8") == explorer.html()
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="could not write"):
        Explorer(explorer.recordings[:1], PROMPT, 0).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_notebook_shows_the_page_and_a_picture(explorer):
    shown = explorer._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == explorer.html()
    assert explorer.picture()._repr_png_().startswith(b"\x89PNG")


def test_the_picture_marks_hatches_and_colours(explorer, tmp_path):
    import imageio.v3 as imageio

    explorer.picture((2, 1, 1), step=2).save(tmp_path / "still.png")
    image = imageio.imread(tmp_path / "still.png")[..., :3].astype(int)
    grey = np.abs(image - 115).max(axis=2) < 3  # what lies under the hatching
    orange = np.abs(image - [0xD5, 0x5E, 0x00]).max(axis=2) < 8
    middle = len(image) // 2
    assert grey[middle:].sum() > 10 * grey[:middle].sum() + 100  # only framewise forbids
    assert orange[:middle].sum() > 50 and orange[middle:].sum() > 50
    assert explorer.picture((2, 1, 1)).png != explorer.picture((2, 1, 2)).png
