"""Handwritten-like digits drawn from strokes, so that everything runs without a data set.

A glyph is a few pen strokes through control points. Each drawing moves the control points a little,
slants, stretches, rotates and bends the whole, fits it into the central 20x20 box as MNIST does, and
draws it with a round pen of random thickness.

The pen makes it fast. The ink that many small Gaussian blobs leave on a pixel is
a sum over blobs of exp(-dy^2 / 2s^2) * exp(-dx^2 / 2s^2), and a sum of products is a matrix product:
(size, blobs) @ (blobs, size). Across a stroke that sum falls off as exp(-d^2 / 2s^2), so its
logarithm gives back d, the distance to the nearest stroke; ink is where d is under the pen's radius.
"""

import functools

import numpy as np

from ..base.errors import InputError

# Control points "x,y" in a unit box, y downwards. Strokes of a glyph are separated by "|": a curve runs
# smoothly through its points, and a corner is the end of one stroke and the start of the next.
GLYPHS = {
    0: (
        ".58,.02 .30,.08 .12,.40 .16,.80 .42,.99 .72,.88 .88,.52 .80,.14 .58,.02 .46,.05",
        ".50,.00 .22,.14 .10,.52 .26,.90 .54,1.0 .82,.84 .92,.46 .74,.08 .50,.00",
        ".70,.10 .44,.02 .20,.26 .14,.66 .36,.98 .66,.88 .84,.48 .74,.12 .56,.02",
    ),
    1: (
        ".50,.00 .50,.34 .49,.67 .48,1.0",
        ".34,.20 .54,.00 | .54,.00 .53,.35 .51,.70 .50,1.0",
        ".54,.00 .50,.33 .47,.67 .46,1.0",
    ),
    2: (
        ".14,.24 .28,.04 .56,.00 .78,.18 .72,.46 .44,.74 .10,.98 | .10,.98 .36,.95 .62,.95 .90,.98",
        ".12,.22 .34,.00 .66,.06 .76,.32 .58,.62 .30,.88 .12,.92 .14,.78 .32,.78 .58,.92 .92,.96",
        ".16,.16 .42,.00 .74,.08 .80,.34 .60,.62 .32,.84 .12,.96 | .12,.96 .44,.92 .90,.92",
    ),
    3: (
        ".16,.10 .44,.00 .74,.12 .72,.34 .40,.46 | .40,.46 .74,.54 .84,.78 .56,.98 .14,.92",
        ".18,.18 .38,.02 .70,.06 .76,.28 .42,.48 .78,.60 .80,.86 .46,1.0 .14,.86",
        ".18,.04 .46,.03 .76,.04 | .76,.04 .60,.22 .44,.40 | .44,.40 .76,.50 .82,.78 .52,.99 .16,.90",
    ),
    4: (
        ".22,.02 .18,.26 .16,.52 | .16,.52 .46,.54 .84,.48 | .74,.06 .70,.50 .66,1.0",
        ".64,.00 .38,.32 .10,.64 | .10,.64 .46,.64 .92,.62 | .64,.00 .64,.50 .62,1.0",
        ".26,.04 .16,.34 .24,.52 .54,.52 .78,.40 | .80,.02 .76,.50 .70,1.0",
    ),
    5: (
        ".26,.03 .22,.24 .18,.44 | .18,.44 .46,.36 .78,.52 .80,.80 .50,.99 .14,.90 | .26,.03 .54,.04 .86,.00",
        ".82,.02 .56,.03 .32,.04 | .32,.04 .28,.22 .24,.42 | .24,.42 .56,.40 .78,.60 .70,.88 .40,1.0 .12,.90",
        ".84,.00 .58,.03 .34,.04 | .34,.04 .22,.42 .52,.42 .76,.62 .68,.90 .40,1.0 .12,.90",
    ),
    6: (
        ".68,.00 .40,.18 .20,.52 .22,.86 .48,1.0 .74,.86 .72,.62 .48,.54 .24,.72",
        ".52,.00 .30,.30 .20,.66 .34,.96 .64,.96 .78,.74 .58,.54 .32,.62 .22,.78",
        ".76,.06 .46,.12 .22,.46 .18,.80 .44,1.0 .72,.90 .76,.66 .52,.56 .26,.68",
    ),
    7: (
        ".12,.06 .46,.06 .86,.04 | .86,.04 .66,.36 .50,.68 .40,1.0",
        ".10,.14 .12,.04 | .12,.04 .46,.06 .82,.04 | .82,.04 .68,.34 .54,.66 .46,1.0",
        ".14,.06 .46,.05 .84,.04 | .84,.04 .64,.38 .50,.70 .42,1.0 | .34,.54 .56,.52 .80,.50",
    ),
    8: (
        ".76,.12 .50,.00 .24,.16 .34,.38 .62,.56 .78,.80 .52,1.0 .22,.84 .34,.58 .64,.36 .76,.12",
        ".52,.48 .28,.34 .30,.08 .56,.00 .76,.16 .70,.38 .52,.48 .26,.64 .22,.88 .50,1.0 .78,.88 .76,.64 .52,.48",
        ".70,.06 .40,.02 .26,.22 .48,.44 .72,.66 .70,.94 .40,.98 .24,.80 .42,.54 .66,.36 .74,.16 .62,.02",
    ),
    9: (
        ".76,.22 .58,.02 .30,.08 .20,.34 .38,.52 .62,.42 .76,.22 | .76,.22 .72,.58 .66,1.0",
        ".78,.18 .50,.00 .24,.18 .28,.44 .54,.48 .78,.18 .78,.58 .64,.90 .34,.98",
        ".74,.12 .46,.00 .22,.20 .30,.46 .60,.42 .74,.14 | .74,.12 .74,.50 .60,1.0",
    ),
}
VARIANTS = 3  # glyphs of each digit
SAMPLES = 72  # points at which a glyph's strokes are followed; a pixel apart, which blobs of 0.7 pixels bridge
_SOFTNESS = 0.7  # s of the Gaussian blobs, in pixels of a 28-pixel image: two strokes 3 pixels apart stay two
_BATCH = 256  # digits drawn at a time, so that the temporaries stay in the cache


def stroke_digits(generator, labels, size=28):
    """Draw one digit for each label: float32 (n, size, size) in [0, 1], ink 1 on 0, laid out as in MNIST.

    labels: integers 0..9, shape (n,). size: pixels of a side, at least 8; everything scales with it.
    Two calls with equal generators give equal images; another size gives the same shapes, resampled.
    """
    labels = np.asarray(labels, np.int64)
    if labels.ndim != 1 or ((labels < 0) | (labels > 9)).any():
        raise InputError("labels of digits are a list of integers 0 to 9")
    if size < 8:
        raise InputError(f"digits of {size} pixels can't be read; ask for at least 8")
    images = np.empty((len(labels), size, size), np.float32)
    for start in range(0, len(labels), _BATCH):
        points, radius = _trace(generator, labels[start : start + _BATCH])
        images[start : start + _BATCH] = _draw(*points, radius, size)
    return images


@functools.lru_cache(maxsize=1)
def _glyph_table():
    """All glyphs as arrays: control points (30, M, 2), follow (30, SAMPLES, M) and pen (30, SAMPLES - 1).

    A Catmull-Rom curve is linear in its control points, so following all strokes of a glyph is one
    matrix product: follow @ control. Equal points are one point, so strokes that meet keep meeting.
    pen is 1 while the pen is down between two samples and 0 where it jumps to the next stroke.
    """
    parsed = []
    for digit in range(10):
        for glyph in GLYPHS[digit]:
            strokes = [[tuple(map(float, point.split(","))) for point in stroke.split()] for stroke in glyph.split("|")]
            points = list(dict.fromkeys(point for stroke in strokes for point in stroke))
            parsed.append((points, [[points.index(point) for point in stroke] for stroke in strokes]))
    most = max(len(points) for points, _ in parsed)
    control = np.zeros((len(parsed), most, 2), np.float32)
    follow = np.zeros((len(parsed), SAMPLES, most), np.float32)
    pen = np.ones((len(parsed), SAMPLES - 1), np.float32)
    for index, (points, strokes) in enumerate(parsed):
        control[index, : len(points)] = points
        control[index, len(points) :] = points[0]  # unused, but inside the box
        lengths = [np.hypot(*np.diff(control[index, stroke], axis=0).T).sum() for stroke in strokes]
        ends = np.round(np.cumsum([0.0, *lengths]) / sum(lengths) * SAMPLES).astype(int)
        for stroke, start, end in zip(strokes, ends[:-1], ends[1:], strict=True):
            follow[index, start:end] = _catmull_rom(stroke, end - start, most)
            pen[index, end - 1 : end] = 0.0
    return control, follow, pen


def _catmull_rom(stroke, count, width):
    """Matrix (count, width) that takes all control points to `count` samples along one stroke's curve."""
    points = np.eye(width)[stroke]
    # Beyond an end the curve goes on straight: p[-1] = 2 p[0] - p[1].
    points = np.stack([2 * points[0] - points[1], *points, 2 * points[-1] - points[-2]])
    position = np.linspace(0, len(stroke) - 1, count)
    span = np.minimum(position.astype(int), len(stroke) - 2)
    u = (position - span)[:, None]
    weights = (
        (-u + 2 * u**2 - u**3) / 2,
        (2 - 5 * u**2 + 3 * u**3) / 2,
        (u + 4 * u**2 - 3 * u**3) / 2,
        (-(u**2) + u**3) / 2,
    )
    matrix = np.zeros((count, width), np.float32)
    for offset, weight in enumerate(weights):
        matrix += weight * points[span + offset]
    return matrix


def _trace(generator, labels):
    """Blobs along each digit's strokes, in pixels of a 28-pixel image: (xy (n, K, 2), ink (n, K)), radius (n,)."""
    control, follow, pen = _glyph_table()
    n = len(labels)

    def uniform(low, high, *shape):
        return generator.uniform(low, high, (n, *shape)).astype(np.float32)

    glyph = labels * VARIANTS + generator.integers(VARIANTS, size=n)
    shaky = control[glyph] + 0.025 * generator.standard_normal((n, *control.shape[1:]), np.float32)
    xy = np.matmul(follow[glyph], shaky) - 0.5  # (n, SAMPLES, 2), centred

    # A smooth warp: each coordinate is pushed by a slow wave of the other one.
    xy = xy + uniform(-0.08, 0.08, 1, 2) * np.sin(uniform(2, 6, 1, 2) * xy[..., ::-1] + uniform(-3.1, 3.1, 1, 2))
    width, slant, angle = uniform(0.75, 1.2), uniform(-0.15, 0.4), uniform(-0.15, 0.15)
    x, y = xy[..., 0] * width[:, None] - slant[:, None] * xy[..., 1], xy[..., 1]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    xy = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)

    # Fit into the central box of 20 pixels, then put the centre of mass in the middle, as MNIST was made.
    radius = np.clip(1.25 + 0.3 * generator.standard_normal(n, np.float32), 0.75, 2.0)
    extent = (xy.max(axis=1) - xy.min(axis=1)).max(axis=1)
    xy = xy * ((uniform(18.5, 20.0) - 2 * radius) / extent)[:, None, None]
    steps = np.diff(xy, axis=1)
    ink = np.sqrt((steps**2).sum(axis=-1)) * pen[glyph]  # blob weight = length of stroke it stands for
    middles = (xy[:, 1:] + xy[:, :-1]) / 2
    centre = np.einsum("nk,nkc->nc", ink, middles) / ink.sum(axis=1, keepdims=True)
    return (middles - centre[:, None] + 14.5, ink), radius


def _draw(xy, ink, radius, size):
    """Images float32 (n, size, size) of blobs at xy (n, K, 2) with weights ink (n, K): see the top of the file."""
    scale = size / 28
    soft = _SOFTNESS * max(scale, 0.75)
    pixels = np.arange(size, dtype=np.float32) + 0.5
    offsets = (pixels - scale * xy.swapaxes(1, 2)[..., None]) / soft  # (n, 2, K, size)
    # The floor changes nothing that is seen, but numbers under 1e-38 (denormals) make this 8 times slower.
    blobs = np.exp(np.maximum(-0.5 * offsets**2, -20.0))
    blobs[:, 1] *= (scale / (soft * np.sqrt(2 * np.pi, dtype=np.float32)) * ink)[..., None]
    density = np.matmul(blobs[:, 1].swapaxes(1, 2), blobs[:, 0])  # (n, rows, columns)
    # A stroke's middle has density 1, so its logarithm is -distance^2 / 2 soft^2; crossings count as middle.
    distance = soft * np.sqrt(-2 * np.log(np.clip(density, 1e-6, 1.0)))
    return np.clip(0.5 + scale * radius[:, None, None] - distance, 0.0, 1.0)
