"""A network that learns clips of your own. Here they are made by code: coloured shapes that fall, roll and float.

python examples/own_clips.py

It takes 20 minutes on 2 cores; after a stop, the same command goes on. With clips of your own in place of these, the
commands are `minivdit data own_clips`, which says whether all can be read, and `minivdit train own --clips own_clips`.
"""

import itertools
import json
import os
from pathlib import Path

import numpy as np

from minivdit import write_grid
from minivdit.data import open_folder
from minivdit.lab.display import write_clip
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets

SHORT = os.environ.get("MINIVDIT_SHORT") == "1"
COLOURS = {"red": (1, 0.2, 0.2), "green": (0.2, 0.9, 0.3), "blue": (0.3, 0.5, 1), "yellow": (1, 0.9, 0.2)}
SHAPES = ("square", "ring", "triangle", "disc")
MOTIONS = ("falls and bounces", "rolls left", "rolls right", "floats up")
HEIGHT, WIDTH, FRAMES, RADIUS = 48, 64, 16, 8  # pixels, frames, pixels
TAKES, MINUTES = (1, None) if SHORT else (8, 20)  # clips of each caption; of training
QUICK = "transformer.width=32 transformer.depth=2 transformer.heads=2 training.steps=4 autoencoder_training.steps=4"


def picture(shape, centre, angle):
    """How much of each pixel a shape covers, (H, W); its edges are a pixel wide. angle: how far it is turned."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] - np.array(centre)[:, None, None]
    y, x = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    far = np.hypot(y, x)
    ring = np.maximum(np.abs(far - 0.75 * RADIUS) - 0.25 * RADIUS, 2 - np.hypot(y + 0.75 * RADIUS, x))  # with a gap
    beyond = {  # by how many pixels a place lies outside
        "disc": far - RADIUS,
        "ring": ring,
        "square": np.maximum(np.abs(y), np.abs(x)) - 0.8 * RADIUS,
        "triangle": np.maximum(y - RADIUS / 2, 0.866 * np.abs(x) - y / 2 - RADIUS / 2),
    }
    return np.clip(0.5 - beyond[shape], 0, 1)


def path(motion, generator):
    """The centre (y, x) and the angle of a shape in each frame."""
    time, floor = np.arange(FRAMES), HEIGHT - 1 - RADIUS
    y, x, angle = np.full(FRAMES, floor), np.full(FRAMES, generator.uniform(2 * RADIUS, WIDTH - 2 * RADIUS)), 0 * time
    if motion == "falls and bounces":
        y, place, speed = [], generator.uniform(RADIUS, 1.5 * RADIUS), 0.0
        for _ in time:
            y.append(place)
            place, speed = place + speed, speed + 0.8
            if place > floor:
                place, speed = 2 * floor - place, -0.8 * speed
    elif motion == "floats up":
        y = floor - generator.uniform(1.2, 2) * time
    else:
        way = {"rolls left": -1, "rolls right": 1}[motion] * generator.uniform(1.5, 2.5) * time
        x, angle = way + (RADIUS if way[-1] > 0 else WIDTH - 1 - RADIUS), way / RADIUS
    return zip(y, x, angle)


def clip(shape, colour, motion, generator):
    """Frames (T, H, W, 3) in [0, 1], on black."""
    covered = np.stack([picture(shape, (y, x), angle) for y, x, angle in path(motion, generator)])
    return covered[..., None].astype(np.float32) * np.float32(COLOURS[colour])


def make_clips(folder):
    """A folder of GIFs, and what is said of each in its metadata.jsonl."""
    generator, lines = np.random.default_rng(0), []
    for colour, shape, motion in itertools.product(list(COLOURS)[: 1 if SHORT else None], SHAPES, MOTIONS):
        for take in range(TAKES):
            name = f"{colour}-{shape}-{motion.replace(' ', '-')}-{take}.gif"
            write_clip(folder / name, clip(shape, colour, motion, generator), frames_per_second=8)
            lines.append(json.dumps({"file_name": name, "text": f"A {colour} {shape} {motion}."}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


folder = Path("own_clips")
if not (folder / "metadata.jsonl").exists():
    make_clips(folder)

# What the network sees of them: clips of one size, length and rate, and plain words.
preset = presets.override(
    presets.get("own"), ["data.fit=scale", "sampling.steps=20", *(QUICK.split() if SHORT else [])]
)
own = open_folder(folder, preset.data)
batch = own.clips("train").batch(np.random.default_rng(0), 12)
held_out = sum(map(own.is_held_out, own.entries))
print(f"{len(own.entries)} clips, {held_out} of them held out; words: {', '.join(own.words)}")
write_grid("own_clips.gif", batch.video, captions=batch.captions, columns=4)
print("own_clips.gif: 12 of them as the network sees them")

model = train_model(preset, "runs/own_clips", data=own, minutes=MINUTES, previews=0 if SHORT else 4)
captions = [f"a {list(COLOURS)[0 if SHORT else n % 4]} {SHAPES[n // 2]} {MOTIONS[(n + n // 4) % 4]}" for n in range(8)]
write_grid("own_drawn.gif", model.generate(captions, seed=1), captions=captions, columns=4)
print("own_drawn.gif: what it draws; is it only copied?")
print("minivdit evaluate --weights runs/own_clips --clips own_clips --nearest nearest.gif")
