"""The studio in a real browser: type, draw, watch, cancel, upload, paint, look where patches looked.

Every test ends with the same question: did the page complain, and did anything leave this machine?
"""

import contextlib
import re
import shlex
import socket

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data.reading import open_clip, read_mask
from minivdit.lab import studio as room
from minivdit.lab.cli import main as cli
from minivdit.lab.display import write_clip
from minivdit.lab.studio import Studio

pytest.importorskip("gradio", reason="Gradio is missing: pip install 'minivdit[studio]'")

HOME = "127.0.0.1"


@pytest.fixture(scope="module")
def elsewhere():
    """Other machines that this process looked up or called."""
    called, connect, look_up = [], socket.socket.connect, socket.getaddrinfo

    def note(host):
        if host not in (HOME, "localhost", "::1", None):
            called.append(host)

    def connecting(self, address):
        note(address[0] if isinstance(address, tuple) else None)
        return connect(self, address)

    def looking_up(host, *arguments, **options):
        note(host)
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connecting)
        patch.setattr(socket, "getaddrinfo", looking_up)
        yield called


@pytest.fixture(scope="module")
def served(browser, elsewhere, commands, tiny, tmp_path_factory):
    """(a Studio of its own, the address of its page)."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "")
        patch.setenv("HF_HUB_DISABLE_TELEMETRY", "")
        studio = Studio(commands, tiny, folder=folder)
        blocks, address = room.launch(studio)
        yield studio, address, blocks
        blocks.close(verbose=False)


@contextlib.contextmanager
def visiting(browser, address):
    """(the page of a visitor, what went wrong in it so far)."""
    trouble = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    context.on("request", lambda request: foreign(request.url, address) and trouble.append(request.url))
    page = context.new_page()
    page.on("console", lambda message: message.type == "error" and trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(address)
    for needed in (page.get_by_role("button", name="Draw", exact=True), page.locator("#state"), page.locator("#clip")):
        needed.wait_for(state="attached")
    # Whatever the line of progress says, however briefly.
    page.evaluate("""() => {
        window.states = [];
        const note = () => states.push(document.getElementById("state").innerText);
        new MutationObserver(note).observe(document.getElementById("state"), {subtree: true, childList: true,
            characterData: true});
        window.clips = new Set();
        new MutationObserver(() => document.querySelectorAll("#clip img").forEach(img => clips.add(img.src)))
            .observe(document.getElementById("clip"), {subtree: true, childList: true, attributes: true});
    }""")
    yield page, trouble
    context.close()


@pytest.fixture(scope="module")
def opened(browser, served):
    with visiting(browser, served[1]) as visitor:
        yield visitor


def foreign(url, address):
    return not url.startswith((address, "data:", "blob:", "about:"))


@pytest.fixture
def page(opened, elsewhere):
    page, trouble = opened
    yield page
    assert not trouble and not elsewhere


@pytest.fixture
def other(browser, served):
    """The page of another visitor."""
    with visiting(browser, served[1]) as (page, trouble):
        yield page
    assert not trouble


def tab(page, name):
    """Choose a tab, also where it is in the menu of those for which there is no room."""
    found = page.get_by_role("tab", name=name, exact=True)
    if not found.is_visible():
        page.locator(".overflow-menu > button").first.click()
        found = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    found.click()


def fill(page, label, text):
    page.get_by_label(label, exact=False).locator("visible=true").first.fill(text)


def draw(page, name, wait=True):
    page.evaluate("() => { states.length = 0; clips.clear() }")
    page.get_by_role("button", name=name, exact=True).click()
    if wait:
        begun = "const begun = states.findIndex(state => /begins|step/.test(state))"
        page.wait_for_function(
            f"() => {{ {begun}; return begun >= 0 && states.slice(begun).some(s => /done/.test(s)) }}"
        )


def steps_seen(page):
    return {int(found[1]) for state in page.evaluate("states") if (found := re.search(r"step (\d+) of", state))}


def options_of(page):
    """What the line to copy says, read by the command line's own parser."""
    text = page.locator("#line .cm-content").inner_text().replace("\n", " ")
    return cli.build_parser().parse_args(shlex.split(text)[1:])


def settings(page):
    """Open what is folded away below all tabs."""
    if not page.get_by_label("seed").first.is_visible():
        page.get_by_role("button", name="How it is drawn").click()


def test_a_caption_becomes_a_clip_step_by_step(page, served):
    settings(page)
    fill(page, "caption", "an 8 moving up")
    fill(page, "steps", "400")
    fill(page, "seed", "3")
    draw(page, "Draw")
    assert len(steps_seen(page)) >= 3 and page.evaluate("clips.size") >= 4  # three on the way, and the end
    options = options_of(page)
    assert (options.prompt, options.steps, options.seed) == (["an 8 moving up"], 400, 3)
    with page.expect_download() as download:
        page.get_by_role("button", name="GIF").click()
    clip = open_clip(download.value.path())
    assert clip.video.shape == (4, 16, 24, 1) and clip.about["seed"] == 3


def test_the_explorer_opens(page):
    page.get_by_role("button", name="Where did each patch look?").click()
    inside = page.frame_locator("#explorer iframe")
    inside.locator("body[data-ready]").wait_for()
    assert inside.locator("canvas").count() >= 2


def test_a_wrong_word_is_told_as_the_sentence_that_it_is(page):
    fill(page, "caption", "a xylophone moving right")
    draw(page, "Draw", wait=False)
    sentence = "it doesn't know 'xylophone'"
    page.locator(".toast-body").get_by_text(sentence).wait_for()
    assert sentence in page.locator("#state").inner_text()
    page.locator(".toast-close").first.click()
    fill(page, "caption", "a 3 moving right")
    fill(page, "seed", "<b>1</b>")
    draw(page, "Draw", wait=False)
    page.wait_for_function("() => states.some(state => state.includes(\"'<b>1</b>' is not a whole number\"))")
    assert page.locator("#state b, .toast-body b").count() == 0  # it is text, and no HTML
    fill(page, "seed", "0")
    page.locator(".toast-close").first.click()


def test_cancel_stops_a_drawing_and_the_next_one_begins(page):
    settings(page)
    fill(page, "steps", "100000")
    draw(page, "Draw", wait=False)
    page.wait_for_function("() => states.some(state => /step .* of 100000/.test(state))")
    page.get_by_role("button", name="Cancel").click()
    state_is(page, "cancelled")
    page.wait_for_timeout(500)
    assert page.locator("#state").inner_text() == "cancelled"  # and no late step
    fill(page, "steps", "2")
    draw(page, "Draw")


def state_is(page, pattern):
    page.wait_for_function(f"() => /{pattern}/.test(document.getElementById('state').innerText)")


def test_two_visitors_take_turns_and_see_nothing_of_each_other(page, other):
    for visitor, caption, steps in ((page, "a 3 moving right", "100000"), (other, "an 8 moving up", "8")):
        settings(visitor)
        fill(visitor, "caption", caption)
        fill(visitor, "steps", steps)
    draw(page, "Draw", wait=False)
    state_is(page, "step .* of 100000")
    draw(other, "Draw", wait=False)
    state_is(other, "waits for its turn")
    other.get_by_role("button", name="Cancel").click()
    state_is(other, "cancelled")
    draw(other, "Draw", wait=False)
    state_is(other, "waits for its turn")
    state_is(page, "step .* of 100000")
    page.get_by_role("button", name="Cancel").click()
    state_is(page, "cancelled")
    state_is(other, "done")
    assert (options_of(page).steps, options_of(other).steps) == (100000, 8)
    seen, others = (set(visitor.evaluate("[...clips]")) for visitor in (page, other))
    assert seen and others and not seen & others
    assert page.get_by_role("button", name="GIF").is_disabled() and other.get_by_role("button", name="GIF").is_enabled()
    fill(other, "caption", "a xylophone moving right")
    draw(other, "Draw", wait=False)
    other.locator(".toast-body").get_by_text("'xylophone'").wait_for()
    assert "xylophone" not in page.content() and "cancelled" in page.locator("#state").inner_text()
    fill(page, "steps", "2")


def test_who_leaves_makes_nobody_wait(page, browser, served):
    with visiting(browser, served[1]) as (leaving, _):
        settings(leaving)
        fill(leaving, "steps", "100000")
        draw(leaving, "Draw", wait=False)
        state_is(leaving, "step .* of 100000")
    draw(page, "Draw")


def test_a_clip_is_uploaded_and_painted_on_and_only_that_is_drawn(page, served, tmp_path):
    studio, _, _ = served
    given = np.random.default_rng(0).integers(0, 255, (4, 16, 24, 1), np.uint8)
    write_clip(tmp_path / "given.gif", given)
    tab(page, "Inpaint")
    panel = page.get_by_role("tabpanel").locator("visible=true")
    panel.locator("input[type=file]").first.set_input_files(tmp_path / "given.gif")
    canvas = panel.locator("canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1000)  # the picture slides in
    box = canvas.bounding_box()
    across = [(box["x"] + box["width"] * x, box["y"] + box["height"] * 0.5) for x in (0.4, 0.5, 0.6)]
    page.mouse.move(*across[0])
    page.mouse.down()
    for place in across[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    draw(page, "Inpaint")
    options = options_of(page)
    mask = read_mask(options.mask)
    assert options.command == "inpaint" and mask.shape == (16, 24) and 0 < mask.mean() < 0.5
    assert mask[8].any() and not mask[[0, -1]].any()  # where the brush went
    newest = max(studio.folder.glob("clip-*/clip.gif"), key=lambda path: path.stat().st_mtime)
    drawn = open_clip(newest).video
    changed = (np.rint(255 * drawn) != given)[..., 0]
    assert not changed[:, ~mask].any() and changed[:, mask].any()


def test_on_a_phone_it_fits(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Side by side", "Keyframes", "Draw"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    draw(page, "Draw")
    box = page.locator("#clip img").bounding_box()
    assert box["width"] > 250 and 0 <= box["y"] < 844  # the clip is brought into sight


def test_a_port_that_is_taken_is_an_error_with_its_cure(served):
    studio, _, blocks = served
    with pytest.raises(InputError, match=r"it is taken, or .*choose another --port"):
        room.launch(studio, port=blocks.server_port)


def test_only_this_machine_can_connect_and_uploads_are_limited(served):
    import httpx

    _, address, blocks = served
    assert blocks.server_name == HOME and not blocks.analytics_enabled
    assert blocks.max_file_size == 20 * 2**20
    config = httpx.get(f"{address}config").json()
    assert not config["analytics_enabled"]
    file = {"files": ("large.gif", b"\0" * (21 * 2**20))}
    assert httpx.post(f"{address}gradio_api/upload", files=file).status_code == 413
    assert blocks._queue.event_queue_per_concurrency_id["drawing"].concurrency_limit == 1  # others wait
