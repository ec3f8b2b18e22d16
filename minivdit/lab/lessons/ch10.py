"""Checks of chapter 10: the worst pair of hues, noise handed on, patches left behind, a gap of gaps, a ball trained."""

import itertools

import numpy as np

from ..study.ball import FRAMES, HEIGHT, WIDTH, look_at, straight_line
from .exercise import Wrong, agree, different, exercise, shaped

# What a trained network has to reach with the fast ball: change of hue in degrees, frames with a ball, px a frame, and
# how alike the hues of all clips may be, from 0 (all hues alike often) to 1 (always the same one).
CHANGE, SEEN, SPEED, ALIKE = 3, 0.95, 0.8, 0.6


@exercise("worst_pair")
def ch10_hue(answer, generator):
    clips, frames = different(generator, 2, 3, 9)
    hue = generator.uniform(-np.pi, np.pi, (clips, frames))
    away = [[abs(one - other) for one, other in itertools.combinations(clip, 2)] for clip in hue]
    away = np.minimum(away, 2 * np.pi - np.array(away))
    agree("the degrees (B,)", answer(hue), np.degrees(away).max(axis=1))


@exercise("noise_handed_on")
def ch10_noise(answer, generator):
    own = generator.standard_normal((*different(generator, 4, 2, 8), 3))  # (B, T, H, W, C)
    share = float(generator.uniform(0.1, 0.9))
    expected = [own[:, 0]]
    for t in range(1, own.shape[1]):
        expected.append(share * expected[-1] + (1 - share**2) ** 0.5 * own[:, t])
    agree("the noise (B, T, H, W, C)", answer(own, share), np.stack(expected, axis=1))


@exercise("left_behind_after")
def ch10_left(answer, generator):
    inked = generator.random(different(generator, 4, 4, 9)) < 0.5  # (B, T, rows, columns)
    expected = []
    for apart in range(1, inked.shape[1]):
        pairs = [(clip[t], clip[t + apart]) for clip in inked for t in range(len(clip) - apart)]
        expected.append(sum((now & ~then).sum() for now, then in pairs) / sum(now.sum() for now, _ in pairs))
    agree("the shares (T - 1,)", answer(inked), expected)


@exercise("interval")
def ch10_paired(answer, generator):
    seeds = different(generator, 1, 3, 9)[0]
    luck = 5 * generator.standard_normal((2, seeds))  # what a seed does to both patterns
    framewise, joint = luck + generator.standard_normal((2, 2, seeds)) + generator.uniform(-3, 3, (2, 2, 1))
    t = float(generator.uniform(2, 5))
    wider = [float(a - b - c + d) for a, b, c, d in zip(framewise[0], joint[0], framewise[1], joint[1])]
    mean = sum(wider) / seeds
    error = (sum((one - mean) ** 2 for one in wider) / (seeds - 1) / seeds) ** 0.5
    got, expected = answer(framewise, joint, t), [mean - t * error, mean + t * error]
    if np.shape(got) == (2,) and np.allclose(got, [-expected[1], -expected[0]]):
        raise Wrong("the interval (low, high): the sign is wrong. Which gap is taken from which?")
    agree("the interval (low, high)", got, expected)


@exercise("roll_fast")
def ch10_rolls(answer, generator):
    noise = generator.standard_normal((24, FRAMES, HEIGHT, WIDTH, 3), dtype=np.float32)
    video = shaped("the clips", answer(noise), noise.shape)
    if not (video.min() >= -0.01 and video.max() <= 1.01):
        raise Wrong("the clips: pixels lie between 0 and 1, as `draw` returns them")
    hue, x, seen = look_at(video)
    if seen.mean() < SEEN:
        raise Wrong(f"only {seen.mean():.0%} of the frames show a ball")
    change = np.degrees(np.abs(np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1]))))).mean()
    if change > CHANGE:
        raise Wrong(f"the hue changes by {change:.1f} degrees; less than {CHANGE} are to be reached")
    speed = straight_line(x)[1].mean()
    if speed < SPEED:
        raise Wrong(f"the ball hardly moves: {speed:.2f} px a frame. Is this the fast one?")
    if np.abs(np.exp(1j * hue[:, 0]).mean()) > ALIKE:
        raise Wrong("nearly all balls have one and the same colour")
