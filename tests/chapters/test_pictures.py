"""The schematics: the kept files are what the scripts draw, and their words stand where they can be read."""

import importlib
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import ImageFont

CHAPTERS = Path(__file__).parents[2] / "chapters"
PICTURES = CHAPTERS / "pictures"
KEPT = sorted(path.name for path in PICTURES.glob("*.svg"))
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
EDGE = 4  # pixels between words and the edge of what they stand in


@pytest.fixture(scope="module")
def scripts():
    """The modules that draw, which import each other as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PICTURES))
        yield {name: importlib.import_module(name) for name in ("drawing", "overview", "schematics")}


@pytest.fixture(scope="module")
def drawn(scripts):
    """{name of a file: what the scripts draw}."""
    schematics = scripts["schematics"]
    pictures = {f"{number:02}.svg": schematics.svg(number) for number in schematics.CHAPTERS}
    return {"overview.svg": scripts["overview"].svg(), **pictures}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_picture_is_what_its_script_draws(drawn, name):
    kept = (PICTURES / name).read_text(encoding="utf-8")
    assert kept == drawn[name], "run: python chapters/pictures/schematics.py and overview.py"
    assert len(kept) < 50_000


def test_every_picture_that_is_drawn_is_kept(drawn):
    assert set(KEPT) == set(drawn)


@pytest.mark.parametrize("source", sorted(CHAPTERS.glob("source/[0-9]*.py")), ids=lambda path: path.stem)
def test_a_chapter_shows_its_picture_in_its_opening_cell(scripts, source):
    number = int(source.name[:2])
    said, *_ = scripts["schematics"].CHAPTERS[number]
    opening = source.read_text(encoding="utf-8").split("\n# %%\n")[0]
    assert f"\n\n![{said}](pictures/{number:02}.svg)\n" in opening.partition("**You need:**")[2]


def extent(element):
    """(left, top, right, bottom) of words, in a font that is wider than most: DejaVu Sans."""
    size, x, y = (float(element.get(name)) for name in ("font-size", "x", "y"))
    bold = "-Bold" if element.get("font-weight") == "bold" else ""
    face = "DejaVuSansMono" if "mono" in element.get("class").split() else "DejaVuSans"
    width = ImageFont.truetype(str(FONTS / f"{face}{bold}.ttf"), 100).getlength(element.text) * size / 100
    left = x - width * {"start": 0, "end": 1}.get(element.get("text-anchor"), 0.5)
    return left, y - 0.76 * size, left + width, y + 0.2 * size


def misplaced(svg):
    """What is wrong with the words of a picture: those cut off, one over the other, or over the edge of a box."""
    picture = ElementTree.fromstring(svg)
    tag = "{http://www.w3.org/2000/svg}"
    words = [(element.text, *extent(element)) for element in picture.iter(f"{tag}text")]
    width, height = float(picture.get("width")), float(picture.get("height"))
    for text, left, top, right, bottom in words:
        if left < EDGE or top < EDGE or right > width - EDGE or bottom > height - EDGE:
            yield f"{text!r} is cut off"
    for (text, left, top, right, bottom), (other, *place) in itertools.combinations(words, 2):
        if left < place[2] and place[0] < right and top < place[3] and place[1] < bottom:
            yield f"{text!r} is over {other!r}"
    for rect in picture.iter(f"{tag}rect"):
        if "box" not in rect.get("class", "").split():
            continue
        x, y, wide, high = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        for text, left, top, right, bottom in words:
            apart = right <= x or left >= x + wide or bottom <= y or top >= y + high
            within = x + EDGE <= left and right <= x + wide - EDGE and y <= top and bottom <= y + high
            if not (apart or within):
                yield f"{text!r} is over the edge of a box"


@pytest.mark.parametrize("name", KEPT)
def test_words_can_be_read(drawn, name):
    assert not list(misplaced(drawn[name]))
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)"', drawn[name])]
    assert min(sizes) >= 12


def test_words_that_cant_be_read_are_noticed(scripts):
    drawing = scripts["drawing"]
    told = lambda *parts: [words.split("'")[-1] for words in misplaced(drawing.picture("", 200, parts))]
    assert told(drawing.box(20, 20, 90, 40, "blue", "short")) == []
    assert told(drawing.box(20, 20, 90, 40, "blue", "much too long a title")) == [
        " is cut off",
        " is over the edge of a box",
    ]
    assert told(drawing.text(400, 100, "one"), drawing.text(410, 104, "two")) == [""]
    assert told(drawing.text(795, 100, "at the edge"), drawing.text(40, 199, "below")) == [" is cut off", " is cut off"]


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_has_colours_for_dark_pages_and_no_others(scripts, drawn, name):
    """Each class that is used has a rule, once for light pages and once for dark ones; the background is opaque."""
    style, _, rest = drawn[name].partition("</style>")
    light, _, dark = style.partition("prefers-color-scheme: dark")
    used = {part for names in re.findall(r'class="([^"]*)"', rest) for part in names.split()} - {"box", "mono"}
    assert used and all(f".{part}{{" in light and f".{part}{{" in dark for part in used)
    assert '<rect class="page" ' in rest


@pytest.mark.parametrize("mode", [0, 1])
def test_words_stand_out_from_what_is_behind_them(scripts, mode):
    """Contrasts of at least 4.5 to 1, as WCAG asks, for ink; 4.5 for soft words on what they stand on."""
    colours = {name: values[mode] for name, values in scripts["drawing"].COLOURS.items()}
    for behind in ("page", "sand", "peach", "grey", "pale", "blue", "violet", "green"):
        assert contrast(colours["ink"], colours[behind]) >= 7
        assert contrast(colours["soft"], colours[behind]) >= 4.5
    for words in ("forward", "backward", "good", "link"):
        assert contrast(colours[words], colours["page"]) >= 4.5


def contrast(one, other):
    """Of two colours like #1f2937, from 1 to 21 (WCAG 2.1)."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
