"""The page in a real browser: clicked, played, steered by keys, shrunk to a phone; it shows what was collected."""

import dataclasses

import numpy as np
import pytest

from minivdit.lab.explorer import Explorer, explore
from minivdit.lab.explorer.page import _colours
from minivdit.lab.explorer.picture import ink

PROMPT = "a 3 moving right"
PATTERNS = ("joint", "framewise", "perframe")
GRID = (5, 3, 4)


@pytest.fixture(scope="module")
def explorer(make_model):
    """With black clips, so that what colour a patch has is only its weight."""
    found = explore(PROMPT, [make_model("joint")], ["framewise", "perframe"], moments=2)
    blank = [dataclasses.replace(recording, video=np.zeros_like(recording.video)) for recording in found.recordings]
    return Explorer(tuple(blank), PROMPT, 0)


@pytest.fixture
def open_page(browser, tmp_path):
    """A function that opens a page from a file; in the end nothing may have been loaded or complained about."""
    opened, trouble, requests = [], [], []

    def open_it(content, **options):
        path = tmp_path / "page.html"
        path.write_text(content, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 850}, **options})
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in opened:
        context.close()
    assert not trouble
    assert [url for url in requests if url != (tmp_path / "page.html").as_uri()] == []


@pytest.fixture
def page(open_page, explorer):
    page = open_page(explorer.html(), reduced_motion="reduce")  # so that it doesn't play by itself
    page.wait_for_selector("body[data-ready]")
    return page


def frame(page, name, number):
    """The canvas of a frame, counted from 1, in a pattern's row."""
    return page.get_by_role("group", name=f"frames of {name}").locator("canvas").nth(number - 1)


def click(page, name, number, row, column):
    """Click into a patch; row and column from 1."""
    before = page.evaluate("document.body.dataset.updates")
    box = frame(page, name, number).bounding_box()
    x, y = box["width"] * (column - 0.5) / GRID[2], box["height"] * (row - 0.5) / GRID[1]
    frame(page, name, number).click(position={"x": x, "y": y})
    page.wait_for_function("before => document.body.dataset.updates !== before", arg=before)


def pick(page, label):
    before = page.evaluate("document.body.dataset.updates")
    page.get_by_role("radio", name=label).click()
    page.wait_for_function("before => document.body.dataset.updates !== before", arg=before)


def check_shown(page, explorer, patch, step=2, blocks=None, heads=None, names=PATTERNS):
    """The weights on the page are those that were collected; a hole in them is what is forbidden."""
    for recording in explorer.recordings:
        if recording.name not in names:
            assert page.get_by_role("group", name=f"frames of {recording.name}").count() == 0  # hidden
            continue
        shown = np.array(page.evaluate("name => explorer.shown(name)", recording.name), dtype=float)
        expected = recording.mean(int(np.ravel_multi_index(patch, GRID)), step, blocks, heads)
        np.testing.assert_array_equal(np.isnan(shown), np.isnan(expected))
        np.testing.assert_allclose(shown, expected, rtol=1e-5)
        assert abs(np.nansum(shown) - 1) < 0.05


def test_a_click_shows_what_the_patch_looks_at(page, explorer):
    click(page, "framewise", 3, 1, 2)
    check_shown(page, explorer, (2, 0, 1))
    assert page.get_by_role("status").inner_text().startswith("frame 3, row 1, column 2. joint: Sees 60 of 60 patches")
    click(page, "joint", 5, 3, 4)
    check_shown(page, explorer, (4, 2, 3))


def test_every_choice_changes_what_is_shown(page, explorer):
    click(page, "joint", 3, 2, 2)
    patch = (2, 1, 1)
    pick(page, "block 2")
    check_shown(page, explorer, patch, blocks=[1])
    assert "framewise (block 2: time)" in page.get_by_role("heading").all_inner_texts()
    pick(page, "head 1")
    check_shown(page, explorer, patch, blocks=[1], heads=[0])
    pick(page, "denoising step 1")
    check_shown(page, explorer, patch, 0, [1], [0])
    pick(page, "perframe")
    check_shown(page, explorer, patch, 0, [1], [0], names=["perframe"])
    pick(page, "all patterns")
    pick(page, "mean of all blocks")
    pick(page, "mean of all heads")
    check_shown(page, explorer, patch, 0)


def test_the_colours_are_the_weights_and_hatching_is_what_is_forbidden(page, explorer):
    click(page, "framewise", 3, 2, 2)
    colours = [tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in _colours()]
    pixels = """canvas => {
        const {width, height} = canvas, [rows, columns] = [3, 4];
        const copy = Object.assign(document.createElement("canvas"), {width, height});
        const pen = copy.getContext("2d", {willReadFrequently: true});
        pen.drawImage(canvas, 0, 0);
        return Array.from({length: rows * columns}, (_, i) => Array.from(pen.getImageData(
          (i % columns + 0.3) * width / columns, (Math.floor(i / columns) + 0.3) * height / rows, 12, 12).data));
    }"""
    for recording in explorer.recordings:
        expected = recording.mean(2 * 12 + 5, 2).reshape(5, 12)
        for number, weights in enumerate(expected):
            boxes = np.array(frame(page, recording.name, number + 1).evaluate(pixels)).reshape(12, 144, 4)[..., :3]
            for place, (box, weight) in enumerate(zip(boxes, weights)):
                if (number, place) == (2, 5):
                    continue  # its ring
                if np.isnan(weight):
                    assert (np.ptp(box, axis=1) == 0).all() and len(np.unique(box)) > 3  # greys of several kinds
                else:
                    colour = colours[round(255 * np.sqrt(weight / np.nanmax(expected)))]
                    assert np.abs(box - colour).max() <= 6


def test_it_plays_and_pauses(page):
    button = page.get_by_role("button")
    assert "play" in button.inner_text()
    button.click()
    page.wait_for_function("() => explorer.state.frame === 4")
    page.wait_for_function("() => explorer.state.frame === 1")  # round again
    button.click()
    assert "play" in button.inner_text()
    standing = page.evaluate("explorer.state.frame")
    page.wait_for_timeout(400)
    assert page.evaluate("explorer.state.frame") == standing
    assert page.locator("figure.now").count() == 3


def test_it_plays_by_itself_unless_motion_is_unwelcome(open_page, explorer, page):
    assert page.evaluate("explorer.state.playing") is False
    moving = open_page(explorer.html(), reduced_motion="no-preference")
    moving.wait_for_selector("body[data-ready]")
    assert moving.evaluate("explorer.state.playing") is True


def test_everything_is_reached_by_keys(page, explorer):
    keys = page.keyboard

    def press(*names):
        for name in names:
            before = page.evaluate("document.body.dataset.updates")
            keys.press(name)
            page.wait_for_function("before => document.body.dataset.updates !== before", arg=before)

    keys.press("Tab")
    assert page.evaluate("document.activeElement.id") == "play"
    keys.press("Space")
    assert page.evaluate("explorer.state.playing") is True
    keys.press("Tab")  # the patterns
    keys.press("Space")
    assert page.evaluate("explorer.state.playing") is False
    press("ArrowRight")
    assert page.evaluate("explorer.state.pattern") == 0
    press("ArrowLeft")
    keys.press("Tab")
    press("ArrowRight", "ArrowRight", "ArrowRight")  # block 3
    keys.press("Tab")
    press("ArrowRight", "ArrowRight")  # head 2
    keys.press("Tab")
    press("ArrowLeft")  # the first step
    keys.press("Tab")
    assert "frames of joint" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    start = np.unravel_index(page.evaluate("explorer.state.patch"), GRID)
    press("PageUp", *["ArrowUp"] * int(start[1]), *["ArrowLeft"] * int(start[2]))
    patch = (int(start[0]) - 1, 0, 0)
    check_shown(page, explorer, patch, 0, [2], [1])
    press("ArrowLeft")  # over the edge: the last column of the frame before
    check_shown(page, explorer, (patch[0] - 1, 0, 3), 0, [2], [1])
    press("ArrowDown", "PageDown")
    check_shown(page, explorer, (patch[0], 1, 3), 0, [2], [1])
    keys.press("Tab")
    assert "frames of framewise" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    press("ArrowRight")
    check_shown(page, explorer, (patch[0] + 1, 1, 0), 0, [2], [1])


def test_on_a_phone_it_fits_and_a_tap_chooses(open_page, page, explorer):
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    click(page, "perframe", 3, 3, 1)
    check_shown(page, explorer, (2, 2, 0))
    phone = open_page(explorer.html(), viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    phone.wait_for_selector("body[data-ready]")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    canvas = frame(phone, "joint", 4)
    box = canvas.bounding_box()
    assert box["width"] / GRID[2] >= 18  # pixels of a patch, for a finger
    canvas.tap(position={"x": 2, "y": box["height"] - 2})
    phone.wait_for_function("() => explorer.state.patch === 3 * 12 + 8")


def test_a_page_as_large_as_they_get_takes_less_than_a_second(open_page, make_model, tmp_path):
    recordings = explore(PROMPT, [make_model("joint", num_frames=16, size=(32, 32), depth=6)], moments=2).recordings
    content = Explorer(
        (*recordings, *(dataclasses.replace(recordings[0], name=f"joint {i}") for i in (2, 3))), PROMPT, 0
    ).html()
    assert len(content) > 1_000_000
    page = open_page("", reduced_motion="reduce")
    measured = page.context.new_cdp_session(page)
    # The page's own seconds of computing: those that pass on a clock are other work's, too.
    measured.send("Performance.enable", {"timeDomain": "threadTicks"})
    (tmp_path / "page.html").write_text(content, encoding="utf-8")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    metrics = {one["name"]: one["value"] for one in measured.send("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["TaskDuration"] < 1


def test_it_is_alive_inside_a_notebook(open_page, explorer):
    page = open_page(f"<!DOCTYPE html><p>cell</p>{explorer._repr_html_()}")
    inside = page.frame_locator("iframe")
    inside.locator("body[data-ready]").wait_for()
    inside.get_by_role("radio", name="block 2").click()
    inside.get_by_role("heading", name="framewise (block 2: time)").wait_for()


def test_ink_has_the_colours_of_the_clip(open_page, explorer):
    coloured = np.broadcast_to(np.float32([0.2, 0, 0.1]), (*explorer.recordings[0].video.shape[:-1], 3))
    recordings = tuple(dataclasses.replace(recording, video=coloured) for recording in explorer.recordings)
    page = open_page(Explorer(recordings, PROMPT, 0).html(), reduced_motion="reduce")
    page.wait_for_selector("body[data-ready]")
    for dark, expected in enumerate(ink(coloured[0], np.bool_(dark))[0, 0] for dark in (False, True)):
        pixel = f"explorer.recordings[0].inks[4][{dark}].getContext('2d').getImageData(31, 23, 1, 1).data"
        found = page.evaluate(f"Array.from({pixel})")
        np.testing.assert_allclose(np.array(found) / 255, expected, atol=0.02)
