"""A world that trains in seconds: a ball of any colour rolls through a corridor (chapter 10).

The colour is its identity: the caption says "slow" or "fast" and nothing of it, so frames must agree on one by
themselves. Pixels are the latents.
"""

import numpy as np

from ... import autograd as ag
from ... import diffusion
from ...base import seeds
from ...base.backend import blas_threads
from ...data.pixels import TURNS
from ...models import VideoDiT, VideoDiTConfig, costs
from ...models.schemes import SCHEMES
from ...training.settings import TrainingSettings
from ...training.tasks import Task
from .worlds import World

FRAMES, HEIGHT, WIDTH, BALL = 6, 4, 20, 3
PACES = {"slow": 0.4, "fast": 3.2}  # px a frame
PATCH = (1, 4, 2)
GRID = tuple(length // side for length, side in zip((FRAMES, HEIGHT, WIDTH), PATCH))
SCALE = 3  # brings the clips, mostly black, nearer to the noise's deviation of 1
BATCH, SAMPLING_STEPS = 32, 12
# What still counts: degrees from the first frame's hue; pixels from a straight line; a share of the pace asked for.
SAME_HUE, SAME_LINE, SAME_PACE = 30, 0.4, 0.5


def rolling(generator, pace):
    """Clips (B, T, H, W, 3) in [0, 1] of a ball at pace (B,) px a frame, and its hue (B,) in radians."""
    hue = generator.uniform(-np.pi, np.pi, len(pace))
    step = pace * generator.choice([-1, 1], len(pace))
    way = pace * (FRAMES - 1)
    first = generator.random(len(pace)) * (WIDTH - BALL - way) + np.where(step < 0, way, 0)
    x = (BALL - 1) / 2 + first[:, None] + step[:, None] * np.arange(FRAMES)  # (B, T)
    y = (BALL - 1) / 2 + generator.random(len(pace)) * (HEIGHT - BALL)
    rows, places = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(rows - y[:, None, None, None], places - x[..., None, None])  # (B, T, H, W)
    colour = 0.5 + 0.5 * np.real(np.exp(1j * hue[:, None]) * TURNS.conj())  # (B, 3)
    ball = (BALL / 2 + 0.5 - far).clip(0, 1)
    return (ball[..., None] * colour[:, None, None, None]).astype(np.float32), hue


def look_at(video):
    """Hue (B, T) in radians and centre x (B, T) in pixels of the ink, 0 and 0 without; whether there is any (B, T)."""
    ink = np.where(video.max(-1) > 0.25, video.max(-1), 0)  # (B, T, H, W)
    hue = np.angle(np.einsum("bthw,bthwc,c->bt", ink, video, TURNS))
    amount = ink.sum((2, 3))
    return hue, (ink * np.arange(WIDTH)).sum((2, 3)) / np.maximum(amount, 1e-6), amount > 0


def straight_line(x):
    """Of centres x (B, T): root mean square distance (B,) in pixels from the best straight line, and its pace (B,)."""
    t = np.arange(x.shape[1]) - (x.shape[1] - 1) / 2
    slope = x @ t / (t @ t)
    line = x.mean(axis=1, keepdims=True) + slope[:, None] * t
    return np.sqrt(((x - line) ** 2).mean(axis=1)), np.abs(slope)


class Rolling(Task):
    """Clips of both paces, one noise level for all frames of a clip; the network says what the clean clip is."""

    process = diffusion.Process(diffusion.make("rectified_flow"), "clean")

    def __init__(self, model, clips=BATCH):
        self.model, self.parameters, self.clips = model, model.parameters(), clips

    def batch(self, generator):
        fast = generator.integers(2, size=self.clips)
        clean = SCALE * rolling(generator, np.where(fast, PACES["fast"], PACES["slow"]))[0]
        level = diffusion.training_levels(generator, self.clips, FRAMES, shared=1, given=0, independent=0)
        noise = generator.standard_normal(clean.shape, dtype=np.float32)
        return {"clean": clean, "noise": noise, "level": level, "words": 1 + fast[:, None].astype(np.int32)}

    def loss(self, batch):
        noisy = self.process.mix(batch["clean"], batch["noise"], batch["level"])
        guess = self.model(noisy, batch["level"], batch["words"])
        return ag.mean_squared_error(guess, batch["clean"]), {}


class Ball(World):
    """The ball of any colour, slow or fast."""

    name, title = "ball", "a ball of any colour that rolls through a corridor of 4 x 20 pixels, 6 frames"
    patch, paces, seeds, clips, rate = PATCH[1:], PACES, 8, 64, 3
    measures = {
        "colour": f"frames in the colour of the first one (to {SAME_HUE} degrees)",
        "line": "clips in which it rolls along a straight line at the pace asked for",
    }
    training = TrainingSettings(
        steps=240,
        batch=BATCH,
        shards=2,
        learning_rate=6e-3,
        matrix_learning_rate=0.03,
        warmup=20,
        final_fraction=1.0,
        ema_decay=0.97,
    )

    def config(self, pattern):
        """The network of a pattern."""
        return VideoDiTConfig(
            latent_channels=3,
            patch_size=PATCH,
            width=48,
            depth=4,
            heads=4,
            text_depth=0,
            positions="both",
            patterns=SCHEMES[pattern],
        )

    def task(self, pattern, seed):
        return Rolling(VideoDiT(self.config(pattern), 3, seeds.generator(seed, seeds.INITIAL_WEIGHTS, 2)))

    def cost(self, pattern):
        return costs.clip_cost(self.config(pattern), GRID, BATCH, words=1, vocabulary=3).training_flops

    @blas_threads(1)  # products this small are quicker with one
    def draw(self, task, pace):
        generator = seeds.generator(0, seeds.COMPARISONS)
        noise = generator.standard_normal((self.clips, FRAMES, HEIGHT, WIDTH, 3), dtype=np.float32)
        words = np.full((self.clips, 1), 1 + list(PACES).index(pace), np.int32)
        levels = diffusion.level_matrix(SAMPLING_STEPS, self.clips, FRAMES)
        with ag.no_grad():
            clean = diffusion.sample(
                lambda x, level: task.model(x, level, words).data,
                noise,
                levels,
                task.process,
                sampler="ddpm",
                generator=generator,
            )
        return (clean / SCALE).clip(0, 1)

    def real(self, pace):
        return rolling(seeds.generator(1, seeds.COMPARISONS), np.full(self.clips, PACES[pace]))[0]

    def judge(self, video, pace):
        hue, x, seen = look_at(video)
        away = np.degrees(np.abs(np.angle(np.exp(1j * (hue[:, 1:] - hue[:, :1])))))
        off, found = straight_line(x)
        rolls = (off < SAME_LINE) & (np.abs(found - PACES[pace]) < SAME_PACE * PACES[pace]) & seen.all(1)
        return {"colour": ((away < SAME_HUE) & seen[:, 1:] & seen[:, :1]).mean(1), "line": rolls.astype(float)}
