"""The whole on one picture: how a caption becomes a clip. It stands on README's first screen and before the chapters.

python chapters/pictures/overview.py      writes overview.svg beside this file and prints the table for README

Opened by itself, every box leads to its code and its chapter; on GitHub, where a picture has no links, the table
beneath it does.
"""

import random
from pathlib import Path
from typing import NamedTuple

from drawing import film, moving, path, picture, rect, text

OUT = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 1000, 446
BOX_WIDTH, BOX_HEIGHT = 214, 142
COLUMNS, ROWS = (20, 269, 518, 767), (24, 216)
FRAMES, CELL, SIDE = 4, 3, 12  # a strip of frames: how many, and each SIDE x SIDE cells of CELL pixels


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
    Box("Caption", ("“a 3 moving right”",), "data/captions.py", "00_start_here", (0, 0), "sand"),
    Box("Text encoder", ("words become vectors",), "models/text.py", "08_text_guidance", (1, 0), "peach"),
    Box("Noise", ("a level for each frame",), "diffusion/levels.py", "03_adding_noise", (0, 1), "grey"),
    Box(
        "Transformer",
        ("patches look at each other", "and at the words"),
        "models/video_dit.py",
        "07_the_transformer_block",
        (1, 1),
        "blue",
    ),
    Box("Latents", ("numbers in place of pixels",), "models/patches.py", "06_patches_and_positions", (2, 1), "violet"),
    Box(
        "Decoder",
        ("of the autoencoder:", "back to pixels"),
        "models/autoencoder.py",
        "09_latent_diffusion",
        (2, 0),
        "green",
    ),
    Box("Clip", ("the 3 moves right",), "generation/", "14_every_ability", (3, 0), "sand"),
    Box(
        "Training",
        ("the transformer learns to", "take noise off real clips"),
        "training/loop.py",
        "16_capstone",
        (3, 1),
        "pale",
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


def linked(x, y, box, between=18):
    """Two lines of links: to a box's code and its chapter."""
    room, chapter = (f"../../{link}" for link in box.links)
    return (
        f'<a href="{room}">{text(x, y, box.room, 13, "link", mono=True)}</a>'
        f'<a href="{chapter}">{text(x, y + between, f"chapter {box.number}", 13, "link")}</a>'
    )


def latents(left, top):
    """A strip of coloured squares, which say that a latent is no picture."""
    generator, drawn, cell = random.Random(0), [], 6
    for place in range(FRAMES * 36):
        frame, row, column = place // 36, place // 6 % 6, place % 6
        colour = f"hsl({generator.choice((210, 260, 320))}, 60%, {generator.randrange(25, 80)}%)"
        x, y = left + frame * (CELL * SIDE + 6) + cell * column, top + cell * row
        drawn.append(f'<rect x="{x:g}" y="{y}" width="{cell}" height="{cell}" fill="{colour}"/>')
    return "".join(drawn)


def shown(title, left, top):
    """The strip in a box, or nothing where a box has none."""
    if title == "Latents":
        return latents(left, top)
    noise = {"Noise": 1.0, "Clip": 0.0}
    return film(left, top, moving(SIDE, FRAMES, noise[title]), CELL) if title in noise else ""


def drawn_box(box):
    left, top = COLUMNS[box.place[0]], ROWS[box.place[1]]
    middle, strip_width = left + BOX_WIDTH / 2, FRAMES * (CELL * SIDE + 6) - 6
    strip = shown(box.title, left + (BOX_WIDTH - strip_width) / 2, top + 38)
    first = top + (92 if strip else 64 if len(box.lines) == 1 else 58)
    lines = [text(middle, first + 19 * i, line, 15, "soft") for i, line in enumerate(box.lines)]
    outline = rect(left, top, BOX_WIDTH, BOX_HEIGHT, f"box {box.colour}", rx=10)
    return "\n".join(
        [outline, text(middle, top + 27, box.title, 18, bold=True), strip, *lines, linked(middle, top + 113, box)]
    )


def arrow(way):
    return path(way, width=2.5, head=True)


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
    sampler = [
        rect(middle - 175, beneath - 18, 350, 40, "page"),
        text(middle, beneath + 5, f"{SAMPLER.title}: {SAMPLER.lines[0]}", 15, "soft"),
        linked(middle, beneath + 25, SAMPLER),
    ]
    return picture(about, HEIGHT, [*arrows(), *map(drawn_box, BOXES), *sampler], WIDTH)


if __name__ == "__main__":
    OUT.write_text(svg(), encoding="utf-8")
    print(table())
    print(OUT)
