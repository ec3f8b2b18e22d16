"""Bouncing lines: a straight line mirrored at the walls, as digits of captioned clips move, is fitted to a track.

Unfolded, such a path is one straight line, so its origin and velocity are found from *all* frames,
those after a bounce too, and the direction before the first bounce is known even where the bounce
comes early. The two axes are independent: each is a triangle wave with three unknowns (velocity,
origin, and how far the digit's ink lies off the centre of its square), searched on a grid and then
refined. The cost is a capped absolute error, so a few wild frames don't bend the fit.
"""

from dataclasses import dataclass

import numpy as np

from ...data import DIRECTIONS, PIXELS_PER_FRAME

NOWHERE = -1  # the direction of what doesn't move or can't be told
LEAST_FRAMES = 3  # seen frames from which a path is told
# Slower than this many digit sizes a frame is standing still (0.56 px of a 28-pixel digit; "slow" is 1.6 px).
STANDING = 0.02
# A line that leaves more than this share of a digit's movement unexplained tells no direction. Shuffled
# frames lie on the right line but in no order: without this rule half of them "move in the right direction".
UNEXPLAINED = 0.75
HEADROOM = 1.2  # above the fastest speed that captions ask for: what is looked for


@dataclass(frozen=True)
class Paths:
    """The best bouncing line of each track; the leading shape (...) is that of the tracks.

    velocity:  (..., 2) px a frame in frame 0, (y, x), before any bounce; 0 where too little was seen.
    path:      (..., T, 2) px, the line itself.
    residual:  (...,) px, mean distance of the seen frames to the line; NaN for fewer than LEAST_FRAMES.
    direction: (...,) int, place in DIRECTIONS, or NOWHERE.
    """

    velocity: np.ndarray
    path: np.ndarray
    residual: np.ndarray
    direction: np.ndarray

    @property
    def speed(self):
        """(...,) px a frame along the path; a bounce doesn't change it."""
        return np.linalg.norm(self.velocity, axis=-1)


def centre_limits(side, digit_size):
    """The least and the most that the centre of a digit's square can be along an axis of `side` pixels."""
    return digit_size / 2 - 0.5, side - digit_size / 2 - 0.5


def fold(places, low, high):
    """Mirror unfolded places at two walls, as often as needed: a triangle wave."""
    width = max(high - low, 1e-6)
    return high - np.abs(np.mod(places - low, 2 * width) - width)


def fit_paths(positions, canvas, digit_size, weights=None, pixels_per_frame=PIXELS_PER_FRAME):
    """Fit a bouncing line to each track.

    positions: (..., T, 2) px, (y, x), NaN where lost. canvas: (height, width) px.
    digit_size: side of the digit's square, px; its centre keeps half of that from every wall.
    weights: (..., T), how far each frame is trusted (default 1; less for a merged blob).
    pixels_per_frame: the speeds that captions ask for, see data.PIXELS_PER_FRAME.
    """
    *leading, length, _ = positions.shape
    flat = positions.reshape(-1, length, 2).astype(np.float32)
    seen = ~np.isnan(flat[..., 0])
    trust = (seen * (1.0 if weights is None else weights.reshape(-1, length))).astype(np.float32)
    fastest = HEADROOM * max(pixels_per_frame) * min(canvas) / 64
    fits = [_fit_axis(flat[..., axis], trust, canvas[axis], digit_size, fastest) for axis in (0, 1)]
    velocity, path = np.stack([fit[0] for fit in fits], -1), np.stack([fit[1] for fit in fits], -1)
    distance = np.where(seen, np.linalg.norm(np.nan_to_num(flat) - path, axis=-1), 0)
    enough = seen.sum(-1) >= LEAST_FRAMES
    velocity[~enough] = 0
    residual = np.where(enough, (trust * distance).sum(-1) / np.maximum(trust.sum(-1), 1e-9), np.nan)
    spread = _distance_to_median(flat, trust)
    told = np.nan_to_num(residual, nan=np.inf) < UNEXPLAINED * spread
    direction = np.where(told, compass(velocity, least=STANDING * digit_size), NOWHERE)
    fitted = velocity.reshape(*leading, 2), path.reshape(positions.shape)
    return Paths(*fitted, residual.reshape(leading), direction.reshape(leading))


def compass(velocity, least=0.0):
    """The place in DIRECTIONS nearest to each velocity (..., 2); NOWHERE at speeds of `least` or below."""
    unit = np.array(list(DIRECTIONS.values()), float)
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    return np.where(np.linalg.norm(velocity, axis=-1) > least, (velocity @ unit.T).argmax(-1), NOWHERE)


def _distance_to_median(positions, trust):
    """What the residual would be if the digit stood still in the middle of its track: (N,)."""
    known = np.where((trust > 0)[..., None], positions, np.nan)
    rows = (trust > 0).any(-1)
    middle = np.zeros((len(positions), 1, 2), np.float32)
    middle[rows] = np.nanmedian(known[rows], axis=1, keepdims=True)
    distance = np.linalg.norm(np.nan_to_num(known - middle), axis=-1)
    return (trust * distance).sum(-1) / np.maximum(trust.sum(-1), 1e-9)


def _fit_axis(places, trust, side, digit_size, fastest):
    """Fit one axis: places (N, T), NaN where lost, trust (N, T) -> velocity (N,), path (N, T)."""
    time = np.arange(places.shape[1], dtype=np.float32)
    low, high = centre_limits(side, digit_size)
    places = np.nan_to_num(places, nan=(low + high) / 2)

    def lines(candidates):  # (..., 3) -> (..., T)
        speed, origin, offset = np.split(candidates, 3, -1)
        return fold(origin + speed * time, low, high) + offset

    def cost(lines, candidates, places, trust):  # (..., P, T), (..., P, 3) -> (..., P)
        # Beyond a fifth of a digit a frame is simply wrong, however far off.
        error = np.minimum(np.abs(lines - places), digit_size / 5)
        # The second term only breaks ties: slower and better centred is simpler.
        return (error @ trust)[..., 0] + 0.02 * (np.abs(candidates[..., 0]) + np.abs(candidates[..., 2]))

    steps = np.array([0.25, 1.0, digit_size / 28], np.float32)  # of velocity, origin and offset
    origins = np.arange(low, max(high, low) + 1, steps[1])
    axes = _symmetric(fastest, steps[0]), origins, _symmetric(2 * steps[2], steps[2])
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    coarse = lines(grid)
    best = np.stack([grid[cost(coarse, grid, p, t[:, None]).argmin()] for p, t in zip(places, trust)])
    around = np.stack(np.meshgrid(*[(-1, -0.5, 0, 0.5, 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for shrink in (1.0, 0.5, 0.25, 0.125):
        fine = (best[:, None] + shrink * steps * around).astype(np.float32)  # (N, 125, 3)
        chosen = cost(lines(fine), fine, places[:, None], trust[:, :, None]).argmin(1)
        best = fine[np.arange(len(fine)), chosen]
    path = lines(best)
    # An origin behind a wall is the mirror image of one in front that moves the other way, and at a wall
    # both are the same path: what counts is where the first step goes.
    first_step = path[:, 1] - path[:, 0] if path.shape[1] > 1 else np.zeros(len(path))
    return np.abs(best[:, 0]) * np.sign(first_step), path


def _symmetric(most, step):
    ticks = np.arange(step, most + step / 2, step)
    return np.concatenate([-ticks[::-1], [0.0], ticks])
