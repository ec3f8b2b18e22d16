"""What all schematics are drawn with: SVG as text, in one style.

A picture has a background of its own and colours for light and for dark pages, between which the reader's settings
choose (prefers-color-scheme); shown as an image, it can't take the page's. Coordinates are pixels at the size it is
shown. Nothing is rotated or scaled, so that a test can read from the file where each word stands. Everything is drawn
from seeds, and only rounded numbers are written: the same script writes the same file.
"""

import itertools
import math
import random
from html import escape

WIDTH, EDGE = 800, 20  # of a picture, and of the margin at its left and right
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', Consolas, 'DejaVu Sans Mono', monospace"
# name: (on a light page, on a dark page). The first are for words and lines, the others for what is behind words.
COLOURS = {
    "ink": ("#1f2937", "#e6edf3"),
    "soft": ("#566070", "#a9b4c0"),
    "line": ("#6b7280", "#8b949e"),
    "rule": ("#d1d5db", "#444c56"),
    "link": ("#1d4ed8", "#79b8ff"),
    "forward": ("#1d4ed8", "#79b8ff"),
    "backward": ("#c2410c", "#ffa657"),
    "good": ("#047857", "#56d364"),
    "page": ("#ffffff", "#161b22"),
    "sand": ("#fef3c7", "#4a3c12"),
    "peach": ("#ffe4d6", "#55301d"),
    "grey": ("#e5e7eb", "#30363d"),
    "pale": ("#f3f4f6", "#21262d"),
    "blue": ("#dbeafe", "#1b3a66"),
    "violet": ("#ede9fe", "#3a2d68"),
    "green": ("#dcfce7", "#14472a"),
}
SHADES = 8  # grey levels of drawn pixels
# A 3, as a pen draws it in a square of side 1.
THREE = [(0.2, 0.2), (0.45, 0.08), (0.72, 0.22), (0.65, 0.4), (0.42, 0.48), (0.7, 0.58), (0.75, 0.78), (0.45, 0.92)]
THREE = [*THREE, (0.18, 0.8)]


def picture(title, height, parts, width=WIDTH):
    """The whole file. title: what screen readers say. parts: what is in it, one after the other."""

    def rules(mode):
        fills = "".join(f".{name}{{fill:{colour[mode]}}}" for name, colour in COLOURS.items())
        strokes = "".join(f".s-{name}{{stroke:{colour[mode]}}}" for name, colour in COLOURS.items())
        return fills + strokes

    marks = "".join(
        f'<marker id="to-{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path class="{name}" d="M0 0 L10 5 L0 10 z"/></marker>'
        for name in ("line", "forward", "backward", "good")
    )
    body = "\n".join(part for part in parts if part)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" text-anchor="middle" font-family="{FONT}">
<title>{escape(title)}</title>
<style>{rules(0)}.mono{{font-family:{MONO}}}
@media (prefers-color-scheme: dark){{{rules(1)}}}</style>
<defs>{marks}</defs>
<rect class="page" width="{width}" height="{height}" rx="14"/>
{body}
</svg>
"""


def number(x):
    """A coordinate as it is written: at most one digit after the point, and never -0."""
    return f"{round(x, 1) + 0:g}"


def numbers(template, *values):
    return template.format(*map(number, values))


def text(x, y, words, size=13, colour="ink", anchor="", bold=False, mono=False):
    """Words whose baseline is at y. anchor: "start" where x is their left end, "end" the right one, else the middle."""
    names = f"{colour} mono" if mono else colour
    more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="bold"' if bold else "")
    return numbers('<text class="{{}}" x="{}" y="{}" font-size="{}"{{}}>{{}}</text>', x, y, size).format(
        names, more, escape(words, quote=False)
    )


def rect(x, y, width, height, colour, rx=0, outline=""):
    """A rectangle; outline: the colour of its edge."""
    names = f"{colour} s-{outline}" if outline else colour
    return numbers(
        f'<rect class="{names}" x="{{}}" y="{{}}" width="{{}}" height="{{}}" rx="{{}}"/>', x, y, width, height, rx
    )


def box(x, y, width, height, colour, title="", *lines, size=14, mono=()):
    """A rectangle with a bold title and lines beneath it, all in its middle. mono: which lines are code, from 0."""
    sizes = ([size] if title else []) + [12] * len(lines)
    rows = ([title] if title else []) + list(lines)
    between = 18
    top = y + height / 2 - between * (len(rows) - 1) / 2 + 4.5
    drawn = [rect(x, y, width, height, colour, rx=8).replace('class="', 'class="box ')]
    for row, (words, font) in enumerate(zip(rows, sizes)):
        line = row - bool(title)
        middle = x + width / 2, top + between * row
        drawn.append(text(*middle, words, font, "ink" if line < 0 else "soft", bold=line < 0, mono=line in mono))
    return "".join(drawn)


def path(d, colour="line", width=2, dashed=False, head=False, fill="none"):
    """A line; head: with an arrow's head at its end."""
    more = ' stroke-dasharray="5 4"' if dashed else ""
    more += f' marker-end="url(#to-{colour})"' if head else ""
    filled = f'class="{fill} s-{colour}"' if fill != "none" else f'class="s-{colour}" fill="none"'
    return f'<path {filled} d="{d}" stroke-width="{number(width)}"{more}/>'


def line(x1, y1, x2, y2, colour="line", width=2, dashed=False, head=False):
    return path(numbers("M{} {}L{} {}", x1, y1, x2, y2), colour, width, dashed, head)


def arrow(x1, y1, x2, y2, colour="line", width=2.2, dashed=False):
    return line(x1, y1, x2, y2, colour, width, dashed, head=True)


def curve(points, colour="line", width=2, dashed=False, head=False):
    """A line through points [(x, y), ...]."""
    return path("M" + "L".join(numbers("{} {}", *point) for point in points), colour, width, dashed, head)


def dot(x, y, radius, colour, outline=""):
    names = f"{colour} s-{outline}" if outline else colour
    return numbers(f'<circle class="{names}" cx="{{}}" cy="{{}}" r="{{}}"/>', x, y, radius)


def pixels(left, top, image, cell):
    """An image, rows of numbers from 0 (black) to 1 (white), in squares of `cell` pixels, with a thin edge."""
    shades = {}
    for row, values in enumerate(image):
        column = 0
        for shade, run in itertools.groupby(round(min(max(value, 0), 1) * (SHADES - 1)) for value in values):
            count = len(list(run))
            if shade:  # black is there already
                place = f"M{left + cell * column:g} {top + cell * row:g}"
                shades.setdefault(shade, []).append(f"{place}h{cell * count}v{cell}h-{cell * count}z")
            column += count
    height, width = cell * len(image), cell * len(image[0])
    frame = numbers('<rect x="{}" y="{}" width="{}" height="{}" fill="#111" class="s-line"/>', left, top, width, height)
    greys = {shade: f"{17 + round((245 - 17) * shade / (SHADES - 1)):02x}" * 3 for shade in sorted(shades)}
    return frame + "".join(f'<path fill="#{greys[shade]}" d="{"".join(shades[shade])}"/>' for shade in greys)


def three(side, right=0.0, down=0.0, size=0.6):
    """A 3 in an image of side x side: rows of numbers from 0 to 1. right, down, size: shares of the image."""
    points = [(side * (right + size * x), side * (down + size * y)) for x, y in THREE]
    pen = max(0.055 * side * size, 0.45)
    return [[min(max(1.5 - distance(x + 0.5, y + 0.5, points) / pen, 0), 1) for x in range(side)] for y in range(side)]


def distance(x, y, points):
    """From (x, y) to the nearest point of a line through points."""
    found = math.inf
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)
        along = min(max(along, 0), 1)
        found = min(found, math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)))
    return found


def noisy(image, level, seed):
    """An image under noise of a level from 0 to 1, by rectified flow: the grey that [-1, 1] shows as."""
    generator = random.Random(seed)
    mixed = lambda value: (1 - level) * (2 * value - 1) + level * generator.gauss(0, 1)
    return [[mixed(value) / 2 + 0.5 for value in row] for row in image]


def film(left, top, frames, cell, gap=6):
    """Images side by side."""
    step = cell * len(frames[0]) + gap
    return "".join(pixels(left + step * place, top, frame, cell) for place, frame in enumerate(frames))


def moving(side, count, noise=0.0):
    """Frames of a 3 that moves right, each under its own noise; noise: one level for all, or one for each frame."""
    levels = [noise] * count if isinstance(noise, int | float) else noise
    clean = [three(side, 0.36 * place / max(count - 1, 1), 0.15, 0.7) for place in range(count)]
    return [noisy(frame, level, seed) for seed, (frame, level) in enumerate(zip(clean, levels))]
