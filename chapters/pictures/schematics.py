"""The schematic of each chapter: where it is on the whole way, what goes in, what comes out.

python chapters/pictures/schematics.py      writes NN.svg for every chapter beside this file

A function for each chapter draws what is beneath the strip, and says how high it is. What a picture shows as a number
or a pattern is computed here by the library, where that can be.
"""

import math
from pathlib import Path

import numpy as np
from drawing import (
    EDGE,
    WIDTH,
    arrow,
    box,
    curve,
    dot,
    film,
    line,
    moving,
    noisy,
    path,
    picture,
    pixels,
    rect,
    text,
    three,
)

from minivdit import autograd as ag
from minivdit.diffusion import make
from minivdit.models import costs
from minivdit.models.patterns import labels

HERE = Path(__file__).parent
# The whole way from a caption to a clip, and what all of it stands on.
WAY = ("caption", "text", "noise", "patches", "attention", "block", "sampler", "autoencoder", "clip")
UNDER = ("gradients", "layers", "kernels", "judge")
TOP = 88  # where a chapter's own part begins
# A card at the left says what goes in, one at the right what comes out.
CARD, LEFT, RIGHT = 136, EDGE, WIDTH - EDGE - 136


def strip(parts):
    """The whole way, a chapter's `parts` of it highlighted."""
    drawn = []
    for row, (label, names) in enumerate((("the way", WAY), ("beneath it", UNDER))):
        x, y = 104, 12 + 28 * row
        drawn.append(text(EDGE, y + 15, label, 12, "soft", "start"))
        for place, name in enumerate(names):
            width, here = 7.4 * len(name) + 14, name in parts
            if row == 0 and place:
                drawn.append(line(x - 7, y + 11, x, y + 11, "rule", 1.5))
            drawn.append(rect(x, y, width, 22, "box sand" if here else "box pale", 11, "backward" if here else ""))
            drawn.append(text(x + width / 2, y + 15, name, 12, "ink" if here else "soft", bold=here))
            x += width + 7
    return [*drawn, line(EDGE, 73, WIDTH - EDGE, 73, "rule", 1)]


def cards(y, height, goes_in, comes_out, left=None, right=None):
    """Both cards, each a title and lines, the first of them a shape. left, right: edges of what is between."""
    middle = y + height / 2
    drawn = []
    for x, label, (title, *lines) in ((LEFT, "goes in", goes_in), (RIGHT, "comes out", comes_out)):
        drawn += [
            text(x + CARD / 2, y - 7, label, 12, "soft"),
            box(x, y, CARD, height, "pale", title, *lines, mono=(0,)),
        ]
    return [
        *drawn,
        arrow(LEFT + CARD + 4, middle, (left or 186) - 4, middle),
        arrow((right or 614) + 4, middle, RIGHT - 4, middle),
    ]


def note(y, words):
    """A sentence beneath what is drawn."""
    return text(WIDTH / 2, y, words, 13, "soft")


def start_here():
    y, below = TOP + 20, TOP + 172
    goes_in = ("caption", "text", "“a 3 moving", "right”")
    between = [
        rect(186, y, 428, 112, "box blue", 8),
        text(400, y + 22, "the model", 14, bold=True),
        film(202, y + 34, moving(12, 3, 1.0), 4),
        arrow(364, y + 58, 436, y + 58),
        text(400, y + 50, "40 steps", 12, "soft"),
        film(442, y + 34, moving(12, 3), 4),
        text(280, y + 102, "noise", 12, "soft"),
        text(520, y + 102, "what was behind it", 12, "soft"),
    ]
    judge = [
        arrow(RIGHT + CARD / 2, y + 116, RIGHT + CARD / 2, below - 4),
        box(RIGHT - 80, below, CARD + 80, 58, "green", "Is it what was asked for?", "a judge counts"),
        arrow(RIGHT - 84, below + 29, RIGHT - 116, below + 29),
        line(EDGE, below + 29, RIGHT - 126, below + 29, "rule", 8),
        line(EDGE + 70, below + 29, EDGE + 400, below + 29, "good", 8),
        text(EDGE + 70, below + 16, "floor", 13, bold=True),
        text(EDGE + 70, below + 52, "wrong captions", 12, "soft"),
        text(EDGE + 400, below + 16, "ceiling", 13, bold=True),
        text(EDGE + 400, below + 52, "real clips", 12, "soft"),
        text(EDGE + 235, below + 52, "drawn clips lie between", 12, "soft"),
    ]
    return below + 76, [*cards(y, 112, goes_in, ("clip", "(B, T, H, W, C)", "from 0 to 1")), *between, *judge]


def autograd():
    """loss = (w x + b - y)^2 as a graph; the library computes what stands on it."""
    given = {"w": 3.0, "x": 2.0, "b": 1.0, "y": 5.0}
    w, x, b, target = leaves = [ag.Tensor(np.array(value), requires_grad=True) for value in given.values()]
    steps = [w * x]
    steps.append(steps[0] + b)
    steps.append(steps[1] - target)
    values = [step.data for step in [*steps, ag.square(steps[2])]]
    slopes = [float(slope) for slope in ag.gradients(ag.square(steps[2]), leaves)]
    # What arrives at a step is what arrives at the leaf that is added there.
    arriving = [slopes[2], slopes[2], -slopes[3], 1.0]
    y, columns = TOP + 104, (236, 386, 536, 668)
    drawn = []
    places = [(60, y - 62, 0), (60, y + 62, 0), (386, y + 104, 1), (536, y + 104, 2)]
    for (name, value), slope, (left, top, step) in zip(given.items(), slopes, places):
        drawn += [
            rect(left - 38, top - 18, 76, 36, "box sand", 8),
            text(left, top + 5, f"{name} = {value:g}", 14, bold=True),
            text(
                left + (44 if step else 0),
                top + (5 if step else 34),
                f"{slope:g}",
                14,
                "backward",
                "start" if step else "",
                True,
            ),
        ]
        start = (left, top - 21) if step else (left + 41, top)
        end = (columns[step], y + 24) if step else (columns[0] - 20, y + (14 if top > y else -14))
        drawn.append(arrow(*start, *end, "forward"))
    for place, (column, sign) in enumerate(zip(columns, ("×", "+", "−", "( )²"))):
        to = columns[place + 1] - 24 if place < 3 else 744
        middle = (column + to) / 2 + 12
        drawn += [
            dot(column, y, 21, "blue", "line"),
            text(column, y + 6, sign, 16, bold=True),
            arrow(column + 23, y - 5, to, y - 5, "forward"),
            arrow(to, y + 5, column + 24, y + 5, "backward", dashed=True),
            text(middle, y - 13, f"{values[place]:g}", 14, "forward", bold=True),
            text(middle, y + 24, f"{arriving[place]:g}", 14, "backward", bold=True),
        ]
    drawn += [
        text(764, y + 5, "loss", 14, bold=True),
        text(EDGE, y + 160, "forward: values", 13, "forward", "start", True),
        text(150, y + 160, "backward: the slope of the loss", 13, "backward", "start", True),
        text(WIDTH - EDGE, y + 160, "in: arrays; out: a gradient of each one’s shape", 12, "soft", "end"),
    ]
    return y + 178, drawn


def layers():
    y = TOP + 66
    drawn = [
        pixels(EDGE, y - 42, three(21, 0.2, 0.15, 0.7), 4),
        text(EDGE + 42, y + 64, "(n, 28, 28)", 12, "soft", mono=True),
    ]
    blocks = [(150, 112, 34, "14, 14, 4"), (260, 84, 52, "7, 7, 8"), (384, 56, 74, "4, 4, 16")]
    for number, (left, height, width, shape) in enumerate(blocks):
        drawn += [
            arrow(left - 36, y, left - 5, y),
            *(
                rect(left + 5 * layer, y - height / 2 - 5 * layer, width, height, "blue", 3, "line")
                for layer in (2, 1, 0)
            ),
            text(left + width / 2, y + 76, f"conv {number + 1}", 13, bold=True),
            text(left + width / 2, y + 93, f"(n, {shape})", 12, "soft", mono=True),
        ]
    for left, width, title, shape in ((520, 90, "linear", "(n, 16)"), (660, 120, "logits", "(n, 10)")):
        drawn += [arrow(left - 40, y, left - 5, y), box(left, y - 30, width, 60, "blue", title, shape, mono=(0,))]
    below = y + 142
    drawn += [
        box(620, below, 160, 52, "peach", "cross entropy", "one number: the loss"),
        arrow(720, y + 34, 720, below - 4),
        box(400, below, 170, 52, "violet", "gradients", "one for each weight"),
        arrow(616, below + 26, 575, below + 26, "backward"),
        box(170, below, 180, 52, "green", "AdamW", "a small step downhill"),
        arrow(396, below + 26, 355, below + 26, "backward"),
        arrow(190, below - 4, 190, y + 102, "backward"),
        text(200, below - 14, "new weights", 12, "soft", "start"),
        text(710, y + 62, "which digit?", 12, "soft", "end"),
    ]
    return below + 68, drawn


def plot(x, y, width, height):
    """The two axes of a plot whose lower left corner is (x, y)."""
    return [arrow(x, y, x + width, y, "line", 1.5), arrow(x, y, x, y - height, "line", 1.5)]


def adding_noise():
    levels, y, clean = (0, 0.25, 0.5, 0.75, 1), TOP + 20, three(16, 0.2, 0.2)
    drawn = []
    for place, level in enumerate(levels):
        x = 186 + 90 * place
        drawn += [pixels(x, y + 8, noisy(clean, level, place), 4), text(x + 32, y + 90, f"t = {level:g}", 12, "soft")]
    below, width, height = y + 246, 210, 112
    for left, name, words in ((84, "rectified_flow", "rectified flow"), (330, "ddpm_cosine", "cosine")):
        curves = make(name)
        drawn += [
            *plot(left, below, width, height + 8),
            text(left + width / 2, below - height - 12, words, 13, bold=True),
        ]
        for values, colour in ((curves.alpha, "forward"), (curves.sigma, "backward")):
            points = [
                (left + width * 0.95 * t, below - height * 0.95 * float(values(float(t))))
                for t in np.linspace(0, 1, 41)
            ]
            drawn.append(curve(points, colour, 2.4))
        drawn.append(text(left + width - 2, below + 17, "noise level t", 12, "soft", "end"))
    drawn += [
        text(EDGE, below - 66, "α: clip", 12, "forward", "start"),
        text(EDGE, below - 40, "σ: noise", 12, "backward", "start"),
        text(675, below - height - 12, "a level for each frame", 13, bold=True),
        film(570, below - height + 14, moving(12, 4, [0, 0.3, 0.6, 1.0]), 4),
        *(text(594 + 54 * at, below - height + 82, f"{t:g}", 12, "soft") for at, t in enumerate((0, 0.3, 0.6, 1))),
        text(675, below - 6, "x = α(t) · clip + σ(t) · noise", 13),
    ]
    return below + 32, [*cards(y, 84, ("clip", "(B, T, H, W, C)"), ("noisy clip", "(B, T, H, W, C)"), 186, 610), *drawn]


def removing_noise():
    """Ways from noise to one of two clips, -1 and 1, by the exact velocity of rectified flow, and that velocity."""
    top, height, left, right = TOP + 14, 216, 246, 584
    across = lambda t: left + (right - left) * (1 - t)
    up = lambda x: top + height / 2 - 42 * x
    clean = lambda x, t: math.tanh((1 - t) * x / t**2)  # the mean of the clips that x may have come from
    velocity = lambda x, t: (x - clean(x, t)) / t
    drawn = [rect(left, top, right - left, height, "pale", 6)]
    for t in (0.88, 0.72, 0.56, 0.4, 0.24):
        for x in (-2, -1.5, -1, -0.5, 0.01, 0.5, 1, 1.5, 2):
            along, rise = 14, -42 * velocity(x, t) / (right - left) * 14  # the time falls: against the velocity
            size = 16 / math.hypot(along, rise)
            drawn.append(arrow(across(t), up(x), across(t) + along * size, up(x) - rise * size, "line", 1))
    for start in (-1.9, -1.2, -0.7, -0.25, 0.25, 0.7, 1.2, 1.9):
        x, t, points = start, 1.0, []
        while t > 0.02:
            points.append((across(t), up(x)))
            x, t = x - 0.02 * velocity(x, t), t - 0.02
        drawn.append(curve([*points, (across(0), up(clean(x, t)))], "forward", 2.2))
    bell = [(left - 8 - 44 * math.exp(-x * x / 2), up(x)) for x in np.linspace(-2.5, 2.5, 41)]
    drawn += [
        curve([*bell, bell[0]], "line", 1.5),
        *(dot(across(0), up(x), 6, "good") for x in (-1, 1)),
        text(left, top + height + 18, "t = 1: noise", 12, "soft", "start"),
        text(right, top + height + 18, "t = 0: clips", 12, "soft", "end"),
        text((left + right) / 2, top + height + 18, "one step, and again", 12, "soft"),
        note(
            top + height + 44, "grey: the velocity at each place; blue: ways along it, from noise to one of two clips"
        ),
    ]
    goes_in, comes_out = ("noise", "(B, T, H, W, C)", "from a seed"), ("clip", "(B, T, H, W, C)", "one of many")
    return top + height + 60, [*cards(top + 60, 96, goes_in, comes_out, 194, 598), *drawn]


def attention():
    top, left, side = TOP + 50, 250, 40
    drawn = []
    for row in range(4):
        drawn.append(rect(left - 44, top + side * row, 34, side - 3, "sand", 3, "backward" if row == 1 else "rule"))
        for column in range(4):
            state = "pale" if row > 1 or (row == 1 and column == 3) else "blue"
            current = (row, column) == (1, 2)
            colour = "peach" if current else state
            drawn.append(
                rect(
                    left + side * column,
                    top + side * row,
                    side - 3,
                    side - 3,
                    colour,
                    3,
                    "backward" if current else "rule",
                )
            )
    for column in range(4):
        drawn.append(
            rect(left + side * column, top - 40, side - 3, 30, "sand", 3, "backward" if column == 2 else "rule")
        )
        drawn.append(
            rect(
                left + side * column,
                top + 4 * side + 8,
                side - 3,
                30,
                "violet",
                3,
                "backward" if column == 2 else "rule",
            )
        )
    drawn += [
        text(left - 27, top - 12, "q", 14, bold=True),
        text(left + 4 * side + 14, top - 20, "k", 14, bold=True),
        text(left + 4 * side + 14, top + 4 * side + 28, "v", 14, bold=True),
        text(left + 2.5 * side - 1.5, top + 1.5 * side + 3, "now", 12, "backward", bold=True),
        arrow(left + 4 * side + 4, top + 1.5 * side, 456, top + 1.5 * side, "backward"),
        rect(460, top - 40, 148, 4 * side + 78, "pale", 8),
        text(534, top - 18, "kept for a query:", 13, bold=True),
        text(534, top + 3, "m: largest score so far", 12, "soft"),
        text(534, top + 21, "l: sum of weights", 12, "soft"),
        text(534, top + 39, "o: sum of weight × v", 12, "soft"),
        line(474, top + 54, 594, top + 54, "rule", 1),
        text(534, top + 75, "for a tile s of scores", 12, bold=True),
        text(534, top + 97, "m′ = max(m, max s)", 12),
        text(534, top + 117, "shrink = exp(m − m′)", 12),
        text(534, top + 137, "l, o: times shrink,", 12),
        text(534, top + 155, "plus the tile’s part", 12),
        text(534, top + 181, "at the end: o / l", 12, "good", bold=True),
        note(top + 4 * side + 62, "Scores come tile by tile; all of them, N × N, are never in memory at once."),
    ]
    goes_in, comes_out = (
        ("q, k, v", "(N, d)", "query, key, value", "of each token"),
        ("output", "(N, d)", "an average of v", "for each token"),
    )
    return top + 4 * side + 78, [*cards(top + 10, 112, goes_in, comes_out, 196, 612), *drawn]


def patches():
    """Four frames of 4 x 4 places in two pairs; a token is a box of two frames by one place."""
    top, left, cell, step = TOP + 88, 196, 24, 30
    drawn = []
    for frame in (3, 2, 1, 0):
        x, y = left + step * frame, top - 22 * frame
        drawn.append(rect(x, y, 4 * cell, 4 * cell, "blue" if frame < 2 else "green", 0, "line"))
        for row, column in ((0, 0), (1, 2)):
            colour = ("sand", "peach")[row]
            drawn.append(rect(x + cell * column, y + cell * row, cell, cell, colour) if frame < 2 else "")
        for lines_at in range(1, 4):
            drawn.append(line(x + cell * lines_at, y, x + cell * lines_at, y + 4 * cell, "line", 0.7))
            drawn.append(line(x, y + cell * lines_at, x + 4 * cell, y + cell * lines_at, "line", 0.7))
    rows = [("sand", 0), ("blue", 1), ("blue", 2), ("blue", 3), ("blue", 4), ("blue", 5), ("peach", 6)]
    drawn += [
        text(left + 2 * cell, top + 4 * cell + 18, "W", 12, "soft"),
        text(left - 10, top + 2 * cell + 5, "H", 12, "soft"),
        text(left + 4 * cell + 48, top + 4 * cell - 20, "T", 12, "soft"),
        arrow(388, top + 20, 420, top + 20),
        text(404, top + 10, "cut", 12, "soft"),
    ]
    for colour, row in rows:
        drawn.append(rect(426, top - 66 + 22 * row, 148, 17, colour, 3, "line"))
        drawn += [
            line(426 + 18.5 * at, top - 66 + 22 * row, 426 + 18.5 * at, top - 49 + 22 * row, "line", 0.6)
            for at in range(1, 8)
        ]
    drawn += [
        text(500, top + 106, "⋮", 16, "soft"),
        text(500, top - 76, "a row for each box: by t, y, x", 12, "soft"),
        note(top + 144, "A box of pt frames × ph × pw places becomes one token; a position says where it was."),
    ]
    goes_in = ("latents", "(B, T, H, W, C)", "any T, H, W")
    comes_out = ("tokens", "(B, N, D)", "and positions")
    return top + 160, [*cards(top - 28, 96, goes_in, comes_out, 188, 596), *drawn]


def block():
    """A branch goes up at the left, through its layers, and comes down at the right into the stream."""
    stream, drawn = TOP + 236, []
    branches = (
        ("self-attention", "within groups of tokens", "blue", True),
        ("cross-attention", "to the words (B, L, D)", "peach", False),
        ("MLP", "D → 4 D → D, each token", "blue", True),
    )
    drawn += [arrow(EDGE + 72, stream, WIDTH - EDGE - 72, stream, "line", 3)]
    for place, (title, words, colour, modulated) in enumerate(branches):
        left = 110 + 208 * place
        up, down = left + 42, left + 138
        drawn += [
            arrow(up, stream, up, stream - 23),
            dot(up, stream, 4, "ink"),
            box(left, stream - 56, 84, 30, "grey", "", "norm"),
            arrow(up, stream - 58, up, stream - (82 if modulated else 136)),
            box(left - 6, stream - 194, 192, 54, colour, title, words),
            arrow(down, stream - 139, down, stream - (112 if modulated else 17)),
            dot(down, stream, 12, "page", "line"),
            text(down, stream + 5, "+", 16, bold=True),
        ]
        if modulated:
            drawn += [
                box(left, stream - 112, 84, 26, "violet", "", "scale, shift"),
                arrow(up, stream - 114, up, stream - 136),
                box(left + 96, stream - 108, 84, 26, "violet", "", "gate"),
                arrow(down, stream - 80, down, stream - 17),
            ]
    drawn += [
        text(EDGE, stream - 10, "x", 14, "ink", "start", True),
        text(EDGE, stream + 5, "(B, N, D)", 12, "soft", "start", mono=True),
        text(WIDTH - EDGE, stream - 10, "x", 14, "ink", "end", True),
        text(WIDTH - EDGE, stream + 5, "(B, N, D)", 12, "soft", "end", mono=True),
        box(
            110,
            TOP - 4,
            596,
            30,
            "violet",
            "",
            "noise level of each frame + caption → a layer that starts at zero → scale, shift, gate, twice",
        ),
        note(
            stream + 36,
            "A fresh block has gates of 0 on two branches, and a third that starts at 0: it is the identity.",
        ),
    ]
    return stream + 52, drawn


def text_guidance():
    y = TOP + 20
    drawn = [
        text(EDGE + 90, y - 7, "goes in", 12, "soft"),
        box(EDGE, y, 180, 44, "sand", "caption", "“a 3 moving right”"),
        arrow(EDGE + 90, y + 46, EDGE + 90, y + 64),
        box(EDGE, y + 68, 180, 44, "pale", "tokens", "(B, L)", mono=(0,)),
        arrow(EDGE + 90, y + 114, EDGE + 90, y + 132),
        box(EDGE, y + 136, 180, 44, "peach", "text encoder", "(B, L, D)", mono=(0,)),
        arrow(EDGE + 90, y + 182, EDGE + 90, y + 200),
        box(EDGE, y + 204, 180, 60, "blue", "every block", "keys, values: words;", "and their mean"),
    ]
    # Guidance as vectors: where to go without the caption, with it, and further that way.
    x, start, without, with_it, scale = 240, (286, y + 222), (420, y + 158), (460, y + 128), 4
    at = lambda w: tuple(a + w * (b - a) for a, b in zip(without, with_it))
    end = at(scale)
    drawn += [
        rect(x, y - 2, WIDTH - EDGE - x, 268, "pale", 8),
        line(*without, *end, "rule", 2, dashed=True),
        arrow(*start, *without, "line", 2.4),
        arrow(*start, *with_it, "forward", 2.4),
        arrow(*start, *end, "backward", 2.4),
        arrow(*without, *at(0.93), "good", 2.4),
        dot(*start, 5, "ink"),
        text(start[0] - 2, start[1] + 22, "noisy clip", 12, "ink"),
        *(dot(*at(w), 3.5, "ink") for w in range(scale + 1)),
        *(text(at(w)[0] + 14, at(w)[1] + 12, f"w = {w}", 12, "soft", "start") for w in range(scale + 1)),
        text(x + 18, y + 24, "v = v₀ + w (v₁ − v₀)", 15, "ink", "start", True),
        text(x + 18, y + 48, "v₀: without the caption", 13, "line", "start", True),
        text(x + 18, y + 68, "v₁: with it", 13, "forward", "start", True),
        text(x + 18, y + 88, "v₁ − v₀: what it changes", 13, "good", "start", True),
        text(x + 18, y + 108, "v: guided, w > 1", 13, "backward", "start", True),
        text(WIDTH - EDGE - 16, y + 252, "comes out: the guided velocity, (B, T, H, W, C)", 12, "soft", "end"),
    ]
    return y + 284, drawn


def latent_diffusion():
    y, cell = TOP + 96, 4
    frame = three(20, 0.2, 0.15, 0.7)

    def wedge(left, right, high, low, colour):
        points = f"M{left} {y - high}L{right} {y - low}V{y + low}L{left} {y + high}z"
        return path(points, "line", 1.5, fill=colour)

    drawn = [
        pixels(EDGE, y - 40, frame, cell),
        text(EDGE + 40, y + 62, "a frame", 13, bold=True),
        text(EDGE + 44, y + 79, "(32, 32, 1)", 12, "soft", mono=True),
        arrow(EDGE + 86, y, 142, y),
        wedge(146, 266, 58, 30, "green"),
        text(206, y + 5, "encoder", 14, bold=True),
        arrow(270, y, 304, y),
        arrow(494, y, 528, y),
        wedge(532, 652, 30, 58, "green"),
        text(592, y + 5, "decoder", 14, bold=True),
        arrow(656, y, WIDTH - EDGE - 86, y),
        pixels(WIDTH - EDGE - 80, y - 40, [[round(value * 3) / 3 for value in row] for row in frame], cell),
        text(WIDTH - EDGE - 40, y + 62, "almost it", 13, bold=True),
        text(WIDTH - EDGE - 44, y + 79, "(32, 32, 1)", 12, "soft", mono=True),
        rect(308, y - 46, 182, 92, "box violet", 8),
        text(399, y + 62, "latents", 13, bold=True),
        text(399, y + 79, "(8, 8, 4)", 12, "soft", mono=True),
        text(399, y + 96, "a quarter of the numbers", 12, "soft"),
    ]
    generator = np.random.default_rng(0)
    for channel in range(4):
        values = generator.random((8, 8)) * 0.2 + np.array(three(8, 0.1, 0.1, 0.8)) * (0.8, 0.4, 0.6, 0.3)[channel]
        drawn.append(pixels(316 + 42 * channel, y - 20, values.tolist(), 5))
    drawn += [
        path(f"M340 {y - 50}C340 {y - 88} 458 {y - 88} 458 {y - 52}", "backward", 2.4, head=True),
        text(399, y - 84, "diffusion happens here", 13, "backward", bold=True),
        note(y + 128, "The autoencoder is trained first and then kept; frames are squeezed one by one."),
    ]
    return y + 144, drawn


class Cards:
    """Frames as cards that stand one behind the other along time, each a grid of places, drawn aslant."""

    def __init__(self, left, top, frames=4, side=5, step=118, across=13, up=5.5, down=25):
        self.left, self.top, self.frames, self.side, self.step = left, top, frames, side, step
        self.across, self.up, self.down = across, up, down

    def corner(self, frame, row, column):
        x = self.left + self.step * frame + self.across * column
        return x, self.top + self.down * row + self.up * (self.side - column)

    def middle(self, frame, row, column):
        return self.corner(frame, row + 0.5, column + 0.5)

    def place(self, frame, row, column, colour):
        corners = [self.corner(frame, row + r, column + c) for r, c in ((0, 0), (0, 1), (1, 1), (1, 0))]
        return path("M" + "L".join(f"{x:g} {y:g}" for x, y in corners) + "z", "line", 0.7, fill=colour)

    def frame(self, number, ball):
        places = [(row, column) for row in range(self.side) for column in range(self.side)]
        return "".join(self.place(number, *at, "backward" if at == ball else "blue") for at in places)

    def links(self, pairs, colour, width):
        """Lines between middles, [((frame, row, column), (frame, row, column)), ...], as one path."""
        ends = [(self.middle(*a), self.middle(*b)) for a, b in pairs]
        return path("".join(f"M{x:g} {y:g}L{u:g} {v:g}" for (x, y), (u, v) in ends), colour, width)


BALL = ((3, 0), (2, 1), (1, 2), (1, 4))  # its row and column in each frame


def consistency():
    """The article's Figure 1: links go from a pixel to the same pixel of the other frames."""
    frames, y = Cards(198, TOP + 10), TOP + 10
    places = [(row, column) for row in range(5) for column in range(5)]
    pairs = [((frame, *at), (frame + 1, *at)) for frame in range(3) for at in places]
    first = [((frame, *BALL[0]), (frame + 1, *BALL[0])) for frame in range(3)]
    drawn = [
        *(frames.frame(number, ball) for number, ball in enumerate(BALL)),
        frames.links(pairs, "soft", 0.8),
        frames.links(first, "backward", 2.6),
        *(text(198 + 118 * number + 32, y + 172, f"frame {number + 1}", 12, "soft") for number in range(4)),
        note(
            y + 198,
            "Figure 1: a pixel sees itself in all frames. Where the ball was, later frames have only background.",
        ),
        note(y + 220, "It learns of the ball by a detour: over its own frame, in another block."),
    ]
    goes_in, comes_out = (
        ("tokens", "(B, N, D)", "N = T · H · W"),
        ("tokens", "(B, N, D)", "is the ball still", "the same?"),
    )
    return y + 238, [*cards(y + 34, 96, goes_in, comes_out, 196, 618), *drawn]


def joint_attention():
    """The article's Figure 2: every patch attends to every patch of all frames; drawn for one of them."""
    frames, y = Cards(198, TOP + 10), TOP + 10
    every = [(frame, row, column) for frame in range(4) for row in range(5) for column in range(5)]
    here = (0, *BALL[0])
    ball = [(here, (frame, *BALL[frame])) for frame in range(1, 4)]
    drawn = [
        *(frames.frame(number, ball) for number, ball in enumerate(BALL)),
        frames.links([(here, there) for there in every if there != here], "soft", 0.6),
        frames.links(ball, "backward", 2.6),
        *(text(198 + 118 * number + 32, y + 172, f"frame {number + 1}", 12, "soft") for number in range(4)),
        note(y + 198, "Figure 2: every patch attends to every patch of all frames (drawn for one of them)."),
        note(
            y + 220,
            f"It finds the ball wherever it went, in one block. N tokens have N² pairs: here {len(every) ** 2:,}.",
        ),
    ]
    goes_in, comes_out = (
        ("tokens", "(B, N, D)", "N = T · H · W"),
        ("tokens", "(B, N, D)", "each has seen", "all others"),
    )
    return y + 238, [*cards(y + 34, 96, goes_in, comes_out, 196, 618), *drawn]


def bill():
    """Which pairs five patterns score, on 4 frames of 2 x 2 tokens."""
    grid, cell, y = (4, 2, 2), 7, TOP + 28
    side, drawn = cell * math.prod(grid), []
    for place, name in enumerate(("frame", "time", "window:2x2x2", "skip:2", "joint")):
        left, group = 40 + 152 * place, labels(name, grid)
        seen = "".join(
            f"M{left + cell * key} {y + cell * query}h{cell}v{cell}h-{cell}z"
            for query in range(group.size)
            for key in range(group.size)
            if group[query] == group[key]
        )
        share = costs.score_pairs(name, grid) / costs.score_pairs("joint", grid)
        drawn += [
            text(left + side / 2, y - 12, name.partition(":")[0], 14, bold=True),
            rect(left, y, side, side, "grey"),
            path(seen, "page", 0.6, fill="forward"),
            text(left + side / 2, y + side + 20, f"{share:.0%} of the pairs", 12, "soft"),
        ]
    below = y + side + 46
    drawn += [
        box(EDGE, below, 206, 66, "pale", "goes in", "(T, H, W), width D, depth", "and a pattern: P pairs"),
        arrow(EDGE + 210, below + 33, 260, below + 33),
        box(
            264,
            below,
            272,
            66,
            "sand",
            "FLOPs of a block, forward",
            "24 N D² + 4 P D",
            "weights + attention, P = N² if joint",
        ),
        arrow(540, below + 33, 570, below + 33),
        box(574, below, 206, 66, "pale", "comes out", "FLOPs, bytes, seconds,", "before anything runs"),
        note(
            below + 92,
            "4 frames of 2 × 2 tokens: a row for each query, a column for each key; blue: this pair is scored",
        ),
    ]
    return below + 108, drawn


def kernels():
    """Sizes of an H100: NVIDIA's Hopper tuning guide and data sheet."""
    y, high, middle, right = TOP + 28, 48, EDGE + 220, 500
    levels = (
        ("registers", "256 KB for each multiprocessor", 215, "sand", "rung 3: a tile of scores"),
        ("shared memory", "228 KB for each multiprocessor", 290, "peach", "rung 2: keys and values for a block"),
        ("L2 cache", "50 MB for all", 365, "violet", "what other blocks have just read"),
        ("global memory (HBM)", "80 GB, 3.35 TB/s", 440, "blue", "rung 1: all scores go here and back"),
    )
    drawn = []
    for place, (name, size, width, colour, use) in enumerate(levels):
        top = y + (high + 8) * place
        drawn += [
            box(middle - width / 2, top, width, high, colour, name, size),
            text(right, top + 29, use, 13, "ink", "start"),
        ]
    bottom = y + 4 * (high + 8)
    drawn += [
        arrow(right - 18, bottom - 8, right - 18, y + 4, "good"),
        text(middle, y - 10, "an H100: small, near, fast", 12, "soft"),
        text(middle, bottom + 12, "large, far, slow", 12, "soft"),
        text(right, y - 10, "what attention keeps there", 13, "ink", "start", True),
        note(
            bottom + 42,
            "Goes in: q, k, v (B, h, N, d) in global memory; comes out: the output there. The ladder climbs up.",
        ),
    ]
    return bottom + 58, drawn


def abilities():
    """One row of levels for each task: which frames are given (0) and which begin as noise (1)."""
    frame = np.arange(8)
    tasks = (
        ("from text", frame < 0),
        ("a picture comes to life", frame == 0),
        ("key frames", np.isin(frame, (0, 4, 7))),
        ("extend", frame < 4),
        ("extend backwards", frame >= 4),
        ("interpolate", frame % 2 == 0),
    )
    clip, y, drawn = moving(10, 8), TOP + 30, []
    for place, (name, given) in enumerate(tasks):
        left, top = (EDGE, WIDTH - EDGE - 355)[place % 2], y + 74 * (place // 2)
        drawn.append(text(left, top - 8, name, 13, "ink", "start", True))
        for at, known in enumerate(given):
            noise = noisy([[0.5] * 5] * 5, 1.0, 10 * place + at)
            drawn.append(pixels(left + 45 * at, top, *((clip[at], 4) if known else (noise, 8))))
    below = y + 214
    drawn += [
        box(EDGE, below, 250, 56, "pale", "goes in", "levels (B, T): 0 given, 1 noise"),
        arrow(EDGE + 254, below + 28, 300, below + 28),
        box(304, below, 192, 56, "blue", "one network", "one sampling loop"),
        arrow(500, below + 28, 526, below + 28),
        box(530, below, 250, 56, "pale", "comes out", "clip (B, T, H, W, C)"),
    ]
    return below + 74, drawn


def systems():
    """Which part each idea of chapter 15 belongs to."""
    ideas = (
        ("patches", "Sora", "any size, any length", "sand"),
        ("given frames", "Luma", "start, end, loops", "grey"),
        ("autoencoder", "Kling", "causal in time", "green"),
        ("captions", "Runway Gen-3", "change along the clip", "peach"),
        ("training", "Open-Sora", "cheap attention first", "sand"),
        ("attention patterns", "Open-Sora Plan", "skips", "blue"),
        ("data", "Mira", "longer clips", "sand"),
        ("two rounds", "CogVideo", "key frames, then between", "violet"),
        ("block", "CogVideoX", "words in the sequence", "blue"),
    )
    y, width, drawn = TOP + 14, 240, []
    for place, (part, who, idea, colour) in enumerate(ideas):
        drawn.append(box(EDGE + 260 * (place % 3), y + 84 * (place // 3), width, 70, colour, part, who, idea))
    drawn.append(
        note(
            y + 264,
            "Goes in: an idea, as settings of this library. Comes out: the one property that makes it useful, checked.",
        )
    )
    return y + 280, drawn


def capstone():
    """The steps of chapter 16, and the chapter that each leans on most."""
    steps = (
        ("a world", "shapes and words", "chapter 8", "sand"),
        ("a judge", "before the network", "chapter 2", "green"),
        ("patches", "what it will see", "chapter 6", "violet"),
        ("a pattern", "who sees whom", "chapter 11", "blue"),
        ("a forecast", "in writing", "chapter 12", "grey"),
        ("training", "on your clips", "chapter 3", "blue"),
        ("drawing", "caption → clip", "chapter 4", "sand"),
        ("measuring", "floor and ceiling", "chapter 0", "green"),
        ("a card", "what it is", "and what it isn’t", "pale"),
        ("a plan", "larger", "chapter 10", "pale"),
    )
    y, width, step, drawn = TOP + 14, 132, 157, []
    for place, (name, words, chapter, colour) in enumerate(steps):
        row, column = divmod(place, 5)
        left, top = EDGE + step * (4 - column if row else column), y + 112 * row
        drawn.append(box(left, top, width, 74, colour, name, words, chapter))
        if column < 4:  # to the next one: to the right, in the second row to the left
            ends = (left - 3, left - 22) if row else (left + width + 3, left + step - 3)
            drawn.append(arrow(ends[0], top + 37, ends[1], top + 37))
    last = EDGE + step * 4 + width / 2
    drawn += [
        arrow(last, y + 77, last, y + 109),
        note(
            y + 214,
            "Goes in: an idea of your own. Comes out: weights, measures, and a card that says what they are worth.",
        ),
    ]
    return y + 232, drawn


def many_ranks():
    """Four ranks in a ring, with the slices that go round; and who has which tokens in which heads, twice."""
    y, wide, high, colours = TOP + 44, 118, 62, ("sand", "peach", "violet", "green")
    corners = [(EDGE, y), (EDGE + 216, y), (EDGE + 216, y + 118), (EDGE, y + 118)]
    drawn = [text(EDGE + 167, y - 16, "a batch on four ranks", 14, bold=True)]
    for rank, ((left, top), colour) in enumerate(zip(corners, colours)):
        drawn.append(box(left, top, wide, high, colour, f"rank {rank}", f"shards {2 * rank}, {2 * rank + 1}"))
    left, right, above, below = EDGE + wide / 2, EDGE + 216 + wide / 2, y + high / 2, y + 118 + high / 2
    drawn += [
        arrow(EDGE + wide + 4, above, EDGE + 212, above, "backward"),
        arrow(right, y + high + 4, right, y + 114, "backward"),
        arrow(EDGE + 212, below, EDGE + wide + 4, below, "backward"),
        arrow(left, y + 114, left, y + high + 4, "backward"),
        text(EDGE + 167, y + 86, "slices of gradients", 13, "backward", bold=True),
        text(EDGE + 167, y + 104, "go round and add up", 13, "backward"),
    ]
    cell, first, second = 17, 420, 636
    drawn.append(text((first + second + 8 * cell) / 2, y - 16, "a clip on four ranks", 14, bold=True))
    for place, (name, at) in enumerate((("some tokens, all heads", first), ("all tokens, some heads", second))):
        for head in range(4):
            for token in range(8):
                rank = head if place else token // 2
                drawn.append(
                    rect(at + cell * token, y + 26 + cell * head, cell - 1, cell - 1, colours[rank], 2, "line")
                )
        drawn += [
            text(at + 4 * cell, y + 16, "8 tokens", 12, "soft"),
            text(at - 6, y + 66, "4 heads", 12, "soft", "end") if not place else "",
            text(at + 4 * cell, y + 116, name, 12, "soft"),
        ]
    middle = (first + 8 * cell + second) / 2
    drawn += [
        arrow(middle - 28, y + 52, middle + 28, y + 52, "forward"),
        arrow(middle + 28, y + 70, middle - 28, y + 70, "forward"),
        text(middle, y + 40, "all-to-all", 12, "forward", bold=True),
        box(first, y + 138, second + 8 * cell - first, 42, "blue", "", "attention here: each head has all tokens"),
        arrow(second + 4 * cell, y + 121, second + 4 * cell, y + 134, "line"),
        note(
            y + 214,
            "Goes in: a batch, or one long clip. Comes out: the weights, or the clip, that one process would make.",
        ),
    ]
    return y + 232, drawn


def bridge():
    y, wide, right = TOP + 14, 220, WIDTH - EDGE - 220
    rows = (
        (y, "blue", "minivdit", "VideoDiT, in NumPy", "peach", "PyTorch", "the same, in one short module"),
        (y + 104, "blue", "a sampler", "of minivdit", "peach", "a scheduler", "of diffusers"),
    )
    drawn = []
    for top, ours, name, words, theirs, other, more in rows:
        drawn += [box(EDGE, top, wide, 62, ours, name, words), box(right, top, wide, 62, theirs, other, more)]
    for x in (EDGE + wide / 2, right + wide / 2):
        drawn += [arrow(x, y + 65, x, y + 101), arrow(x, y + 169, x, y + 195)]
        drawn += [film(x - 78, y + 200, moving(12, 3), 4), text(x, y + 266, "clip (B, T, H, W, C)", 12, "soft")]
    drawn += [
        arrow(EDGE + wide + 6, y + 22, right - 6, y + 22, "forward"),
        text(WIDTH / 2, y + 14, "weights, carried over", 13, "forward", bold=True),
        arrow(right - 6, y + 42, EDGE + wide + 6, y + 42, "backward"),
        text(WIDTH / 2, y + 62, "and back, after a step there", 13, "backward", bold=True),
        text(WIDTH / 2, y + 139, "the same steps?", 13, "soft"),
        text(WIDTH / 2, y + 232, "=", 26, "good", bold=True),
        text(WIDTH / 2, y + 254, "equal, but for rounding", 13, "good", bold=True),
        note(
            y + 300,
            "Goes in: trained weights. Comes out: the same clip, and who plays which part in CogVideoX and Open-Sora.",
        ),
    ]
    return y + 318, drawn


# number of the chapter: (what the picture says to those who can't see it, the parts of the way, what draws it)
CHAPTERS = {
    0: ("A caption goes in, the model turns noise into a clip, a judge counts", WAY, start_here),
    1: ("A graph of operations: values forward, gradients back", ("gradients",), autograd),
    2: ("An image goes through convolutions to ten logits; the loss changes the weights", ("layers", "judge"), layers),
    3: ("A clip and noise, mixed by two curves", ("noise",), adding_noise),
    4: ("Ways from noise to clips along a velocity", ("sampler",), removing_noise),
    5: ("Scores of attention, tile by tile, with a running maximum and sum", ("attention",), attention),
    6: ("A clip is cut into boxes, each of which becomes a token", ("patches",), patches),
    7: ("A block: three branches, with norm, modulation and gates, add to a stream", ("block",), block),
    8: (
        "A caption becomes keys and values; guidance goes further along a difference",
        ("caption", "text"),
        text_guidance,
    ),
    9: (
        "An encoder makes frames small, a decoder large again; diffusion works between",
        ("autoencoder",),
        latent_diffusion,
    ),
    10: ("Frames whose pixels are linked to the same pixels of other frames", ("attention", "judge"), consistency),
    11: ("A patch linked to all patches of all frames", ("attention",), joint_attention),
    12: ("Which pairs five attention patterns score, and what a block costs", ("attention", "block"), bill),
    13: ("Registers, shared memory, cache and global memory, with their sizes", ("kernels",), kernels),
    14: ("Six tasks, each a row of given and noisy frames, and one network", ("noise", "sampler", "clip"), abilities),
    15: ("Nine ideas of nine systems, by the part that they change", WAY, systems),
    16: ("Ten steps from a world of one's own to weights with a card", WAY + UNDER, capstone),
    17: (
        "Four ranks, each with a quarter of the work; gradients go round in a ring, tokens are exchanged for heads",
        ("gradients", "attention"),
        many_ranks,
    ),
    18: ("Weights go to PyTorch and back; a sampler here and a scheduler there draw equal clips", WAY, bridge),
}


def svg(number):
    """The picture of a chapter, as text."""
    title, parts, draw = CHAPTERS[number]
    height, drawn = draw()
    return picture(title, height, [*strip(parts), *drawn])


def main():
    for number in CHAPTERS:
        file = HERE / f"{number:02}.svg"
        file.write_text(svg(number), encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
