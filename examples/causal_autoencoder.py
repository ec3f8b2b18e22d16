"""What does it buy to code time as well as space? A causal autoencoder beside one that goes frame by frame.

python examples/causal_autoencoder.py

Both are trained for equally long on the same clips, filmed at four times the usual rate, and rebuild clips that they
haven't seen. Two rows are for the autoencoder of single frames: it codes all frames, which gives the transformer nearly
four times the tokens; or every fourth frame, as many tokens as the causal one, and the frames between are blended.
"""

import dataclasses
import math
import os
import time

import numpy as np

from minivdit.lab.display import write_strips
from minivdit.lab.pipeline.train import train_stage
from minivdit.models import costs
from minivdit.models.patches import clip_grid
from minivdit.training import presets, stages

MINUTES, CLIPS = (0.02, 4) if "MINIVDIT_SHORT" in os.environ else (3, 64)

causal, small = presets.get("causal"), presets.get("small")
by_frame = dataclasses.replace(small, data=causal.data)
video = causal.data.clips("test").batch(np.random.default_rng(1), CLIPS).video  # (B, 29, 32, 32, 1)
frames, each = video.shape[1], causal.autoencoder.time_factor


def trained(preset):
    """The preset's autoencoder after MINUTES of training."""
    task = stages.autoencoder_task(preset)
    return train_stage("autoencoder", task, preset, minutes=MINUTES).model


def blended(few):
    """Clips of every fourth frame, filled up by straight blending: (B, 1 + k, ...) -> (B, 1 + 4k, ...)."""
    place = np.arange(frames) / each
    before = np.minimum(place.astype(int), few.shape[1] - 2)
    share = (place - before)[:, None, None, None].astype(np.float32)
    return (1 - share) * few[:, before] + share * few[:, before + 1]


def row(name, preset, coder, given, fill=lambda rebuilt: rebuilt):
    """Print what an autoencoder makes of the clips; returns them rebuilt."""
    started = time.perf_counter()
    latents = coder.encode(given)
    rebuilt = fill(coder.decode(latents))
    seconds = time.perf_counter() - started
    grid = clip_grid(given.shape[1], video.shape[2:4], preset.autoencoder, preset.transformer.patch_size)
    gflops = costs.clip_cost(preset.transformer, grid, 1).forward_flops / 1e9
    psnr = 10 * math.log10(1 / ((rebuilt - video) ** 2).mean())
    change, kept = np.diff(video, axis=1), np.diff(rebuilt, axis=1)  # from frame to frame
    lost = ((change - kept) ** 2).mean() / (change**2).mean()
    milliseconds = 1000 * seconds / len(video)
    print(
        f"| {name} | {math.prod(grid)} | {latents[0].size:,} | {psnr:.1f} | {lost:.2f} | {milliseconds:.1f} | "
        f"{gflops:.2f} |",
        flush=True,
    )
    return rebuilt


coders = {"causal": trained(causal), "by frame": trained(by_frame)}
print(f"{frames} frames, {MINUTES:g} minutes of training each, {CLIPS} test clips")
print("| | tokens | numbers | PSNR, dB | lost of the motion | ms a clip | GFLOPs of the transformer |")
print("|---|---|---|---|---|---|---|")
shown = [
    video,
    row("causal, 4 frames to 1", causal, coders["causal"], video),
    row("all frames", by_frame, coders["by frame"], video),
    row("every fourth frame, blended", by_frame, coders["by frame"], video[:, ::each], blended),
]
labels = ["real", "causal", "all frames", "every fourth, blended"]
write_strips("causal_autoencoder.png", np.stack([clips[0, :10] for clips in shown]), labels)
print("causal_autoencoder.png: ten frames of a clip, real and rebuilt")
