"""The schematic on README's first screen: how a caption becomes a clip.

python examples/pictures/schematic.py      writes schematic.svg beside this file and prints the table for README

It has a background of its own, so it reads alike on a light and on a dark page. Opened by itself, every box leads to
its code and its chapter; on GitHub, where a picture has no links, the table beneath it does.
"""

import random
from html import escape
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 1000, 446
BOX_WIDTH, BOX_HEIGHT = 214, 142
COLUMNS, ROWS = (20, 269, 518, 767), (24, 216)
INK, SOFT, ARROW, LINK = "#1f2937", "#566070", "#6b7280", "#1d4ed8"
FRAMES, CELL, SIDE = 4, 6, 6  # a strip of frames: how many, and each SIDE x SIDE cells of CELL pixels
# A 3, as a pen draws it in a square of side 1.
THREE = [(0.2, 0.2), (0.45, 0.08), (0.72, 0.22), (0.65, 0.4), (0.42, 0.48), (0.7, 0.58), (0.75, 0.78), (0.45, 0.92)]
THREE = [*THREE, (0.18, 0.8)]


class Box(NamedTuple):
    """A step on the way. room: where its code is, in minivdit/. place: its column and row."""

    title: str
    lines: tuple[str, ...]
    room: str
    chapter: str
    place: tuple[int, int]
    colour: str

    @property
    def links(self):
        """Its code and its chapter, from the project's root."""
        return f"minivdit/{self.room}", f"chapters/{self.chapter}.ipynb"

    @property
    def number(self):
        """Of its chapter: "08_text_guidance" is 8."""
        return int(self.chapter[:2])


BOXES = (
    Box("Caption", ("“a 3 moving right”",), "data/captions.py", "00_start_here", (0, 0), "#fef3c7"),
    Box("Text encoder", ("words become vectors",), "models/text.py", "08_text_guidance", (1, 0), "#ffe4d6"),
    Box("Noise", ("a level for each frame",), "diffusion/levels.py", "03_adding_noise", (0, 1), "#e5e7eb"),
    Box(
        "Transformer",
        ("patches look at each other", "and at the words"),
        "models/video_dit.py",
        "07_the_transformer_block",
        (1, 1),
        "#dbeafe",
    ),
    Box("Latents", ("numbers in place of pixels",), "models/patches.py", "06_patches_and_positions", (2, 1), "#ede9fe"),
    Box(
        "Decoder",
        ("of the autoencoder:", "back to pixels"),
        "models/autoencoder.py",
        "09_latent_diffusion",
        (2, 0),
        "#dcfce7",
    ),
    Box("Clip", ("the 3 moves right",), "generation/", "14_every_ability", (3, 0), "#fef3c7"),
    Box(
        "Training",
        ("the transformer learns to", "take noise off real clips"),
        "training/loop.py",
        "16_capstone",
        (3, 1),
        "#f3f4f6",
    ),
)
SAMPLER = Box("Sampler", ("takes some noise away; 40 steps",), "diffusion/samplers.py", "04_removing_noise", (0, 1), "")


def table():
    """What stands beneath the picture in README: a link to each box's code and chapter."""
    boxes = [*BOXES, SAMPLER]
    rows = [[box.title for box in boxes]]
    rows += [["---"] * len(boxes)]
    rows += [[f"[code]({box.links[0]})" for box in boxes], [f"[chapter {box.number}]({box.links[1]})" for box in boxes]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def text(x, y, words, size=15, colour=INK, more=""):
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{more}>{escape(words)}</text>'


def linked(x, y, box, between=18):
    """Two lines of links: to a box's code and its chapter."""
    room, chapter = (f"../../{link}" for link in box.links)
    mono = ' font-family="ui-monospace, monospace"'
    return (
        f'<a href="{room}">{text(x, y, box.room, 13, LINK, mono)}</a>'
        f'<a href="{chapter}">{text(x, y + between, f"chapter {box.number}", 13, LINK)}</a>'
    )


def strip(left, top, fill):
    """A strip of frames; fill(frame, left, top) draws what is in one."""
    side, drawn = CELL * SIDE, []
    for frame in range(FRAMES):
        x = left + frame * (side + 6)
        drawn.append(f'<rect x="{x}" y="{top}" width="{side}" height="{side}" fill="#111827"/>{fill(frame, x, top)}')
    return "".join(drawn)


def cells(colour):
    """A fill for `strip`: a square of `colour()` for each cell."""

    def fill(frame, left, top):
        places = [(left + CELL * column, top + CELL * row) for row in range(SIDE) for column in range(SIDE)]
        return "".join(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{colour()}"/>' for x, y in places)

    return fill


def three(frame, left, top):
    """A fill for `strip`: a 3 that is further right in each frame."""
    size = 17
    points = " ".join(f"{left + 2 + 5 * frame + size * x:.1f},{top + 9 + size * y:.1f}" for x, y in THREE)
    return f'<polyline points="{points}" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>'


def picture(title, left, top):
    """The strip in a box, or nothing where a box has none."""
    generator = random.Random(0)
    grey = lambda: "#" + f"{generator.randrange(40, 230):02x}" * 3
    tinted = lambda: f"hsl({generator.choice((210, 260, 320))}, 60%, {generator.randrange(25, 80)}%)"
    fills = {"Noise": cells(grey), "Latents": cells(tinted), "Clip": three}
    return strip(left, top, fills[title]) if title in fills else ""


def drawn_box(box):
    left, top = COLUMNS[box.place[0]], ROWS[box.place[1]]
    middle, strip_width = left + BOX_WIDTH / 2, FRAMES * (CELL * SIDE + 6) - 6
    shown = picture(box.title, left + (BOX_WIDTH - strip_width) / 2, top + 38)
    first = top + (92 if shown else 64 if len(box.lines) == 1 else 58)
    lines = [text(middle, first + 19 * i, line, 15, SOFT) for i, line in enumerate(box.lines)]
    outline = f'<rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="10" fill="{box.colour}"/>'
    title = text(middle, top + 27, box.title, 18, more=' font-weight="bold"')
    return "\n".join([outline, title, shown, *lines, linked(middle, top + 113, box)])


def arrow(path):
    return f'<path d="{path}" fill="none" stroke="{ARROW}" stroke-width="2.5" marker-end="url(#head)"/>'


def arrows():
    """From box to box, and the sampler's loop from the latents back to the noise."""
    upper, lower = (top + BOX_HEIGHT / 2 for top in ROWS)
    right = [left + BOX_WIDTH + 4 for left in COLUMNS]
    middle = [left + BOX_WIDTH / 2 for left in COLUMNS]
    between, bottom = (ROWS[0] + BOX_HEIGHT + 4, ROWS[1] - 4), ROWS[1] + BOX_HEIGHT + 4
    return [
        *(arrow(f"M{right[i]} {y} H{COLUMNS[i + 1] - 4}") for i, y in ((0, upper), (2, upper), (0, lower), (1, lower))),
        arrow(f"M{middle[1]} {between[0]} V{between[1]}"),
        arrow(f"M{middle[2]} {between[1]} V{between[0]}"),
        arrow(f"M{middle[2]} {bottom} V{bottom + 30} H{middle[0]} V{bottom}"),
    ]


def svg():
    """The whole picture."""
    about = "Caption, text encoder, transformer, latents, decoder, clip; noise enters, and a sampler takes it away"
    middle, beneath = COLUMNS[1] + BOX_WIDTH / 2, ROWS[1] + BOX_HEIGHT + 34
    loop = f"{SAMPLER.title}: {SAMPLER.lines[0]}"
    head = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" text-anchor="middle"
 font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>{about}</title>
<defs><marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0 L10 5 L0 10 z" fill="{ARROW}"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#ffffff"/>"""
    sampler = [
        f'<rect x="{middle - 175}" y="{beneath - 18}" width="350" height="40" fill="#ffffff"/>',
        text(middle, beneath + 5, loop, 15, SOFT),
        linked(middle, beneath + 25, SAMPLER),
    ]
    return "\n".join([head, *arrows(), *map(drawn_box, BOXES), *sampler, "</svg>"]) + "\n"


if __name__ == "__main__":
    OUT.write_text(svg(), encoding="utf-8")
    print(table())
    print(OUT)
